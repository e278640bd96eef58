import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createSimulatorCa } from '../../src/simulator/ca.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import type { SimulatedMachineRequest } from '../../src/release/views.js';
import type { SimulatedAk } from '../../src/simulator/ak.js';
import type { SimulatedEk } from '../../src/simulator/ek.js';
import { derivedKey } from '../../src/simulator/certificate.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { TestBroker, valueOf } from '../helpers/test-broker.js';

let broker: TestBroker;
let ca: string;
let ak: SimulatedAk;
let ek: SimulatedEk;
beforeAll(async () => {
  broker = await TestBroker.start();
  ca = readFileSync(join(broker.dataDir, 'simulator-ca.pem'), 'utf8');
  const other = (await createSimulatorCa()).certificatePem;
  await broker.deploy('simulated', { attesters: { trust: ['simulator'] } });
  await broker.deploy('enrolling', { attesters: { trust: ['ek-certificate'], roots: [other, ca] } });
  await broker.deploy('both', { attesters: { trust: ['simulator', 'ek-certificate'], roots: [ca] } });
  await broker.deploy('strangers', { attesters: { trust: ['ek-certificate'], roots: [other] } });
  await broker.deploy('by-ak', { attesters: { trust: ['ak-certificate'], roots: [ca] } });
  const tpm = new SimulatedTpm();
  ak = await tpm.createAk({ scheme: 'ecdsa-p256' });
  ek = await tpm.ek('ecc256');
});
afterAll(() => broker.close());

function machine(deployment: string, keys: { readonly ek?: string } = { ek: ek.tpm2bPublic.toString('base64url') }) {
  const simulate = broker.broker.simulateMachine;
  if (simulate === undefined) throw new Error('a development broker');
  return simulate({ deployment, ak: ak.tpm2bPublic.toString('base64url'), ...keys });
}

describe('a simulated machine', () => {
  test('has its EK certified where the simulator CA is a root: a leaf for this key, by that CA', async () => {
    const view = valueOf(await machine('enrolling'));
    const [leaf, above] = (view.ek_certificates ?? []).map(
      (text) => new X509Certificate(Buffer.from(text, 'base64url')),
    );
    expect(above!.toString()).toBe(new X509Certificate(ca).toString());
    expect(leaf!.publicKey.export({ type: 'spki', format: 'der' })).toEqual(ek.spki);
    expect(leaf!.keyUsage).toEqual(['2.23.133.8.1']);
    expect(leaf!.verify(above!.publicKey)).toBe(true);
    expect(view.ak_certificates).toEqual([]);
    expect(view.policy.pcr).toBe(8);
  });

  test('has AK, EK or both certified, as the deployment trusts them', async () => {
    const simulated = valueOf(await machine('simulated'));
    expect(simulated.ak_certificates).toHaveLength(2);
    expect(simulated).not.toHaveProperty('ek_certificates');
    const both = valueOf(await machine('both'));
    expect([both.ak_certificates.length, both.ek_certificates?.length]).toEqual([2, 2]);
  });

  test('that sends no EK has none certified', async () => {
    expect(valueOf(await machine('enrolling', {}))).not.toHaveProperty('ek_certificates');
  });

  test.each(['strangers', 'by-ak'])('is nothing to a deployment that follows no EK to the CA: %s', async (name) => {
    expect(await machine(name)).toMatchObject({
      ok: false,
      reason: 'resource.state',
      detail: expect.stringContaining('simulator-ca.pem'),
    });
  });

  test.each([
    ['that is not base64url', '=', 'request.malformed'],
    ['of no bytes', '', 'evidence.malformed'],
    ['that is an AK', undefined, 'evidence.malformed'],
  ])('is refused with an EK %s', async (_what, text, reason) => {
    const given = { ek: text ?? ak.tpm2bPublic.toString('base64url') };
    expect(await machine('enrolling', given)).toMatchObject({ ok: false, reason });
  });
});

