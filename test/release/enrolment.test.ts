import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import Database from 'better-sqlite3';
import { dataDir } from '../../src/cli/compose/data-dir.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { sha256 } from '../../src/crypto/digest.js';
import { NO_REVOCATION_LISTS, type RevocationLists } from '../../src/endorsement/known-paths.js';
import { parseCrl } from '../../src/crypto/x509-crl.js';
import { certificateIdentity } from '../../src/endorsement/identity.js';
import type { Broker } from '../../src/release/broker.js';
import { createBroker } from '../../src/release/create-broker.js';
import type { BrokerContext } from '../../src/release/context.js';
import { EK_ALGORITHMS } from '../../src/simulator/ek.js';
import { basicConstraints, ecKey, extendedKeyUsage, keyUsage, rsaKey } from '../helpers/pki.js';
import { CertifiedMachine, TpmMaker } from '../helpers/tpm-maker.js';
import { ADMIN, TestBroker, valueOf } from '../helpers/test-broker.js';

const maker = new TpmMaker();
let broker: TestBroker;
let machine: CertifiedMachine;

const attesters = (change: Readonly<Record<string, unknown>> = {}) => ({
  attesters: { trust: ['ek-certificate'], roots: [maker.rootPem], ...change },
});
/** A broker over the same store that differs in something of its context. */
const brokerWith = (change: Partial<BrokerContext>): Broker => createBroker({ ...broker.context, ...change });
const revoke = (identity: string) =>
  broker.context.store.change(async (change) => {
    const [kind] = identity.split('/');
    if (kind === identity) await change.append('attester.revoked', { actor: 'test', ak_spki_sha256: identity });
    else await change.append('endorsement.revoked', { actor: 'test', identity });
    await change.revocations.add(identity);
  });
const entries = async (type: string) => {
  // Writes are made in order: behind this one, records that nobody waits for are there.
  await broker.context.store.appendRecord('denial.summary', { counts: { internal: 1 } });
  return valueOf(await broker.broker.listEntries({ type, limit: 1000 })).items.map(({ entry }) => entry);
};
const recordOf = ({ akSpkiSha256 }: CertifiedMachine) =>
  broker.context.store.read((view) => view.attesters.get(akSpkiSha256));
const enrolmentBy = (by: CertifiedMachine, deployment: string) => ({
  deployment,
  akName: by.attester.ak.name.toString('hex'),
  ek: { spkiSha256: by.ekSpkiSha256, certificates: by.certificates },
});
/** The public area of the same key with another free attribute (noDA), which its TPM could hold too. */
const renamedArea = ({ attester }: CertifiedMachine) => {
  const area = Buffer.from(attester.ak.publicArea);
  area.writeUInt32BE(area.readUInt32BE(4) ^ 0x400, 4);
  return area.toString('base64url');
};
const refused = (reason: string, detail?: string) => ({
  ok: false,
  reason,
  ...(detail === undefined ? {} : { detail: expect.stringContaining(detail) as unknown }),
});

beforeAll(async () => {
  broker = await TestBroker.start();
  machine = await CertifiedMachine.make(maker);
  await broker.deploy('llm', attesters());
  await broker.deploy('open', attesters({ anyFromRoots: true }));
  await broker.deploy('pins');
});
afterAll(() => broker.close());

