/** Revoking whatever vouches for an AK, through the use cases: the very next commit, also of what is in flight, and elsewhere. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { authorityIdentity, certificateIdentity } from '../../src/endorsement/identity.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ecKey, type TestKey } from '../helpers/pki.js';
import { TestAuthority } from '../helpers/test-authority.js';
import type { TestBroker } from '../helpers/test-broker.js';
import { ADMIN, type Asked, bootedMachine, prepareRequest, valueOf } from '../helpers/test-broker.js';
import { certified, World } from './ak-trust-world.js';

const IN_FLIGHT = 24;

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world.close());

interface Scene {
  readonly machine: SimulatorAttester;
  /** Another one, certified by the same CA. */
  readonly neighbour: SimulatorAttester;
  readonly asked: Asked;
  readonly chain: readonly Buffer[];
  readonly ek: TestKey;
}

let made = 0;
async function scene(kind: 'ak-certificate' | 'ek-certificate', maker: TestAuthority): Promise<Scene> {
  const [ek, otherEk] = [ecKey(), ecKey()];
  const [machine, neighbour] = [await bootedMachine(), await bootedMachine()];
  const name = `vouched-${String(++made)}`;
  const rules = { trust: [kind], roots: maker.roots, anyFromRoots: true };
  const asked = await world.deploy(name, rules);
  if (kind === 'ak-certificate') {
    const chain = maker.ak(machine.ak.spki);
    return {
      machine: certified(machine, chain),
      neighbour: certified(neighbour, maker.ak(neighbour.ak.spki)),
      asked,
      chain,
      ek,
    };
  }
  const chain = maker.ek(ek.spki);
  await world.enrol(machine, chain, ek.spki, [name]);
  await world.enrol(neighbour, maker.ek(otherEk.spki), otherEk.spki, [name]);
  return { machine, neighbour, asked, chain, ek };
}

type Target = readonly [what: string, identity: (scene: Scene, maker: TestAuthority) => string, alsoNeighbour: boolean];
const certificateAt = (at: number) => (scene: Scene) => certificateIdentity(parseCertificate(scene.chain[at]!));
const COMMON: readonly Target[] = [
  ['the AK', ({ machine }) => sha256Hex(machine.ak.spki), false],
  ['its certificate', certificateAt(0), false],
  ['the certificate of the CA', certificateAt(1), true],
  ['the CA', ({ chain }) => authorityIdentity(parseCertificate(chain[1]!)), true],
  ['the root', (_scene, maker) => authorityIdentity(parseCertificate(maker.root)), true],
];
const CASES = [
  ...COMMON.map((target) => ['ak-certificate', ...target] as const),
  ...COMMON.map((target) => ['ek-certificate', ...target] as const),
  ['ek-certificate', 'the EK', ({ ek }: Scene) => `ek/${sha256Hex(ek.spki)}`, false] as const,
];

describe.each(CASES)('under %s, revoking %s', (kind, what, identityOf, alsoNeighbour) => {
  let maker: TestAuthority;
  let here: Scene;
  beforeEach(async () => {
    maker = new TestAuthority(`Maker ${String(made)}`, world.nowMs);
    here = await scene(kind, maker);
  });

  test('stops the very next release, one in flight too, and that of nobody else', async () => {
    const { machine, neighbour, asked } = here;
    expect(await world.outcome(machine, asked)).toBe('released');
    const { request } = await prepareRequest(world.broker, machine, asked);
    const identity = identityOf(here, maker);
    const done = await world.broker.revokeIdentity(ADMIN, identity);
    expect(done).toMatchObject({ ok: true, created: true, value: { identity } });
    expect(await world.broker.release(request)).toMatchObject({ reason: 'ak.revoked' });
    expect(await world.outcome(machine, asked)).toBe('ak.revoked');
    expect(await world.outcome(neighbour, asked)).toBe(alsoNeighbour ? 'ak.revoked' : 'released');

    const ofAk = what === 'the AK';
    const { items } = valueOf(await world.broker.listEntries({ limit: 20 }));
    expect(items.find(({ type }) => type.endsWith('.revoked'))?.entry).toMatchObject(
      ofAk
        ? { type: 'attester.revoked', actor: 'test', ak_spki_sha256: identity }
        : { type: 'endorsement.revoked', actor: 'test', identity },
    );
    if (kind === 'ek-certificate') {
      const view = valueOf(await world.broker.showAttester(sha256Hex(machine.ak.spki)));
      expect(view).toMatchObject({ state: 'revoked', revoked_by: identity });
    }
    const again = await world.broker.revokeIdentity(ADMIN, identity);
    expect(again).toMatchObject({ ok: true, created: false });
  });
});

