/** What certificates can do to a broker: enrolments, AKs with certificates, quarantine, revocation, and who tries to take over or goes back. */
import { sha256Hex } from '../../src/crypto/digest.js';
import { MAX_UNTRUSTED_AKS } from '../../src/release/enrolment-activation.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { TestAuthority } from '../helpers/test-authority.js';
import { CertifiedMachine, TpmMaker } from '../helpers/tpm-maker.js';
import { withoutAk } from '../release/ak-trust-world.js';
import { ADMIN, bootedMachine, released, type TestBroker, valueOf } from '../helpers/test-broker.js';

const TPMS = { deployment: 'tpms', key: 'tpmkey' } as const;
const CLOUD = { deployment: 'cloud', key: 'cloudkey' } as const;

export async function driveEndorsements(broker: TestBroker): Promise<void> {
  const maker = new TpmMaker();
  await enrolments(broker, maker);
  await certificates(broker);
  await forgotten(broker, maker);
}

/** Let in by an administrator, by a list, and by the root alone; put aside; revoked with its EK. */
async function enrolments(broker: TestBroker, maker: TpmMaker): Promise<void> {
  const { broker: does } = broker;
  const rules = { trust: ['ek-certificate', 'pinned'], roots: [maker.rootPem] };
  const kept = await CertifiedMachine.make(maker);
  const lost = await CertifiedMachine.make(maker);
  await broker.deploy('tpms', { attesters: { ...rules, trust: ['ek-certificate'] } });
  await broker.deploy('more-tpms', { attesters: { ...rules, trust: ['ek-certificate'] } });
  await broker.key('tpmkey', 'tpms');
  for (const machine of [kept, lost]) valueOf(await machine.enrol(does, 'tpms'));
  await broker.release(kept.attester, TPMS);
  valueOf(await does.trustAttester(ADMIN, { deployment: 'tpms', spki_sha256: kept.akSpkiSha256 }));
  released(await broker.release(kept.attester, TPMS));

  await broker.deploy('tpms', { attesters: { ...rules, allow: { ek: [lost.ekSpkiSha256] } } });
  released(await broker.release(lost.attester, TPMS));
  released(await broker.release(kept.attester, TPMS));
  await broker.deploy('tpms', { attesters: { ...rules, anyFromRoots: true } });
  released(await broker.release(lost.attester, TPMS));
  for (const quarantined of [true, false]) {
    valueOf(await does.setAttesterQuarantined(ADMIN, lost.akSpkiSha256, quarantined));
    await broker.release(lost.attester, TPMS);
  }
  await takenBack(broker, await CertifiedMachine.make(maker), maker);
  valueOf(await does.revokeIdentity(ADMIN, `ek/${lost.ekSpkiSha256}`));
  await broker.release(lost.attester, TPMS);
}

/** Records: another EK claims the AK, which it then enrols elsewhere, and the clock of the TPM goes back. */
async function takenBack({ broker: does, context }: TestBroker, owner: CertifiedMachine, maker: TpmMaker) {
  const ek = await owner.tpm.ek('ecc384');
  const taker = new CertifiedMachine(owner.tpm, ek, owner.attester.ak, maker.certify(ek));
  const proof = await taker.prove(does, 'tpms');
  valueOf(await owner.enrol(does, 'tpms'));
  await does.activateEnrolment(proof);
  valueOf(await taker.enrol(does, 'more-tpms'));
  await context.store.appendRecord('attester.regressed', {
    ak_spki_sha256: owner.akSpkiSha256,
    clock_before: '2',
    clock_after: '1',
    reset_count_before: 2,
    reset_count_after: 1,
  });
}

async function certificates(broker: TestBroker): Promise<void> {
  const authority = new TestAuthority('Cloud', Date.now());
  const machine = await bootedMachine();
  const chain = authority.ak(machine.ak.spki).map((der) => der.toString('base64url'));
  const certified = new SimulatorAttester(machine.tpm, machine.ak, chain);
  const allow = { ak: [sha256Hex(machine.ak.spki)] };
  await broker.deploy('cloud', { attesters: { trust: ['ak-certificate'], roots: authority.roots, allow } });
  await broker.key('cloudkey', 'cloud');
  released(await broker.release(certified, CLOUD));
  const { request } = await broker.request(certified, CLOUD);
  released(await broker.broker.release({ ...request, evidence: { tpm: withoutAk(request.evidence.tpm) } }));
}

/** A TPM with so many AKs that the first is forgotten. */
async function forgotten(broker: TestBroker, maker: TpmMaker): Promise<void> {
  let machine = await CertifiedMachine.make(maker);
  for (let made = 0; made <= MAX_UNTRUSTED_AKS; made++) {
    valueOf(await machine.enrol(broker.broker, 'tpms'));
    machine = await machine.withNewAk();
  }
}
