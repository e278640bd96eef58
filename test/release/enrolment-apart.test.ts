/** What an EK has proved counts for the deployment whose roots it has a path to, and for no other one. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseAk } from '../../src/evidence/tpm/ak.js';
import type { AttesterRecord } from '../../src/release/records.js';
import { CertifiedMachine, TpmMaker } from '../helpers/tpm-maker.js';
import { ADMIN, TestBroker, valueOf } from '../helpers/test-broker.js';

const maker = new TpmMaker();
/** Whoever has a CA can certify an EK in no TPM, which opens the credential for any AK whose public area is known. */
const rogue = new TpmMaker('Rogue');
let broker: TestBroker;

const rules = (of: TpmMaker, trust: readonly string[] = ['ek-certificate']) => ({
  attesters: { trust, roots: [of.rootPem], anyFromRoots: true },
});
const outcome = async ({ attester }: CertifiedMachine, deployment: string) => {
  const released = await broker.release(attester, { deployment, key: 'weights' });
  return released.ok ? 'released' : released.reason;
};
const recordOf = ({ akSpkiSha256 }: CertifiedMachine) =>
  broker.context.store.read((view) => view.attesters.get(akSpkiSha256));
const keep = (record: AttesterRecord) => broker.context.store.change((change) => change.attesters.put(record));
const revokeEk = async ({ ekSpkiSha256 }: CertifiedMachine) =>
  valueOf(await broker.broker.revokeIdentity(ADMIN, `ek/${ekSpkiSha256}`));

/** The same key with another free attribute (noDA). */
function renamed({ attester }: CertifiedMachine): Buffer {
  const area = Buffer.from(attester.ak.publicArea);
  area.writeUInt32BE(area.readUInt32BE(4) ^ 0x400, 4);
  return area;
}

/** Enrols the AK of somebody else by an EK in software. */
async function claim(by: CertifiedMachine, deployment: string, area: Buffer) {
  const view = valueOf(await broker.broker.enrol(by.request(deployment, { ak: area.toString('base64url') })));
  const [blob, secret] = [view.credential_blob, view.encrypted_secret].map((each) => Buffer.from(each, 'base64url'));
  const credential = by.ek.openCredential(blob!, secret!, Buffer.from(valueOf(parseAk(area)).name, 'hex'));
  return broker.broker.activateEnrolment({ enrolment: view.enrolment, secret: credential.toString('base64url') });
}

beforeAll(async () => {
  broker = await TestBroker.start();
  await broker.deploy('llm', rules(maker));
  await broker.deploy('lab', rules(rogue));
  await broker.deploy('both', rules(maker, ['pinned', 'ek-certificate']));
  await broker.deploy('pins');
  await broker.key('weights', 'llm', 'lab', 'both', 'pins');
});
afterAll(() => broker.close());

