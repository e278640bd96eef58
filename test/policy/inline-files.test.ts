import { describe, expect, test } from '@jest/globals';
import { parseDeployment } from '../../src/policy/deployment-document.js';
import { inlineFiles } from '../../src/policy/inline-files.js';
import { makeCertificate } from './certificates.js';
import { HASH, OTHER_HASH, POLICY, wireDocument } from './documents.js';

const ROOT = makeCertificate('root');
const FILES: Readonly<Record<string, Buffer>> = {
  'policy.json': POLICY,
  'root.pem': Buffer.from(ROOT),
  empty: Buffer.alloc(0),
  largest: Buffer.alloc(786_432, 'x'),
  'too-large': Buffer.alloc(786_433, 'x'),
};

function readFile(name: string): Buffer {
  const content = FILES[name];
  if (content === undefined) throw new Error(`no such file: ${name}`);
  return content;
}

test('files become content and PEM text, the rest stays as it is', () => {
  const dated = { notBefore: '2026-11-01T00:00:00Z' };
  const document = wireDocument({
    policies: [{ file: 'policy.json', sha256: HASH.sha256, ...dated }, { ...OTHER_HASH }],
    attesters: { trust: ['pinned'], roots: ['root.pem'] },
  });
  const result = inlineFiles(document, readFile);
  expect(result).toEqual({
    ok: true,
    value: wireDocument({
      policies: [{ content: POLICY.toString('base64url'), sha256: HASH.sha256, ...dated }, { ...OTHER_HASH }],
      attesters: { trust: ['pinned'], roots: [ROOT] },
    }),
  });
  expect(result.ok && parseDeployment(result.value).ok).toBe(true);
});

test('what reading a file throws passes through', () => {
  expect(() => inlineFiles(wireDocument({ policies: [{ file: 'missing' }] }), readFile)).toThrow(
    'no such file: missing',
  );
});

describe('refused with request.malformed', () => {
  test.each<[string, object, string]>([
    ['an empty policy file', { policies: [{ file: 'empty' }] }, 'the file empty is empty'],
    [
      'a policy file that is too large',
      { policies: [{ file: 'too-large' }] },
      'the file too-large is empty, or larger',
    ],
    ['an empty root file', { attesters: { trust: ['pinned'], roots: ['empty'] } }, 'the file empty is empty'],
    [
      'a policy of neither file nor hash',
      { policies: [{}] },
      '/policies/0: must be a policy with file, or sha256, or both',
    ],
    ['content in a document', { policies: [{ content: 'YQ', ...HASH }] }, '/policies/0: unknown member "content"'],
    ['an unknown member', { polices: [] }, 'the document: unknown member "polices"'],
  ])('%s', (_, members, detail) => {
    const result = inlineFiles(wireDocument({ policies: [{ file: 'policy.json' }], ...members }), readFile);
    expect(result).toMatchObject({ ok: false, reason: 'request.malformed' });
    expect(result.ok ? '' : result.detail).toContain(detail);
  });

  test('and a file of the largest size is taken by the wire form too', () => {
    const result = inlineFiles(wireDocument({ policies: [{ file: 'largest' }] }), readFile);
    expect(result.ok && parseDeployment(result.value).ok).toBe(true);
  });
});
