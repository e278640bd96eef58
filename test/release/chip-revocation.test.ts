/** A processor that was revoked helps nobody any more, whatever else vouches for the machine, and however its id was written. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { SimulatedGeneration } from '../../src/simulator/makers.js';
import { ADMIN, bootedMachine, deploymentDocument, valueOf } from '../helpers/test-broker.js';
import {
  byReport,
  HardwareWorld,
  KNOWN,
  type Machine,
  MEASUREMENT,
  processor,
  type Sending,
} from './hardware-world.js';

const CSP = 'CN=cc-us-east-2.amazonaws.com';
const { platform } = deploymentDocument('d');
const PLATFORM = { ...(platform as object), snp: { cspIds: [CSP] } };
const BY_REPORT = byReport({ measurement: MEASUREMENT });
const BY_PIN = { trust: ['pinned'] };

let machine: Machine;
beforeAll(async () => {
  machine = await bootedMachine();
});

/** What the chip sends, and its id. */
function chip(generation: SimulatedGeneration, key: 'VCEK' | 'VLEK') {
  const { plain, chipId } = processor(KNOWN, { generation, ...(key === 'VLEK' ? { cspId: CSP } : {}) });
  const send: Sending = async (base, pcrs) => ({ tpm: await machine.evidence(base, pcrs), ...plain(base, machine) });
  return { send, id: (bytes: number) => `chip/${chipId.subarray(0, bytes).toString('hex')}` };
}

describe('a revoked chip', () => {
  let world: HardwareWorld;
  beforeEach(async () => {
    world = await HardwareWorld.start();
  });
  afterEach(() => world.close());

  test.each([
    ['Milan', 'VCEK', 64],
    ['Milan', 'VLEK', 64],
    ['Turin', 'VCEK', 8],
    ['Turin', 'VCEK', 64],
    ['Turin', 'VLEK', 8],
    ['Turin', 'VLEK', 64],
  ] as const)('of %s is refused under a %s, revoked by an id of %i bytes', async (generation, key, bytes) => {
    const { send, id } = chip(generation, key);
    await world.prepare({ platform: PLATFORM, attesters: BY_REPORT });
    expect(await world.outcome(send)).toBe('released');
    valueOf(await world.broker.revokeIdentity(ADMIN, id(bytes)));
    expect(await world.outcome(send)).toBe('ak.revoked');
    expect(await world.releases()).toBe(1);
  });

  test('is refused beside a pinned AK too, and that AK alone is not', async () => {
    const { send, id } = chip('Turin', 'VLEK');
    await world.prepare({ platform: PLATFORM, attesters: BY_PIN }, machine);
    expect(await world.outcome(send)).toBe('released');
    valueOf(await world.broker.revokeIdentity(ADMIN, id(8)));
    expect(await world.outcome(send)).toBe('ak.revoked');
    const quoteAlone: Sending = async (base, pcrs) => ({ tpm: await machine.evidence(base, pcrs) });
    expect(await world.outcome(quoteAlone)).toBe('released');
  });

  test('says nothing of another chip', async () => {
    const { send } = chip('Turin', 'VLEK');
    await world.prepare({ platform: PLATFORM, attesters: BY_REPORT });
    valueOf(await world.broker.revokeIdentity(ADMIN, `chip/${'5a'.repeat(8)}`));
    valueOf(await world.broker.revokeIdentity(ADMIN, chip('Milan', 'VLEK').id(64)));
    expect(await world.outcome(send)).toBe('released');
  });
});
