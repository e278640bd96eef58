import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { StoreIntegrityError } from '../../../src/release/store.js';
import { Contents } from '../../../src/store/rows/contents.js';
import { GuardedTable, type Witness } from '../../../src/store/rows/guarded-table.js';
import { fold, labelOf } from '../../../src/store/rows/label.js';
import { RANGE_LABELS } from '../../../src/store/rows/ranges.js';
import { type Row, RowMac } from '../../../src/store/rows/row-mac.js';
import { ContentsKeys } from '../../../src/store/rows/set-hash.js';
import {
  ATTESTERS,
  DEPLOYMENTS,
  KEY_VERSIONS,
  KEYS,
  POLICY_LINKS,
  type TableSpec,
} from '../../../src/store/rows/specs.js';
import { attester, deployment, hash, key, link, NOW, version } from '../samples.js';

/*
 * Whoever answers instead of the table, an index that was exchanged, a function in its place, a server that lies, has every
 * genuine row at hand, with its MAC. Here it gives them where others were asked for.
 */
const MAC_KEY = Buffer.alloc(32, 7);

/** A table that holds these records, and their rows as they were set. */
function filled<R>(spec: TableSpec<R>, records: readonly R[]) {
  const columns = [...Object.keys(spec.toRow(records[0]!)), 'log_index', 'mac'];
  const table = new GuardedTable(spec, columns);
  const witness: Witness = { rowMac: new RowMac(MAC_KEY), contents: Contents.empty(new ContentsKeys(MAC_KEY)) };
  const rows = records.map((record) => table.sealed(witness.rowMac, record, 1));
  for (const row of rows) {
    for (const placed of table.labels(row)) witness.contents.set(placed.table, placed.label, row['mac'] as Buffer);
  }
  const label = (row: Row): string => labelOf(table.idsOf(row), spec.folded);
  const sorted = [...rows].sort((a, b) => (label(a) < label(b) ? -1 : 1));
  return { table, witness, rows, sorted, edit: (): Witness => ({ ...witness, contents: witness.contents.edit() }) };
}

const VERSIONS = [1, 2, 3].map((sequence) => version('Weights', sequence));

describe('a row that is asked for by its ids', () => {
  const { table, witness, rows } = filled(KEY_VERSIONS, [...VERSIONS, version('other', 1)]);
  const ids = ['WEIGHTS', VERSIONS[2]!.version];

  test('is found whatever the case of its name', () => {
    expect(table.one(witness, ids, rows[2])).toEqual(VERSIONS[2]);
  });

  test.each([
    ['another version of the key', 0],
    ['a version of another key', 3],
  ])('is not %s, genuine as that is', (_, at) => {
    expect(() => table.one(witness, ids, rows[at])).toThrow(StoreIntegrityError);
    expect(() => table.one(witness, ids, rows[at])).toThrow(/another row was found/);
  });

  test('is not another one where it is none', () => {
    expect(table.one(witness, ['weights', 'none'], undefined)).toBeUndefined();
    expect(() => table.one(witness, ['weights', 'none'], rows[0])).toThrow(StoreIntegrityError);
  });

  test('is not another one when it is replaced or removed', () => {
    const { edit, ...versions } = filled(KEY_VERSIONS, VERSIONS);
    const [first, , third] = versions.rows;
    expect(() => versions.table.wasSet(edit(), third!, first)).toThrow(StoreIntegrityError);
    expect(() => versions.table.wasRemoved(edit(), ids, first)).toThrow(StoreIntegrityError);
    expect(versions.table.wasRemoved(edit(), ids, third)).toHaveLength(1);
  });

  test('is not the deployment that accepts something else', () => {
    const { rows: deployments, ...all } = filled(DEPLOYMENTS, [deployment('prod'), deployment('dev')]);
    expect(all.table.one(all.witness, ['prod'], deployments[0])).toEqual(deployment('prod'));
    expect(() => all.table.one(all.witness, ['prod'], deployments[1])).toThrow(StoreIntegrityError);
  });
});

