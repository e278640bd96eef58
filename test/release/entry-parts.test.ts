import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { verifiedDetail, verifiedNames } from '../../src/release/entry-parts.js';
import { presentEntry } from '../../src/release/present.js';
import type { LogEntry } from '../../src/release/records.js';
import { StoreIntegrityError } from '../../src/release/store.js';
import { composeEntry, type EntryBody, type Members } from '../../src/translog/entry.js';
import { Pseudonyms } from '../../src/translog/names.js';

const pseudonyms = new Pseudonyms(Buffer.alloc(32, 3));
const AT = { timeMs: Date.UTC(2026, 10, 20), generation: 4 };
const DETAIL = '{"met":true}';
const hash = (text: string) => createHash('sha256').update(text).digest('hex');

/** An entry as the store gives it back. */
function stored(type: string, body: EntryBody, detail?: string, salted = true): LogEntry {
  const { text, names } = composeEntry(type, body, AT, salted ? pseudonyms : undefined);
  return {
    index: 7,
    type,
    entry: text,
    ...(detail === undefined ? {} : { detail }),
    ...(names === undefined ? {} : { names }),
  };
}

const membersOf = (entry: LogEntry) => JSON.parse(entry.entry) as Members;

const DENIAL = {
  reason: 'policy.hash',
  deployment: 'llm',
  key: 'weights',
  version: 'latest',
  ak_name: `000b${'ab'.repeat(32)}`,
  ak_spki_sha256: 'cd'.repeat(32),
};
const LINKS = { actor: 'init', key: 'weights', linked: ['llm', 'eval'], unlinked: [] };

describe('the detail beside an entry', () => {
  test.each(['decision_sha256', 'detail_sha256'])('is shown where it has the hash in %s', (member) => {
    const entry: LogEntry = { index: 0, type: 'x', entry: JSON.stringify({ [member]: hash(DETAIL) }), detail: DETAIL };
    expect(verifiedDetail(entry, membersOf(entry))).toEqual({ met: true });
  });

  test('is none where the entry has no hash of any', () => {
    const entry = stored('denial', DENIAL);
    expect(verifiedDetail(entry, membersOf(entry))).toBeUndefined();
  });

  test('is refused where it was changed, removed or added', () => {
    const entry = stored('denial', { ...DENIAL, decision_sha256: hash(DETAIL) }, DETAIL);
    const { detail: removed, ...without } = entry;
    expect(removed).toBe(DETAIL);
    const bare = stored('denial', DENIAL);
    for (const each of [
      { ...entry, detail: '{"met":false}' },
      { ...entry, detail: '' },
      without,
      { ...bare, detail: DETAIL },
    ]) {
      expect(() => verifiedDetail(each, membersOf(each))).toThrow(StoreIntegrityError);
      expect(() => presentEntry(each, pseudonyms)).toThrow('log_entries 7: the detail');
    }
  });
});

describe('the names beside an entry', () => {
  test('are shown where the entry has their pseudonyms, in lists as well', () => {
    expect(presentEntry(stored('denial', DENIAL), pseudonyms).names).toEqual({ deployment: 'llm', key: 'weights' });
    expect(presentEntry(stored('key.linked', LINKS), pseudonyms).names).toEqual({
      key: 'weights',
      'linked/0': 'llm',
      'linked/1': 'eval',
    });
  });

  test('are none in an entry whose names are plain', () => {
    const entry = stored('denial', DENIAL, undefined, false);
    expect(presentEntry(entry, pseudonyms)).not.toHaveProperty('names');
    expect(presentEntry(entry, undefined)).not.toHaveProperty('names');
  });

  test('are not shown where nothing is there to hold them against', () => {
    expect(presentEntry(stored('denial', DENIAL), undefined)).not.toHaveProperty('names');
  });

  const denial = stored('denial', DENIAL);
  const links = stored('key.linked', LINKS);
  const { names: gone, ...nameless } = denial;
  test.each<[string, LogEntry]>([
    ['another name', { ...denial, names: { deployment: 'other', key: 'weights' } }],
    ['names that were swapped', { ...denial, names: { deployment: 'weights', key: 'llm' } }],
    ['a name of a member that has none', { ...denial, names: { ...gone, reason: 'x' } }],
    ['a name too few', { ...denial, names: { deployment: 'llm' } }],
    ['no names', nameless],
    ['a name that only its prototype has', { ...denial, names: { deployment: 'llm', toString: 'weights' } }],
    ['a list in another order', { ...links, names: { key: 'weights', 'linked/0': 'eval', 'linked/1': 'llm' } }],
    ['names beside plain ones', { ...stored('denial', DENIAL, undefined, false), names: { deployment: 'other' } }],
    ['names of a type that is not known', { ...denial, type: 'unknown' }],
  ])('are refused: %s', (_, entry) => {
    expect(() => verifiedNames(entry, membersOf(entry), pseudonyms)).toThrow(StoreIntegrityError);
    expect(() => presentEntry(entry, pseudonyms)).toThrow('log_entries 7: the names');
  });

  test('of another broker are refused', () => {
    const other = new Pseudonyms(Buffer.alloc(32, 4));
    expect(() => verifiedNames(denial, membersOf(denial), other)).toThrow(StoreIntegrityError);
  });
});