describe('an EK that another deployment believes', () => {
  test.each(['as it is', 'with other attributes'])('does not keep an AK from its own EK: %s', async (how) => {
    const victim = await CertifiedMachine.make(maker);
    const thief = await CertifiedMachine.make(rogue);
    valueOf(await claim(thief, 'lab', how === 'as it is' ? victim.attester.ak.publicArea : renamed(victim)));
    expect(await outcome(victim, 'llm')).toBe('ak.untrusted');
    const name = victim.attester.ak.name.toString('hex');
    expect(valueOf(await victim.enrol(broker.broker, 'llm'))).toMatchObject({
      created: true,
      answer: { attester: { ak_name: name, state: 'trusted' } },
    });
    expect(await outcome(victim, 'llm')).toBe('released');
    const { items } = valueOf(await broker.broker.listEntries({ type: 'release', limit: 1 }));
    expect(items[0]?.entry).toMatchObject({ ak_name: name, ek_spki_sha256: victim.ekSpkiSha256 });
    // Its revocation is none of the other EK; and that of the own one ends what it vouched for alone.
    await revokeEk(thief);
    expect(await outcome(victim, 'llm')).toBe('released');
    expect(await outcome(victim, 'lab')).toBe('ak.revoked');
    await revokeEk(victim);
    expect(await outcome(victim, 'llm')).toBe('ak.revoked');
  });

  test('does not get hold of a pinned AK: its revocation ends no pin elsewhere', async () => {
    const victim = await CertifiedMachine.make(maker);
    const thief = await CertifiedMachine.make(rogue);
    await broker.pin(victim.attester, 'pins');
    const before = await recordOf(victim);
    valueOf(await claim(thief, 'lab', renamed(victim)));
    expect(await recordOf(victim)).toMatchObject({ akName: before!.akName, publicArea: before!.publicArea });
    await revokeEk(thief);
    expect(await outcome(victim, 'pins')).toBe('released');
    // An EK of the very deployment ends it.
    await broker.pin(victim.attester, 'both');
    valueOf(await victim.enrol(broker.broker, 'both'));
    expect(await outcome(victim, 'both')).toBe('released');
    await revokeEk(victim);
    expect([await outcome(victim, 'both'), await outcome(victim, 'pins')]).toEqual(['ak.revoked', 'released']);
  });

  test('that was there first with other attributes does not keep an administrator from pinning the right ones', async () => {
    const victim = await CertifiedMachine.make(maker);
    valueOf(await claim(await CertifiedMachine.make(rogue), 'lab', renamed(victim)));
    await broker.pin(victim.attester, 'pins');
    expect(await outcome(victim, 'pins')).toBe('released');
    // What an administrator has pinned stands.
    const wrong = { deployment: 'both', public: renamed(victim).toString('base64url') };
    expect(await broker.broker.trustAttester(ADMIN, wrong)).toMatchObject({ reason: 'resource.exists' });
  });

  test('makes no administrator pin its attributes by the hash of the key', async () => {
    const victim = await CertifiedMachine.make(maker);
    valueOf(await claim(await CertifiedMachine.make(rogue), 'lab', renamed(victim)));
    valueOf(await victim.enrol(broker.broker, 'both'));
    const byHash = { deployment: 'both', spki_sha256: victim.akSpkiSha256 };
    expect(await broker.broker.trustAttester(ADMIN, byHash)).toMatchObject({ reason: 'resource.exists' });
    await broker.pin(victim.attester, 'both');
    expect((await recordOf(victim))?.akName).toBe(victim.attester.ak.name.toString('hex'));
  });

  test('takes away nothing but its own when it has too many AKs', async () => {
    const victim = await CertifiedMachine.make(maker);
    let thief = await CertifiedMachine.make(rogue);
    valueOf(await victim.enrol(broker.broker, 'llm'));
    valueOf(await claim(thief, 'lab', victim.attester.ak.publicArea));
    expect((await recordOf(victim))?.enrolments).toHaveLength(2);
    for (let i = 0; i < 16; i++) {
      valueOf(await thief.enrol(broker.broker, 'lab'));
      thief = await thief.withNewAk();
    }
    expect((await recordOf(victim))?.enrolments?.map(({ deployment }) => deployment)).toEqual(['llm']);
    expect(await outcome(victim, 'llm')).toBe('released');
    const [newest] = valueOf(await broker.broker.listEntries({ type: 'attester.enrolled', limit: 1 })).items;
    expect(newest?.entry).toMatchObject({ replaced: victim.akSpkiSha256 });
  });

  test('is not shown as the EK of the AK, but among what vouches for it', async () => {
    const victim = await CertifiedMachine.make(maker);
    const thief = await CertifiedMachine.make(rogue);
    valueOf(await victim.enrol(broker.broker, 'llm'));
    const shown = async () => valueOf(await broker.broker.showAttester(victim.akSpkiSha256));
    expect(await shown()).toMatchObject({ enrolled_for: ['llm'], ek: { spki_sha256: victim.ekSpkiSha256 } });
    valueOf(await claim(thief, 'lab', victim.attester.ak.publicArea));
    const both = await shown();
    expect(both).not.toHaveProperty('ek');
    expect(both).toMatchObject({ enrolled_for: ['lab', 'llm'], state: 'trusted' });
    for (const each of [victim, thief]) expect(both.vouched_by).toContain(`ek/${each.ekSpkiSha256}`);
  });
});

test('one EK has a chain for each deployment: no enrolment spoils another one, or is written twice', async () => {
  const other = new TpmMaker('Other');
  await broker.deploy('lab', rules(other));
  const machine = await CertifiedMachine.make(maker);
  const elsewhere = new CertifiedMachine(machine.tpm, machine.ek, machine.attester.ak, other.certify(machine.ek));
  const created = [];
  for (let i = 0; i < 2; i++) {
    created.push(valueOf(await machine.enrol(broker.broker, 'llm')).created);
    created.push(valueOf(await elsewhere.enrol(broker.broker, 'lab')).created);
    expect([await outcome(machine, 'llm'), await outcome(machine, 'lab')]).toEqual(['released', 'released']);
  }
  expect(created).toEqual([true, true, false, false]);
  expect((await recordOf(machine))?.enrolments?.map(({ ek }) => ek.certificates)).toEqual([
    machine.certificates,
    elsewhere.certificates,
  ]);
  await broker.deploy('lab', rules(rogue));
});

describe('an AK that is known by its certificate alone', () => {
  const nameless = async (machine: CertifiedMachine, change: Partial<AttesterRecord>) =>
    keep({
      spkiSha256: machine.akSpkiSha256,
      akName: 'unknown',
      publicArea: Buffer.alloc(0),
      name: `ak-${machine.akSpkiSha256.slice(0, 16)}`,
      deployments: [],
      createdAtMs: 1,
      ...change,
    });
  const named = ({ attester }: CertifiedMachine) => ({
    akName: attester.ak.name.toString('hex'),
    publicArea: attester.ak.publicArea,
  });

  test('is enrolled, and has its Name from then on, also where it is trusted there or put aside', async () => {
    for (const change of [{}, { deployments: ['llm'] }, { quarantinedAtMs: 1 }]) {
      const machine = await CertifiedMachine.make(maker);
      await nameless(machine, change);
      expect(valueOf(await machine.enrol(broker.broker, 'llm')).created).toBe(true);
      expect(await recordOf(machine)).toMatchObject({ ...change, ...named(machine) });
      expect(await outcome(machine, 'llm')).toBe('quarantinedAtMs' in change ? 'ak.pending' : 'released');
    }
  });

  test('gets no Name for a pin of another deployment', async () => {
    const machine = await CertifiedMachine.make(maker);
    await nameless(machine, { deployments: ['pins'] });
    valueOf(await machine.enrol(broker.broker, 'llm'));
    expect(await recordOf(machine)).toMatchObject({ akName: 'unknown', deployments: ['pins'] });
    expect([await outcome(machine, 'llm'), await outcome(machine, 'pins')]).toEqual(['released', 'ak.untrusted']);
  });
});