describe('a pinned AK', () => {
  test('outlasts a CA where its deployment trusts pins alone, but neither there where it trusts certificates, nor its EK', async () => {
    const maker = new TestAuthority('Pinned', world.nowMs);
    const [ek, machine] = [ecKey(), await bootedMachine()];
    const chain = maker.ek(ek.spki);
    const rules = { trust: ['pinned', 'ek-certificate'], roots: maker.roots, anyFromRoots: true };
    const both = await world.deploy('both', rules);
    const asked = await world.deploy('pinned', { trust: ['pinned'] });
    await world.enrol(machine, chain, ek.spki, ['both', 'pinned']);
    await world.test.pin(machine, 'both');
    valueOf(await world.broker.trustAttester(ADMIN, { deployment: 'pinned', spki_sha256: sha256Hex(machine.ak.spki) }));
    const spki = sha256Hex(machine.ak.spki);
    expect(await world.outcome(machine, both)).toBe('released');
    const ca = authorityIdentity(parseCertificate(maker.ca));
    valueOf(await world.broker.revokeIdentity(ADMIN, ca));
    expect(await world.outcome(machine, both)).toBe('ak.revoked');
    expect(await world.outcome(machine, asked)).toBe('released');
    expect(valueOf(await world.broker.showAttester(spki))).toMatchObject({ state: 'trusted', revoked_by: ca });
    valueOf(await world.broker.revokeIdentity(ADMIN, `ek/${sha256Hex(ek.spki)}`));
    expect(await world.outcome(machine, asked)).toBe('ak.revoked');
    expect(valueOf(await world.broker.showAttester(spki))).toMatchObject({ state: 'revoked' });
  });
});

describe('a revocation', () => {
  test.each(['name', 'AK Name', 'SPKI hash', 'SPKI hash in capitals'] as const)('finds an AK by its %s', async (by) => {
    const asked = await world.deploy('by-name', { trust: ['pinned'] });
    const machine = await bootedMachine();
    await world.test.pin(machine, 'by-name');
    const spki = sha256Hex(machine.ak.spki);
    const ids = {
      name: `AK-${spki.slice(0, 16)}`,
      'AK Name': machine.ak.name.toString('hex'),
      'SPKI hash': spki,
      'SPKI hash in capitals': spki.toUpperCase(),
    };
    expect(valueOf(await world.broker.revokeAttester(ADMIN, ids[by]))).toMatchObject({
      ak_spki_sha256: spki,
      state: 'revoked',
      revoked_by: spki,
    });
    expect(await world.outcome(machine, asked)).toBe('ak.revoked');
  });

  test('of what was never seen works when it comes', async () => {
    const machine = await bootedMachine();
    const spki = sha256Hex(machine.ak.spki);
    expect(valueOf(await world.broker.revokeAttester(ADMIN, spki))).toEqual({ ak_spki_sha256: spki, state: 'revoked' });
    const maker = new TestAuthority('Unseen', world.nowMs);
    const [ek, other] = [ecKey(), await bootedMachine()];
    const revokedEk = `ek/${sha256Hex(ek.spki)}`;
    expect(valueOf(await world.broker.revokeIdentity(ADMIN, revokedEk))).toEqual({
      identity: revokedEk,
      kind: 'ek',
      attesters: [],
    });
    const rules = { trust: ['ak-certificate', 'ek-certificate'], roots: maker.roots, anyFromRoots: true };
    const asked = await world.deploy('unseen', rules);
    expect(await world.outcome(certified(machine, maker.ak(machine.ak.spki)), asked)).toBe('ak.revoked');
    await world.enrol(other, maker.ek(ek.spki), ek.spki, ['unseen']);
    expect(await world.outcome(other, asked)).toBe('ak.revoked');
    const chip = `chip/${'0f'.repeat(64)}`;
    expect(valueOf(await world.broker.revokeIdentity(ADMIN, chip))).toEqual({ identity: chip, kind: 'chip' });
  });

  test('of an EK names the AKs that it ends, once more too, and the log has it once', async () => {
    const maker = new TestAuthority('Names', world.nowMs);
    const { ek, machine } = await scene('ek-certificate', maker);
    const identity = `ek/${sha256Hex(ek.spki)}`;
    const attesters = [`ak-${sha256Hex(machine.ak.spki).slice(0, 16)}`];
    for (const created of [true, false]) {
      const done = await world.broker.revokeIdentity(ADMIN, identity);
      expect(done).toMatchObject({ created, value: { identity, kind: 'ek', attesters } });
    }
    const { items } = valueOf(await world.broker.listEntries({ type: 'endorsement.revoked', limit: 100 }));
    const entries = items.map(({ entry }) => entry as unknown as { identity: string });
    expect(entries.filter((entry) => entry.identity === identity)).toHaveLength(1);
  });

  test.each([
    '',
    'ek/',
    `ek/${'a'.repeat(63)}`,
    `EK/${'a'.repeat(64)}`,
    `ek/${'A'.repeat(64)}`,
    `ca/${'a'.repeat(64)}/00`,
    `certificate/${'a'.repeat(64)}`,
    `certificate/${'a'.repeat(64)}/0`,
    `certificate/${'a'.repeat(64)}/${'00'.repeat(21)}`,
    `chip/${'00'.repeat(7)}`,
    `chip/${'00'.repeat(65)}`,
    `maker/${'a'.repeat(64)}`,
    `${'a'.repeat(64)}\n`,
    'node-1',
  ])('of %j is refused, and nothing is logged', async (identity) => {
    const { state_generation: before } = await world.broker.describe();
    expect(await world.broker.revokeIdentity(ADMIN, identity)).toMatchObject({ reason: 'request.malformed' });
    expect((await world.broker.describe()).state_generation).toBe(before);
  });

  test('stands in the list, which comes in pages', async () => {
    const identities = ['1', '2', '3', '4', '5'].map((digit) => `ca/${digit.repeat(64)}`);
    for (const identity of identities) valueOf(await world.broker.revokeIdentity(ADMIN, identity));
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = valueOf(
        await world.broker.listRevocations({ limit: 2, ...(cursor === undefined ? {} : { cursor }) }),
      );
      listed.push(...page.items.map(({ identity }) => identity));
      for (const { identity, kind } of page.items) expect(identity.startsWith(kind) || kind === 'ak').toBe(true);
      cursor = page.next_cursor;
    } while (cursor !== undefined);
    expect(new Set(listed).size).toBe(listed.length);
    expect(listed).toEqual(expect.arrayContaining(identities));
    expect(listed.some((identity) => /^[0-9a-f]{64}$/.test(identity))).toBe(true);
    expect(await world.broker.listRevocations({ cursor: '=' })).toMatchObject({ reason: 'request.malformed' });
  });
});