describe('an enrolment', () => {
  test.each(EK_ALGORITHMS)('with an EK of %s proves the AK to be in its TPM', async (algorithm) => {
    const another = await CertifiedMachine.make(maker, algorithm);
    for (const ek of [undefined, another.ek.tpm2bPublic, another.ek.publicArea]) {
      const request = another.request('llm', ek === undefined ? {} : { ek: ek.toString('base64url') });
      const view = valueOf(await broker.broker.enrol(request));
      const secret = await another.secretOf(view);
      const activated = valueOf(await broker.broker.activateEnrolment({ enrolment: view.enrolment, secret }));
      expect(activated).toEqual({
        created: ek === undefined,
        answer: {
          attester: {
            ak_name: another.attester.ak.name.toString('hex'),
            ak_spki_sha256: another.akSpkiSha256,
            trust: 'ek-certificate',
            state: 'pending',
          },
        },
      });
    }
    expect(await recordOf(another)).toMatchObject({
      name: `ak-${another.akSpkiSha256.slice(0, 16)}`,
      deployments: [],
      enrolments: [enrolmentBy(another, 'llm')],
    });
  });

  test('is recorded once, when it is activated', async () => {
    const another = await CertifiedMachine.make(maker);
    const before = (await entries('attester.enrolled')).length;
    const first = await another.prove(broker.broker, 'llm');
    const second = await another.prove(broker.broker, 'llm');
    expect(await entries('attester.enrolled')).toHaveLength(before);
    expect(await recordOf(another)).toBeUndefined();
    // Two tokens for one pair both work, and one works twice.
    const outcomes = [];
    for (const proof of [first, second, first]) outcomes.push(valueOf(await broker.broker.activateEnrolment(proof)));
    expect(outcomes.map(({ created }) => created)).toEqual([true, false, false]);
    expect(outcomes[1]?.answer).toEqual(outcomes[0]?.answer);
    const [entry, ...older] = await entries('attester.enrolled');
    expect(older).toHaveLength(before);
    expect(entry).toMatchObject({
      deployment: 'llm',
      attester: `ak-${another.akSpkiSha256.slice(0, 16)}`,
      ak_name: another.attester.ak.name.toString('hex'),
      ak_spki_sha256: another.akSpkiSha256,
      ek_spki_sha256: another.ekSpkiSha256,
      ek_certificate_sha256: sha256(another.certificates[0]!).toString('hex'),
    });
  });

  test('says until when it can be activated', async () => {
    const view = valueOf(await brokerWith({ clock: () => 1_790_000_000_000 }).enrol(machine.request('llm')));
    expect(view.expires_at).toBe(new Date(1_790_000_120_000).toISOString());
  });

  test('costs no storage, however often it is asked for', async () => {
    const rows = () => {
      const database = new Database(dataDir(broker.dataDir).database, { readonly: true });
      try {
        const tables = database
          .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
          .pluck()
          .all() as string[];
        return tables.map((name) => [name, database.prepare(`SELECT count(*) FROM "${name}"`).pluck().get()]);
      } finally {
        database.close();
      }
    };
    const before = rows();
    for (let i = 0; i < 50; i++) valueOf(await broker.broker.enrol(machine.request('llm')));
    for (let i = 0; i < 50; i++) {
      expect(await broker.broker.activateEnrolment({ enrolment: 'AAAA', secret: 'AAAA' })).toMatchObject({ ok: false });
    }
    expect(rows()).toEqual(before);
  });

  test('does not show its credential', async () => {
    const view = valueOf(await broker.broker.enrol(machine.request('llm')));
    const secret = Buffer.from(await machine.secretOf(view), 'base64url');
    for (const text of [view.enrolment, view.credential_blob, view.encrypted_secret]) {
      expect(Buffer.from(text, 'base64url').includes(secret)).toBe(false);
    }
    expect(secret).toHaveLength(32);
  });
});

