import { describe, expect, test } from '@jest/globals';
import { authorityList } from '../../src/config/authority-list.js';
import { readFileSource } from '../../src/config/sources.js';

const ISSUER = 'https://localhost:8446';
const list = (...entries: readonly object[]) => authorityList(JSON.stringify(entries));

describe('authorities', () => {
  test('are an issuer each, with what its keys need', () => {
    const whole = { issuer: `${ISSUER}/tenant`, ca: 'root.pem', jwks: 'https://keys.example/jwks.json' };
    expect(list({ issuer: ISSUER }, { ...whole, algorithms: 'ES384, PS256' })).toEqual({
      ok: true,
      value: [{ issuer: ISSUER }, { ...whole, algorithms: ['PS256', 'ES384'] }],
    });
    expect(list()).toEqual({ ok: true, value: [] });
  });

  test.each<[string, readonly object[], string]>([
    ['http', [{ issuer: 'http://localhost:8446' }], 'issuer must be an https'],
    ['a user in the URL', [{ issuer: 'https://user:secret@localhost' }], 'issuer must be an https'],
    ['a query', [{ issuer: `${ISSUER}/?a=b` }], 'issuer must be an https'],
    ['a fragment', [{ issuer: `${ISSUER}/#a` }], 'issuer must be an https'],
    ['no issuer', [{ ca: 'root.pem' }], 'issuer must be an https'],
    ['the same twice, but for a slash', [{ issuer: ISSUER }, { issuer: `${ISSUER}/` }], 'is there twice'],
    ['an unknown member', [{ issuer: ISSUER, audience: 'x' }], 'unknown member'],
    ['keys over http', [{ issuer: ISSUER, jwks: 'http://keys.example/' }], 'jwks must be'],
    ['an empty file name', [{ issuer: ISSUER, ca: '' }], 'ca must be'],
    ['no signature', [{ issuer: ISSUER, algorithms: 'none' }], 'algorithms must be'],
    ['a shared secret', [{ issuer: ISSUER, algorithms: 'ES384,HS256' }], 'algorithms must be'],
    ['no algorithm', [{ issuer: ISSUER, algorithms: '' }], 'algorithms must be'],
    ['17 of them', Array.from({ length: 17 }, (_, at) => ({ issuer: `${ISSUER}/${String(at)}` })), 'at most 16'],
  ])('are refused with %s', (_, entries, why) => {
    const refused = list(...entries);
    expect(refused).toMatchObject({ ok: false, detail: expect.stringContaining(why) });
    expect(JSON.stringify(refused)).not.toContain('secret');
  });

  test.each(['', '{}', '[1]', '[[]]', '"x"', '[{"issuer":1}]'])('are refused where the text is %j', (text) => {
    expect(authorityList(text).ok).toBe(false);
  });

  test('name files relative to the configuration file, and URLs as they are', () => {
    const text = `authorities:\n  - { issuer: "${ISSUER}", ca: root.pem, jwks: keys.json }\n  - { issuer: "${ISSUER}/2", jwks: "https://keys.example/" }\n`;
    const { values, errors } = readFileSource({ path: '/etc/portcullis/config.yaml', text });
    expect(errors).toEqual([]);
    expect(authorityList(values.get('authorities')?.text ?? '')).toEqual({
      ok: true,
      value: [
        { issuer: ISSUER, ca: '/etc/portcullis/root.pem', jwks: '/etc/portcullis/keys.json' },
        { issuer: `${ISSUER}/2`, jwks: 'https://keys.example/' },
      ],
    });
  });
});