describe('the rows of a parent', () => {
  const { table, witness, sorted } = filled(POLICY_LINKS, [
    link('Prod', 'good'),
    link('Prod', 'better'),
    link('dev', 'bad'),
    link('dev', 'worse'),
  ]);
  const of = (parent: string): Row[] => sorted.filter((row) => fold(row['deployment'] as string) === parent);
  const [first, second] = of('prod') as [Row, Row];

  test('are all there, whatever the case of its name', () => {
    expect(table.children(witness, 'PROD', of('prod')).map((each) => each.sha256)).toEqual([first['sha256'], second['sha256']]); // prettier-ignore
    expect(table.children(witness, 'none', [])).toEqual([]);
  });

  test.each([
    ['those of another parent, though they are as many', of('dev')],
    ['some of another parent', [first, of('dev')[1]!]],
    ['one of them twice in the place of another one', [first, first]],
    ['in another order', [second, first]],
    ['without one', [second]],
    ['with one twice', [first, second, second]],
  ])('are not %s', (_, rows) => {
    expect(() => table.children(witness, 'Prod', rows)).toThrow(StoreIntegrityError);
  });

  test('are not those of one whose name begins with theirs', () => {
    const versions = filled(KEY_VERSIONS, [version('key', 1), version('key-b', 1)]);
    expect(() => versions.table.children(versions.witness, 'key', [versions.rows[1]!])).toThrow(StoreIntegrityError);
  });
});

describe('rows that are found by an alias', () => {
  const shared = { akName: `000b${hash('shared')}` };
  const { table, witness, rows } = filled(ATTESTERS, [
    attester('Node-a', shared),
    attester('node-b', shared),
    attester('node-c'),
  ]);

  test('are all there, in any order and whatever the case', () => {
    expect(table.aliased(witness, 'name', 'NODE-A', [rows[0]!])).toEqual([attester('Node-a', shared)]);
    expect(table.aliased(witness, 'ak_name', shared.akName, [rows[1]!, rows[0]!])).toHaveLength(2);
    expect(table.aliased(witness, 'name', 'none', [])).toEqual([]);
  });

  test.each([
    ['of another name', 'name', 'node-a', [2]],
    ['one of them twice in the place of another one', 'ak_name', shared.akName, [0, 0]],
    ['one of another name in the place of one', 'ak_name', shared.akName, [0, 2]],
    ['without one', 'ak_name', shared.akName, [0]],
  ])('are not %s', (_, column, value, found) => {
    const answer = found.map((at) => rows[at]!);
    expect(() => table.aliased(witness, column, value, answer)).toThrow(StoreIntegrityError);
  });
});

describe('rows that are to be destroyed', () => {
  const { table, witness, rows } = filled(KEY_VERSIONS, [
    version('a', 1, { purgeAtMs: NOW }),
    version('a', 2, { purgeAtMs: NOW + 1 }),
    version('a', 3),
    version('a', 4, { purgeAtMs: NOW, ciphertext: Buffer.alloc(0) }),
  ]);

  test('are those whose time has come', () => {
    expect(table.due(witness, NOW, [rows[0]!])).toHaveLength(1);
    expect(table.due(witness, NOW + 1, [rows[1]!, rows[0]!])).toHaveLength(2);
    const keys = filled(KEYS, [key('a', { purgeAtMs: NOW })]);
    expect(keys.table.due(keys.witness, NOW, keys.rows)).toHaveLength(1);
  });

  test.each([
    ['one whose time has not come', [1]],
    ['one that has no such time', [2]],
    ['one that has no material any more', [3]],
    ['one twice', [0, 0]],
  ])('are not %s', (_, found) => {
    const answer = found.map((at) => rows[at]!);
    expect(() => table.due(witness, NOW, answer)).toThrow(StoreIntegrityError);
  });
});

