import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { canonicalJson, type Json } from '../../src/bytes/canonical-json.js';
import { digest, sha256 } from '../../src/crypto/digest.js';
import { seal } from '../../src/crypto/aead.js';
import { type ArchivedAppraisal, openAppraisal, sealAppraisal } from '../../src/release/archive.js';
import { createBroker } from '../../src/release/create-broker.js';
import { StoreIntegrityError } from '../../src/release/store.js';
import type { ReplayView } from '../../src/release/views.js';
import type { AkScheme } from '../../src/simulator/ak.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { leafHash } from '../../src/translog/merkle.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ADMIN, BOOT, bootedMachine, POLICY, released, TestBroker, valueOf } from '../helpers/test-broker.js';

const LLM = { deployment: 'llm', key: 'weights' } as const;
const TEN_YEARS_MS = 10 * 365 * 86_400_000;

/** A broker that archives, with a deployment, a key and a pinned machine. */
async function start(logNames: 'plain' | 'salted' = 'plain'): Promise<[TestBroker, SimulatorAttester]> {
  const broker = await TestBroker.start({ archiveEvidence: true, logNames });
  const machine = await bootedMachine();
  await broker.deploy('llm');
  await broker.pin(machine, 'llm');
  await broker.key('weights', 'llm');
  return [broker, machine];
}

async function draw(
  broker: TestBroker,
  machine: SimulatorAttester,
  asked = LLM as { deployment: string; key: string },
) {
  return released(await broker.release(machine, asked)).release_id;
}

async function replay(broker: TestBroker, releaseId: string, evidence = false): Promise<ReplayView> {
  return valueOf(await broker.broker.replayRelease(releaseId, { evidence }));
}

/** A certified simulated machine, trusted by no pin. */
async function certified(broker: TestBroker, deployment: string, scheme: AkScheme): Promise<SimulatorAttester> {
  const { tpm, ak } = await bootedMachine(scheme);
  const made = await broker.broker.simulateMachine?.({ deployment, ak: ak.tpm2bPublic.toString('base64url') });
  if (made === undefined) throw new Error('not the development profile');
  return new SimulatorAttester(tpm, ak, valueOf(made).ak_certificates);
}

/** Runs SQL behind the back of the broker. */
function tamper(broker: TestBroker, sql: string, ...values: readonly unknown[]): void {
  const db = new Database(join(broker.dataDir, 'portcullis.db'));
  try {
    expect(db.prepare(sql).run(...values).changes).toBeGreaterThan(0);
  } finally {
    db.close();
  }
}

function archivedRows(broker: TestBroker): number {
  const db = new Database(join(broker.dataDir, 'portcullis.db'), { readonly: true });
  try {
    return db.prepare('SELECT count(*) FROM evidence_archive').pluck().get() as number;
  } finally {
    db.close();
  }
}