describe('a simulated machine with a confidential VM', () => {
  const MEASUREMENT = 'c5'.repeat(48);
  const ID_KEY = '1d'.repeat(48);
  const seed = Buffer.alloc(32, 5);
  const p384 = derivedKey(seed, 'chip', 'P-384').spki;
  const p256 = derivedKey(seed, 'platform', 'P-256').spki;
  const snp = { kind: 'snp', key: p384.toString('base64url'), chip_id: 'ab'.repeat(64), tcb: { snp: 24 } } as const;
  const tdx = { kind: 'hcl-tdx', key: p256.toString('base64url'), ppid: 'cd'.repeat(16) } as const;
  const gpu = { key: p384.toString('base64url'), pdi: '0123456789abcdef' };

  beforeAll(async () => {
    const cvm = [{ idKeyDigest: ID_KEY, vmpl: 1 }, { measurement: MEASUREMENT }];
    const attesters = { trust: ['cvm-report', 'simulator'], allow: { cvm } };
    await broker.deploy('cvm', { attesters });
    const fields = { attesters, platform: {} };
    await broker.deploy('host-data', { ...fields, measurement: { source: 'snp.host_data', bank: 'sha384' } });
    await broker.deploy('config-id', { ...fields, measurement: { source: 'tdx.mrconfigid' } });
  });

  function simulate(request: SimulatedMachineRequest) {
    const use = broker.broker.simulateMachine;
    if (use === undefined) throw new Error('a development broker');
    return use(request);
  }

  function leafOf(certificates: readonly string[] | undefined) {
    return parseCertificate(Buffer.from(certificates?.[0] ?? '', 'base64url'));
  }

  test('has its processor and GPUs certified, and is told the first rule that is for its kind', async () => {
    const view = valueOf(
      await simulate({ deployment: 'cvm', ak: ak.tpm2bPublic.toString('base64url'), cvm: snp, gpus: [gpu] }),
    );
    expect(leafOf(view.cvm?.certificates).spki).toEqual(p384);
    expect(view.cvm).toMatchObject({ id_key_digest: ID_KEY, vmpl: 1 });
    expect(view.cvm).not.toHaveProperty('measurement');
    expect(leafOf(view.gpus?.[0]?.certificates).spki).toEqual(p384);
    const { cvm } = valueOf(await simulate({ deployment: 'cvm', cvm: tdx }));
    expect(leafOf(cvm?.certificates).spki).toEqual(p256);
    expect(cvm).toMatchObject({ measurement: MEASUREMENT, vmpl: 0 });
    expect(cvm).not.toHaveProperty('id_key_digest');
  });

  test('has no AK certificate where its report has to vouch for the AK, nor where it has no TPM', async () => {
    const named = ak.tpm2bPublic.toString('base64url');
    expect(valueOf(await simulate({ deployment: 'cvm', ak: named, cvm: snp })).ak_certificates).toEqual([]);
    expect(valueOf(await simulate({ deployment: 'cvm', ak: named })).ak_certificates).toHaveLength(2);
    expect(valueOf(await simulate({ deployment: 'simulated', ak: named, cvm: snp })).ak_certificates).toHaveLength(2);
    expect(valueOf(await simulate({ deployment: 'simulated', cvm: snp })).ak_certificates).toEqual([]);
  });

  test('is told the policy where it is measured at launch: cut to HOST_DATA, filled up for MRCONFIGID', async () => {
    const hosted = valueOf(await simulate({ deployment: 'host-data', cvm: snp }));
    expect(hosted.policy).toMatchObject({ source: 'snp.host_data', bank: 'sha384' });
    expect(hosted.cvm?.host_data).toBe(hosted.policy.digest.slice(0, 64));
    const configured = valueOf(await simulate({ deployment: 'config-id', cvm: tdx }));
    expect(configured.cvm?.mr_config_id).toBe(configured.policy.digest + '00'.repeat(16));
    for (const view of [
      valueOf(await simulate({ deployment: 'host-data', cvm: tdx })),
      valueOf(await simulate({ deployment: 'config-id', cvm: snp })),
      valueOf(await simulate({ deployment: 'cvm', cvm: snp })),
    ]) {
      expect(view.cvm).not.toHaveProperty('host_data');
      expect(view.cvm).not.toHaveProperty('mr_config_id');
    }
  });

  test('is nothing to a deployment that trusts no simulator, though it follows an EK to its CA', async () => {
    for (const parts of [{ cvm: snp }, { gpus: [gpu] }]) {
      expect(await simulate({ deployment: 'enrolling', ...parts })).toMatchObject({
        ok: false,
        reason: 'resource.state',
      });
    }
  });

  test.each([
    ['a key that is no base64url', { cvm: { ...snp, key: '=' } }],
    ['a key that is none', { cvm: { ...snp, key: 'AAAA' } }],
    ['a chip key of another curve', { cvm: { ...snp, key: p256.toString('base64url') } }],
    ['a platform key of another curve', { cvm: { ...tdx, key: p384.toString('base64url') } }],
    ['no chip', { cvm: { kind: 'hcl-snp', key: snp.key } as const }],
    ['no platform', { cvm: { kind: 'tdx', key: tdx.key } as const }],
    ['a boot ROM of another curve', { gpus: [gpu, { ...gpu, key: p256.toString('base64url') }] }],
  ])('is refused with %s', async (_what, parts) => {
    expect(await simulate({ deployment: 'cvm', ...parts })).toMatchObject({ ok: false, reason: 'request.malformed' });
  });
});
