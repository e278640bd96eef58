import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { policyHash } from '../../src/policy/policy-hash.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import {
  ADMIN,
  bootedMachine,
  deploymentDocument,
  POLICY,
  released,
  TestBroker,
  valueOf,
} from '../helpers/test-broker.js';

const LLM = { deployment: 'llm', key: 'weights' } as const;
let broker: TestBroker;
let machine: SimulatorAttester;

beforeAll(async () => {
  broker = await TestBroker.start();
  machine = await bootedMachine();
  await broker.deploy('llm');
  await broker.pin(machine, 'llm');
  await broker.key('weights', 'llm');
});

afterAll(() => broker.close());

describe('KEK rotations in several processes', () => {
  test('destroy no KEK that another process is wrapping under: what was made can be drawn', async () => {
    const twin = await broker.twin();
    // The twin remembers the first KEK as the active one; it is not told of this rotation.
    valueOf(await broker.broker.rotateKek(ADMIN));
    const names = Array.from({ length: 24 }, (_, at) => `raced-${String(at)}`);
    const creations = names.map((name) => broker.broker.createKey(ADMIN, { name, deployments: ['llm'], type: 'oct' }));
    const [made] = await Promise.all([Promise.allSettled(creations), twin.broker.rotateKek(ADMIN)]);
    await twin.close();
    let drawn = 0;
    for (const [at, outcome] of made.entries()) {
      if (outcome.status === 'rejected') continue;
      valueOf(outcome.value);
      released(await broker.release(machine, { deployment: 'llm', key: names[at] ?? '' }));
      drawn++;
    }
    expect(drawn).toBeGreaterThan(0);
    await broker.restart();
    released(await broker.release(machine, LLM));
  });

  test('refuse to store what was wrapped under a KEK that is gone', async () => {
    const { createKey } = await import('../../src/release/keys.js');
    const forgetful = {
      ...broker.context,
      keks: Object.assign(Object.create(broker.context.keks) as typeof broker.context.keks, {
        holds: async () => false,
      }),
    };
    const keks = broker.context.keks;
    Object.assign(forgetful.keks, { activeId: () => keks.activeId(), wrap: keks.wrap.bind(keks) });
    const made = createKey(forgetful, ADMIN, { name: 'lost', deployments: ['llm'], type: 'oct' });
    await expect(made).rejects.toMatchObject({ name: 'KekError' });
    expect(await broker.broker.showKey('lost')).toMatchObject({ reason: 'key.unknown' });
  });

  test('refuse to wrap under the KEK of before, at a replica that has not the new file yet', async () => {
    const { createKey, rotateKey } = await import('../../src/release/keys.js');
    const { openKekFile } = await import('../../src/keystore/file-kek.js');
    const { copyFileSync } = await import('node:fs');
    const copy = `${broker.dataDir}-kek-copy.json`;
    copyFileSync(`${broker.dataDir}/kek.json`, copy);
    const replica = { ...broker.context, keks: await openKekFile(copy) };
    valueOf(await createKey(replica, ADMIN, { name: 'before', deployments: ['llm'], type: 'oct' }));
    valueOf(await broker.broker.rotateKek(ADMIN));
    const late = createKey(replica, ADMIN, { name: 'late', deployments: ['llm'], type: 'oct' });
    await expect(late).rejects.toThrow('copy its kek.json here');
    await expect(rotateKey(replica, ADMIN, 'before')).rejects.toThrow('copy its kek.json here');
    copyFileSync(`${broker.dataDir}/kek.json`, copy);
    valueOf(await createKey(replica, ADMIN, { name: 'late', deployments: ['llm'], type: 'oct' }));
    released(await broker.release(machine, { deployment: 'llm', key: 'late' }));
  });
});

test('a policy hash of zeros, which every guest without a policy has, is not registered where the processor measures', async () => {
  const zeros = { sha256: '00'.repeat(32), sha384: '00'.repeat(32) + 'ab'.repeat(16) };
  const attesters = { trust: ['cvm-report'], allow: { cvm: [{ measurement: 'ab'.repeat(48) }] } };
  const policies = [{ content: POLICY.toString('base64url') }];
  const register = (deployment: string) => broker.broker.registerPolicy(ADMIN, { deployment, ...zeros });
  for (const bank of ['sha256', 'sha384']) {
    const measurement = { source: 'snp.host_data', bank };
    const platform = { unmeasuredBoot: true };
    await broker.deploy(`measured-${bank}`, { measurement, attesters, policies, platform });
    expect(await register(`measured-${bank}`)).toMatchObject({
      reason: 'request.malformed',
      detail: expect.stringMatching(`^${bank}: makes a field of zeros`),
    });
  }
  await broker.deploy('in-a-pcr', { policies });
  valueOf(await register('in-a-pcr'));
});

