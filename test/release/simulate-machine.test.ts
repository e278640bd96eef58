import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createSimulatorCa } from '../../src/simulator/ca.js';
import type { SimulatedAk } from '../../src/simulator/ak.js';
import type { SimulatedEk } from '../../src/simulator/ek.js';
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
