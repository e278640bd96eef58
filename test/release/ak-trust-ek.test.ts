/** AKs that are believed since credential activation has proved them to live in the TPM of an EK. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { StoreIntegrityError } from '../../src/release/store.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ecKey, extendedKeyUsage } from '../helpers/pki.js';
import { bootedMachine, type Asked, prepareRequest } from '../helpers/test-broker.js';
import {
  DIGITAL_SIGNATURE,
  EK_USAGE,
  KEY_AGREEMENT,
  KEY_ENCIPHERMENT,
  TestAuthority,
  TPM_MODEL,
} from '../helpers/test-authority.js';
import { certified, World } from './ak-trust-world.js';

const DAY_MS = 86_400_000;

let world: World;
let maker: TestAuthority;
let ek: Buffer;
let machine: SimulatorAttester;
let asked: Asked;

beforeAll(async () => {
  world = await World.start();
  maker = new TestAuthority('Maker', world.nowMs);
  machine = await bootedMachine();
  ek = (await machine.tpm.ek('ecc256')).spki;
  asked = await world.deploy('llm', rules());
  await enrol();
});
afterAll(() => world.close());

function rules(change: object = {}) {
  return { trust: ['ek-certificate'], roots: maker.roots, allow: { ek: [sha256Hex(ek)] }, ...change };
}

const enrol = (chain = maker.ek(ek), deployments: readonly string[] = ['llm'], change = {}) =>
  world.enrol(machine, chain, ek, deployments, change);

describe('an AK that was enrolled by its EK', () => {
  test('is believed, and the EK, and the rule that let it in, stand in the receipt', async () => {
    expect(await world.outcome(machine, asked)).toBe('released');
    expect(await world.entry()).toMatchObject({
      ak_trust: 'ek-certificate',
      ak_allowed_by: 'ek',
      ak_name: machine.ak.name.toString('hex'),
      ek_spki_sha256: sha256Hex(ek),
    });
  });

  test('is not believed by a deployment that it was not enrolled for, whatever that allows', async () => {
    const other = await world.deploy('other', rules());
    expect(await world.outcome(machine, other)).toBe('ak.untrusted');
    const open = await world.deploy('other', rules({ anyFromRoots: true }));
    expect(await world.outcome(machine, open)).toBe('ak.untrusted');
    await enrol(maker.ek(ek), ['llm', 'other']);
    expect(await world.outcome(machine, open)).toBe('released');
    await enrol();
    expect(await world.outcome(machine, open)).toBe('ak.untrusted');
  });

  test('is not believed under another Name: the same key with other attributes', async () => {
    const area = Buffer.from(machine.ak.publicArea);
    // noDA: a free attribute, of no consequence but for the Name.
    area.writeUInt32BE(area.readUInt32BE(4) | 0x400, 4);
    const renamed = area.toString('base64url');
    expect(await world.outcome(machine, asked, (tpm) => ({ ...tpm, ak: renamed }))).toBe('ak.untrusted');
  });

  test('is pending where its EK is not in allow, until the AK, or any EK, is let in', async () => {
    const allowed = async (change: object) => {
      await world.deploy('llm', rules(change));
      const outcome = await world.outcome(machine, asked);
      return outcome === 'released' ? (await world.entry())['ak_allowed_by'] : outcome;
    };
    expect(await allowed({ allow: { ek: [sha256Hex('another')] } })).toBe('ak.pending');
    expect(await allowed({ allow: { ak: [sha256Hex(ek)] } })).toBe('ak.pending');
    expect(await allowed({ allow: { ek: [sha256Hex(machine.ak.spki)] } })).toBe('ak.pending');
    expect(await allowed({ allow: { ak: [sha256Hex(machine.ak.spki)] } })).toBe('ak');
    expect(await allowed({ allow: {}, anyFromRoots: true })).toBe('any-from-roots');
    expect(await allowed({ allow: {} })).toBe('ak.pending');
    await enrol(maker.ek(ek), ['llm'], { deployments: ['elsewhere'] });
    expect(await allowed({ allow: {} })).toBe('ak.pending');
    await enrol(maker.ek(ek), ['llm'], { deployments: ['llm'] });
    expect(await allowed({ allow: {} })).toBe('administrator');
    await enrol();
    expect(await allowed({})).toBe('ek');
  });

  test.each<[string, () => readonly Buffer[]]>([
    ['has expired since', () => maker.ek(ek, { notAfter: world.nowMs - DAY_MS })],
    ['is under another root', () => new TestAuthority('Maker', world.nowMs).ek(ek)],
    ['is for another purpose', () => maker.ek(ek, { says: [KEY_AGREEMENT, extendedKeyUsage(['2.23.133.8.3'])] })],
    ['is for no purpose', () => maker.ek(ek, { says: [KEY_AGREEMENT] })],
    ['is for signing', () => maker.ek(ek, { says: [DIGITAL_SIGNATURE, EK_USAGE] })],
    ['has no key usage', () => maker.ek(ek, { says: [EK_USAGE] })],
    ['is gone', () => []],
    ['is without its CA', () => maker.ek(ek).slice(0, 1)],
  ])('ak.untrusted: its EK certificate %s', async (_, chain) => {
    await enrol(chain());
    expect(await world.outcome(machine, asked)).toBe('ak.untrusted');
    await enrol();
  });

  test('may have an RSA EK', async () => {
    await enrol(maker.ek(ek, { says: [KEY_ENCIPHERMENT, EK_USAGE, TPM_MODEL] }));
    expect(await world.outcome(machine, asked)).toBe('released');
  });

  test('is no longer believed for anything by its deployment once its EK is revoked, not even where an administrator pinned it', async () => {
    const lost = await bootedMachine();
    const lostEk = ecKey().spki;
    const both = await world.deploy(
      'both',
      rules({ trust: ['pinned', 'ek-certificate', 'ak-certificate'], anyFromRoots: true }),
    );
    const pinnedOnly = await world.deploy('pinned-only', { trust: ['pinned'] });
    await world.enrol(lost, maker.ek(lostEk), lostEk, ['both'], { deployments: ['both', 'pinned-only'] });
    expect(await world.outcome(lost, both)).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_trust: 'pinned' });
    expect(await world.outcome(lost, pinnedOnly)).toBe('released');
    await world.revoke(`ek/${sha256Hex(lostEk)}`);
    expect(await world.outcome(lost, both)).toBe('ak.revoked');
    // A deployment that it was not enrolled for has but the administrator's word, which nobody took back.
    expect(await world.outcome(lost, pinnedOnly)).toBe('released');
    expect(await world.outcome(certified(lost, maker.ak(lost.ak.spki)), both)).toBe('ak.revoked');
    expect(await world.outcome(machine, asked)).toBe('released');
  });

  test('is asked about its TPM by the release policy', async () => {
    const claims: readonly (readonly [string, string])[] = [
      ['tpm.ek.manufacturer', 'id:53544D20'],
      ['tpm.ek.model', 'ST33'],
      ['tpm.ek.version', 'id:00010102'],
      ['tpm.ek.spki_sha256', sha256Hex(ek)],
      ['tpm.ak.trust', 'ek-certificate'],
    ];
    for (const [claim, value] of claims) {
      for (const [equals, expected] of [
        [value, 'released'],
        ['else', 'policy.claims'],
      ]) {
        const anyOf = [{ authority: 'portcullis', allOf: [{ claim, equals }] }];
        await world.test.deploy('llm', { attesters: rules(), release: { version: '1.0.0', anyOf } });
        expect([claim, await world.outcome(machine, asked)]).toEqual([claim, expected]);
      }
    }
    await world.deploy('llm', rules());
  });
});

/** docs/THREAT-MODEL.md, "Who vouches for a TPM", names each of these. */
describe('an attacker', () => {
  test('with a genuine TPM of the same maker cannot relay: its own quotes are pending, and those of our machine name our recipient', async () => {
    const theirs = await bootedMachine();
    const theirEk = ecKey().spki;
    await world.enrol(theirs, maker.ek(theirEk), theirEk, ['llm']);
    expect(await world.outcome(theirs, asked)).toBe('ak.pending');

    const ours = await prepareRequest(world.broker, machine, asked);
    const mine = await prepareRequest(world.broker, theirs, asked);
    const relayed = { ...mine.request, evidence: ours.request.evidence };
    expect(await world.broker.release(relayed)).toMatchObject({ reason: 'quote.binding' });
    const renonced = { ...relayed, nonce: ours.request.nonce };
    expect(await world.broker.release(renonced)).toMatchObject({ reason: 'quote.binding' });
    const borrowed = { tpm: { ...mine.request.evidence.tpm, ak: ours.request.evidence.tpm.ak } };
    expect(await world.broker.release({ ...mine.request, evidence: borrowed as never })).toMatchObject({
      reason: 'quote.signature',
    });
  });

  test('cannot swap the AK after enrolment: not in the request, and not in the store by SQL', async () => {
    const other = await machine.tpm.createAk({ scheme: 'ecdsa-p256' });
    const swapped = new SimulatorAttester(machine.tpm, other);
    expect(await world.outcome(swapped, asked)).toBe('ak.untrusted');
    expect(await world.outcome(swapped, asked, (tpm) => ({ ...tpm, ak: base64url(machine.ak.publicArea) }))).toBe(
      'quote.signature',
    );
    const theirs = await bootedMachine();
    const db = new Database(join(world.test.dataDir, 'portcullis.db'));
    const set = db.prepare('UPDATE attesters SET spki_sha256 = ?, ak_name = ?, public_area = ? WHERE spki_sha256 = ?');
    const rowOf = ({ ak }: SimulatorAttester) => [sha256Hex(ak.spki), ak.name.toString('hex'), ak.publicArea] as const;
    const swap = (from: SimulatorAttester, to: SimulatorAttester) => set.run(...rowOf(to), rowOf(from)[0]).changes;
    expect(swap(machine, theirs)).toBe(1);
    await expect(world.release(theirs, asked)).rejects.toThrow(StoreIntegrityError);
    await expect(world.release(machine, asked)).rejects.toThrow(StoreIntegrityError);
    expect(swap(theirs, machine)).toBe(1);
    db.close();
    expect(await world.outcome(machine, asked)).toBe('released');
  });

  test('finds no race: a release under way is decided by the record at its commit', async () => {
    const { request } = await prepareRequest(world.broker, machine, asked);
    const other = sha256Hex(ecKey().spki);
    const pending = world.broker.release(request);
    await enrol(maker.ek(ek), ['llm'], { akName: `000b${other}` });
    const outcome = await pending;
    const after = await world.broker.release((await prepareRequest(world.broker, machine, asked)).request);
    expect(after).toMatchObject({ reason: 'ak.untrusted' });
    if (outcome.ok) {
      // Committed before the change, then: its entry has the lower generation.
      const [enrolled] = (await entriesOf('attester.enrolled')) as [Entry];
      expect(Number((await world.entry())['state_generation'])).toBeLessThan(Number(enrolled['state_generation']));
    } else {
      expect(outcome.reason).toBe('ak.untrusted');
    }
    await enrol();
  });

  test('is not believed without activation, by nothing that a client can send', async () => {
    const never = await bootedMachine();
    const certificates = [...maker.ek(ek)].map(base64url);
    for (const change of [
      {},
      { ak_certificates: certificates },
      { enrolled: true, ek: base64url(ek), trust: 'pinned' },
    ]) {
      expect(await world.outcome(never, asked, (tpm) => ({ ...tpm, ...change }))).toBe('ak.untrusted');
    }
    const kinds = await world.deploy('llm', rules({ trust: ['ek-certificate', 'ak-certificate'], anyFromRoots: true }));
    expect(await world.outcome(never, kinds, (tpm) => ({ ...tpm, ak_certificates: certificates }))).toBe(
      'ak.untrusted',
    );
    expect(await world.outcome(certified(never, maker.ek(never.ak.spki)), kinds)).toBe('ak.untrusted');
    await world.deploy('llm', rules());
  });

  test('with a TPM on a bench quotes whatever it extends: pending, and after somebody trusts it, everything', async () => {
    const bench = await bootedMachine('ecdsa-p256', Buffer.from('nothing that was ever registered'));
    const benchEk = ecKey().spki;
    await world.enrol(bench, maker.ek(benchEk), benchEk, ['llm']);
    // The same AK, after its owner has reset the TPM and extended what the policy wants: no machine ever booted so.
    const forged = await bootedMachine();
    const liar = new SimulatorAttester(forged.tpm, bench.ak);
    expect(await world.outcome(liar, asked)).toBe('ak.pending');
    await world.enrol(bench, maker.ek(benchEk), benchEk, ['llm'], { deployments: ['llm'] });
    expect(await world.outcome(liar, asked)).toBe('released');
    expect(await world.entry()).toMatchObject({ ak_allowed_by: 'administrator', boot: 'pinned' });
    await world.revoke(`ek/${sha256Hex(benchEk)}`);
    expect(await world.outcome(liar, asked)).toBe('ak.revoked');
  });

  type Entry = Readonly<Record<string, unknown>>;

  async function entriesOf(type: string): Promise<readonly Entry[]> {
    const page = await world.broker.listEntries({ type, limit: 1 });
    if (!page.ok) throw new Error(page.detail);
    return page.value.items.map(({ entry }) => entry as Entry);
  }
});

function base64url(bytes: Buffer): string {
  return bytes.toString('base64url');
}