describe('the log says what was accepted', () => {
  const evil = policyHash(Buffer.from('evil'));

  test('a SHA-384 cannot be passed off under the SHA-256 of another file', async () => {
    const honest = policyHash(POLICY);
    const named = { deployment: 'llm', sha256: honest.sha256, sha384: evil.sha384 };
    await broker.deploy('fresh', { policies: [{ sha256: 'cd'.repeat(32) }] });
    expect(await broker.broker.registerPolicy(ADMIN, { ...named, deployment: 'fresh' })).toMatchObject({
      reason: 'resource.state',
    });
    const document = deploymentDocument('llm', { policies: [{ sha256: honest.sha256, sha384: evil.sha384 }] });
    expect(await broker.broker.applyDeployment(ADMIN, document, {})).toMatchObject({ reason: 'resource.state' });

    const unknown = policyHash(Buffer.from('not yet seen'));
    valueOf(
      await broker.broker.registerPolicy(ADMIN, { deployment: 'fresh', sha256: unknown.sha256, sha384: evil.sha384 }),
    );
    const file = { deployment: 'llm', content: Buffer.from('not yet seen').toString('base64url') };
    expect(await broker.broker.registerPolicy(ADMIN, file)).toMatchObject({ reason: 'resource.state' });
    const [entry] = valueOf(await broker.broker.listEntries({ type: 'policy.registered', limit: 1 })).items;
    expect(entry?.entry).toMatchObject({ policy_sha256: unknown.sha256, policy_sha384: evil.sha384 });
  });

  test('two documents that differ in a date alone leave different entries', async () => {
    const dated = (notAfter: string) =>
      deploymentDocument('dates', { policies: [{ content: POLICY.toString('base64url'), notAfter }] });
    valueOf(await broker.broker.applyDeployment(ADMIN, dated('2030-01-01T00:00:00Z'), {}));
    valueOf(await broker.broker.applyDeployment(ADMIN, dated('2099-01-01T00:00:00Z'), {}));
    const { items } = valueOf(await broker.broker.listEntries({ type: 'policy.registered', deployment: 'dates' }));
    expect(items.map(({ entry }) => (entry as Record<string, unknown>)['not_after'])).toEqual([
      '2099-01-01T00:00:00.000Z',
      '2030-01-01T00:00:00.000Z',
    ]);
    const applied = valueOf(await broker.broker.listEntries({ type: 'deployment.applied', deployment: 'dates' })).items;
    const hashes = applied.map(({ entry }) => (entry as Record<string, unknown>)['detail_sha256']);
    expect(new Set(hashes).size).toBe(2);
  });

  test('a key of very many deployments fits into an entry', async () => {
    const deployments = Array.from({ length: 40 }, (_, at) => `${'d'.repeat(60)}${String(at)}`);
    for (const name of deployments) await broker.deploy(name);
    await broker.key('popular', 'llm');
    valueOf(await broker.broker.setKeyDeployments(ADMIN, 'popular', deployments));
    const [entry] = valueOf(await broker.broker.listEntries({ type: 'key.linked', limit: 1 })).items;
    expect(entry?.entry).toMatchObject({ linked: [...deployments].sort(), unlinked: ['llm'] });
  });
});

describe('attesters', () => {
  test('have no name by which another one could be meant', async () => {
    const other = await bootedMachine();
    const trust = (name: string) =>
      broker.broker.trustAttester(ADMIN, {
        deployment: 'llm',
        public: other.ak.tpm2bPublic.toString('base64url'),
        name,
      });
    const akName = machine.ak.name.toString('hex');
    for (const name of [akName, akName.toUpperCase(), 'ab'.repeat(32)]) {
      expect(await trust(name)).toMatchObject({ reason: 'request.malformed' });
    }
    valueOf(await trust('other'));
    const shown = valueOf(await broker.broker.showAttester(akName));
    expect(shown.ak_name).toBe(akName);
  });

  test('are not told by a refusal which kinds of trust the deployment has', async () => {
    const denial = await broker.release(await bootedMachine(), LLM);
    expect(denial).toMatchObject({ reason: 'ak.untrusted', detail: expect.not.stringContaining('pinned)') });
  });

  test('that are simulated boot for deployments that trust simulators alone', async () => {
    const ak = await machine.tpm.createAk({ scheme: 'rsassa' });
    const booted = await broker.broker.simulateMachine?.({
      deployment: 'llm',
      ak: ak.tpm2bPublic.toString('base64url'),
    });
    expect(booted).toMatchObject({ ok: false, reason: 'resource.state' });
  });
});
