import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { releaseBinding } from '../../src/challenge/binding.js';
import type { ReleaseRequest } from '../../src/release/broker.js';
import type { SimulatedMachineRequest } from '../../src/release/views.js';
import { bootSimulatedMachine } from '../../src/workload/attesters/simulated-boot.js';
import { SIMULATED_CVM_KINDS } from '../../src/workload/attesters/simulated-cvm-kinds.js';
import { gatherEvidence } from '../../src/workload/gather-evidence.js';
import { createRecipient } from '../../src/workload/recipient.js';
import type { Transport } from '../../src/workload/transport.js';
import { released, TestBroker, valueOf } from '../helpers/test-broker.js';

const MEASUREMENT = 'c5'.repeat(48);
const ASKED = { deployment: 'hardware', key: 'weights' };

let broker: TestBroker;
beforeAll(async () => {
  broker = await TestBroker.start({ archiveEvidence: true });
  const attesters = { trust: ['cvm-report', 'simulator'], allow: { cvm: [{ measurement: MEASUREMENT }] } };
  await broker.deploy('hardware', { attesters });
  await broker.key('weights', 'hardware');
});
afterAll(() => broker.close());

/** The one call of a machine that starts, without HTTP. */
const transport: Transport = {
  post: async (_path, body) => {
    const view = valueOf(await broker.broker.simulateMachine!(body as unknown as SimulatedMachineRequest));
    return { status: 201, body: Buffer.from(JSON.stringify(view)) };
  },
  get: () => Promise.reject(new Error('nothing was to be fetched')),
  close: () => Promise.resolve(),
};

describe('a release to a confidential VM with a GPU', () => {
  test.each(SIMULATED_CVM_KINDS)('of kind %s is appraised again to the same, with all its claims', async (kind) => {
    const scheme = kind.startsWith('hcl') ? 'rsassa' : 'ecdsa-p256';
    const machine = await bootSimulatedMachine(transport, 'hardware', { scheme, cvm: { kind }, gpus: [{}] });
    const challenge = valueOf(await broker.broker.issueChallenge(ASKED));
    const { nonce, broker: id, version, pcrs } = challenge;
    const { jwk: recipient, thumbprint } = await createRecipient('P-256');
    const base = releaseBinding({ broker: id, ...ASKED, nonce, version, recipient: thumbprint });
    const evidence = await gatherEvidence(machine, base, pcrs);
    const request = { ...ASKED, nonce, recipient, evidence } as ReleaseRequest;
    const { release_id: releaseId } = released(await broker.broker.release(request));
    const replayed = valueOf(await broker.broker.replayRelease(releaseId, {}));
    expect(replayed).toMatchObject({ same: true, differences: [], log: { cvm_measurement: MEASUREMENT, gpus: 1 } });
    const own = kind.endsWith('snp') ? { snp: { measurement: MEASUREMENT } } : { tdx: {} };
    expect(replayed.claims).toMatchObject({ ...own, gpu: { count: 1 }, tpm: { ak: { trust: 'cvm-report' } } });
  });
});