describe('an enrolment is refused', () => {
  const ask = async (change: Parameters<CertifiedMachine['request']>[1], deployment = 'llm') =>
    broker.broker.enrol(machine.request(deployment, change));

  test('for a deployment that does not exist, by this very name, or that believes no EKs', async () => {
    expect(await ask({}, 'none')).toMatchObject(refused('deployment.unknown'));
    expect(await ask({}, 'LLM')).toMatchObject(refused('deployment.unknown'));
    expect(await ask({}, 'pins')).toMatchObject(refused('ak.untrusted', 'ek-certificate'));
  });

  test('where bytes are in no canonical spelling, or the certificates too long together', async () => {
    for (const change of [{ ak: 'A' }, { ek: 'A' }, { ek_certificates: ['A'] }]) {
      expect(await ask(change)).toMatchObject(refused('request.malformed'));
    }
    const long = Buffer.alloc(8192).toString('base64url');
    expect(await ask({ ek_certificates: [long, long, long] })).toMatchObject(refused('ek.chain'));
    expect(await ask({ ek_certificates: [long, long, long, 'AA'] })).toMatchObject(
      refused('request.malformed', '24576'),
    );
  });

  test('where the AK is none', async () => {
    expect(await ask({ ak: 'AAAA' })).toMatchObject(refused('evidence.malformed'));
    const ek = machine.ek.tpm2bPublic.toString('base64url');
    expect(await ask({ ak: ek })).toMatchObject(refused('ak.attributes'));
  });

  test('where the EK is none, or the certificate is for another one', async () => {
    const ak = machine.attester.ak.tpm2bPublic.toString('base64url');
    expect(await ask({ ek: ak })).toMatchObject(refused('evidence.malformed'));
    const other = await CertifiedMachine.make(maker);
    const ek = other.ek.tpm2bPublic.toString('base64url');
    expect(await ask({ ek })).toMatchObject(refused('ek.chain', 'another key'));
  });

  test('where the certificate is for a key that can be no EK', async () => {
    const certified = (key: { readonly spki: Buffer }, algorithm: 'rsa2048' | 'ecc256') =>
      maker.certify({ spki: key.spki, algorithm }).map((der) => der.toString('base64url'));
    expect(await ask({ ek_certificates: certified(ecKey('P-521'), 'ecc256') })).toMatchObject(
      refused('evidence.malformed'),
    );
    expect(await ask({ ek_certificates: certified(ecKey('secp256k1'), 'ecc256') })).toMatchObject(refused('ek.chain'));
    expect(await ask({ ek_certificates: certified(rsaKey(2048, 3), 'rsa2048') })).toMatchObject(
      refused('evidence.malformed'),
    );
  });

  test('where no good path leads to a root of the deployment', async () => {
    const [leaf = Buffer.alloc(0), ca = Buffer.alloc(0)] = machine.certificates;
    const sent = (...chain: readonly Buffer[]) =>
      ask({ ek_certificates: chain.map((der) => der.toString('base64url')) });
    expect(await sent()).toMatchObject(refused('ek.chain', 'no certificate'));
    expect(await sent(leaf)).toMatchObject(refused('ek.chain', 'issuer'));
    expect(await sent(ca, leaf)).toMatchObject(refused('ek.chain'));
    expect(await sent(Buffer.from('garbage'), ca)).toMatchObject(refused('ek.chain', 'parse'));
    const stranger = new TpmMaker('Stranger');
    expect(await sent(...stranger.certify(machine.ek))).toMatchObject(refused('ek.chain'));
    // Named like the maker, and signed by somebody else.
    expect(await sent(...new TpmMaker().certify(machine.ek))).toMatchObject(refused('ek.chain'));
    const day = 86_400_000;
    const past = maker.certify(machine.ek, { notAfter: Date.now() - day });
    expect(await sent(...past)).toMatchObject(refused('ek.chain', 'expired'));
    const future = maker.certify(machine.ek, { notBefore: Date.now() + day });
    expect(await sent(...future)).toMatchObject(refused('ek.chain', 'not yet valid'));
    const purposes = [
      [basicConstraints(false), keyUsage(4), extendedKeyUsage(['2.23.133.8.3'])],
      [basicConstraints(false), keyUsage(0), extendedKeyUsage(['2.23.133.8.1'])],
      [basicConstraints(false), keyUsage(4)],
      [basicConstraints(true), keyUsage(4), extendedKeyUsage(['2.23.133.8.1'])],
    ];
    for (const extensions of purposes) {
      expect(await sent(...maker.certify(machine.ek, { extensions }))).toMatchObject(refused('ek.chain'));
    }
  });

  test('where a CRL of its issuer says so, or is needed and missing', async () => {
    const other = await CertifiedMachine.make(maker, 'ecc256', { serial: 7000 });
    const crls = (lists: readonly Buffer[], policy: RevocationLists['policy']) => {
      const revocationLists = { lists: lists.map(parseCrl), policy };
      return brokerWith({ revocationLists: () => revocationLists });
    };
    const request = other.request('llm');
    expect(await crls([maker.crl([7000])], 'if-present').enrol(request)).toMatchObject(refused('ek.revoked'));
    expect(await crls([maker.crl([2], 'root')], 'if-present').enrol(request)).toMatchObject(refused('ek.revoked'));
    expect(await crls([], 'required').enrol(request)).toMatchObject(refused('collateral.unavailable'));
    const stale = maker.crl([], 'ca', Date.now() - 1000);
    expect(await crls([stale], 'if-present').enrol(request)).toMatchObject(refused('collateral.unavailable'));
    const good = [maker.crl([7001]), maker.crl([], 'root')];
    valueOf(await crls(good, 'required').enrol(request));

    // A CRL that comes between enrolment and activation counts too.
    const proof = await other.prove(broker.broker, 'llm');
    expect(await crls([maker.crl([7000])], 'if-present').activateEnrolment(proof)).toMatchObject(refused('ek.revoked'));
    expect(await crls([], 'required').activateEnrolment(proof)).toMatchObject(refused('collateral.unavailable'));
    expect(await recordOf(other)).toBeUndefined();
    expect(broker.context.revocationLists()).toBe(NO_REVOCATION_LISTS);
  });
});

