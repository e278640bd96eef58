import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sha256 } from '../../../src/crypto/digest.js';
import { StoreIntegrityError } from '../../../src/release/store.js';
import { Contents } from '../../../src/store/rows/contents.js';
import { ContentsKeys, SetSum } from '../../../src/store/rows/set-hash.js';

const KEYS = new ContentsKeys(Buffer.alloc(32, 7));
const TABLES = ['keys', 'key_versions'];
const mac = (value: number): Buffer => sha256(Buffer.from(String(value)));

type Model = ReadonlyMap<string, number>;
const labelsOf = (model: Model, table: string): string[] =>
  [...model.keys()].filter((key) => key.startsWith(`${table}:`)).map((key) => key.slice(table.length + 1));

/** The contents of a store that was filled with these rows and nothing else. */
function filled(model: Model): Contents {
  const contents = Contents.empty(KEYS);
  for (const [key, value] of model) {
    const [table = '', label = ''] = key.split(':');
    contents.set(table, label, mac(value));
  }
  return contents;
}

function expectSame(contents: Contents, model: Model): void {
  expect(contents.text()).toBe(filled(model).text());
  for (const table of TABLES) {
    const view = contents.table(table);
    const labels = labelsOf(model, table);
    expect(view.count).toBe(labels.length);
    const expected = LABELS.map((label) => model.get(`${table}:${label}`));
    expect(LABELS.map((label) => view.has(label))).toEqual(expected.map((value) => value !== undefined));
    expect(LABELS.map((label) => view.macOf(label))).toEqual(
      expected.map((value) => (value === undefined ? undefined : mac(value).subarray(0, 16))),
    );
    for (const other of [0, 1, 2]) {
      expect(LABELS.map((label) => view.holds(label, mac(other)))).toEqual(expected.map((value) => value === other));
    }
    expect(PARENTS.map((parent) => view.childCount(parent))).toEqual(
      PARENTS.map((parent) => labels.filter((label) => label.startsWith(`${parent}\0`)).length),
    );
    const span = view.cover('b', undefined);
    expect(view.countIn(span)).toBe(labels.filter((label) => label >= span.from).length);
  }
}

const PARENTS = ['a', 'b', 'bb', 'c'];
const LABELS = PARENTS.flatMap((parent) => [parent, ...['1', '2'].map((child) => `${parent}\0${child}`)]);

