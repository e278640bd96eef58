/** HOST_DATA is set by whoever launches a VM: only of a VM that a rule is for does it say which policy runs there. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { NeededPcrs } from '../../src/workload/attester.js';
import { bootedMachine } from '../helpers/test-broker.js';
import {
  base64url,
  HardwareWorld,
  HOST_DATA,
  KNOWN,
  type Machine,
  MEASUREMENT,
  processor,
  type Sending,
} from './hardware-world.js';

let world: HardwareWorld;
let machine: Machine;
beforeAll(async () => {
  world = await HardwareWorld.start(undefined, { profile: 'development' });
  machine = await bootedMachine();
  await world.prepare({});
});
afterAll(() => world.close());

/** The AK is one of the simulator, which is believed whatever the VM is. */
const quote = async (base: Buffer, pcrs: NeededPcrs) => ({
  ...(await machine.evidence(base, pcrs)),
  ak_certificates: (world.context.simulator?.certify(machine.ak.spki) ?? []).map(base64url),
});
const sending =
  (measurement: Buffer): Sending =>
  async (base, pcrs) => ({
    tpm: await quote(base, pcrs),
    ...processor({ measurement, hostData: HOST_DATA }).plain(base, machine),
  });
const known = sending(KNOWN.measurement);
const unknown = sending(Buffer.alloc(48, 1));

const rules = (source: string, trust: readonly string[], cvm: readonly object[] = [{ measurement: MEASUREMENT }]) =>
  world.deploy({ measurement: { source }, attesters: { trust, allow: { cvm } } });

describe('where the policy is in HOST_DATA, and the AK is believed by itself', () => {
  test.each([[['simulator']], [['simulator', 'cvm-report']]])(
    'a VM that a rule is for is let in, and no other one: trust %j',
    async (trust) => {
      await rules('snp.host_data', trust);
      expect(await world.outcome(known)).toBe('released');
      const before = await world.releases();
      expect(await world.release(unknown)).toMatchObject({ ok: false, reason: 'ak.untrusted' });
      expect(await world.releases()).toBe(before);
    },
  );

  test('no VM is let in without any rule', async () => {
    await rules('snp.host_data', ['simulator'], []);
    expect(await world.outcome(known)).toBe('ak.untrusted');
  });

  test('no machine is let in without a report', async () => {
    await rules('snp.host_data', ['simulator']);
    const quoteAlone: Sending = async (base, pcrs) => ({ tpm: await quote(base, pcrs) });
    expect(await world.outcome(quoteAlone)).toBe('ak.untrusted');
  });

  test('any VM is let in where the policy is in a PCR instead', async () => {
    await rules('tpm', ['simulator']);
    expect(await world.outcome(unknown)).toBe('released');
  });
});