describe('what an administrator has revoked', () => {
  const identities: readonly [string, (other: CertifiedMachine, by: TpmMaker) => string, string][] = [
    ['an AK', (other) => other.akSpkiSha256, 'ak.revoked'],
    ['an EK', (other) => `ek/${other.ekSpkiSha256}`, 'ek.revoked'],
    ['a certificate', (other) => certificateIdentity(parseCertificate(other.certificates[0]!)), 'ek.revoked'],
    ['the CA above it', (_, by) => `ca/${sha256(by.keys.ca.spki).toString('hex')}`, 'ek.revoked'],
    ['the root', (_, by) => `ca/${sha256(by.keys.root.spki).toString('hex')}`, 'ek.revoked'],
  ];

  test.each(identities)(
    'is enrolled no more, nor activated, nor enrolled again: %s',
    async (kind, identityOf, reason) => {
      const own = new TpmMaker(kind);
      await broker.deploy('own', attesters({ roots: [own.rootPem], anyFromRoots: true }));
      const other = await CertifiedMachine.make(own);
      const proof = await other.prove(broker.broker, 'own');
      const enrolled = await other.withNewAk();
      const proofOfEnrolled = await enrolled.prove(broker.broker, 'own');
      valueOf(await broker.broker.activateEnrolment(proofOfEnrolled));
      await revoke(identityOf(other, own));
      expect(await broker.broker.enrol(other.request('own'))).toMatchObject(refused(reason));
      expect(await broker.broker.activateEnrolment(proof)).toMatchObject(refused(reason));
      expect(await recordOf(other)).toBeUndefined();
      // Another AK of the same TPM falls with what vouches for the EK, and not with the first AK.
      expect(await broker.broker.activateEnrolment(proofOfEnrolled)).toMatchObject(
        reason === 'ek.revoked' ? refused(reason) : { ok: true, value: { created: false } },
      );
    },
  );
});