describe('two brokers over one store', () => {
  test.each(['the AK', 'the CA'])('under load: after the entry that revokes %s there is no release', async (what) => {
    const { test: origin } = world;
    const twin = await origin.twin();
    try {
      const maker = new TestAuthority(`Loaded ${what}`, world.nowMs);
      const { machine, asked, chain } = await scene('ak-certificate', maker);
      const brokers = [origin.broker, twin.broker];
      const requests = await Promise.all(
        Array.from({ length: 2 * IN_FLIGHT }, (_, at) => prepareRequest(brokers[at % 2]!, machine, asked)),
      );
      let granted = 0;
      let revoking: Promise<unknown> | undefined;
      const identity = what === 'the AK' ? sha256Hex(machine.ak.spki) : authorityIdentity(parseCertificate(chain[1]!));
      const outcomes = await Promise.all(
        requests.map(async ({ request }, at) => {
          // Half are sent at once, the others one by one as answers come: some before the revocation, some after.
          if (at >= IN_FLIGHT) await new Promise((resolve) => setImmediate(resolve));
          const outcome = await brokers[at % 2]!.release(request);
          if (outcome.ok && ++granted === 3) revoking = origin.broker.revokeIdentity(ADMIN, identity);
          return outcome.ok ? 'released' : outcome.reason;
        }),
      );
      expect(revoking).toBeDefined();
      await revoking;
      expect(new Set(outcomes.filter((outcome) => outcome !== 'released'))).toEqual(
        outcomes.includes('ak.revoked') ? new Set(['ak.revoked']) : new Set(),
      );
      for (const broker of brokers) {
        const { request } = await prepareRequest(broker, machine, asked);
        expect(await broker.release(request)).toMatchObject({ reason: 'ak.revoked' });
      }
      await expectNoneAfter(origin, identity, sha256Hex(machine.ak.spki), granted);
    } finally {
      await twin.close();
    }
  });
});

/** The log: as many releases of the AK as were answered, and none behind the revocation. */
async function expectNoneAfter(broker: TestBroker, identity: string, spki: string, granted: number): Promise<void> {
  const { items } = valueOf(await broker.broker.listEntries({ limit: 1000 }));
  const entries = items.map(({ index, entry }) => ({ index, ...(entry as unknown as Record<string, unknown>) }));
  const revoked = entries.find((entry) => {
    const members = entry as Record<string, unknown>;
    return (
      members['identity'] === identity ||
      (members['type'] === 'attester.revoked' && members['ak_spki_sha256'] === identity)
    );
  });
  const releases = entries.filter((entry) => {
    const members = entry as Record<string, unknown>;
    return members['type'] === 'release' && members['ak_spki_sha256'] === spki;
  });
  expect(releases).toHaveLength(granted);
  expect(revoked).toBeDefined();
  for (const release of releases) expect(release.index).toBeLessThan(revoked!.index);
}