describe('a page', () => {
  const names = Array.from({ length: 12 }, (_, at) => `key-${'abcdefghijkl'.charAt(at)}`);
  const { table, witness, sorted } = filled(KEYS, names.map((name) => key(name))); // prettier-ignore
  const read = (page: readonly Row[], span: readonly Row[], limit: number, after?: string): readonly string[] => {
    const { records, span: wanted } = table.page(witness, page, limit, after === undefined ? undefined : [after]);
    if (wanted !== undefined) table.assertComplete(witness, wanted, span);
    return records.map((each) => each.name);
  };
  const picked = (...at: number[]): Row[] => at.map((each) => sorted[each]!);

  test('has the rows after a name, and no more than were asked for', () => {
    expect(read(sorted, [], 99)).toEqual(names);
    expect(read(picked(2, 3, 4), sorted, 3, 'KEY-B')).toEqual(names.slice(2, 5));
    expect(read(picked(9, 10, 11), sorted, 9, 'key-i')).toEqual(names.slice(9));
    expect(read([], sorted, 9, 'key-z')).toEqual([]);
  });

  test.each([
    ['skips rows between those that it has', picked(2, 11), 2, 'key-b'],
    ['skips rows at its start', picked(3, 4), 2, 'key-b'],
    ['ends before the last row, as if there were no more', picked(9, 10), 9, 'key-i'],
    ['has a row from before its start', picked(1, 2, 3), 3, 'key-b'],
    ['begins with the row that it is to begin after', picked(1, 2), 2, 'key-b'],
    ['has more rows than were asked for', picked(2, 3, 4), 2, 'key-b'],
    ['has a row twice', picked(2, 2), 2, 'key-b'],
    ['is out of order', picked(3, 2), 2, 'key-b'],
    ['is empty, as if nothing came after', [], 9, 'key-b'],
  ])('that %s is refused, though its span is complete', (_, page, limit, after) => {
    expect(() => read(page, sorted, limit, after)).toThrow(StoreIntegrityError);
  });

  test('that seems to be the whole table is refused where a row stands twice in the place of another one', () => {
    expect(() => read([...sorted.slice(0, 11), sorted[10]!], [], 99)).toThrow(StoreIntegrityError);
    expect(() => read([sorted[1]!, ...sorted.slice(1)], [], 99)).toThrow(StoreIntegrityError);
  });

  test('is refused where a row of its span stands twice in the place of another one', () => {
    const hidden = [...sorted.slice(0, 3), sorted[2]!, ...sorted.slice(4)];
    expect(() => read(picked(2, 4), hidden, 2, 'key-b')).toThrow(StoreIntegrityError);
  });

  test('is the truth or is refused, whatever genuine rows are given for it', () => {
    const some = fc.array(fc.nat(11), { maxLength: 14 });
    const honest = fc.record({ from: fc.nat(12), cut: fc.nat(12) }).map(({ from, cut }) => picked(...names.keys()).slice(from, from + cut)); // prettier-ignore
    const answer = fc.oneof(honest, honest, some.map((each) => picked(...each)), fc.uniqueArray(fc.nat(11)).map((each) => picked(...each.sort((a, b) => a - b)))); // prettier-ignore
    const spans = fc.oneof(fc.constant(sorted), answer);
    const asked = fc.record({ limit: fc.integer({ min: 1, max: 14 }), after: fc.option(fc.constantFrom(...names), { nil: undefined }) }); // prettier-ignore
    fc.assert(
      fc.property(answer, spans, asked, (page, span, { limit, after }) => {
        let given: readonly string[];
        try {
          given = read(page, span, limit, after);
        } catch (error) {
          expect(error).toBeInstanceOf(StoreIntegrityError);
          return;
        }
        expect(given).toEqual(names.filter((name) => after === undefined || name > after).slice(0, limit));
      }),
      { numRuns: 1000 },
    );
  });

  test('of a long table is refused where rows from elsewhere make up the number of its span; and nothing is learnt from that', () => {
    const count = 4 * RANGE_LABELS;
    const name = (at: number): string => `key-${String(at).padStart(5, '0')}`;
    const long = filled(KEYS, Array.from({ length: count }, (_, at) => key(name(at)))); // prettier-ignore
    const { span } = long.table.page(long.witness, long.sorted.slice(1500, 1520), 20, [name(1499)]);
    const within = (row: Row): boolean => {
      const each = String(row['name']);
      return each >= span!.from && (span!.before === undefined || each < span!.before);
    };
    const rows = long.sorted.filter(within);
    expect(rows.length).toBeLessThan(count / 2);
    for (const stray of [long.sorted[0]!, long.sorted[count - 1]!, rows[5]!]) {
      const answers = [
        [stray, ...rows.slice(1)],
        [...rows.slice(0, -1), stray],
      ];
      for (const answer of answers) {
        expect(() => long.table.assertComplete(long.witness, span!, answer)).toThrow(StoreIntegrityError);
      }
    }
    expect(() => long.table.assertComplete(long.witness, span!, rows)).not.toThrow();
  });
});
