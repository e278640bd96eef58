import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
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

describe('keys', () => {
  test('have no case twins, and creating one again changes nothing', async () => {
    for (const name of ['weights', 'Weights', 'WEIGHTS']) {
      const again = await broker.broker.createKey(ADMIN, { name, deployments: ['llm'], type: 'oct' });
      expect(again).toMatchObject({ ok: false, reason: 'resource.exists' });
    }
  });

  test.each(['', 'a b', 'a/b', 'ä', 'x'.repeat(128), '../x'])('are not named %j', async (name) => {
    expect(await broker.broker.createKey(ADMIN, { name, deployments: [], type: 'oct' })).toMatchObject({
      reason: 'request.malformed',
    });
  });

  test('are made for deployments that exist', async () => {
    const made = await broker.broker.createKey(ADMIN, { name: 'k1', deployments: ['nothing'], type: 'oct' });
    expect(made).toMatchObject({ reason: 'deployment.unknown' });
  });

  test('of every type are generated, released and rotated', async () => {
    const specs = [
      { type: 'EC', curve: 'P-521' },
      { type: 'OKP', curve: 'X25519' },
      { type: 'RSA', size: 2048 },
    ] as const;
    for (const [at, spec] of specs.entries()) {
      const name = `typed-${String(at)}`;
      valueOf(await broker.broker.createKey(ADMIN, { name, deployments: ['llm'], ...spec }));
      const first = released(await broker.release(machine, { deployment: 'llm', key: name }));
      valueOf(await broker.broker.rotateKey(ADMIN, name));
      const second = released(await broker.release(machine, { deployment: 'llm', key: name }));
      expect(second.key).toMatchObject({ name, kty: spec.type });
      expect(second.key.version).not.toBe(first.key.version);
    }
  });

  test('that are deleted are unknown at once, come back disabled, and are destroyed when their window is over', async () => {
    await broker.key('doomed', 'llm');
    const asked = { deployment: 'llm', key: 'doomed' };
    valueOf(await broker.broker.deleteKey(ADMIN, 'doomed'));
    expect(await broker.broker.issueChallenge(asked)).toMatchObject({ reason: 'key.unknown' });
    expect(await broker.broker.rotateKey(ADMIN, 'doomed')).toMatchObject({ reason: 'resource.state' });
    expect(await broker.broker.setKeyEnabled(ADMIN, 'doomed', true)).toMatchObject({ reason: 'resource.state' });
    valueOf(await broker.broker.recoverKey(ADMIN, 'doomed'));
    expect(await broker.release(machine, asked)).toMatchObject({ reason: 'key.disabled' });
    valueOf(await broker.broker.setKeyEnabled(ADMIN, 'doomed', true));
    released(await broker.release(machine, asked));

    const { purgeDeleted } = await import('../../src/release/key-lifecycle.js');
    valueOf(await broker.broker.deleteKey(ADMIN, 'doomed', undefined, 1));
    expect(await purgeDeleted(broker.context, Date.now())).toBe(0);
    expect(await purgeDeleted(broker.context, Date.now() + 2 * 86_400_000)).toBe(1);
    expect(await broker.broker.showKey('doomed')).toMatchObject({ reason: 'key.unknown' });
    expect(await broker.broker.recoverKey(ADMIN, 'doomed')).toMatchObject({ reason: 'key.unknown' });
  });

  test('whose newest version was destroyed do not fall back to an older one', async () => {
    await broker.key('tombstone', 'llm');
    const { versions } = valueOf(await broker.broker.rotateKey(ADMIN, 'tombstone'));
    const newest = versions[0]?.version ?? '';
    valueOf(await broker.broker.deleteKey(ADMIN, 'tombstone', newest, 0));
    const { purgeDeleted } = await import('../../src/release/key-lifecycle.js');
    expect(await purgeDeleted(broker.context, Date.now() + 1000)).toBe(1);
    const asked = { deployment: 'llm', key: 'tombstone' };
    expect(await broker.release(machine, asked)).toMatchObject({ reason: 'key.disabled' });
    expect(await broker.broker.recoverKey(ADMIN, 'tombstone', newest)).toMatchObject({ reason: 'resource.state' });
    released(await broker.release(machine, { ...asked, version: versions[1]?.version ?? '' }));
  });
});

