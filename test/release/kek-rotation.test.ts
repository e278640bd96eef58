import { copyFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { KekProvider } from '../../src/keys/kek.js';
import { openKekFile } from '../../src/keystore/file-kek.js';
import type { BrokerContext } from '../../src/release/context.js';
import { rotateKek } from '../../src/release/kek-rotation.js';
import { acceptRollback } from '../../src/release/rollback.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ADMIN, bootedMachine, released, TestBroker, valueOf } from '../helpers/test-broker.js';

const KEYS = ['first', 'second', 'third'];
let broker: TestBroker;
let machine: SimulatorAttester;

beforeEach(async () => {
  broker = await TestBroker.start();
  machine = await bootedMachine();
  await broker.deploy('llm');
  await broker.pin(machine, 'llm');
  for (const name of KEYS) await broker.key(name, 'llm');
});

afterEach(() => broker.close());

const here = () => `${broker.dataDir}/kek.json`;
const there = () => `${broker.dataDir}-replica-kek.json`;
const record = async () => broker.context.store.broker();

/** The same KEKs; `meanwhile` happens behind the Nth wrapping, which is between reading and storing. */
function interrupted(keks: KekProvider, at: number, meanwhile: () => Promise<unknown>): KekProvider {
  let wrappings = 0;
  return {
    activeId: keks.activeId,
    wrap: async (plaintext, associatedData) => {
      const wrapped = await keks.wrap(plaintext, associatedData);
      if (++wrappings === at) await meanwhile();
      return wrapped;
    },
    unwrap: (...all) => keks.unwrap(...all),
    holds: (kek) => keks.holds(kek),
    rotate: () => keks.rotate(),
    retire: (keep) => keks.retire(keep),
  };
}

/** A replica with a kek.json of its own. */
async function replica(change: (keks: KekProvider) => KekProvider = (keks) => keks): Promise<BrokerContext> {
  copyFileSync(here(), there());
  return { ...broker.context, keks: change(await openKekFile(there())) };
}

/** Under the kek.json of the broker, after a restart. */
async function expectAllDrawn(): Promise<void> {
  await broker.restart();
  for (const key of KEYS) released(await broker.release(machine, { deployment: 'llm', key }));
}

describe('a rotation of the KEK that overlaps', () => {
  test('one at a replica with another kek.json is refused, and leaves all under the KEK of the first', async () => {
    const other = await replica((keks) => interrupted(keks, 2, () => broker.broker.rotateKek(ADMIN)));
    await expect(rotateKek(other, ADMIN)).rejects.toThrow('copy its kek.json here');
    expect((await record())?.kek).toBe(broker.context.keks.activeId());
    await expectAllDrawn();
  });

  test('one over the same kek.json is refused, and can be done again', async () => {
    const keks = interrupted(broker.context.keks, 2, () => broker.broker.rotateKek(ADMIN));
    await expect(rotateKek({ ...broker.context, keks }, ADMIN)).rejects.toMatchObject({
      name: 'KekError',
      message: expect.stringContaining('at the same time') as unknown,
    });
    await expectAllDrawn();
    valueOf(await rotateKek(broker.context, ADMIN));
    expect((await record())?.kek).toBe(broker.context.keks.activeId());
    await expectAllDrawn();
  });

  test('an accepted rollback leaves the new log as it is', async () => {
    let logKey = '';
    const keks = interrupted(broker.context.keks, 2, async () => {
      ({ logKey } = await acceptRollback(broker.context, { reason: 'a test' }));
    });
    const rotation = rotateKek({ ...broker.context, keks }, ADMIN);
    await expect(rotation).rejects.toThrow('at the same time');
    await broker.restart();
    expect(broker.context.logKey).toBe(logKey);
  });

  test('another one, begun with its new KEK, re-wraps no key under one that the other may lack', async () => {
    const first = await replica();
    const late = await replica((keks) =>
      // The broker's own two secrets are stored by then; the keys come next.
      interrupted(keks, 3, async () => {
        copyFileSync(there(), here());
        valueOf(await rotateKek({ ...first, keks: await openKekFile(here()) }, ADMIN));
      }),
    );
    await expect(rotateKek(late, ADMIN)).rejects.toThrow('copy its kek.json here');
    await expectAllDrawn();
  });
});

test('a rotation with a kek.json of before makes no KEK', async () => {
  const late = await replica();
  valueOf(await broker.broker.rotateKek(ADMIN));
  const before = late.keks.activeId();
  await expect(rotateKek(late, ADMIN)).rejects.toThrow('copy its kek.json here');
  expect((await openKekFile(there())).activeId()).toBe(before);
});

describe('a rollback that is accepted while the KEK is rotated', () => {
  test.each([
    ['with the same kek.json', (keks: KekProvider) => Promise.resolve(keks), 'at the same time'],
    [
      'at a replica with another one',
      async () => {
        copyFileSync(here(), there());
        return openKekFile(there());
      },
      'copy its kek.json here',
    ],
  ])('%s is refused, and changes nothing', async (_, keksOf, message) => {
    const { store, random } = broker.context;
    const keks = interrupted(await keksOf(broker.context.keks), 2, () => broker.broker.rotateKek(ADMIN));
    const before = await store.logHead();
    await expect(acceptRollback({ store, keks, random }, { reason: 'a test' })).rejects.toThrow(message);
    expect((await store.logHead()).origin).toBe(before.origin);
    expect((await record())?.kek).toBe(broker.context.keks.activeId());
    await expectAllDrawn();
  });
});
