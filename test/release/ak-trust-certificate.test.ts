/** AKs that are believed for their own certificate. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { basicConstraints, ecKey, extendedKeyUsage, keyUsage } from '../helpers/pki.js';
import { bootedMachine, type Asked } from '../helpers/test-broker.js';
import {
  AK_USAGE,
  DIGITAL_SIGNATURE,
  EK_USAGE,
  gceInstance,
  KEY_ENCIPHERMENT,
  type LeafOptions,
  TestAuthority,
} from '../helpers/test-authority.js';
import { certified, withoutAk, World } from './ak-trust-world.js';

const DAY_MS = 86_400_000;

let world: World;
let cloud: TestAuthority;
let machine: SimulatorAttester;
let asked: Asked;

beforeAll(async () => {
  world = await World.start();
  cloud = new TestAuthority('Cloud', world.nowMs);
  machine = await bootedMachine();
  asked = await world.deploy('llm', rules());
});
afterAll(() => world.close());

function rules(change: object = {}) {
  return {
    trust: ['ak-certificate'],
    roots: cloud.roots,
    allow: { ak: [sha256Hex(machine.ak.spki)] },
    ...change,
  };
}

const chainOf = (options: LeafOptions = {}) => cloud.ak(machine.ak.spki, options);
const outcome = (chain: readonly Buffer[]) => world.outcome(certified(machine, chain), asked);

describe('the certificate of an AK', () => {
  test.each(['rsassa', 'rsapss', 'ecdsa-p256', 'ecdsa-p384'] as const)(
    'with a path to a root of the deployment makes an AK of scheme %s believed',
    async (scheme) => {
      const another = await bootedMachine(scheme);
      const spki = another.ak.spki;
      const any = await world.deploy(`any-${scheme}`, rules({ allow: { ak: [sha256Hex(spki)] } }));
      expect(await world.outcome(certified(another, cloud.ak(spki)), any)).toBe('released');
      expect(await world.entry()).toMatchObject({
        ak_trust: 'ak-certificate',
        ak_allowed_by: 'ak',
        ak_spki_sha256: sha256Hex(spki),
        ak_name: another.ak.name.toString('hex'),
      });
      expect(await world.entry()).not.toHaveProperty('ek_spki_sha256');
    },
  );

  test('is good with or without the root beside it, in any order above the leaf', async () => {
    const [leaf, ca] = chainOf() as [Buffer, Buffer];
    expect(await outcome([leaf, ca, cloud.root])).toBe('released');
    expect(await outcome([leaf, cloud.root, ca])).toBe('released');
    expect(await outcome([leaf])).toBe('ak.untrusted');
    expect(await outcome([ca, leaf])).toBe('ak.untrusted');
  });

  test.each<[string, (good: readonly Buffer[]) => readonly Buffer[]]>([
    ['no certificate', () => []],
    ['one that has expired', () => chainOf({ notAfter: world.nowMs - DAY_MS })],
    ['one that is not valid yet', () => chainOf({ notBefore: world.nowMs + DAY_MS })],
    ['one under another root', () => new TestAuthority('Cloud', world.nowMs).ak(machine.ak.spki)],
    ['one for another key', () => cloud.ak(ecKey().spki)],
    ['one for another purpose', () => chainOf({ says: [DIGITAL_SIGNATURE, extendedKeyUsage(['1.3.6.1.5.5.7.3.1'])] })],
    ['one for any purpose', () => chainOf({ says: [DIGITAL_SIGNATURE, extendedKeyUsage(['2.5.29.37.0'])] })],
    ['one for encipherment', () => chainOf({ says: [KEY_ENCIPHERMENT, AK_USAGE] })],
    ['that of a CA', () => chainOf({ extensions: [basicConstraints(true), keyUsage(0, 5)] })],
    ['one with its last bit turned over', ([leaf, ca]) => [flipped(leaf), ca!]],
    ['one that the leaf of another has signed', ([, ca]) => [byLeaf(), ca!]],
    ['one with bytes behind it', ([leaf, ca]) => [Buffer.concat([leaf!, Buffer.of(0)]), ca!]],
    ['one too large', ([leaf, ca]) => [Buffer.concat([leaf!, Buffer.alloc(9000)]), ca!]],
    ['too many of them', ([leaf, ca]) => [leaf!, ...Array.from({ length: 8 }, () => ca!)]],
  ])('ak.untrusted: %s', async (_, change) => {
    expect(await outcome(change(chainOf()))).toBe('ak.untrusted');
  });

  function flipped(der: Buffer | undefined): Buffer {
    const copy = Buffer.from(der ?? '');
    copy.writeUInt8(copy.readUInt8(copy.length - 1) ^ 1, copy.length - 1);
    return copy;
  }

  function byLeaf(): Buffer {
    return chainOf({ signer: ecKey() })[0]!;
  }

  test('may have the purpose of an EK, as clouds write it: then its key usage must allow signing', async () => {
    for (const says of [[EK_USAGE, DIGITAL_SIGNATURE], [AK_USAGE]]) {
      expect(await outcome(chainOf({ says }))).toBe('released');
    }
    expect(await outcome(chainOf({ says: [EK_USAGE, KEY_ENCIPHERMENT] }))).toBe('ak.untrusted');
  });

  test('without purposes does not make an AK of a key, whatever public area is sent with it, unless the AK itself is listed', async () => {
    const listed = await world.deploy('listed', rules({ allow: { ak: [sha256Hex(machine.ak.spki)] } }));
    const unlisted = await world.deploy('unlisted', rules({ allow: { ak: [] }, anyFromRoots: true }));
    for (const says of [[], [DIGITAL_SIGNATURE]]) {
      const bare = certified(machine, chainOf({ says }));
      expect(await world.outcome(bare, unlisted)).toBe('ak.untrusted');
      expect(await world.outcome(bare, listed)).toBe('released');
    }
  });

  test('is nothing to a deployment that does not trust the kind, or has no roots', async () => {
    const allow = { ak: [sha256Hex(machine.ak.spki)] };
    const good = certified(machine, chainOf());
    const pinnedOnly = await world.deploy('pinned-only', { trust: ['pinned'], roots: cloud.roots, allow });
    expect(await world.outcome(good, pinnedOnly)).toBe('ak.untrusted');
    const rootless = await world.deploy('rootless', { trust: ['ak-certificate'], allow });
    expect(await world.outcome(good, rootless)).toBe('ak.untrusted');
    const ekOnly = await world.deploy('ek-only', rules({ trust: ['ek-certificate'] }));
    expect(await world.outcome(good, ekOnly)).toBe('ak.untrusted');
  });

  test('of another key is evidence.unbound where the AK is believed for something else, and told after the signature', async () => {
    const both = await world.deploy('both', rules({ trust: ['pinned', 'ak-certificate'] }));
    await world.test.pin(machine, 'both');
    const foreign = certified(machine, cloud.ak(ecKey().spki));
    expect(await world.outcome(foreign, both)).toBe('evidence.unbound');
    const unsigned = (tpm: object) => ({ ...tpm, signature: badSignature(tpm) });
    expect(await world.outcome(foreign, both, unsigned as never)).toBe('quote.signature');
    expect(await world.outcome(certified(machine, chainOf()), both)).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_trust: 'pinned' });
    expect(await world.entry()).not.toHaveProperty('ak_allowed_by');
  });

  function badSignature(tpm: object): string {
    const bytes = Buffer.from((tpm as { signature: string }).signature, 'base64url');
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
    return bytes.toString('base64url');
  }
});

describe('the rule that lets a certified AK in', () => {
  const project = gceInstance('our-project', 'vm-1');
  const inProject = () => certified(machine, chainOf({ says: [DIGITAL_SIGNATURE, project] }));

  test('nothing: it is pending, until an administrator trusts it, and that is in the receipt', async () => {
    const pending = await world.deploy('pending', rules({ allow: {} }));
    const good = certified(machine, chainOf());
    const refused = await world.release(good, pending);
    expect(refused).toMatchObject({ ok: false, reason: 'ak.pending' });
    expect(refused).toMatchObject({ detail: expect.stringContaining(sha256Hex(machine.ak.spki)) });
    await world.test.pin(machine, 'pending');
    expect(await world.outcome(good, pending)).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_trust: 'ak-certificate', ak_allowed_by: 'administrator' });
    expect(await world.outcome(certified(machine, []), pending)).toBe('ak.untrusted');
  });

  test('trust by an administrator for one deployment is none for another', async () => {
    const other = await world.deploy('pending-too', rules({ allow: {} }));
    expect(await world.outcome(certified(machine, chainOf()), other)).toBe('ak.pending');
  });

  test('an instance, all members of one rule', async () => {
    const cases: readonly (readonly [readonly object[], string])[] = [
      [[{ projectId: 'our-project' }], 'released'],
      [[{ projectId: 'our-project', instanceName: 'vm-1', zone: 'europe-west4-a' }], 'released'],
      [[{ projectNumber: '42', instanceId: '7', production: 'true' }], 'released'],
      [[{ projectId: 'other' }, { projectId: 'our-project' }], 'released'],
      [[{ projectId: 'our-project', instanceName: 'vm-2' }], 'ak.pending'],
      [[{ projectId: 'our-project' + '-2' }], 'ak.pending'],
      [[{ projectId: 'our-project', unknown: 'x' }], 'ak.pending'],
      [
        [
          { projectId: 'other', zone: 'europe-west4-a' },
          { projectId: 'our-project', zone: 'other' },
        ],
        'ak.pending',
      ],
      [[{ constructor: 'x' }], 'ak.pending'],
      [[], 'ak.pending'],
    ];
    for (const [instance, expected] of cases) {
      const instances = await world.deploy('instances', rules({ allow: { instance } }));
      expect([instance, await world.outcome(inProject(), instances)]).toEqual([instance, expected]);
      if (expected === 'released') expect(await world.entry()).toMatchObject({ ak_allowed_by: 'instance' });
    }
  });

  test('an instance that the certificate does not name, or that cannot be read, is none', async () => {
    const instances = await world.deploy('instances', rules({ allow: { instance: [{ projectId: 'our-project' }] } }));
    const broken = Buffer.from(project);
    broken[broken.indexOf('our-project')] = 0;
    for (const says of [
      [DIGITAL_SIGNATURE, AK_USAGE],
      [DIGITAL_SIGNATURE, AK_USAGE, broken],
    ]) {
      expect(await world.outcome(certified(machine, chainOf({ says })), instances)).toBe('ak.pending');
    }
  });

  test('anyFromRoots lets every certificate under the roots in, and says so in the receipt', async () => {
    const open = await world.deploy('open', rules({ allow: {}, anyFromRoots: true }));
    expect(await world.outcome(certified(machine, chainOf()), open)).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_allowed_by: 'any-from-roots' });
    const elsewhere = new TestAuthority('Elsewhere', world.nowMs).ak(machine.ak.spki);
    expect(await world.outcome(certified(machine, elsewhere), open)).toBe('ak.untrusted');
    const both = await world.deploy('open', rules({ anyFromRoots: true }));
    expect(await world.outcome(certified(machine, chainOf()), both)).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_allowed_by: 'ak' });
  });

  test('what the certificate says can be asked for by the release policy', async () => {
    const release = (claim: string, value: string) => ({
      version: '1.0.0',
      anyOf: [{ authority: 'portcullis', allOf: [{ claim, equals: value }] }],
    });
    const claims: readonly (readonly [string, string])[] = [
      ['tpm.instance.projectId', 'our-project'],
      ['tpm.instance.production', 'true'],
      ['tpm.ak.trust', 'ak-certificate'],
    ];
    for (const [claim, value] of claims) {
      await world.test.deploy('llm', { attesters: rules(), release: release(claim, value) });
      expect([claim, await world.outcome(inProject(), asked)]).toEqual([claim, 'released']);
      await world.test.deploy('llm', { attesters: rules(), release: release(claim, 'else') });
      expect([claim, await world.outcome(inProject(), asked)]).toEqual([claim, 'policy.claims']);
    }
    await world.deploy('llm', rules());
  });
});

describe('an AK without its public area', () => {
  const bare = (chain = chainOf()) => world.outcome(certified(machine, chain), asked, withoutAk);

  test.each(['rsassa', 'rsapss', 'ecdsa-p256', 'ecdsa-p384'] as const)(
    'is the key of its certificate, of scheme %s',
    async (scheme) => {
      const another = await bootedMachine(scheme);
      const { spki } = another.ak;
      const bareAsked = await world.deploy(`bare-${scheme}`, rules({ allow: { ak: [sha256Hex(spki)] } }));
      expect(await world.outcome(certified(another, cloud.ak(spki)), bareAsked, withoutAk)).toBe('released');
      expect(await world.entry()).toMatchObject({
        ak_name: 'unknown',
        ak_spki_sha256: sha256Hex(spki),
        ak_trust: 'ak-certificate',
      });
    },
  );

  test('is evidence.malformed without a certificate too, and where that does not parse', async () => {
    expect(await bare([])).toBe('evidence.malformed');
    expect(await bare([Buffer.from('certificate')])).toBe('evidence.malformed');
  });

  test('is believed only where the issuer says that the key is an AK, or names its machine', async () => {
    expect(await bare(chainOf({ says: [DIGITAL_SIGNATURE] }))).toBe('ak.untrusted');
    expect(await bare(chainOf({ says: [] }))).toBe('ak.untrusted');
    expect(await bare(chainOf({ says: [DIGITAL_SIGNATURE, EK_USAGE] }))).toBe('released');
    expect(await bare(chainOf({ says: [DIGITAL_SIGNATURE, gceInstance('p', 'vm')] }))).toBe('released');
  });

  test('is quote.signature where another key signed', async () => {
    const other = await bootedMachine();
    const swapped = await world.deploy('swapped', rules({ anyFromRoots: true }));
    expect(await world.outcome(certified(other, chainOf()), swapped, withoutAk)).toBe('quote.signature');
  });

  test('is never pinned or enrolled, even under a record that has no Name either', async () => {
    const nameless = await bootedMachine();
    const { spki } = nameless.ak;
    const kinds = await world.deploy('nameless', {
      trust: ['pinned', 'ek-certificate'],
      roots: cloud.roots,
      anyFromRoots: true,
    });
    const ek = ecKey();
    const named = { akName: 'unknown', publicArea: Buffer.alloc(0), deployments: ['nameless'] };
    await world.enrol(nameless, cloud.ek(ek.spki), ek.spki, ['nameless'], named);
    expect(await world.outcome(certified(nameless, cloud.ak(spki)), kinds, withoutAk)).toBe('ak.untrusted');
    expect(await world.outcome(certified(nameless, cloud.ak(spki)), kinds)).toBe('ak.untrusted');
  });

  test('stands in denials by its key, its Name unknown', async () => {
    const fresh = await bootedMachine('ecdsa-p256', Buffer.from('another policy'));
    const open = await world.deploy('open-to-bare', rules({ anyFromRoots: true }));
    const bareFresh = certified(fresh, cloud.ak(fresh.ak.spki));
    expect(await world.outcome(bareFresh, open, withoutAk)).toBe('policy.hash');
    await world.deploy('afterwards', rules());
    const page = await world.broker.listEntries({ type: 'denial', limit: 1 });
    if (!page.ok) throw new Error(page.detail);
    expect(page.value.items[0]?.entry).toMatchObject({
      ak_name: 'unknown',
      ak_spki_sha256: sha256Hex(fresh.ak.spki),
      reason: 'policy.hash',
    });
  });
});
