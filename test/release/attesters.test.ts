/** The inventory of attesters, trust of pending ones, and quarantine. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import type { Sighting } from '../../src/release/records.js';
import type { AttesterView } from '../../src/release/views.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ecKey } from '../helpers/pki.js';
import { gceInstance, KEY_AGREEMENT, EK_USAGE, TestAuthority, TPM_MODEL } from '../helpers/test-authority.js';
import { ADMIN, type Asked, bootedMachine, valueOf } from '../helpers/test-broker.js';
import { certified, withoutAk, World } from './ak-trust-world.js';

let world: World;
let authority: TestAuthority;

beforeAll(async () => {
  world = await World.start();
  authority = new TestAuthority('Cloud', world.nowMs);
});
afterAll(() => world.close());

let made = 0;
/** A deployment that believes AK certificates of the authority, as far as `allow` says. */
function certificateDeployment(more: Readonly<Record<string, unknown>> = {}): Promise<Asked> {
  return world.deploy(`cloud-${String(++made)}`, { trust: ['ak-certificate'], roots: authority.roots, ...more });
}

async function certifiedMachine(): Promise<SimulatorAttester> {
  const machine = await bootedMachine();
  return certified(machine, authority.ak(machine.ak.spki));
}

const spkiOf = (machine: SimulatorAttester): string => sha256Hex(machine.ak.spki);

/** As the broker notes a machine that asked for a key. */
async function saw(machine: SimulatorAttester, deployment: string, change: Partial<Sighting> = {}): Promise<void> {
  const evidence = await machine.evidence(Buffer.alloc(32), { sha256: [0] });
  await world.test.context.store.noteSightings([
    {
      spkiSha256: spkiOf(machine),
      akName: machine.ak.name.toString('hex'),
      publicArea: machine.ak.publicArea,
      deployment,
      trust: 'ak-certificate',
      state: 'pending',
      certificates: (evidence.ak_certificates ?? []).map((text) => Buffer.from(text, 'base64url')),
      seenAtMs: world.nowMs,
      clock: { clock: 2n ** 53n + 1n, resetCount: 3, restartCount: 4, safe: true, firmwareVersion: 2n ** 63n },
      ...change,
    },
  ]);
}

const show = async (id: string): Promise<AttesterView> => valueOf(await world.broker.showAttester(id));
const trust = (deployment: string, spki: string) =>
  world.broker.trustAttester(ADMIN, { deployment, spki_sha256: spki });

async function newestEntry(type: string): Promise<Readonly<Record<string, unknown>>> {
  const { items } = valueOf(await world.broker.listEntries({ type, limit: 1 }));
  return items[0]?.entry as Readonly<Record<string, unknown>>;
}

