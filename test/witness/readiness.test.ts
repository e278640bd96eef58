import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { refusalOfFault, statusOf } from '../../src/http/problem.js';
import { createBroker } from '../../src/release/create-broker.js';
import { UnwitnessedError } from '../../src/release/receipt.js';
import { StoreUnavailableError } from '../../src/release/store.js';
import { TestBroker } from '../helpers/test-broker.js';

let broker: TestBroker;
beforeAll(async () => {
  broker = await TestBroker.start();
});
afterAll(() => broker.close());

const neverAsked = () => Promise.reject(new Error('readiness asks no witness'));
const readiness = (trouble?: () => string | undefined) =>
  createBroker({
    ...broker.context,
    witnesses: { cover: neverAsked, ...(trouble === undefined ? {} : { trouble }) },
  }).ready();

test('a broker is not ready while its quorum is out of reach: log.unwitnessed, 503', async () => {
  const fault: unknown = await readiness(() => 'fewer than 2 of 3 witnesses cosign').catch((error: unknown) => error);
  expect(fault).toBeInstanceOf(UnwitnessedError);
  expect((fault as Error).message).toBe('fewer than 2 of 3 witnesses cosign');
  const { reason } = refusalOfFault(fault);
  expect([reason, statusOf(reason)]).toEqual(['log.unwitnessed', 503]);
});

test('it is ready when the quorum is there, or none is demanded', async () => {
  await expect(readiness(() => undefined)).resolves.toBeUndefined();
  await expect(readiness()).resolves.toBeUndefined();
  await expect(broker.broker.ready()).resolves.toBeUndefined();
});

test('a store that cannot record comes first', async () => {
  const probe = () => Promise.reject(new StoreUnavailableError('the disk is full'));
  const { store } = broker.context;
  const failing = new Proxy(store, {
    get: (of, name) => (name === 'probe' ? probe : Reflect.get(of, name)) as unknown,
  });
  const unwitnessed = createBroker({
    ...broker.context,
    store: failing,
    witnesses: { cover: neverAsked, trouble: () => 'fewer than 1 of 1 witnesses cosign' },
  });
  await expect(unwitnessed.ready()).rejects.toThrow('the disk is full');
});