describe('an activation', () => {
  test('needs the secret of this very enrolment', async () => {
    const [first, second] = [await machine.prove(broker.broker, 'llm'), await machine.prove(broker.broker, 'llm')];
    const wrong = refused('enrolment.secret');
    expect(await broker.broker.activateEnrolment({ ...first, secret: second.secret })).toMatchObject(wrong);
    const secret = Buffer.from(first.secret, 'base64url');
    for (let bit = 0; bit < 256; bit += 5) {
      const changed = Buffer.from(secret);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const request = { ...first, secret: changed.toString('base64url') };
      expect(await broker.broker.activateEnrolment(request)).toMatchObject(wrong);
    }
    for (const other of [secret.subarray(0, 31), Buffer.concat([secret, Buffer.of(0)]), Buffer.alloc(0)]) {
      const request = { ...first, secret: other.toString('base64url') };
      expect(await broker.broker.activateEnrolment(request)).toMatchObject(wrong);
    }
    expect(await broker.broker.activateEnrolment({ ...first, secret: `${first.secret}=` })).toMatchObject(wrong);
    valueOf(await broker.broker.activateEnrolment(first));
  });

  test('is refused with any bit of its token changed, and without an enrolment', async () => {
    const proof = await machine.prove(broker.broker, 'llm');
    const token = Buffer.from(proof.enrolment, 'base64url');
    for (let bit = 0; bit < 8 * token.length; bit += 97) {
      const changed = Buffer.from(token);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const request = { ...proof, enrolment: changed.toString('base64url') };
      expect(await broker.broker.activateEnrolment(request)).toMatchObject(refused('enrolment.secret'));
    }
    expect(await broker.broker.activateEnrolment({ enrolment: '', secret: proof.secret })).toMatchObject(
      refused('enrolment.secret'),
    );
  });

  test('is refused by another broker', async () => {
    const other = await TestBroker.start();
    try {
      await other.deploy('llm', attesters());
      const proof = await machine.prove(broker.broker, 'llm');
      expect(await other.broker.activateEnrolment(proof)).toMatchObject(refused('enrolment.secret'));
      valueOf(await other.broker.activateEnrolment(await machine.prove(other.broker, 'llm')));
    } finally {
      await other.close();
    }
  });

  test('has its time, to the millisecond', async () => {
    const at = Date.now();
    const proof = await machine.prove(brokerWith({ clock: () => at }), 'llm');
    const activateAt = (ms: number) => brokerWith({ clock: () => ms }).activateEnrolment(proof);
    expect(await activateAt(at + 120_000)).toMatchObject(refused('enrolment.expired'));
    expect(await activateAt(at - 5_001)).toMatchObject(refused('enrolment.expired'));
    valueOf(await activateAt(at - 5_000));
    valueOf(await activateAt(at + 119_999));
  });

  test('works in another process over the same store, and after a restart', async () => {
    const other = await CertifiedMachine.make(maker);
    const proof = await other.prove(broker.broker, 'llm');
    const twin = await broker.twin();
    const both = await Promise.all([
      twin.broker.activateEnrolment(proof),
      broker.broker.activateEnrolment(proof),
      twin.broker.activateEnrolment(proof),
    ]);
    expect(both.map((outcome) => valueOf(outcome).created).sort()).toEqual([false, false, true]);
    const later = await other.withNewAk();
    const laterProof = await later.prove(twin.broker, 'llm');
    await twin.close();
    await broker.restart();
    expect(valueOf(await broker.broker.activateEnrolment(laterProof)).created).toBe(true);
  });

  test('is refused in another epoch, and at or below the floor', async () => {
    const proof = await machine.prove(broker.broker, 'llm');
    await broker.context.store.purgeNonces(Date.now());
    expect(await broker.broker.activateEnrolment(proof)).toMatchObject(refused('enrolment.expired'));
    const ahead = brokerWith({ clock: () => Date.now() + 4000 });
    const another = await machine.prove(ahead, 'llm');
    valueOf(await ahead.activateEnrolment(another));
    await broker.context.store.change((change) => change.raiseEpoch());
    expect(await ahead.activateEnrolment(another)).toMatchObject(refused('enrolment.expired'));
    valueOf(await ahead.activateEnrolment(await machine.prove(ahead, 'llm')));
  });

  test('examines the deployment as it is by then', async () => {
    await broker.deploy('moving', attesters());
    const proof = await machine.prove(broker.broker, 'moving');
    await broker.deploy('moving');
    expect(await broker.broker.activateEnrolment(proof)).toMatchObject(refused('ak.untrusted'));
    await broker.deploy('moving', attesters({ roots: [new TpmMaker('Stranger').rootPem] }));
    expect(await broker.broker.activateEnrolment(proof)).toMatchObject(refused('ek.chain'));
    await broker.deploy('moving', attesters());
    valueOf(await broker.broker.activateEnrolment(proof));
  });
});