describe('the inventory', () => {
  test('lists what was pinned, enrolled or seen, in pages of any size, losing and doubling none', async () => {
    const asked = await certificateDeployment({ trust: ['pinned', 'ak-certificate'] });
    const machines = await Promise.all(Array.from({ length: 9 }, () => certifiedMachine()));
    for (const [at, machine] of machines.entries()) {
      // Some pinned, some seen, some both.
      if (at % 3 !== 1) await world.test.pin(machine, asked.deployment);
      if (at % 3 !== 2) await saw(machine, asked.deployment);
    }
    const known = machines.map(spkiOf).sort();
    for (const limit of [1, 2, 3, 4, 100]) {
      const listed: string[] = [];
      let cursor: string | undefined;
      do {
        const page = valueOf(await world.broker.listAttesters({ limit, ...(cursor === undefined ? {} : { cursor }) }));
        expect(page.items.length).toBeLessThanOrEqual(limit);
        if (page.next_cursor !== undefined) expect(page.items).toHaveLength(limit);
        for (const item of page.items) {
          const at = machines.findIndex((machine) => spkiOf(machine) === item.ak_spki_sha256);
          expect(item.deployments).toEqual(at % 3 === 1 ? [] : [asked.deployment]);
          expect(item.last_seen === undefined).toBe(at % 3 === 2);
        }
        listed.push(...page.items.map((item) => item.ak_spki_sha256));
        cursor = page.next_cursor;
      } while (cursor !== undefined);
      expect(listed).toEqual(known);
    }
    // Each may cost signatures: whoever asks for more at once gets it in pages.
    const many = Array.from({ length: 120 }, (_, at) => sha256Hex(`nobody ${String(at)}`));
    await world.test.context.store.noteSightings(
      many.map((spkiSha256) => ({
        spkiSha256,
        akName: 'unknown',
        publicArea: Buffer.alloc(0),
        deployment: asked.deployment,
        trust: 'ak-certificate',
        state: 'pending',
        certificates: [],
        seenAtMs: world.nowMs,
      })),
    );
    const first = valueOf(await world.broker.listAttesters({ limit: 1000 }));
    expect(first.items).toHaveLength(100);
    const rest = valueOf(await world.broker.listAttesters({ limit: 1000, cursor: first.next_cursor ?? '' }));
    expect([...first.items, ...rest.items].map((item) => item.ak_spki_sha256)).toEqual([...known, ...many].sort());
    expect(rest.next_cursor).toBeUndefined();
  });

  test('says of a pinned AK who believes it, and no more than is known', async () => {
    const asked = await world.deploy('pinning', { trust: ['pinned'] });
    const machine = await bootedMachine();
    await world.test.pin(machine, asked.deployment);
    const view = await show(spkiOf(machine));
    expect(view).toMatchObject({
      name: `ak-${spkiOf(machine).slice(0, 16)}`,
      trust: 'pinned',
      state: 'trusted',
      deployments: ['pinning'],
    });
    expect(view.pem).toContain('-----BEGIN PUBLIC KEY-----');
    expect(Object.keys(view)).not.toEqual(expect.arrayContaining(['ek']));
    expect(view.vouched_by).toBeUndefined();
  });

  test('says of an enrolled AK which TPM it is in, which machine that is, and what vouches for it', async () => {
    const ek = ecKey();
    const machine = await bootedMachine();
    const says = [KEY_AGREEMENT, EK_USAGE, TPM_MODEL, gceInstance('project', 'vm-1')];
    const chain = authority.ek(ek.spki, { says, serial: 0xabcdn });
    const asked = await world.deploy('enrolling', { trust: ['ek-certificate'], roots: authority.roots });
    await world.enrol(machine, chain, ek.spki, [asked.deployment]);
    await saw(machine, asked.deployment, { trust: 'ek-certificate', certificates: [] });
    const view = await show(spkiOf(machine));
    expect(view).toMatchObject({
      trust: 'ek-certificate',
      state: 'pending',
      deployments: [],
      enrolled_for: ['enrolling'],
      ek: {
        spki_sha256: sha256Hex(ek.spki),
        certificate_sha256: sha256Hex(chain[0]!),
        serial: 'abcd',
        issuer: 'CN=Cloud CA',
        manufacturer: 'id:53544D20',
        model: 'ST33',
        version: 'id:00010102',
      },
      instance: { projectId: 'project', instanceName: 'vm-1', production: 'true' },
      reset_count: 3,
      restart_count: 4,
      clock_ms: '9007199254740993',
      firmware_version: '9223372036854775808',
      regressions: 0,
      last_deployment: 'enrolling',
    });
    expect(view.vouched_by).toEqual([
      `ek/${sha256Hex(ek.spki)}`,
      expect.stringMatching(/^certificate\/[0-9a-f]{64}\/abcd$/),
      expect.stringMatching(/^certificate\/[0-9a-f]{64}\/02$/),
      expect.stringMatching(/^ca\/[0-9a-f]{64}$/),
      expect.stringMatching(/^ca\/[0-9a-f]{64}$/),
    ]);

    // What a deployment says decides, as it does for a release.
    await world.deploy('enrolling', {
      trust: ['ek-certificate'],
      roots: authority.roots,
      allow: { ek: [sha256Hex(ek.spki)] },
    });
    expect((await show(spkiOf(machine))).state).toBe('trusted');
    expect(await world.outcome(machine, asked)).toBe('released');
    world.nowMs += 60 * 86_400_000;
    expect((await show(spkiOf(machine))).state).toBe('pending');
    world.nowMs -= 60 * 86_400_000;
  });

  test('finds an AK by name, AK Name and hash, also one that was only seen', async () => {
    const asked = await certificateDeployment();
    const machine = await certifiedMachine();
    await saw(machine, asked.deployment);
    const spki = spkiOf(machine);
    for (const id of [spki, spki.toUpperCase(), `ak-${spki.slice(0, 16)}`]) {
      expect(await show(id)).toMatchObject({ ak_spki_sha256: spki, state: 'pending', trust: 'ak-certificate' });
    }
    valueOf(await trust(asked.deployment, spki));
    expect(await show(machine.ak.name.toString('hex'))).toMatchObject({ ak_spki_sha256: spki, state: 'trusted' });
    for (const unknown of [
      'nobody',
      'unknown',
      'Unknown',
      'UNKNOWN',
      'f'.repeat(64),
      `ak-${'f'.repeat(16)}`,
      `ak-${spki.slice(0, 15)}`,
    ]) {
      expect(await world.broker.showAttester(unknown)).toMatchObject({ reason: 'resource.unknown' });
    }
  });
});

