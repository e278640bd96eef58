/** Evidence is verified by the rules of a deployment, which an administrator may make stricter at that very moment. */
import { afterEach, describe, expect, test } from '@jest/globals';
import type { ReleaseQuery, Store } from '../../src/release/store.js';
import { bootedMachine, deploymentDocument } from '../helpers/test-broker.js';
import {
  byReport,
  graphics,
  HardwareWorld,
  KNOWN,
  type Machine,
  MEASUREMENT,
  processor,
  type Sending,
} from './hardware-world.js';

/** ABI 0.31, SMT, what is always one, DEBUG. */
const DEBUGGED = { ...KNOWN, policy: 0x3001fn | (1n << 19n) };
const strict = { attesters: byReport({ measurement: MEASUREMENT }) };
const { platform } = deploymentDocument('d');
/** The guest may be debugged by its host. */
const loose = { ...strict, platform: { ...(platform as object), snp: { debug: true } } };

const withGpu = (machine: Machine): Sending => {
  const { plain } = processor(DEBUGGED);
  return async (base, pcrs) => {
    const { extraData, gpus } = graphics(base);
    return { tpm: await machine.evidence(extraData, pcrs), ...plain(base, machine), gpus };
  };
};

const withoutGpu = (machine: Machine): Sending => {
  const { plain } = processor(DEBUGGED);
  return async (base, pcrs) => ({ tpm: await machine.evidence(base, pcrs), ...plain(base, machine) });
};

let world: HardwareWorld | undefined;
afterEach(() => world?.close());

/** A broker where `change` is made before the facts are read for the nth time with what may have been revoked; how often they were. */
async function changing(nth: number, change: () => Promise<void>) {
  let reads = 0;
  const started = await HardwareWorld.start(({ store }) => {
    const get = (_: Store, name: keyof Store): unknown =>
      name === 'releaseFacts'
        ? async (query: ReleaseQuery) => {
            if (query.identities !== undefined && ++reads === nth) await change();
            return store.releaseFacts(query);
          }
        : (store[name] as () => unknown).bind(store);
    return { store: new Proxy(store, { get: get as never }) };
  });
  world = started;
  await started.prepare(loose);
  return { started, reads: () => reads };
}

describe('a debugged guest, where the deployment stops accepting such', () => {
  test.each([
    ['after the report was verified', 1, withoutGpu],
    ['after the report was verified, and before its GPU was', 1, withGpu],
    ['after its GPU was verified too', 2, withGpu],
  ])('%s, draws nothing', async (_when, nth, sends) => {
    const evidence = sends(await bootedMachine());
    const { started, reads } = await changing(nth, () => started.deploy(strict));
    expect(await started.release(evidence)).toMatchObject({ ok: false, reason: 'snp.debug' });
    // Else the change would not have been made.
    expect(reads()).toBeGreaterThanOrEqual(nth);
    expect(await started.releases()).toBe(0);
  });

  test.each([
    ['a GPU', withGpu],
    ['no GPU', withoutGpu],
  ])('draws its key with %s until then', async (_what, sends) => {
    const { started } = await changing(Infinity, () => Promise.reject(new Error('never')));
    expect(await started.outcome(sends(await bootedMachine()))).toBe('released');
    expect(await started.releases()).toBe(1);
  });
});

describe('a change that says nothing of the guest', () => {
  test.each([
    ['after its report was verified', 1],
    ['after its GPU was verified', 2],
  ])('%s, keeps it from nothing', async (_when, nth) => {
    const evidence = withGpu(await bootedMachine());
    const same = { ...loose, metadata: { name: 'd', description: 'anew' } };
    const { started, reads } = await changing(nth, () => started.deploy(same));
    expect(await started.outcome(evidence)).toBe('released');
    expect(reads()).toBeGreaterThanOrEqual(nth);
    expect(await started.releases()).toBe(1);
  });
});