describe('an AK', () => {
  test('that another EK has enrolled is not enrolled by a second one, and whoever has but its public area writes nothing', async () => {
    const owner = await CertifiedMachine.make(maker);
    valueOf(await owner.enrol(broker.broker, 'llm'));
    const taker = await CertifiedMachine.make(maker);
    const count = (await entries('attester.conflict')).length;
    const stolen = owner.attester.ak.tpm2bPublic.toString('base64url');
    const before = await recordOf(owner);
    expect(await broker.broker.enrol(taker.request('llm', { ak: stolen }))).toMatchObject(refused('attester.conflict'));
    expect(await recordOf(owner)).toEqual(before);
    expect(await entries('attester.conflict')).toHaveLength(count);
  });

  test('that two EKs of its TPM ask for goes to the one that activates first', async () => {
    const first = await CertifiedMachine.make(maker);
    const ek = await first.tpm.ek('ecc384');
    const second = new CertifiedMachine(first.tpm, ek, first.attester.ak, maker.certify(ek));
    const proofs = [await first.prove(broker.broker, 'llm'), await second.prove(broker.broker, 'llm')] as const;
    valueOf(await broker.broker.activateEnrolment(proofs[0]));
    const count = (await entries('attester.conflict')).length;
    expect(await broker.broker.activateEnrolment(proofs[1])).toMatchObject(refused('attester.conflict'));
    expect((await recordOf(first))?.enrolments).toEqual([enrolmentBy(first, 'llm')]);
    const [entry, ...older] = await entries('attester.conflict');
    expect(older).toHaveLength(count);
    expect(entry).toMatchObject({
      deployment: 'llm',
      ak_spki_sha256: first.akSpkiSha256,
      ek_spki_sha256: second.ekSpkiSha256,
    });
    for (let i = 0; i < 20; i++) await broker.broker.activateEnrolment(proofs[1]);
    const recorded = (await entries('attester.conflict')).length;
    expect(recorded).toBeGreaterThan(count + 1);
    expect(recorded).toBeLessThanOrEqual(count + 5);
  });

  test('that is not in the TPM of the EK gets a credential, and no TPM opens it', async () => {
    const [owner, taker] = [await CertifiedMachine.make(maker), await CertifiedMachine.make(maker)];
    const stolen = owner.attester.ak.tpm2bPublic.toString('base64url');
    const view = valueOf(await broker.broker.enrol(taker.request('llm', { ak: stolen })));
    await expect(taker.secretOf(view)).rejects.toThrow('TPM_RC');
    await expect(owner.secretOf(view)).rejects.toThrow('TPM_RC');
    // Nor does a secret of its own: the token names the AK that it was asked for.
    const own = await taker.prove(broker.broker, 'llm');
    const swapped = { enrolment: view.enrolment, secret: own.secret };
    expect(await broker.broker.activateEnrolment(swapped)).toMatchObject(refused('enrolment.secret'));
    expect(await recordOf(owner)).toBeUndefined();
  });

  test('that is pinned gets its EK in addition, and under another Name nothing', async () => {
    const other = await CertifiedMachine.make(maker);
    await broker.pin(other.attester, 'pins');
    const activated = valueOf(await other.enrol(broker.broker, 'llm'));
    expect(activated).toMatchObject({ created: true, answer: { attester: { state: 'pending' } } });
    expect(await recordOf(other)).toMatchObject({
      deployments: ['pins'],
      enrolments: [enrolmentBy(other, 'llm')],
    });

    const renamed = await CertifiedMachine.make(maker);
    valueOf(await broker.broker.trustAttester(ADMIN, { deployment: 'open', public: renamedArea(renamed) }));
    expect(await broker.broker.enrol(renamed.request('open'))).toMatchObject(refused('attester.conflict', 'Name'));
  });

  test('may be enrolled for several deployments', async () => {
    const other = await CertifiedMachine.make(maker);
    expect(valueOf(await other.enrol(broker.broker, 'open'))).toMatchObject({
      created: true,
      answer: { attester: { state: 'trusted' } },
    });
    expect(valueOf(await other.enrol(broker.broker, 'llm'))).toMatchObject({
      created: true,
      answer: { attester: { state: 'pending' } },
    });
    expect(valueOf(await other.enrol(broker.broker, 'open')).created).toBe(false);
    expect((await recordOf(other))?.enrolments).toEqual([enrolmentBy(other, 'open'), enrolmentBy(other, 'llm')]);
  });

  test('in quarantine stays there', async () => {
    const other = await CertifiedMachine.make(maker);
    valueOf(await other.enrol(broker.broker, 'open'));
    const record = await recordOf(other);
    await broker.context.store.change((change) => change.attesters.put({ ...record!, quarantinedAtMs: 1 }));
    expect(valueOf(await other.enrol(broker.broker, 'open')).answer.attester.state).toBe('pending');
    expect(valueOf(await other.enrol(broker.broker, 'llm')).answer.attester.state).toBe('pending');
    expect((await recordOf(other))?.quarantinedAtMs).toBe(1);
  });

  test('keeps the certificate that it has while it is good, and takes a newer one when it is not', async () => {
    const now = Date.now();
    const other = await CertifiedMachine.make(maker, 'ecc256', { notAfter: now + 60_000 });
    const renewed = new CertifiedMachine(other.tpm, other.ek, other.attester.ak, maker.certify(other.ek));
    valueOf(await other.enrol(broker.broker, 'llm'));
    valueOf(await renewed.enrol(broker.broker, 'llm'));
    expect((await recordOf(other))?.enrolments).toEqual([enrolmentBy(other, 'llm')]);
    const later = brokerWith({ clock: () => now + 120_000 });
    expect(valueOf(await renewed.enrol(later, 'llm')).created).toBe(false);
    expect((await recordOf(other))?.enrolments).toEqual([enrolmentBy(renewed, 'llm')]);
  });

  test('is forgotten for the seventeenth of its EK, unless an administrator trusts it or has put it aside', async () => {
    const first = await CertifiedMachine.make(maker);
    const at = Date.now();
    const machines = [first];
    for (let i = 1; i < 19; i++) machines.push(await first.withNewAk());
    for (const [i, each] of machines.entries()) {
      if (i === 17) break;
      valueOf(await each.enrol(brokerWith({ clock: () => at + i }), 'llm'));
      const record = await recordOf(each);
      if (i === 0) {
        await broker.context.store.change((change) => change.attesters.put({ ...record!, deployments: ['llm'] }));
      }
      if (i === 1) {
        await broker.context.store.change((change) => change.attesters.put({ ...record!, quarantinedAtMs: at }));
      }
    }
    // 17 in all: one trusted, one put aside, 15 others. One more has room, and the one after that does not.
    const known = async () => (await Promise.all(machines.map(recordOf))).map((record) => record !== undefined);
    expect(await known()).toEqual([...Array<boolean>(17).fill(true), false, false]);
    valueOf(await machines[17]!.enrol(brokerWith({ clock: () => at + 17 }), 'llm'));
    expect(await known()).toEqual([...Array<boolean>(18).fill(true), false]);
    valueOf(await machines[18]!.enrol(brokerWith({ clock: () => at + 18 }), 'llm'));
    expect(await known()).toEqual([true, true, false, ...Array<boolean>(16).fill(true)]);
    const [entry] = await entries('attester.enrolled');
    expect(entry).toMatchObject({ ak_spki_sha256: machines[18]!.akSpkiSha256, replaced: machines[2]!.akSpkiSha256 });
  });

  test('of a TPM that enrols without end is refused after a while, and not for good', async () => {
    const first = await CertifiedMachine.make(maker);
    const two = await first.withNewAk();
    // Two AKs that are forgotten again and again, so that each activation would write.
    const proofs = [await first.prove(broker.broker, 'llm'), await two.prove(broker.broker, 'llm')];
    const forget = () =>
      broker.context.store.change(async (change) => {
        for (const each of [first, two]) await change.attesters.remove(each.akSpkiSha256);
      });
    const reasons: string[] = [];
    for (let i = 0; i < 40; i++) {
      await forget();
      for (const proof of proofs) {
        const outcome = await broker.broker.activateEnrolment(proof);
        reasons.push(outcome.ok ? 'granted' : outcome.reason);
      }
    }
    expect(reasons.filter((reason) => reason === 'granted').length).toBeLessThan(80);
    expect(reasons.at(-1)).toBe('request.rate_limited');
    const later = brokerWith({ clock: () => Date.now() + 60_000 });
    valueOf(await first.enrol(later, 'llm'));
  });
});
