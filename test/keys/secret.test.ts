import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KekError, type KekProvider } from '../../src/keys/kek.js';
import { openSecret, sealSecret, type SecretIdentity } from '../../src/keys/secret.js';
import { flipBit, temporaryKeks } from './fixtures.js';

const identity: SecretIdentity = {
  broker: 'b1',
  profile: 'production',
  purpose: 'root-secret',
  bound: { log: 'origin' },
};
const secret = randomBytes(32);

let keks: KekProvider;
let remove: () => void;
beforeAll(async () => ({ keks, remove } = await temporaryKeks()));
afterAll(() => remove());

test('a secret of the broker opens for its own identity, also after a rotation', async () => {
  const sealed = await sealSecret(keks, identity, secret);
  await keks.rotate();
  expect(await openSecret(keks, identity, sealed)).toEqual(secret);
});

test('a secret of the broker does not open for anything else', async () => {
  const sealed = await sealSecret(keks, identity, secret);
  const { bound, ...unbound } = identity;
  const others: SecretIdentity[] = [
    { ...identity, broker: 'b2' },
    { ...identity, profile: 'development' },
    { ...identity, purpose: 'log-key' },
    { ...identity, bound: { ...bound, log: 'other' } },
    unbound,
  ];
  for (const as of others) await expect(openSecret(keks, as, sealed)).rejects.toThrow(KekError);
  for (let bit = 0; bit < sealed.wrapped.length * 8; bit++) {
    await expect(openSecret(keks, identity, { ...sealed, wrapped: flipBit(sealed.wrapped, bit) })).rejects.toThrow(
      KekError,
    );
  }
  const { kek } = await keks.rotate();
  await expect(openSecret(keks, identity, { ...sealed, kek })).rejects.toThrow(KekError);
});