describe('KEK rotation', () => {
  test('re-wraps everything while keys are drawn, and the broker restarts under the new KEK', async () => {
    const before = valueOf(await broker.broker.showKey('weights')).versions[0];
    const drawing = (async () => {
      for (let i = 0; i < 20; i++) released(await broker.release(machine, LLM));
    })();
    const { kek, rewrapped } = valueOf(await broker.broker.rotateKek(ADMIN));
    await drawing;
    expect(rewrapped).toBeGreaterThan(1);
    const after = valueOf(await broker.broker.showKey('weights')).versions[0];
    expect(after?.kek).toBe(kek);
    expect(before?.kek).not.toBe(kek);
    const again = valueOf(await broker.broker.rotateKek(ADMIN));
    await broker.restart();
    expect((await broker.broker.describe()).kek).toBe(again.kek);
    released(await broker.release(machine, LLM));
  });
});

describe('deployments', () => {
  test('applied again unchanged change nothing, not even the state generation', async () => {
    const { state_generation: before } = await broker.broker.describe();
    const again = valueOf(await broker.broker.applyDeployment(ADMIN, deploymentDocument('llm'), {}));
    expect(again).toMatchObject({ created: false, changes: [] });
    expect((await broker.broker.describe()).state_generation).toBe(before);
  });

  test('say what a document would change, and a dry run changes nothing', async () => {
    const document = deploymentDocument('llm', {
      metadata: { name: 'llm', description: 'new' },
      policies: [{ sha256: 'ab'.repeat(32) }],
    });
    const dry = valueOf(await broker.broker.applyDeployment(ADMIN, document, { dryRun: true }));
    expect(dry.dry_run).toBe(true);
    expect(dry.changes.map(({ path, change }) => `${change} ${path}`).sort()).toEqual([
      'added /metadata/description',
      `added /policies/${'ab'.repeat(32)}`,
      expect.stringMatching(/^removed \/policies\//),
    ]);
    released(await broker.release(machine, LLM));
  });

  test('created only, do not overwrite', async () => {
    const again = await broker.broker.applyDeployment(ADMIN, deploymentDocument('llm'), { createOnly: true });
    expect(again).toMatchObject({ ok: false, reason: 'resource.exists' });
  });

  test('that measure into the SHA-384 bank are released by the SHA-384 hash', async () => {
    await broker.deploy('big', { measurement: { bank: 'sha384', pcr: 8 }, platform: { unmeasuredBoot: true } });
    await broker.key('bigkey', 'big');
    const { tpm, ak } = await bootedMachine();
    const { SimulatorAttester: Attester } = await import('../../src/workload/attesters/simulator.js');
    const host = new Attester(tpm, ak);
    await broker.pin(host, 'big');
    const asked = { deployment: 'big', key: 'bigkey' };
    expect(await broker.release(host, asked)).toMatchObject({ reason: 'policy.hash' });
    const { digest } = await import('../../src/crypto/digest.js');
    tpm.extend('sha384', 8, digest('sha384', POLICY));
    released(await broker.release(host, asked));
    const [entry] = valueOf(await broker.broker.listEntries({ type: 'release', limit: 1 })).items;
    expect(entry?.entry).toMatchObject({ boot: 'unmeasured' });
  });
});

describe('tokens', () => {
  test('are known by their hash alone, expire, and are revoked at once', async () => {
    const future = new Date(Date.now() + 3_600_000).toISOString();
    const made = valueOf(await broker.broker.createToken(ADMIN, { name: 'ci', role: 'operator', expires_at: future }));
    expect(made.token).toMatch(/^pc_[0-9a-f]{16}_[0-9A-Za-z_-]{43}$/);
    expect(await broker.broker.authenticate(made.token)).toMatchObject({
      ok: true,
      value: { role: 'operator', tokenId: made.id },
    });
    expect(JSON.stringify(valueOf(await broker.broker.listTokens({})))).not.toContain(made.token);
    const other = made.token.slice(0, -1) + (made.token.endsWith('A') ? 'B' : 'A');
    for (const wrong of [other, '', 'pc_', made.token.slice(3), `${made.token} `, made.token.toUpperCase()]) {
      expect(await broker.broker.authenticate(wrong)).toMatchObject({ reason: 'auth.invalid' });
    }
    const { authenticate } = await import('../../src/release/tokens.js');
    const later = { ...broker.context, clock: () => Date.now() + 3_700_000 };
    expect(await authenticate(later, made.token)).toMatchObject({ reason: 'auth.invalid' });
    valueOf(await broker.broker.revokeToken(ADMIN, made.id));
    expect(await broker.broker.authenticate(made.token)).toMatchObject({ reason: 'auth.invalid' });
    expect(await broker.broker.revokeToken(ADMIN, '0'.repeat(16))).toMatchObject({ reason: 'resource.unknown' });
  });

  test('do not expire in the past, nor at a time that is none', async () => {
    for (const expires_at of ['2020-01-01T00:00:00Z', 'tomorrow', '2027-02-30T00:00:00Z']) {
      expect(await broker.broker.createToken(ADMIN, { name: 'x', role: 'auditor', expires_at })).toMatchObject({
        reason: 'request.malformed',
      });
    }
  });
});

describe('lists', () => {
  test('come in pages that lose nothing and repeat nothing', async () => {
    for (let i = 0; i < 7; i++) await broker.key(`page-${String(i)}`, 'llm');
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = valueOf(await broker.broker.listKeys({ limit: 3, ...(cursor === undefined ? {} : { cursor }) }));
      expect(page.items.length).toBeLessThanOrEqual(3);
      names.push(...page.items.map(({ name }) => name));
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(['page-0', 'page-6', 'weights']));
    expect(await broker.broker.listKeys({ cursor: '=' })).toMatchObject({ reason: 'request.malformed' });
  });

  test('of entries hold every change with its actor, in order, and time never decreases', async () => {
    const entries: { index: number; entry: { time: string; actor?: string } }[] = [];
    let cursor: string | undefined;
    do {
      const page = valueOf(await broker.broker.listEntries({ limit: 50, ...(cursor === undefined ? {} : { cursor }) }));
      entries.push(...(page.items as unknown as typeof entries));
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    const indexes = entries.map(({ index }) => index);
    expect(indexes).toEqual(indexes.map((_, at) => entries.length - 1 - at));
    const times = entries.map(({ entry }) => entry.time).reverse();
    expect(times).toEqual([...times].sort());
    expect(entries.filter(({ entry }) => entry.actor === ADMIN.tokenId).length).toBeGreaterThan(20);
  });
});

describe('the production profile', () => {
  test('refuses what proves nothing, and says what to do', async () => {
    const production = await TestBroker.start({ profile: 'production' });
    const apply = (change: object) =>
      production.broker.applyDeployment(ADMIN, deploymentDocument('p', { ...change }), {});
    expect(await apply({ platform: {} })).toMatchObject({
      reason: 'deployment.unmeasured_boot',
      detail: expect.stringContaining('platform.pcrs'),
    });
    expect(await apply({ measurement: { pcr: 16 } })).toMatchObject({
      reason: 'deployment.resettable_pcr',
      detail: expect.stringContaining('allowResettable'),
    });
    expect(await apply({ attesters: { trust: ['simulator'] } })).toMatchObject({
      reason: 'deployment.simulator_trust',
      detail: expect.stringContaining('pinned'),
    });
    valueOf(await apply({ platform: { unmeasuredBoot: true } }));
    valueOf(await apply({}));
    expect(production.broker.simulateMachine).toBeUndefined();
    await production.close();
  });

  test('is fixed by init: the directory of one profile is not served under the other', async () => {
    const { openBroker } = await import('../../src/cli/compose/open-broker.js');
    const open = openBroker({
      dataDir: broker.dataDir,
      profile: 'production',
      challengeTtlMs: 120_000,
      explain: 'full',
      logNames: 'plain',
      archiveEvidence: false,
      observer: {
        challenged: () => undefined,
        released: () => undefined,
        denied: () => undefined,
        committed: () => undefined,
        regressed: () => undefined,
        sightingDropped: () => undefined,
      },
    });
    await expect(open).rejects.toMatchObject({ name: 'ProfileError', message: expect.stringContaining('development') });
  });
});
