/** What ends a trust that certificates made: revocations, CRLs, the clock, other roots. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { authorityIdentity, certificateIdentity } from '../../src/endorsement/identity.js';
import { NO_REVOCATION_LISTS } from '../../src/endorsement/known-paths.js';
import type { CrlPolicy } from '../../src/endorsement/revocation.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ecKey, type TestKey } from '../helpers/pki.js';
import { ADMIN, bootedMachine, type Asked, prepareRequest, valueOf } from '../helpers/test-broker.js';
import { serialOf, TestAuthority } from '../helpers/test-authority.js';
import { certified, withoutAk, World } from './ak-trust-world.js';

const DAY_MS = 86_400_000;

describe.each(['ak-certificate', 'ek-certificate'] as const)('trust by %s', (kind) => {
  let world: World;
  let authority: TestAuthority;
  let machine: SimulatorAttester;
  let chain: readonly Buffer[];
  let ek: TestKey;
  let asked: Asked;

  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world.close());

  /** Other names and keys for every test: a revocation is for good. */
  beforeEach(async () => {
    world.nowMs = Date.now();
    world.crls = NO_REVOCATION_LISTS;
    authority = new TestAuthority(`Maker ${String(++made)}`, world.nowMs);
    ek = ecKey();
    machine = await bootedMachine();
    asked = await world.deploy(`llm-${String(made)}`, rules());
    await certify();
  });
  let made = 0;

  const rules = (change: object = {}) => ({
    trust: [kind],
    roots: authority.roots,
    anyFromRoots: true,
    ...change,
  });

  /** The machine, vouched for by a certificate of its AK, or by that of its EK. */
  async function certify(notAfterMs = world.nowMs + 30 * DAY_MS): Promise<void> {
    const options = { notAfter: notAfterMs };
    if (kind === 'ak-certificate') {
      chain = authority.ak(machine.ak.spki, options);
      machine = certified(machine, chain);
    } else {
      chain = authority.ek(ek.spki, options);
      await world.enrol(machine, chain, ek.spki, [asked.deployment]);
    }
  }
  const outcome = () => world.outcome(machine, asked);
  const leaf = () => parseCertificate(chain[0]!);
  const ca = () => parseCertificate(chain[1]!);

  test.each<[string, () => string]>([
    ['the certificate', () => certificateIdentity(leaf())],
    ['the certificate of its CA', () => certificateIdentity(ca())],
    ['the key of its CA', () => authorityIdentity(ca())],
    ['the key of the root', () => authorityIdentity(parseCertificate(authority.root))],
    ['the AK', () => sha256Hex(machine.ak.spki)],
  ])('ends with the revocation of %s, on the next request and for one under way', async (_, identity) => {
    expect(await outcome()).toBe('released');
    const { request } = await prepareRequest(world.broker, machine, asked);
    const bystander = await bootedMachine();
    const other = new TestAuthority('Bystander', world.nowMs);
    const beside = await world.deploy(
      `beside-${String(made)}`,
      rules({ trust: ['ak-certificate'], roots: other.roots }),
    );
    const spared = certified(bystander, other.ak(bystander.ak.spki));
    expect(await world.outcome(spared, beside)).toBe('released');

    await world.revoke(identity());
    expect(await world.broker.release(request)).toMatchObject({ ok: false, reason: 'ak.revoked' });
    expect(await outcome()).toBe('ak.revoked');
    expect(await world.outcome(spared, beside)).toBe('released');
    if (kind === 'ak-certificate') expect(await world.outcome(machine, asked, withoutAk)).toBe('ak.revoked');
    const twin = await world.test.twin();
    expect(await twin.broker.release(request)).toMatchObject({ reason: 'ak.revoked' });
    await twin.close();
  });

  test('does not end with the revocation of another certificate, CA or EK', async () => {
    const { issuer } = leaf();
    await world.revoke(`certificate/${sha256Hex(issuer.der)}/7f`);
    await world.revoke(`certificate/${sha256Hex('another')}/${leaf().serial}`);
    await world.revoke(`ca/${sha256Hex(`${kind} another`)}`);
    await world.revoke(`ek/${sha256Hex(`${kind} another`)}`);
    expect(await outcome()).toBe('released');
  });

  test('does not come back with another certificate of the revoked CA, by the same key', async () => {
    await world.revoke(authorityIdentity(ca()));
    chain = [chain[0]!, authority.anotherCa({ serial: 99 })];
    if (kind === 'ak-certificate') machine = certified(machine, chain);
    else await world.enrol(machine, chain, ek.spki, [asked.deployment]);
    expect(await outcome()).toBe('ak.revoked');
  });

  describe('and CRLs', () => {
    const caCrl = (serials: readonly bigint[] = [], until?: number) => authority.crl('ca', serials, until);
    const rootCrl = (serials: readonly bigint[] = []) => authority.crl('root', serials);
    const under = async (policy: CrlPolicy, ...lists: readonly ReturnType<typeof caCrl>[]) => {
      world.crls = { lists, policy };
      return outcome();
    };

    test.each<[CrlPolicy, string]>([
      ['none', 'released'],
      ['if-present', 'released'],
      ['required', 'collateral.unavailable'],
    ])('that are missing, under policy %s: %s', async (policy, expected) => {
      expect(await under(policy)).toBe(expected);
      expect(await under(policy, new TestAuthority('Elsewhere', world.nowMs).crl('ca', []))).toBe(expected);
    });

    test('that list neither certificate let it be', async () => {
      expect(await under('required', caCrl(), rootCrl())).toBe('released');
      expect(await under('required', caCrl([1n, 2n]), rootCrl([1n]))).toBe('released');
      expect(await under('required', caCrl())).toBe('collateral.unavailable');
    });

    test('that list the certificate, or the CA, end it, also where it was good before', async () => {
      expect(await under('if-present')).toBe('released');
      expect(await under('if-present', caCrl([serialOf(chain[0]!)]))).toBe('ak.revoked');
      expect(await under('required', caCrl(), rootCrl([serialOf(authority.ca)]))).toBe('ak.revoked');
      expect(await under('none', caCrl([serialOf(chain[0]!)]))).toBe('released');
    });

    test('that are past their date clear nothing any more, also where they did before; those of others do not matter', async () => {
      const untilMs = 1000 * Math.floor(world.nowMs / 1000) + 2000;
      const lists = [caCrl([], untilMs), new TestAuthority('Elsewhere', world.nowMs).crl('ca', [], 0)];
      expect(await under('if-present', ...lists)).toBe('released');
      world.nowMs = untilMs;
      expect(await outcome()).toBe('released');
      world.nowMs = untilMs + 1;
      expect(await outcome()).toBe('collateral.unavailable');
      world.crls = { lists: [authority.crl('ca', [], world.nowMs + DAY_MS)], policy: 'if-present' };
      expect(await outcome()).toBe('released');
    });

    test('that are missing refuse what is vouched for, and say so before an administrator is asked', async () => {
      const waiting = await world.deploy(asked.deployment, rules({ anyFromRoots: false }));
      world.crls = { lists: [], policy: 'required' };
      expect(await world.outcome(machine, waiting)).toBe('collateral.unavailable');
    });
  });

  test('ends with the last second of the certificate, though its path was good before', async () => {
    await certify(world.nowMs + 5000);
    const { notAfterMs } = leaf();
    expect(await outcome()).toBe('released');
    world.nowMs = notAfterMs;
    expect(await outcome()).toBe('released');
    world.nowMs = notAfterMs + 1;
    expect(await outcome()).toBe('ak.untrusted');
    world.nowMs = notAfterMs;
    expect(await outcome()).toBe('released');
  });

  test('is none before the first second, though its path was good after it: a clock that goes back', async () => {
    expect(await outcome()).toBe('released');
    world.nowMs -= 2 * DAY_MS;
    expect(await outcome()).toBe('ak.untrusted');
  });

  test('ends with the validity of the CA and of the root above it', async () => {
    expect(await outcome()).toBe('released');
    const short = authority.anotherCa({ serial: 98, notAfter: world.nowMs + 5000 });
    chain = [chain[0]!, short];
    if (kind === 'ak-certificate') machine = certified(machine, chain);
    else await world.enrol(machine, chain, ek.spki, [asked.deployment]);
    expect(await outcome()).toBe('released');
    world.nowMs += 6000;
    expect(await outcome()).toBe('ak.untrusted');
    world.nowMs += 40 * DAY_MS;
    expect(await outcome()).toBe('ak.untrusted');
  });

  test('ends with its root in the deployment, and comes back with it', async () => {
    expect(await outcome()).toBe('released');
    await world.deploy(asked.deployment, rules({ roots: new TestAuthority('Elsewhere', world.nowMs).roots }));
    expect(await outcome()).toBe('ak.untrusted');
    await world.deploy(asked.deployment, rules({ roots: [...authority.roots, ...new TestAuthority('X', 0).roots] }));
    expect(await outcome()).toBe('released');
    await world.deploy(asked.deployment, rules({ roots: [] }));
    expect(await outcome()).toBe('ak.untrusted');
  });

  test('ends with its place in allow', async () => {
    const allow = kind === 'ak-certificate' ? { ak: [sha256Hex(machine.ak.spki)] } : { ek: [sha256Hex(ek.spki)] };
    await world.deploy(asked.deployment, rules({ anyFromRoots: false, allow }));
    expect(await outcome()).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_allowed_by: kind === 'ak-certificate' ? 'ak' : 'ek' });
    const others = { ak: [sha256Hex('another')], ek: [sha256Hex('another')] };
    await world.deploy(asked.deployment, rules({ anyFromRoots: false, allow: others }));
    expect(await outcome()).toBe('ak.pending');
  });

  test('ends in quarantine, and comes back when that ends', async () => {
    const spki = sha256Hex(machine.ak.spki);
    const store = world.test.context.store;
    const record = await store.read((view) => view.attesters.get(spki));
    const known = record ?? (await world.enrol(machine, authority.ek(ek.spki), ek.spki, ['elsewhere-too']));
    await store.change(async (change) => {
      await change.append('attester.quarantined', quarantine(true));
      await change.attesters.put({ ...known, quarantinedAtMs: world.nowMs });
    });
    expect(await outcome()).toBe('ak.pending');
    valueOf(await world.broker.trustAttester(ADMIN, { deployment: asked.deployment, spki_sha256: spki }));
    expect(await outcome()).toBe('ak.pending');
    await store.change(async (change) => {
      await change.append('attester.quarantined', quarantine(false));
      await change.attesters.put(known);
    });
    expect(await outcome()).toBe('released');

    function quarantine(quarantined: boolean) {
      const ak_name = machine.ak.name.toString('hex');
      return { actor: 'test', ak_name, ak_spki_sha256: spki, quarantined };
    }
  });
});
