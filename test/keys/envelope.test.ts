import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SealedBoxError } from '../../src/crypto/aead.js';
import { openKey, resealKey, sealKey, type SealedKey } from '../../src/keys/envelope.js';
import { associatedData, type KeyIdentity } from '../../src/keys/identity.js';
import { KekError, type KekProvider } from '../../src/keys/kek.js';
import { flipBit, temporaryKeks } from './fixtures.js';

const identity: KeyIdentity = { broker: 'b1', key: 'weights', version: '0'.repeat(32), kty: 'oct' };
const other: KeyIdentity = { broker: 'b2', key: 'lora', version: '1'.repeat(32), kty: 'RSA' };
const plaintext = Buffer.from('{"k":"c2VjcmV0","kty":"oct"}');

let keks: KekProvider;
let remove: () => void;
beforeAll(async () => ({ keks, remove } = await temporaryKeks()));
afterAll(() => remove());

async function refusal(sealed: SealedKey, as: KeyIdentity = identity): Promise<unknown> {
  return openKey(keks, as, sealed).then(
    () => 'opened',
    (error: unknown) => error,
  );
}

function isRefusal(error: unknown): boolean {
  return error instanceof KekError || error instanceof SealedBoxError;
}

describe('a sealed key', () => {
  test('opens under its own identity, whatever its size', async () => {
    for (const bytes of [0, 1, 32, 90_000]) {
      const secret = randomBytes(bytes);
      expect(await openKey(keks, identity, await sealKey(keks, identity, secret, randomBytes))).toEqual(secret);
    }
  });

  test('holds no byte of the plaintext and never looks the same twice', async () => {
    const one = await sealKey(keks, identity, plaintext, randomBytes);
    const two = await sealKey(keks, identity, plaintext, randomBytes);
    expect(one.wrappedDek.equals(two.wrappedDek)).toBe(false);
    expect(one.ciphertext.equals(two.ciphertext)).toBe(false);
    expect(one.ciphertext.includes('c2VjcmV0')).toBe(false);
    expect(one.kek).toBe(keks.activeId());
  });

  test.each(['broker', 'key', 'version', 'kty'] as const)('does not open under another %s', async (member) => {
    const sealed = await sealKey(keks, identity, plaintext, randomBytes);
    expect(await refusal(sealed, { ...identity, [member]: other[member] })).toBeInstanceOf(KekError);
    expect(await refusal(sealed, { ...identity, [member]: '' })).toBeInstanceOf(KekError);
  });

  test('does not open with any column of another row', async () => {
    const mine = await sealKey(keks, identity, plaintext, randomBytes);
    const theirs = await sealKey(keks, other, plaintext, randomBytes);
    expect(await refusal({ ...mine, wrappedDek: theirs.wrappedDek })).toBeInstanceOf(KekError);
    expect(await refusal({ ...mine, ciphertext: theirs.ciphertext })).toBeInstanceOf(SealedBoxError);
    expect(await refusal(theirs)).toBeInstanceOf(KekError);
    // Within one key too: the data key of one sealing does not fit the ciphertext of another.
    const again = await sealKey(keks, identity, plaintext, randomBytes);
    expect(await refusal({ ...mine, ciphertext: again.ciphertext })).toBeInstanceOf(SealedBoxError);
    expect(await refusal({ ...mine, wrappedDek: again.wrappedDek })).toBeInstanceOf(SealedBoxError);
  });

  test('does not open under another KEK of the same file', async () => {
    const before = await sealKey(keks, identity, plaintext, randomBytes);
    const { kek } = await keks.rotate();
    expect(await refusal({ ...before, kek })).toBeInstanceOf(KekError);
    expect(await refusal({ ...before, kek: '0000000000000000' })).toBeInstanceOf(KekError);
    expect(await openKey(keks, identity, before)).toEqual(plaintext);
  });

  test('does not open after any bit of it was flipped', async () => {
    const sealed = await sealKey(keks, identity, plaintext, randomBytes);
    for (let bit = 0; bit < sealed.wrappedDek.length * 8; bit++) {
      expect(await refusal({ ...sealed, wrappedDek: flipBit(sealed.wrappedDek, bit) })).toBeInstanceOf(KekError);
    }
    for (let bit = 0; bit < sealed.ciphertext.length * 8; bit++) {
      expect(await refusal({ ...sealed, ciphertext: flipBit(sealed.ciphertext, bit) })).toBeInstanceOf(SealedBoxError);
    }
  });

  test('does not open when cut short, nor with bytes behind', async () => {
    const sealed = await sealKey(keks, identity, plaintext, randomBytes);
    for (let end = 0; end < sealed.wrappedDek.length; end++) {
      expect(isRefusal(await refusal({ ...sealed, wrappedDek: sealed.wrappedDek.subarray(0, end) }))).toBe(true);
    }
    for (let end = 0; end < sealed.ciphertext.length; end++) {
      expect(isRefusal(await refusal({ ...sealed, ciphertext: sealed.ciphertext.subarray(0, end) }))).toBe(true);
    }
    const longer = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)]);
    expect(isRefusal(await refusal({ ...sealed, wrappedDek: longer(sealed.wrappedDek) }))).toBe(true);
    expect(isRefusal(await refusal({ ...sealed, ciphertext: longer(sealed.ciphertext) }))).toBe(true);
  });

  test('cannot have its levels exchanged: their associated data differ', () => {
    const kek = 'k';
    const levels = ['portcullis/data-key/v1', 'portcullis/key-material/v1'] as const;
    expect(levels.map((level) => associatedData(identity, level, kek).toString())).toEqual(
      levels.map(
        (purpose) =>
          `{"broker":"b1","kek":"k","key":"weights","kty":"oct","owner":"default","purpose":"${purpose}","version":"${'0'.repeat(32)}"}`,
      ),
    );
  });

  test('whose data key has another length than 32 bytes does not open', async () => {
    const kek = keks.activeId();
    const { wrapped } = await keks.wrap(Buffer.alloc(16, 1), associatedData(identity, 'portcullis/data-key/v1', kek));
    expect(await refusal({ kek, wrappedDek: wrapped, ciphertext: Buffer.alloc(64) })).toBeInstanceOf(KekError);
  });
});