describe('a release that was archived', () => {
  let broker: TestBroker;
  let machine: SimulatorAttester;
  beforeAll(async () => {
    [broker, machine] = await start();
    await broker.deploy('simulated', { attesters: { trust: ['simulator'] } });
    await broker.key('simkey', 'simulated');
  });
  afterAll(() => broker.close());

  test.each(['rsassa', 'rsapss', 'ecdsa-p256', 'ecdsa-p384'] as const)(
    'comes to the same again, with an AK of scheme %s, pinned or certified by the simulator CA',
    async (scheme) => {
      const pinned = await bootedMachine(scheme);
      await broker.pin(pinned, 'llm');
      const simulated = await certified(broker, 'simulated', scheme);
      const cases = [
        [await draw(broker, pinned), 'pinned', 'llm'],
        [await draw(broker, simulated, { deployment: 'simulated', key: 'simkey' }), 'simulator', 'simulated'],
      ] as const;
      for (const [releaseId, trust, deployment] of cases) {
        const view = await replay(broker, releaseId);
        const [entry] = valueOf(await broker.broker.listEntries({ type: 'release', deployment, limit: 1 })).items;
        expect(view).toMatchObject({ release_id: releaseId, index: entry?.index, same: true, differences: [] });
        expect(view.log).toEqual(entry?.entry);
        expect(entry?.detail).toMatchObject(view.decision as object);
        expect(view.log).toMatchObject({ ak_trust: trust, deployment });
        expect(view.claims).toMatchObject({ tpm: { ak: { trust } } });
        expect(view).not.toHaveProperty('refusal');
        expect(view).not.toHaveProperty('presented');
      }
    },
  );

  test('comes to the same where the policy is measured with SHA-384, for a version asked for by its id', async () => {
    await broker.deploy('big', { measurement: { bank: 'sha384', pcr: 8 }, platform: { unmeasuredBoot: true } });
    const version = await broker.key('bigkey', 'big');
    const tpm = new SimulatedTpm();
    tpm.extend('sha384', 8, digest('sha384', POLICY));
    const big = new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p384' }));
    await broker.pin(big, 'big');
    const answer = released(await broker.release(big, { deployment: 'big', key: 'bigkey', version }));
    const view = await replay(broker, answer.release_id);
    expect(view).toMatchObject({ same: true, log: { version, policy_sha384: expect.any(String), boot: 'unmeasured' } });
  });

  test('is shown with the request as it was received, where that is asked for', async () => {
    const { request } = await broker.request(machine, LLM);
    const answer = released(await broker.broker.release(request));
    const view = await replay(broker, answer.release_id, true);
    expect(view.presented).toEqual(request);
  });

  test('is replayed without a trace: no entry, no nonce spent, no state changed', async () => {
    const releaseId = await draw(broker, machine);
    const before = [await broker.context.store.logHead(), await broker.broker.describe()];
    await replay(broker, releaseId);
    expect([await broker.context.store.logHead(), await broker.broker.describe()]).toEqual(before);
  });

  test('is replayed by another process over the same files', async () => {
    const releaseId = await draw(broker, machine);
    const twin = await broker.twin();
    expect(valueOf(await twin.broker.replayRelease(releaseId, {}))).toMatchObject({ same: true });
    await twin.close();
  });

  test('is resource.unknown under an id that nothing is archived of, with what to do', async () => {
    const refused = await broker.broker.replayRelease('0'.repeat(32), {});
    expect(refused).toMatchObject({
      ok: false,
      reason: 'resource.unknown',
      detail: expect.stringContaining('archive.evidence'),
    });
  });

  test('is resource.unknown where it was archived in a format that is not known', async () => {
    const releaseId = await draw(broker, machine);
    const associated = { broker: broker.context.broker, purpose: 'portcullis/archive/v1', release_id: releaseId };
    const text = Buffer.from('{"format":"portcullis/archive/v2"}');
    const sealed = seal(broker.context.archive.key, Buffer.alloc(12, 1), text, canonicalJson(associated));
    tamper(broker, 'UPDATE evidence_archive SET sealed = ? WHERE release_id = ?', sealed, releaseId);
    expect(await broker.broker.replayRelease(releaseId, {})).toMatchObject({
      reason: 'resource.unknown',
      detail: expect.stringContaining('format'),
    });
  });
});

