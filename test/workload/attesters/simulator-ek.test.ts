import { randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from '@jest/globals';
import { makeCredential, type ProtectedCredential } from '../../../src/evidence/tpm/credential.js';
import { parseEk } from '../../../src/evidence/tpm/ek.js';
import { SimulatedTpm } from '../../../src/simulator/vtpm.js';
import type { EkMember } from '../../../src/workload/attester.js';
import { SimulatorAttester } from '../../../src/workload/attesters/simulator.js';
import { AttesterError } from '../../../src/workload/errors.js';

const credential = randomBytes(32);
const certificate = (byte: number) => Buffer.from([0x30, byte]);
let attester: SimulatorAttester;
beforeAll(async () => {
  const tpm = new SimulatedTpm();
  attester = new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256' }));
  tpm.storeEkCertificate('ecc384', certificate(1));
  tpm.storeEkCertificate('ecc256', certificate(2));
});

function madeFor({ tpm2bPublic }: EkMember, akName = attester.ak.name): ProtectedCredential {
  const ek = parseEk(tpm2bPublic);
  if (!ek.ok) throw new Error(ek.detail);
  return makeCredential({ ek: ek.value, akName, credential }, randomBytes);
}

test('the EK is the one that has a certificate: the first, or the one that is asked for', async () => {
  const first = await attester.ek();
  expect(first.certificates).toEqual([certificate(1)]);
  expect(first.tpm2bPublic).toEqual((await attester.tpm.ek('ecc384')).tpm2bPublic);
  const other = await attester.ek('ecc256');
  expect(other.certificates).toEqual([certificate(2)]);
  expect(other.tpm2bPublic).toEqual((await attester.tpm.ek('ecc256')).tpm2bPublic);
  await expect(attester.ek('rsa2048')).rejects.toThrow('of rsa2048');
  const bare = new SimulatorAttester(new SimulatedTpm(), attester.ak);
  await expect(bare.ek()).rejects.toThrow(AttesterError);
});

test('the AK is the one that makes the evidence', async () => {
  const { ak } = await attester.evidence(Buffer.alloc(32), { sha256: [8] });
  expect((await attester.readAkPublic()).toString('base64url')).toBe(ak);
});

test('a credential is activated with either EK', async () => {
  for (const algorithm of ['ecc256', 'ecc384'] as const) {
    const ek = await attester.ek(algorithm);
    expect(await attester.activateCredential(ek, madeFor(ek))).toEqual(credential);
  }
});

test('a credential for another AK, for another EK, or of another TPM is refused', async () => {
  const ek = await attester.ek('ecc256');
  const another = Buffer.concat([Buffer.of(0, 0x0b), randomBytes(32)]);
  await expect(attester.activateCredential(ek, madeFor(ek, another))).rejects.toThrow('TPM_RC_INTEGRITY');
  const big = await attester.ek('ecc384');
  await expect(attester.activateCredential(ek, madeFor(big))).rejects.toThrow(AttesterError);
  const stranger = await new SimulatedTpm().ek('ecc256');
  const foreign = { tpm2bPublic: stranger.tpm2bPublic, certificates: [] };
  await expect(attester.activateCredential(foreign, madeFor(foreign))).rejects.toThrow('not of this simulated TPM');
});
