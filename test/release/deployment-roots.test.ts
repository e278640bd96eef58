import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createSimulatorCa } from '../../src/simulator/ca.js';
import { pem } from '../helpers/pki.js';
import { CertifiedMachine, TpmMaker } from '../helpers/tpm-maker.js';
import { ADMIN, deploymentDocument, TestBroker } from '../helpers/test-broker.js';

const maker = new TpmMaker();
const brokers: TestBroker[] = [];
let leafPem: string;
let simulatorPem: string;

beforeAll(async () => {
  const [leaf = Buffer.alloc(0)] = (await CertifiedMachine.make(maker)).certificates;
  leafPem = pem(leaf);
  simulatorPem = (await createSimulatorCa()).certificatePem;
  brokers.push(await TestBroker.start(), await TestBroker.start({ profile: 'production' }));
});
afterAll(async () => {
  for (const broker of brokers) await broker.close();
});

async function apply(index: number, attesters: Readonly<Record<string, unknown>>): Promise<string> {
  const outcome = await brokers[index]!.broker.applyDeployment(ADMIN, deploymentDocument('llm', { attesters }), {});
  return outcome.ok ? 'applied' : `${outcome.reason}: ${outcome.detail}`;
}

describe.each([
  ['development', 0],
  ['production', 1],
])('the roots of a deployment in the %s profile', (_, index) => {
  test.each(['ek-certificate', 'ak-certificate'])('must be CAs where %s is believed', async (kind) => {
    const roots = [maker.rootPem, leafPem];
    expect(await apply(index, { trust: [kind], roots })).toBe(
      'request.malformed: /attesters/roots: certificate 2 of the trust anchors: not a CA certificate',
    );
    expect(await apply(index, { trust: ['pinned', kind], roots: [maker.rootPem] })).toBe('applied');
    expect(await apply(index, { trust: [kind], roots: [] })).toBe('applied');
  });

  test('are not looked at where no certificate is believed', async () => {
    expect(await apply(index, { trust: ['pinned'], roots: [leafPem] })).toBe('applied');
  });

  test('may be of a simulator in development alone', async () => {
    const outcome = await apply(index, { trust: ['ek-certificate'], roots: [maker.rootPem, simulatorPem] });
    expect(outcome.split(':')[0]).toBe(index === 0 ? 'applied' : 'deployment.simulator_trust');
  });
});