describe('a replay long after', () => {
  test('comes to the same, whatever became of policy, AK, key, deployment, KEK, process, setting and clock', async () => {
    const [broker, machine] = await start();
    await broker.deploy('simulated', { attesters: { trust: ['simulator'] } });
    await broker.key('simkey', 'simulated');
    const simulated = await certified(broker, 'simulated', 'rsassa');
    const releases = [
      await draw(broker, machine),
      await draw(broker, simulated, { deployment: 'simulated', key: 'simkey' }),
    ];
    const { broker: cases } = broker;
    const other = { policies: [{ content: Buffer.from('another').toString('base64url') }] };

    const steps: Readonly<Record<string, () => Promise<unknown>>> = {
      'policy retired': () => cases.retirePolicy(ADMIN, sha256(POLICY).toString('hex')),
      'AK revoked': () => cases.revokeAttester(ADMIN, machine.ak.name.toString('hex')),
      'deployment frozen': () => cases.setDeploymentFrozen(ADMIN, 'llm', true),
      'key deleted': () => cases.deleteKey(ADMIN, 'weights', undefined, 0),
      'deployment changed': () => broker.deploy('llm', { ...other, platform: { unmeasuredBoot: true } }),
      'trust changed': () => broker.deploy('simulated', { ...other, attesters: { trust: ['pinned'] } }),
      'epoch raised': () => broker.context.store.change((change) => change.raiseEpoch()),
      'nonces purged': () => broker.context.store.purgeNonces(Date.now()),
      'KEK rotated': () => cases.rotateKek(ADMIN),
      restarted: () => broker.restart(),
    };
    for (const [step, carryOut] of Object.entries(steps)) {
      await carryOut();
      for (const release of releases) {
        const { same, differences } = await replay(broker, release);
        expect([step, differences, same]).toEqual([step, [], true]);
      }
    }
    const later = createBroker({
      ...broker.context,
      archive: { ...broker.context.archive, on: false },
      clock: () => Date.now() + TEN_YEARS_MS,
    });
    for (const release of releases) {
      const view = valueOf(await later.replayRelease(release, {}));
      expect(view.same).toBe(true);
      expect(Date.parse(view.appraised_at)).toBeLessThanOrEqual(Date.now());
    }
    await broker.close();
  });

  test('comes to the same where names are salted, also once they no longer are', async () => {
    const [broker, machine] = await start('salted');
    const releaseId = await draw(broker, machine);
    const view = await replay(broker, releaseId);
    expect(view).toMatchObject({ same: true, log: { names: 'salted', deployment: expect.not.stringMatching('llm') } });
    const plain = createBroker({ ...broker.context, pseudonyms: undefined });
    expect(valueOf(await plain.replayRelease(releaseId, {}))).toMatchObject({ same: true });
    await broker.close();
  });
});

