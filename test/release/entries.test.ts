import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { PageRequest } from '../../src/release/broker.js';
import type { EntrySelection } from '../../src/release/entry-selection.js';
import type { EntryView } from '../../src/release/views.js';
import { ADMIN, bootedMachine, released, TestBroker, valueOf } from '../helpers/test-broker.js';

type Query = PageRequest & EntrySelection;

/** One broker with two deployments and keys, and a release of each. */
async function populated(logNames: 'plain' | 'salted'): Promise<{ broker: TestBroker; spki: string; akName: string }> {
  const broker = await TestBroker.start({ logNames });
  const machine = await bootedMachine();
  for (const name of ['llm', 'other']) {
    await broker.deploy(name);
    await broker.pin(machine, name);
    await broker.key(`weights-${name}`, name);
    released(await broker.release(machine, { deployment: name, key: `weights-${name}` }));
  }
  valueOf(await broker.broker.rotateKey(ADMIN, 'weights-llm'));
  const [attester] = valueOf(await broker.broker.listAttesters({})).items;
  return { broker, spki: attester?.ak_spki_sha256 ?? '', akName: attester?.ak_name ?? '' };
}

describe.each(['plain', 'salted'] as const)('entries with %s names', (logNames) => {
  let broker: TestBroker;
  let spki: string;
  let akName: string;
  let all: readonly EntryView[];
  beforeAll(async () => {
    ({ broker, spki, akName } = await populated(logNames));
    all = await entries({});
  });
  afterAll(() => broker.close());

  async function entries(query: Query): Promise<readonly EntryView[]> {
    return valueOf(await broker.broker.listEntries(query)).items;
  }

  const typesOf = (found: readonly EntryView[]) => found.map(({ type }) => type);
  const timeOf = ({ entry }: EntryView) => (entry as { readonly time: string }).time;

  test('are found by deployment, by key and by both, under their plain names', async () => {
    expect(typesOf(await entries({ deployment: 'llm' }))).toEqual([
      ...['release', 'attester.trusted', 'policy.registered', 'deployment.applied'],
    ]);
    expect(typesOf(await entries({ key: 'weights-llm' }))).toEqual(['key.rotated', 'release', 'key.created']);
    expect(typesOf(await entries({ key: 'WEIGHTS-llm', type: 'release' }))).toEqual(['release']);
    expect(await entries({ key: 'weights-llm', deployment: 'other' })).toEqual([]);
    const [release] = await entries({ key: 'weights-other', type: 'release' });
    expect(release).toMatchObject(
      logNames === 'plain'
        ? { entry: { deployment: 'other', key: 'weights-other' } }
        : { entry: { names: 'salted' }, names: { deployment: 'other', key: 'weights-other' } },
    );
  });

  test('are found by policy, and by AK under both of its identities', async () => {
    const [release] = await entries({ type: 'release' });
    const { policy_sha256: policy } = release?.entry as unknown as { policy_sha256: string };
    expect(typesOf(await entries({ policy }))).toEqual([
      'release',
      'policy.registered',
      'release',
      'policy.registered',
    ]);
    expect(await entries({ policy: '0'.repeat(64) })).toEqual([]);
    const ofAk = ['release', 'attester.trusted', 'release', 'attester.trusted'];
    expect(typesOf(await entries({ ak: spki }))).toEqual(ofAk);
    expect(typesOf(await entries({ ak: akName }))).toEqual(ofAk);
  });

  test('are found by time: since inclusive, until exclusive', async () => {
    for (const at of [0, 3, Math.floor(all.length / 2), all.length - 1]) {
      const time = timeOf(all[at]!);
      const later = all.filter((entry) => timeOf(entry) >= time);
      const earlier = all.filter((entry) => timeOf(entry) < time);
      expect(await entries({ since: time })).toEqual(later);
      expect(await entries({ until: time })).toEqual(earlier);
      expect(await entries({ since: time, until: time })).toEqual([]);
    }
    expect(await entries({ since: '1970-01-01T00:00:00Z', until: '2100-01-01T00:00:00+14:00' })).toEqual(all);
    expect(await broker.broker.listEntries({ since: '2026-02-30T00:00:00Z' })).toMatchObject({
      reason: 'request.malformed',
    });
    expect(await broker.broker.listEntries({ until: 'yesterday' })).toMatchObject({ reason: 'request.malformed' });
  });

  test.each([{}, { key: 'weights-llm' }, { type: 'release' }, { until: '2100-01-01T00:00:00Z' }] as Query[])(
    'come page by page, none twice and none left out %j',
    async (query) => {
      const whole = await entries(query);
      for (const limit of [1, 2, whole.length]) {
        const paged: EntryView[] = [];
        let cursor: string | undefined;
        do {
          const page = valueOf(
            await broker.broker.listEntries({ ...query, limit, ...(cursor === undefined ? {} : { cursor }) }),
          );
          expect(page.items.length).toBeLessThanOrEqual(limit);
          paged.push(...page.items);
          cursor = page.next_cursor;
        } while (cursor !== undefined);
        expect(paged).toEqual(whole);
      }
    },
  );
});

test('a page looks at a bounded number of entries, and its cursor goes on behind them', async () => {
  const { broker } = await populated('plain');
  try {
    const before = valueOf(await broker.broker.listEntries({})).items.length;
    const added = 3_000;
    await broker.context.store.change(async (change) => {
      for (let at = 0; at < added; at++) await change.append('denial.summary', { counts: { 'quote.signature': 1 } });
    });
    const first = valueOf(await broker.broker.listEntries({ key: 'weights-llm' }));
    expect(first.items).toEqual([]);
    expect(first.next_cursor).toBe(String(before + added - 2_048));
    const second = valueOf(await broker.broker.listEntries({ key: 'weights-llm', cursor: first.next_cursor ?? '' }));
    expect(second.items.map(({ type }) => type)).toEqual(['key.rotated', 'release', 'key.created']);
    expect(second.next_cursor).toBeUndefined();
    // What the store can select by itself needs no looking.
    const releases = valueOf(await broker.broker.listEntries({ type: 'release' }));
    expect(releases.items).toHaveLength(2);
    expect(releases.next_cursor).toBeUndefined();
  } finally {
    await broker.close();
  }
});
