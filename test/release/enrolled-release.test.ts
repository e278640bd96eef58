import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ReleaseOutcome } from '../../src/release/broker.js';
import { CertifiedMachine, TpmMaker } from '../helpers/tpm-maker.js';
import { ADMIN, TestBroker, valueOf } from '../helpers/test-broker.js';

const maker = new TpmMaker();
let broker: TestBroker;
let machine: CertifiedMachine;

const LLM = { deployment: 'llm', key: 'weights' } as const;
const rules = (change: Readonly<Record<string, unknown>> = {}) => ({
  attesters: { trust: ['ek-certificate'], roots: [maker.rootPem], ...change },
});
const state = async (of: CertifiedMachine, deployment = 'llm') =>
  valueOf(await of.enrol(broker.broker, deployment)).answer.attester.state;
const reasonOf = (outcome: ReleaseOutcome) => (outcome.ok ? 'released' : outcome.reason);
const release = async (of: CertifiedMachine) => reasonOf(await broker.release(of.attester, LLM));

beforeAll(async () => {
  broker = await TestBroker.start();
  await broker.deploy('llm', rules());
  await broker.deploy('other', rules({ anyFromRoots: true }));
  await broker.key('weights', 'llm', 'other');
  machine = await CertifiedMachine.make(maker);
});
afterAll(() => broker.close());

describe('an enrolled AK', () => {
  test('draws nothing before it is enrolled, waits when it is, and draws the key once an administrator trusts it', async () => {
    expect(await release(machine)).toBe('ak.untrusted');
    expect(await state(machine)).toBe('pending');
    expect(await release(machine)).toBe('ak.pending');
    valueOf(await broker.broker.trustAttester(ADMIN, { deployment: 'llm', spki_sha256: machine.akSpkiSha256 }));
    expect(await release(machine)).toBe('released');
    expect(await state(machine)).toBe('trusted');
    const [entry] = valueOf(await broker.broker.listEntries({ type: 'release', limit: 1 })).items;
    expect(entry?.entry).toMatchObject({
      ak_spki_sha256: machine.akSpkiSha256,
      ak_trust: 'ek-certificate',
      ak_allowed_by: 'administrator',
      ek_spki_sha256: machine.ekSpkiSha256,
    });
  });

  const allowing: readonly [string, (of: CertifiedMachine) => Readonly<Record<string, unknown>>][] = [
    ['ek', (of) => ({ allow: { ek: [of.ekSpkiSha256] } })],
    ['ak', (of) => ({ allow: { ak: [of.akSpkiSha256] } })],
    ['any-from-roots', () => ({ anyFromRoots: true })],
  ];
  test.each(allowing)('is trusted where the rules let it in by %s, and no longer than that', async (by, allow) => {
    const other = await CertifiedMachine.make(maker);
    await broker.deploy('llm', rules(allow(other)));
    expect(await state(other)).toBe('trusted');
    expect(await release(other)).toBe('released');
    const [entry] = valueOf(await broker.broker.listEntries({ type: 'release', limit: 1 })).items;
    expect(entry?.entry).toMatchObject({ ak_trust: 'ek-certificate', ak_allowed_by: by });
    const stranger = await CertifiedMachine.make(maker);
    expect(await state(stranger)).toBe(by === 'any-from-roots' ? 'trusted' : 'pending');
    expect(await release(stranger)).toBe(by === 'any-from-roots' ? 'released' : 'ak.pending');
    await broker.deploy('llm', rules());
    expect(await state(other)).toBe('pending');
    expect(await release(other)).toBe('ak.pending');
  });

  test('is believed by the deployments that it was enrolled for alone', async () => {
    const other = await CertifiedMachine.make(maker);
    expect(await state(other, 'other')).toBe('trusted');
    await broker.deploy('llm', rules({ anyFromRoots: true }));
    expect(await release(other)).toBe('ak.untrusted');
    expect(await state(other)).toBe('trusted');
    expect(await release(other)).toBe('released');
    await broker.deploy('llm', rules());
  });

  test('is no longer believed when the root is another one, or its CA is revoked', async () => {
    const own = new TpmMaker('Own');
    const other = await CertifiedMachine.make(own);
    await broker.deploy('llm', rules({ roots: [own.rootPem], anyFromRoots: true }));
    expect(await state(other)).toBe('trusted');
    expect(await release(other)).toBe('released');
    await broker.deploy('llm', rules({ anyFromRoots: true }));
    expect(await release(other)).toBe('ak.untrusted');
    await broker.deploy('llm', rules({ roots: [own.rootPem], anyFromRoots: true }));
    expect(await release(other)).toBe('released');
    const identity = `ek/${other.ekSpkiSha256}`;
    await broker.context.store.change(async (change) => {
      await change.append('endorsement.revoked', { actor: 'test', identity });
      await change.revocations.add(identity);
    });
    expect(await release(other)).toBe('ak.revoked');
    await broker.deploy('llm', rules());
  });
});

/** What went wrong elsewhere: the key that was proved, and the key that signs, were not held to be the same one. */
describe('an AK that is exchanged', () => {
  test('between enrolment and activation is not enrolled: only the one asked for is', async () => {
    await broker.deploy('llm', rules({ anyFromRoots: true }));
    const asked = await CertifiedMachine.make(maker);
    const exchanged = await asked.withNewAk();
    const view = valueOf(await broker.broker.enrol(asked.request('llm')));
    await expect(exchanged.secretOf(view)).rejects.toThrow('TPM_RC');
    const proof = { enrolment: view.enrolment, secret: await asked.secretOf(view) };
    expect(valueOf(await broker.broker.activateEnrolment(proof)).answer.attester.ak_spki_sha256).toBe(
      asked.akSpkiSha256,
    );
    expect(await release(exchanged)).toBe('ak.untrusted');
    expect(await release(asked)).toBe('released');
  });

  test('between activation and release is refused, under its own name and under that of the enrolled one', async () => {
    const enrolled = await CertifiedMachine.make(maker);
    valueOf(await enrolled.enrol(broker.broker, 'llm'));
    const exchanged = await enrolled.withNewAk();
    expect(await release(exchanged)).toBe('ak.untrusted');
    const { request } = await broker.request(exchanged.attester, LLM);
    const { tpm } = request.evidence;
    const claimed = { ...tpm, ak: enrolled.attester.ak.tpm2bPublic.toString('base64url') };
    expect(reasonOf(await broker.broker.release({ ...request, evidence: { tpm: claimed } }))).toBe('quote.signature');
  });

  test('for its own key with other attributes is refused: the Name must be the one that was proved', async () => {
    const enrolled = await CertifiedMachine.make(maker);
    valueOf(await enrolled.enrol(broker.broker, 'llm'));
    const { request } = await broker.request(enrolled.attester, LLM);
    const area = Buffer.from(enrolled.attester.ak.publicArea);
    area.writeUInt32BE(area.readUInt32BE(4) ^ 0x400, 4);
    const renamed = { ...request.evidence.tpm, ak: area.toString('base64url') };
    expect(reasonOf(await broker.broker.release({ ...request, evidence: { tpm: renamed } }))).toBe('ak.untrusted');
    expect(reasonOf(await broker.broker.release(request))).toBe('released');
  });
});