/** The archive of another appraisal under the same release shows what a replay finds that decides differently. */
describe('a replay that comes to something else', () => {
  let broker: TestBroker;
  let releaseId: string;
  let archived: ArchivedAppraisal;
  beforeAll(async () => {
    let machine: SimulatorAttester;
    [broker, machine] = await start('salted');
    releaseId = await draw(broker, machine);
    const row = await broker.context.store.archived(releaseId);
    archived = valueOf(openAppraisal(broker.context, releaseId, row?.sealed ?? Buffer.alloc(0)));
  });
  afterAll(() => broker.close());

  async function replayOf(changed: Partial<ArchivedAppraisal>, context = broker.context): Promise<ReplayView> {
    const sealed = sealAppraisal(context, releaseId, { ...archived, ...changed, trust: 'pinned' });
    tamper(broker, 'UPDATE evidence_archive SET sealed = ? WHERE release_id = ?', sealed, releaseId);
    return replay(broker, releaseId);
  }
  const members = (view: ReplayView) => view.differences.map(({ member }) => member);

  test('is the same as long as nothing is changed', async () => {
    expect(await replayOf({})).toMatchObject({ same: true });
  });

  test('names the members: other evidence', async () => {
    const { request } = archived;
    const { tpm } = request.evidence;
    if (tpm === undefined) throw new Error('no TPM evidence');
    const view = await replayOf({ request: { ...request, evidence: { tpm: { ...tpm, event_log: 'AAAA' } } } });
    expect([view.same, members(view)]).toEqual([false, ['evidence_sha256']]);
    expect(view.differences[0]).toEqual({
      member: 'evidence_sha256',
      recorded: (view.log as { evidence_sha256: string }).evidence_sha256,
      replayed: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  test('names the members, and shows both trees: other rules', async () => {
    const { facts } = archived;
    const { deployment } = facts;
    if (deployment === undefined) throw new Error('no deployment');
    const looser = { ...deployment.deployment, platform: { pcrs: {}, unmeasuredBoot: true } };
    const view = await replayOf({ facts: { ...facts, deployment: { ...deployment, deployment: looser } } });
    expect([view.same, members(view)]).toEqual([false, ['boot', 'decision_sha256', 'decision']]);
    expect(view.differences[0]).toEqual({ member: 'boot', recorded: 'pinned', replayed: 'unmeasured' });
    const [, , decision] = view.differences;
    const conditions = (tree: Json | undefined) => (tree as { conditions: readonly unknown[] }).conditions.length;
    expect(conditions(decision?.recorded) - conditions(decision?.replayed)).toBe(Object.keys(BOOT).length);
  });

  test('names the members: another generation, another version, another profile', async () => {
    const { facts, circumstances } = archived;
    const state = { ...facts.state, generation: facts.state.generation + 1 };
    const version = { version: 'f'.repeat(32), state: 'enabled' } as const;
    const profile = { ...circumstances, profile: 'production' } as const;
    expect(members(await replayOf({ facts: { ...facts, state } }))).toEqual(['state_generation']);
    expect(members(await replayOf({ facts: { ...facts, version } }))).toEqual(['version']);
    expect(members(await replayOf({ circumstances: profile }))).toEqual(['profile']);
  });

  test('names the members whose names cannot be shown to be those of the entry', async () => {
    const view = await replayOf({}, { ...broker.context, pseudonyms: undefined });
    expect(view.differences).toMatchObject([
      { member: 'deployment', replayed: 'llm' },
      { member: 'key', replayed: 'weights' },
    ]);
  });

  test.each([
    ['ak.revoked', { akRevoked: true }],
    ['ak.untrusted', { attester: undefined }],
    ['policy.hash', { policies: [] }],
    ['key.frozen', { keyFrozen: true }],
    ['deployment.unknown', { deployment: undefined }],
  ])('says that it would be refused, with %s', async (reason, change) => {
    const view = await replayOf({ facts: { ...archived.facts, ...change } });
    expect(view).toMatchObject({
      same: false,
      decision: { met: false },
      refusal: { reason },
      differences: [{ member: 'outcome', recorded: 'released', replayed: reason }],
      log: { type: 'release' },
    });
    expect(view).not.toHaveProperty('claims');
  });

  test('goes by the time of then: the nonce, the dates of the policies', async () => {
    const { circumstances, facts } = archived;
    const late = { ...circumstances, nowMs: circumstances.nowMs + circumstances.challengeTtlMs };
    expect(await replayOf({ circumstances: late })).toMatchObject({ refusal: { reason: 'challenge.expired' } });
    const until = (notAfterMs: number) => facts.policies.map((link) => ({ ...link, notAfterMs }));
    const valid = await replayOf({ facts: { ...facts, policies: until(circumstances.nowMs + 1) } });
    expect(valid).toMatchObject({ decision: { met: true } });
    const expired = await replayOf({ facts: { ...facts, policies: until(circumstances.nowMs) } });
    expect(expired).toMatchObject({ refusal: { reason: 'policy.validity' } });
    expect(expired.decision).toMatchObject({ met: false, conditions: expect.arrayContaining([expect.anything()]) });
  });

  test('says that it would be refused where the request itself is', async () => {
    const { request } = archived;
    expect(await replayOf({ request: { ...request, recipient: {} } })).toMatchObject({
      refusal: { reason: 'request.malformed' },
    });
    expect(await replayOf({ request: { ...request, evidence: {} } })).toMatchObject({
      refusal: { reason: 'evidence.malformed' },
    });
  });
});

describe('what was changed behind the back of the broker is store.integrity', () => {
  let broker: TestBroker;
  let machine: SimulatorAttester;
  let first: string;
  let second: string;
  let index: number;
  beforeAll(async () => {
    [broker, machine] = await start();
    first = await draw(broker, machine);
    second = await draw(broker, machine);
    ({ index } = await replay(broker, first));
  });
  afterAll(() => broker.close());

  /** Changes the archive of the first release, expects the alarm, and puts the row back. */
  async function alarms(sql: string, ...values: readonly unknown[]): Promise<string> {
    const row = await broker.context.store.archived(first);
    tamper(broker, `${sql} WHERE release_id = ?`, ...values, first);
    const error = await broker.broker.replayRelease(first, {}).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(StoreIntegrityError);
    const back = 'UPDATE evidence_archive SET sealed = ?, log_index = ? WHERE release_id = ?';
    tamper(broker, back, row?.sealed, row?.index, first);
    expect(await replay(broker, first)).toMatchObject({ same: true });
    return (error as Error).message;
  }

  test('a flipped bit, a cut or an empty blob', async () => {
    const { sealed } = (await broker.context.store.archived(first)) ?? { sealed: Buffer.alloc(0) };
    const flipped = Buffer.from(sealed);
    flipped.writeUInt8(flipped.readUInt8(100) ^ 1, 100);
    for (const blob of [flipped, sealed.subarray(0, -1), Buffer.alloc(0)]) {
      expect(await alarms('UPDATE evidence_archive SET sealed = ?', blob)).toContain(`evidence_archive ${first}`);
    }
  });

  test('the blob of another release', async () => {
    await alarms(
      'UPDATE evidence_archive SET sealed = (SELECT sealed FROM evidence_archive AS o WHERE o.release_id = ?)',
      second,
    );
  });

  test('the index of another entry, of another release, or of none', async () => {
    const { index: other } = await replay(broker, second);
    for (const wrong of [0, other, 1_000_000, -1]) await alarms('UPDATE evidence_archive SET log_index = ?', wrong);
  });

  test('a changed entry, also with its leaf hash; a changed decision', async () => {
    const db = new Database(join(broker.dataDir, 'portcullis.db'));
    const select = db.prepare('SELECT entry, leaf_hash, detail FROM log_entries WHERE log_index = ?');
    const row = select.get(index) as { entry: string; leaf_hash: Buffer; detail: string };
    db.close();
    const put = 'UPDATE log_entries SET entry = ?, leaf_hash = ?, detail = ? WHERE log_index = ?';
    const entry = row.entry.replace('"ak_trust":"pinned"', '"ak_trust":"simulator"');
    expect(entry).not.toBe(row.entry);
    const detail = row.detail.replace('"met":true', '"met":false');
    for (const [text, leaf, tree] of [
      [entry, row.leaf_hash, row.detail],
      [entry, leafHash(Buffer.from(entry)), row.detail],
      [row.entry, row.leaf_hash, detail],
      [row.entry, row.leaf_hash, null],
    ]) {
      tamper(broker, put, text, leaf, tree, index);
      await expect(broker.broker.replayRelease(first, {})).rejects.toThrow(StoreIntegrityError);
    }
    tamper(broker, put, row.entry, row.leaf_hash, row.detail, index);
    expect(await replay(broker, first)).toMatchObject({ same: true });
  });

  test('a row that is gone is no alarm: it is as if nothing had been archived', async () => {
    const gone = await draw(broker, machine);
    tamper(broker, 'DELETE FROM evidence_archive WHERE release_id = ?', gone);
    expect(await broker.broker.replayRelease(gone, {})).toMatchObject({ reason: 'resource.unknown' });
  });
});

describe('nothing is archived', () => {
  test('where archive.evidence is off, which it is unless set', async () => {
    const broker = await TestBroker.start();
    const machine = await bootedMachine();
    await broker.deploy('llm');
    await broker.pin(machine, 'llm');
    await broker.key('weights', 'llm');
    const releaseId = await draw(broker, machine);
    expect(archivedRows(broker)).toBe(0);
    expect(await broker.broker.replayRelease(releaseId, {})).toMatchObject({ reason: 'resource.unknown' });
    await broker.close();
  });

  test('of a release that was refused, or replayed', async () => {
    const [broker, machine] = await start();
    const wrong = await bootedMachine('ecdsa-p256', Buffer.from('another policy'));
    await broker.pin(wrong, 'llm');
    expect(await broker.release(wrong, LLM)).toMatchObject({ reason: 'policy.hash' });
    const stranger = await bootedMachine();
    expect(await broker.release(stranger, LLM)).toMatchObject({ reason: 'ak.untrusted' });
    expect(archivedRows(broker)).toBe(0);
    const { request } = await broker.request(machine, LLM);
    const outcomes = await Promise.all([1, 2, 3].map(() => broker.broker.release(request)));
    expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(1);
    expect(archivedRows(broker)).toBe(1);
    await broker.close();
  });
});
