import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { makeSavedTpm, MAX_SAVED_BYTES, restoreTpm } from '../../src/simulator/saved-tpm.js';

const BORN_MS = Date.UTC(2026, 10, 22);

let text: string;
beforeAll(async () => {
  text = await makeSavedTpm('ecdsa-p256', 'ecc256', BORN_MS);
});

function restored(saved: unknown, nowMs = BORN_MS) {
  return restoreTpm(Buffer.from(typeof saved === 'string' ? saved : JSON.stringify(saved)), nowMs);
}

test('a saved TPM has the same AK and EK whenever it is started, and a clock that goes on', async () => {
  const [first, later] = [await restored(text), await restored(text, BORN_MS + 5_000)];
  expect(later.ak.name).toEqual(first.ak.name);
  expect(later.ek).toBe('ecc256');
  expect((await later.tpm.ek('ecc256')).spki).toEqual((await first.tpm.ek('ecc256')).spki);
  expect(first.tpm.aks).toEqual([first.ak]);
  expect([first.tpm.clockInfo.clock, later.tpm.clockInfo.clock]).toEqual([0n, 5_000n]);
  expect(later.tpm.clockInfo.resetCount).toBe(first.tpm.clockInfo.resetCount);
  expect((await restored(text, BORN_MS - 1)).tpm.clockInfo.clock).toBe(0n);
});

test('an RSA TPM is saved within the size that is read', async () => {
  const big = await makeSavedTpm('rsassa', 'rsa2048', BORN_MS);
  expect(big.length).toBeLessThan(MAX_SAVED_BYTES);
  expect((await restored(big)).ak.scheme).toBe('rsassa');
});

test('two saved TPMs are two', async () => {
  const other = await restored(await makeSavedTpm('ecdsa-p256', 'ecc256', BORN_MS));
  expect(other.ak.name).not.toEqual((await restored(text)).ak.name);
});

describe('what is no saved TPM is MalformedError', () => {
  interface Saved {
    kind: unknown;
    born_at_ms: unknown;
    ak: { scheme: unknown; pkcs8: unknown };
    ek: { algorithm: unknown; pkcs8: unknown };
  }
  const with_ = (change: (saved: Saved & Record<string, unknown>) => unknown) => {
    const saved = JSON.parse(text) as Saved & Record<string, unknown>;
    change(saved);
    return saved;
  };

  test.each([
    ['another kind', () => with_((saved) => (saved.kind = 'a TPM'))],
    ['no date of birth', () => with_((saved) => (saved.born_at_ms = '0'))],
    ['a date of birth that is no whole number', () => with_((saved) => (saved.born_at_ms = 0.5))],
    ['a further member', () => with_((saved) => (saved['more'] = 1))],
    ['a further member of the AK', () => with_((saved) => ((saved.ak as Record<string, unknown>)['more'] = 1))],
    ['an unknown scheme', () => with_((saved) => (saved.ak.scheme = 'dsa'))],
    ['another scheme than its key', () => with_((saved) => (saved.ak.scheme = 'rsassa'))],
    ['an unknown EK', () => with_((saved) => (saved.ek.algorithm = 'rsa1024'))],
    ['another EK than its key', () => with_((saved) => (saved.ek.algorithm = 'ecc384'))],
    ['a key that is no text', () => with_((saved) => (saved.ek.pkcs8 = 7))],
    ['a key in padded base64', () => with_((saved) => (saved.ek.pkcs8 = `${String(saved.ek.pkcs8)}=`))],
    ['a key of no bytes', () => with_((saved) => (saved.ak.pkcs8 = ''))],
    ['no AK', () => with_((saved) => (saved.ak = null as never))],
    ['a list', () => []],
    ['no JSON', () => 'tpm'],
  ])('%s', async (_what, saved) => {
    await expect(restored(saved())).rejects.toThrow(MalformedError);
  });

  test('every prefix, and whatever is changed; the message quotes no key', async () => {
    for (let length = 0; length < text.length - 2; length += 7) {
      await expect(restored(text.slice(0, length))).rejects.toThrow(MalformedError);
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(text.length - 1), fc.string({ minLength: 1, maxLength: 3 }), async (at, put) => {
        try {
          await restored(text.slice(0, at) + put + text.slice(at + put.length));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
          expect((error as Error).message.length).toBeLessThan(120);
        }
      }),
    );
  });
});