describe('a pending AK', () => {
  test('that an administrator trusts by its hash draws a key at once', async () => {
    const asked = await certificateDeployment();
    const machine = await certifiedMachine();
    expect(await world.outcome(machine, asked)).toBe('ak.pending');
    await saw(machine, asked.deployment);
    const trusted = valueOf(await trust(asked.deployment, spkiOf(machine)));
    expect(trusted).toMatchObject({ state: 'trusted', deployments: [asked.deployment] });
    expect(await newestEntry('attester.trusted')).toMatchObject({
      actor: 'test',
      deployment: asked.deployment,
      ak_spki_sha256: spkiOf(machine),
      ak_name: machine.ak.name.toString('hex'),
    });
    expect(await world.outcome(machine, asked)).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_trust: 'ak-certificate', ak_allowed_by: 'administrator' });
    expect(await trust(asked.deployment, spkiOf(machine))).toMatchObject({ reason: 'resource.exists' });
  });

  test('that was enrolled is trusted by its hash, too, and by no other deployment for that', async () => {
    const ek = ecKey();
    const machine = await bootedMachine();
    const rules = { trust: ['ek-certificate'], roots: authority.roots };
    const [one, other] = [await world.deploy('one', rules), await world.deploy('other', rules)];
    await world.enrol(machine, authority.ek(ek.spki), ek.spki, ['one', 'other']);
    expect(await world.outcome(machine, one)).toBe('ak.pending');
    expect(valueOf(await trust('one', spkiOf(machine)))).toMatchObject({ state: 'trusted', trust: 'ek-certificate' });
    expect(await world.outcome(machine, one)).toBe('released');
    expect(await world.outcome(machine, other)).toBe('ak.pending');
  });

  test('whose public area was never presented is trusted by the key of its certificate', async () => {
    const asked = await certificateDeployment();
    const machine = await certifiedMachine();
    expect(await world.outcome(machine, asked, withoutAk)).toBe('ak.pending');
    await saw(machine, asked.deployment, { akName: 'unknown', publicArea: Buffer.alloc(0) });
    const view = valueOf(await trust(asked.deployment, spkiOf(machine)));
    expect(view).toMatchObject({ ak_name: 'unknown', state: 'trusted' });
    expect(view.pem).toContain('PUBLIC KEY');
    expect(await world.outcome(machine, asked, withoutAk)).toBe('released');
    // The word that stands for a Name means no AK.
    for (const id of ['unknown', 'Unknown']) {
      expect(await world.broker.revokeAttester(ADMIN, id)).toMatchObject({ reason: 'resource.unknown' });
    }

    // Its public area can be given later.
    const another = await certificateDeployment({ trust: ['pinned'], roots: [] });
    await world.test.pin(machine, another.deployment);
    expect((await show(spkiOf(machine))).ak_name).toBe(machine.ak.name.toString('hex'));
    expect(await world.outcome(machine, another)).toBe('released');
    // Every deployment that trusts it goes by the Name from then on, and the log says so of each.
    const { items } = valueOf(await world.broker.listEntries({ type: 'attester.trusted', limit: 2 }));
    const named = items.map(({ entry }) => entry as Readonly<Record<string, unknown>>);
    expect(named.map((entry) => entry['deployment']).sort()).toEqual([asked.deployment, another.deployment].sort());
    for (const entry of named) expect(entry).toMatchObject({ ak_name: machine.ak.name.toString('hex') });
  });

  test('is not trusted by what an inventory that somebody has changed says of another key', async () => {
    const asked = await certificateDeployment();
    const [wanted, other] = [await certifiedMachine(), await certifiedMachine()];
    await saw(wanted, asked.deployment, {
      publicArea: other.ak.publicArea,
      akName: other.ak.name.toString('hex'),
      certificates: authority.ak(other.ak.spki),
    });
    expect(await trust(asked.deployment, spkiOf(wanted))).toMatchObject({ reason: 'resource.unknown' });
    expect(await show(spkiOf(wanted))).toMatchObject({ ak_name: 'unknown', pem: '', state: 'pending' });
    expect(await world.broker.setAttesterQuarantined(ADMIN, spkiOf(wanted), true)).toMatchObject({
      reason: 'resource.unknown',
    });
    await saw(wanted, asked.deployment, { publicArea: Buffer.from('no public area'), certificates: [Buffer.of(1)] });
    expect(await trust(asked.deployment, spkiOf(wanted))).toMatchObject({ reason: 'resource.unknown' });
    valueOf(await world.broker.listAttesters({}));
  });

  test('of which nothing is known but the hash, or that was revoked, is not trusted', async () => {
    const asked = await certificateDeployment();
    expect(await trust(asked.deployment, 'e'.repeat(64))).toMatchObject({ reason: 'resource.unknown' });
    const machine = await certifiedMachine();
    await saw(machine, asked.deployment);
    valueOf(await world.broker.revokeAttester(ADMIN, spkiOf(machine)));
    expect(await trust(asked.deployment, spkiOf(machine))).toMatchObject({ reason: 'resource.state' });
    expect(await trust('nowhere', spkiOf(machine))).toMatchObject({ reason: 'deployment.unknown' });
  });

  test.each(['f'.repeat(64), `000b${'f'.repeat(64)}`, 'unknown', 'Unknown'])('is not named %s', async (name) => {
    const machine = await bootedMachine();
    const { deployment } = await world.deploy('names', { trust: ['pinned'] });
    const request = { deployment, public: machine.ak.tpm2bPublic.toString('base64url'), name };
    expect(await world.broker.trustAttester(ADMIN, request)).toMatchObject({ reason: 'request.malformed' });
  });
});

