import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { canonicalJson, type Json } from '../../src/bytes/canonical-json.js';
import { toHex } from '../../src/bytes/hex.js';
import { sha256 } from '../../src/crypto/digest.js';
import { purgeDeleted } from '../../src/release/key-lifecycle.js';
import { recordStart } from '../../src/release/record-start.js';
import type { LogEntry } from '../../src/release/records.js';
import { drive } from '../audit/driven-broker.js';
import { ADMIN, deploymentDocument, TestBroker, valueOf } from '../helpers/test-broker.js';

type Members = Readonly<Record<string, Json>>;

let broker: TestBroker;

beforeAll(async () => {
  broker = await TestBroker.start();
  await drive(broker);
}, 60_000);

afterAll(() => broker.close());

async function entries(type?: string): Promise<readonly (LogEntry & { readonly members: Members })[]> {
  const found = await broker.context.store.read((view) =>
    view.entries({ limit: 10_000, ...(type === undefined ? {} : { type }) }),
  );
  return found.map((each) => ({ ...each, members: JSON.parse(each.entry) as Members }));
}

async function newest(type: string): Promise<Members> {
  return (await entries(type))[0]?.members ?? {};
}

const generation = async (): Promise<string> => (await broker.broker.describe()).state_generation;

describe('an entry', () => {
  test('holds the hash of what is kept beside it', async () => {
    const detailed = (await entries()).filter(({ detail }) => detail !== undefined);
    expect(new Set(detailed.map(({ type }) => type))).toEqual(new Set(['deployment.applied', 'release', 'denial']));
    for (const { members, detail = '' } of detailed) {
      const member = 'detail_sha256' in members ? 'detail_sha256' : 'decision_sha256';
      expect(members[member]).toBe(toHex(sha256(Buffer.from(detail))));
    }
  });

  test('of a start says what was started', async () => {
    const before = await generation();
    await recordStart(broker.context);
    const { context } = broker;
    expect(await newest('broker.started')).toMatchObject({
      broker: context.broker,
      profile: 'development',
      version: context.version,
      kek: context.keks.activeId(),
    });
    expect(await generation()).toBe(before);
  });

  test('of a deployment says what it trusts, and hashes the document together with bytes that nobody can guess', async () => {
    const change = { measurement: { pcr: 11 }, attesters: { trust: ['pinned', 'simulator'] } };
    const applied = [];
    for (const name of ['twin-a', 'twin-b']) {
      await broker.deploy(name, change);
      applied.push((await entries('deployment.applied'))[0]);
    }
    const [first, second] = applied;
    expect(first?.members).toMatchObject({
      deployment: 'twin-a',
      created: true,
      source: 'tpm',
      bank: 'sha256',
      pcr: 11,
      boot: 'pinned',
      trust: ['pinned', 'simulator'],
      any_from_roots: false,
    });
    const detail = (entry: LogEntry | undefined) => JSON.parse(entry?.detail ?? '') as { document: Json; salt: string };
    expect(first?.members['document_sha256']).toBe(toHex(sha256(canonicalJson(detail(first).document))));
    expect(detail(first).salt).toMatch(/^[0-9A-Za-z_-]{22}$/);
    expect(detail(second).salt).not.toBe(detail(first).salt);
    await broker.deploy('twin-a', { ...change, platform: { unmeasuredBoot: true } });
    expect(await newest('deployment.applied')).toMatchObject({ created: false, boot: 'unmeasured' });
  });

  test('of a policy says by what it was named', async () => {
    expect((await entries('policy.registered')).map(({ members }) => members['origin'])).toEqual(
      expect.arrayContaining(['document', 'registered']),
    );
  });

  test('of a key says its size or curve, of an attester its name, of a token when it ends', async () => {
    valueOf(await broker.broker.createKey(ADMIN, { name: 'curved', deployments: [], type: 'EC', curve: 'P-384' }));
    expect(await newest('key.created')).toMatchObject({ kty: 'EC', curve: 'P-384', deployments: [] });
    await broker.key('sized');
    expect(await newest('key.created')).toMatchObject({ kty: 'oct', size: 256 });
    expect(await newest('attester.trusted')).toMatchObject({ attester: expect.stringMatching(/^ak-[0-9a-f]{16}$/) });
    const expiring = (await entries('token.created')).map(({ members }) => members['expires_at']);
    expect(expiring).toEqual(['2099-01-01T00:00:00.000Z', undefined]);
  });

  test('of a deletion says when the material is destroyed', async () => {
    const since = broker.context.clock();
    valueOf(await broker.broker.deleteKey(ADMIN, 'sized', undefined, 3));
    const { state, purge_at } = await newest('key.state');
    expect(state).toBe('deleted');
    expect(Date.parse(purge_at as string) - since).toBeGreaterThanOrEqual(3 * 86_400_000);
    valueOf(await broker.broker.recoverKey(ADMIN, 'sized'));
    expect(await newest('key.state')).not.toHaveProperty('purge_at');
  });
});

describe('the deployments of a key', () => {
  const names = Array.from({ length: 300 }, (_, at) => `many-${String(at).padStart(3, '0')}-${'x'.repeat(54)}`);

  test('stand in as many entries as it takes, whole', async () => {
    await broker.context.store.change(async (change) => {
      const llm = await change.deployments.get('llm');
      if (llm === undefined) throw new Error('no deployment');
      for (const name of names) await change.deployments.put({ ...llm, deployment: { ...llm.deployment, name } });
    });
    await broker.key('everywhere', ...names);
    const created = (await newest('key.created'))['deployments'] as string[];
    const linked = (await entries('key.linked')).filter(({ members }) => members['key'] === 'everywhere');
    const inLinks = linked.flatMap(({ members }) => members['linked'] as string[]);
    expect([...created, ...inLinks].sort()).toEqual(names);
    expect(linked.length).toBe(3);
  });

  test('change by what is added and taken away, and not at all where they stay the same', async () => {
    const [a = '', b = '', c = ''] = names;
    valueOf(await broker.broker.createKey(ADMIN, { name: 'moving', deployments: [a, b], type: 'oct' }));
    valueOf(await broker.broker.setKeyDeployments(ADMIN, 'moving', [c, b, c]));
    expect(await newest('key.linked')).toMatchObject({ key: 'moving', linked: [c], unlinked: [a] });
    const before = await generation();
    expect(valueOf(await broker.broker.setKeyDeployments(ADMIN, 'moving', [b, c])).deployments).toEqual([b, c]);
    expect(await generation()).toBe(before);
  });
});

test('what was destroyed by another process meanwhile is not destroyed again', async () => {
  const version = await broker.key('twice');
  valueOf(await broker.broker.rotateKey(ADMIN, 'twice'));
  valueOf(await broker.broker.deleteKey(ADMIN, 'twice', version, 0));
  const later = broker.context.clock() + 1000;
  await Promise.all([purgeDeleted(broker.context, later), purgeDeleted(broker.context, later)]);
  const purged = (await entries('key.purged')).filter(({ members }) => members['key'] === 'twice');
  expect(purged).toHaveLength(1);
});

test('a policy is retired under the name that the deployment has', async () => {
  valueOf(await broker.broker.applyDeployment(ADMIN, deploymentDocument('cased'), {}));
  const [policy] = valueOf(await broker.broker.showDeployment('cased')).policies;
  valueOf(await broker.broker.retirePolicy(ADMIN, policy?.sha256 ?? '', 'CASED'));
  expect(await newest('policy.retired')).toMatchObject({ deployment: 'cased' });
});