describe('sealing again', () => {
  test('moves the key under the active KEK and a fresh data key', async () => {
    const before = await sealKey(keks, identity, plaintext, randomBytes);
    const { kek } = await keks.rotate();
    const after = await resealKey(keks, identity, before, randomBytes);
    expect(after.kek).toBe(kek);
    await keks.retire([]);
    expect(await refusal(before)).toBeInstanceOf(KekError);
    expect(await openKey(keks, identity, after)).toEqual(plaintext);
  });

  test('is refused for another identity', async () => {
    const sealed = await sealKey(keks, identity, plaintext, randomBytes);
    await expect(resealKey(keks, other, sealed, randomBytes)).rejects.toThrow(KekError);
  });
});

describe('while another process rotates', () => {
  /** The real provider behind a port that says it is one rotation behind for so many calls. */
  function lagging(calls: number): KekProvider {
    let left = calls;
    return {
      activeId: () => (left-- > 0 ? '00000000000000aa' : keks.activeId()),
      wrap: (secret, aad) => keks.wrap(secret, aad),
      unwrap: (kek, wrapped, aad) => keks.unwrap(kek, wrapped, aad),
      holds: (kek) => keks.holds(kek),
      rotate: () => keks.rotate(),
      retire: (keep) => keks.retire(keep),
    };
  }

  test('a key is sealed under the KEK that it names', async () => {
    const sealed = await sealKey(lagging(1), identity, plaintext, randomBytes);
    expect(await openKey(keks, identity, sealed)).toEqual(plaintext);
  });

  test('sealing gives up rather than name a wrong KEK', async () => {
    await expect(sealKey(lagging(100), identity, plaintext, randomBytes)).rejects.toThrow(KekError);
  });
});

test('data keys are zeroised after sealing, also when wrapping fails', async () => {
  const handedOut: Buffer[] = [];
  const random = (bytes: number) => {
    const buffer = randomBytes(bytes);
    handedOut.push(buffer);
    return buffer;
  };
  const broken: KekProvider = { ...keks, activeId: keks.activeId, wrap: () => Promise.reject(new KekError('gone')) };
  await sealKey(keks, identity, plaintext, random);
  await expect(sealKey(broken, identity, plaintext, random)).rejects.toThrow('gone');
  const dataKeys = handedOut.filter((buffer) => buffer.length === 32);
  expect(dataKeys).toEqual([Buffer.alloc(32), Buffer.alloc(32)]);
});