describe('contents', () => {
  const step = fc.record({
    table: fc.constantFrom(...TABLES),
    label: fc.constantFrom(...LABELS),
    value: fc.option(fc.constantFrom(0, 1, 2), { nil: undefined }),
  });
  const changes = fc.array(fc.record({ kept: fc.boolean(), steps: fc.array(step, { maxLength: 12 }) }), {
    maxLength: 8,
  });

  test('are those of their rows after every change; those from before it, and of a change that failed, stay as they were', () => {
    fc.assert(
      fc.property(changes, (all) => {
        let newest = Contents.empty(KEYS);
        let model = new Map<string, number>();
        const known: (readonly [Contents, Model])[] = [[newest, model]];
        for (const { kept, steps } of all) {
          const edit = newest.edit();
          const edited = new Map(model);
          for (const { table, label, value } of steps) {
            if (value === undefined) edit.delete(table, label);
            else edit.set(table, label, mac(value));
            if (value === undefined) edited.delete(`${table}:${label}`);
            else edited.set(`${table}:${label}`, value);
          }
          expectSame(edit, edited);
          known.push([edit, edited]);
          if (!kept) continue;
          edit.adopt();
          newest = edit;
          model = edited;
          for (const [contents, rows] of known) expectSame(contents, rows);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('are summed up by their rows, not by the order or the number of the changes that led there', () => {
    const a = filled(new Map([['keys:a', 0], ['keys:b', 1]])); // prettier-ignore
    const b = filled(new Map([['keys:b', 1], ['keys:a', 2], ['keys:c', 1]])).edit(); // prettier-ignore
    b.delete('keys', 'c');
    b.set('keys', 'a', mac(0));
    expect(b.text()).toBe(a.text());
  });

  test('are summed up as others where any row, label, MAC, table or key differs', () => {
    const rows: readonly [string, string, number][] = [
      ['keys', 'a', 0],
      ['keys', 'a', 1],
      ['keys', 'b', 0],
      ['key_versions', 'a', 0],
      ['keys', 'a\0b', 0],
    ];
    const texts = rows.map(([table, label, value]) => filled(new Map([[`${table}:${label}`, value]])).text());
    const both = filled(new Map([['keys:a', 0], ['keys:b', 1]])).text(); // prettier-ignore
    const swapped = filled(new Map([['keys:a', 1], ['keys:b', 0]])).text(); // prettier-ignore
    const other = Contents.empty(new ContentsKeys(Buffer.alloc(32, 8)));
    other.set('keys', 'a', mac(0));
    expect(new Set([...texts, both, swapped, other.text(), Contents.empty(KEYS).text()]).size).toBe(9);
    expect(Contents.empty(KEYS).text()).toBe('{}');
  });

  test('do not show the sum of their elements, by which other rows with the same sum could be looked for', () => {
    const sum = new SetSum();
    KEYS.elementsOf('keys').toggle(sum, 'a', mac(0));
    const text = filled(new Map([['keys:a', 0]])).text();
    expect(text).toMatch(/^\{"keys":\[1,"[0-9a-f]{64}"\]\}$/);
    expect(text).not.toContain(Buffer.from(sum.bytes).toString('hex'));
  });

  test('refuse a MAC and a label that no row was given', () => {
    const contents = Contents.empty(KEYS);
    expect(() => contents.set('keys', 'a', Buffer.alloc(15))).toThrow(StoreIntegrityError);
    expect(() => contents.set('keys', 'a'.repeat(1026), mac(0))).toThrow(StoreIntegrityError);
    contents.set('keys', 'a'.repeat(1025), mac(0));
    expect(contents.table('keys').holds('a'.repeat(1025), mac(0).subarray(0, 15))).toBe(false);
  });

  test('that are filled refuse a label that comes twice, with whatever MAC', () => {
    for (const again of [0, 1]) {
      const contents = Contents.empty(KEYS);
      contents.set('key_versions', 'a\0b', mac(0));
      contents.set('keys', 'a\0b', mac(0));
      expect(() => contents.set('key_versions', 'a\0b', mac(again))).toThrow(StoreIntegrityError);
      expect(() => contents.set('key_versions', 'a\0b', mac(again))).toThrow(
        'key_versions a/b: the row was found twice',
      );
    }
  });

  test('lose nothing by a removal of what they lack, in whatever place', () => {
    const contents = filled(new Map([['keys:a', 0]]));
    const edit = contents.edit();
    for (const place of ['keys', 'key_versions', 'x'.repeat(300), '__proto__']) {
      for (const label of ['b', '', 'x'.repeat(5000)]) edit.delete(place, label);
    }
    expect(edit.text()).toBe(contents.text());
    edit.adopt();
    expect(edit.edit().text()).toBe(contents.text());
  });

  test('become the newest only where they were made from those', () => {
    const base = Contents.empty(KEYS);
    const [first, second] = [base.edit(), base.edit()];
    first.adopt();
    expect(() => second.adopt()).toThrow('not made from the newest');
    expect(() => Contents.empty(KEYS).delete('keys', 'a')).toThrow('lose nothing');
  });

  test('name the tables that differ from a text', () => {
    const a = filled(new Map([['keys:a', 0], ['key_versions:a', 0]])); // prettier-ignore
    const b = filled(new Map([['keys:a', 0], ['attesters:a', 0]])); // prettier-ignore
    expect(a.differences(b.text())).toBe('attesters, key_versions');
  });
});
