import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { startHousekeeping } from '../../../src/cli/compose/background.js';
import { SightingRecorder } from '../../../src/release/sightings.js';
import { TestBroker } from '../../helpers/test-broker.js';
import { hash } from '../../store/samples.js';
import { sighting } from '../../store/sightings-contract.js';

let broker: TestBroker;
const reported: string[] = [];
const report = (job: string): void => void reported.push(job);

beforeEach(async () => {
  broker = await TestBroker.start();
  reported.length = 0;
});

afterEach(async () => {
  jest.useRealTimers();
  await broker.close();
});

test('what AKs were seen to be is in the inventory every five seconds, and when housekeeping has stopped', async () => {
  const { context } = broker;
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'performance', 'Date'] });
  const stop = startHousekeeping(context, report);
  context.sightings.note(sighting('first'));
  await jest.advanceTimersByTimeAsync(5000);
  await context.sightings.flush();
  expect(await context.store.sighting(hash('first'))).toBeDefined();
  context.sightings.note(sighting('second'));
  await stop();
  expect(await context.store.sighting(hash('second'))).toBeDefined();
  expect(jest.getTimerCount()).toBe(0);
  expect(reported).toEqual([]);
});

test('an inventory that cannot be written is reported once until it can be again, and does not keep the broker from stopping', async () => {
  const { context } = broker;
  let failing = true;
  const port = {
    noteSightings: () => (failing ? Promise.reject(new Error('the disk is full')) : Promise.resolve([])),
    appendRecord: () => Promise.resolve(),
  };
  const sightings = new SightingRecorder(port, context.clock, context.observer);
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'performance', 'Date'] });
  const stop = startHousekeeping({ ...context, sightings }, report);
  const job = 'take sightings to the inventory';
  sightings.note(sighting('node'));
  for (let each = 0; each < 5; each++) await jest.advanceTimersByTimeAsync(5000);
  expect(reported).toEqual([job]);
  failing = false;
  await jest.advanceTimersByTimeAsync(5000);
  failing = true;
  sightings.note(sighting('node'));
  await stop();
  expect(reported).toEqual([job, job]);
});