describe('a quarantine', () => {
  test('stops the next release, in flight or not, is ended by nothing but its end, and is logged', async () => {
    const asked = await world.deploy('quarantine', { trust: ['pinned'] });
    const other = await world.deploy('quarantine-too', { trust: ['pinned'] });
    const machine = await bootedMachine();
    await world.test.pin(machine, asked.deployment);
    expect(await world.outcome(machine, asked)).toBe('released');
    const { request } = await world.test.request(machine, asked);
    const view = valueOf(await world.broker.setAttesterQuarantined(ADMIN, `ak-${spkiOf(machine).slice(0, 16)}`, true));
    expect(view).toMatchObject({ state: 'quarantined', quarantined_at: new Date(world.nowMs).toISOString() });
    expect(await world.broker.release(request)).toMatchObject({ reason: 'ak.pending' });
    expect(await world.outcome(machine, asked)).toBe('ak.pending');
    expect(await newestEntry('attester.quarantined')).toMatchObject({
      actor: 'test',
      attester: view.name,
      ak_spki_sha256: spkiOf(machine),
      quarantined: true,
    });

    expect(valueOf(await trust(other.deployment, spkiOf(machine))).state).toBe('quarantined');
    expect(await world.outcome(machine, other)).toBe('ak.pending');

    const { state_generation: before } = await world.broker.describe();
    world.nowMs += 5000;
    const again = valueOf(await world.broker.setAttesterQuarantined(ADMIN, spkiOf(machine), true));
    expect(again.quarantined_at).toBe(view.quarantined_at);
    expect((await world.broker.describe()).state_generation).toBe(before);

    const ended = valueOf(await world.broker.setAttesterQuarantined(ADMIN, spkiOf(machine), false));
    expect(ended).toMatchObject({ state: 'trusted', deployments: ['quarantine', 'quarantine-too'] });
    expect(ended.quarantined_at).toBeUndefined();
    expect(await newestEntry('attester.quarantined')).toMatchObject({ quarantined: false });
    expect(await world.outcome(machine, asked)).toBe('released');
    expect(await world.outcome(machine, other)).toBe('released');
    expect(await world.broker.setAttesterQuarantined(ADMIN, 'nobody', true)).toMatchObject({
      reason: 'resource.unknown',
    });
  });

  test('of an AK that was only seen stops it, though its certificate is allowed, and trusts it nowhere', async () => {
    const machine = await certifiedMachine();
    const asked = await certificateDeployment({ allow: { ak: [spkiOf(machine)] } });
    expect(await world.outcome(machine, asked)).toBe('released');
    await saw(machine, asked.deployment, { state: 'trusted' });
    expect(await show(spkiOf(machine))).toMatchObject({ state: 'trusted', deployments: [] });
    valueOf(await world.broker.setAttesterQuarantined(ADMIN, `ak-${spkiOf(machine).slice(0, 16)}`, true));
    expect(await world.outcome(machine, asked)).toBe('ak.pending');
    expect(await show(spkiOf(machine))).toMatchObject({
      state: 'quarantined',
      trust: 'ak-certificate',
      deployments: [],
    });
    const ended = valueOf(await world.broker.setAttesterQuarantined(ADMIN, spkiOf(machine), false));
    expect(ended).toMatchObject({ state: 'trusted', deployments: [] });
    expect(await world.outcome(machine, asked)).toBe('released');
  });

  test('finds a name where somebody has taken the one that is made for the AK', async () => {
    const machine = await certifiedMachine();
    const asked = await certificateDeployment({ trust: ['pinned', 'ak-certificate'] });
    const namesake = await bootedMachine();
    const name = `ak-${spkiOf(machine).slice(0, 16)}`;
    const request = { deployment: asked.deployment, public: namesake.ak.tpm2bPublic.toString('base64url'), name };
    valueOf(await world.broker.trustAttester(ADMIN, request));
    await saw(machine, asked.deployment);
    const view = valueOf(await world.broker.setAttesterQuarantined(ADMIN, spkiOf(machine), true));
    expect(view).toMatchObject({ name: `ak-${spkiOf(machine)}`, state: 'quarantined' });
    expect((await show(name)).ak_spki_sha256).toBe(spkiOf(namesake));
  });

  test('outlasts a restart', async () => {
    const asked = await world.deploy('quarantine-kept', { trust: ['pinned'] });
    const machine = await bootedMachine();
    await world.test.pin(machine, asked.deployment);
    valueOf(await world.broker.setAttesterQuarantined(ADMIN, spkiOf(machine), true));
    await world.test.restart();
    expect(await world.test.release(machine, asked)).toMatchObject({ reason: 'ak.pending' });
  });
});

