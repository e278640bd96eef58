/** A database as schema version 1 left it: what store/migrations must bring up to date without touching a row that stands. */
import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';
import type { Store } from '../../src/release/store.js';
import {
  attester,
  brokerRecord,
  commitFor,
  deployment,
  enrolment,
  entriesOf,
  hash,
  key,
  link,
  policy,
  token,
  version,
} from './samples.js';

type Value = null | number | string | Buffer;

/** Rows by table. They were written by the program of that time, in the order of `columns`. */
export function schemaOneRows(): readonly (readonly [table: string, row: Readonly<Record<string, Value>>])[] {
  const path = new URL('./schema-1.json', import.meta.url);
  const { tables } = JSON.parse(readFileSync(path, 'utf8')) as {
    readonly tables: Readonly<Record<string, readonly Readonly<Record<string, Value | { readonly hex: string }>>[]>>;
  };
  return Object.entries(tables).flatMap(([table, rows]) =>
    rows.map((row) => [
      table,
      Object.fromEntries(Object.entries(row).map(([column, each]) => [column, valueOf(each)])),
    ]),
  );
}

function valueOf(each: Value | { readonly hex: string }): Value {
  return typeof each === 'object' && each !== null && 'hex' in each ? Buffer.from(each.hex, 'hex') : each;
}

/** Everything that was stored is there, authentic, and can be changed and used further. */
export async function expectMigrated(store: Store): Promise<void> {
  expect(await store.broker()).toEqual(brokerRecord());
  await store.read(async (view) => {
    expect(await view.state()).toEqual({ generation: 3, epoch: 1, nonceFloorMs: 0 });
    expect(await view.deployments.list({ limit: 9 })).toEqual([deployment('llm')]);
    expect(await view.policies.list({ limit: 9 })).toEqual([policy('a')]);
    expect(await view.policyLinks.of('llm')).toEqual([link('llm', 'a')]);
    expect(await view.keys.list({ limit: 9 })).toEqual([key('weights')]);
    expect(await view.keyVersions.of('weights')).toEqual([version('weights', 1)]);
    const attesters = [attester('Node-1'), attester('node-2', { deployments: [] }), attester('node-3')];
    const bySpki = [...attesters].sort((a, b) => (a.spkiSha256 < b.spkiSha256 ? -1 : 1));
    expect(await view.attesters.list({ limit: 9 })).toEqual(bySpki);
    for (const each of attesters) {
      for (const id of [each.spkiSha256, each.name, each.akName]) expect(await view.attesters.get(id)).toEqual(each);
    }
    expect(await view.attesters.ofEk(hash('ek'))).toEqual([]);
    expect(await view.tokens.list({ limit: 9 })).toEqual([token('t')]);
    expect(await view.revocations.all()).toEqual([hash('node-3')]);
    expect(await view.freezes.all()).toEqual(['key/other']);
  });
  expect((await store.archived('a'))?.sealed.toString()).toBe('sealed');
  expect((await entriesOf(store)).map((each) => each['type'])).toEqual(['broker.started', 'seed', 'again', 'release']);
  expect(await store.listSightings({ limit: 9 })).toEqual([]);

  const enrolled = { enrolments: [enrolment('llm')] };
  await store.change((change) => change.attesters.put(attester('Node-1', enrolled)));
  expect(await store.read((view) => view.attesters.ofEk(hash('ek')))).toEqual([attester('Node-1', enrolled)]);
  expect(await store.commitRelease(await commitFor(store, 'a'))).toEqual({ outcome: 'replayed' });
  expect(await store.commitRelease(await commitFor(store, 'b'))).toMatchObject({ outcome: 'committed' });
}