test('where names are salted in the log, no entry of an attester has its name in the clear', async () => {
  const salted = await World.start({ logNames: 'salted' });
  try {
    await salted.deploy('secret-deployment', { trust: ['pinned'] });
    const machine = await bootedMachine();
    const request = { deployment: 'secret-deployment', public: machine.ak.tpm2bPublic.toString('base64url') };
    valueOf(await salted.broker.trustAttester(ADMIN, { ...request, name: 'secret-node' }));
    valueOf(await salted.broker.setAttesterQuarantined(ADMIN, 'secret-node', true));
    valueOf(await salted.broker.revokeAttester(ADMIN, 'Secret-Node'));
    valueOf(await salted.broker.revokeIdentity(ADMIN, `ek/${'ab'.repeat(32)}`));
    const { items } = valueOf(await salted.broker.listEntries({ limit: 4 }));
    expect(items.map(({ type }) => type)).toEqual([
      'endorsement.revoked',
      'attester.revoked',
      'attester.quarantined',
      'attester.trusted',
    ]);
    for (const { type, entry, names } of items) {
      expect(JSON.stringify(entry)).not.toContain('secret');
      if (type !== 'endorsement.revoked') expect(names).toMatchObject({ attester: 'secret-node' });
    }
  } finally {
    await salted.close();
  }
});
