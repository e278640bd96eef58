import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { checkNonce, MAX_AHEAD_MS, mintNonce, NONCE_RANDOM_BYTES, type NonceScope } from '../../src/challenge/nonce.js';

const nonceKey = { key: Buffer.alloc(32, 7), epoch: 1 };
const scope: NonceScope = { broker: 'b', deployment: 'llm', key: 'weights', version: 'latest' };
const nowMs = 1_800_000_000_000;
const clock = { nowMs, ttlMs: 120_000, floorMs: 0 };
const mint = (at = nowMs) => mintNonce(nonceKey, scope, at, randomBytes(NONCE_RANDOM_BYTES));

describe('a nonce', () => {
  test('is 32 bytes in 43 characters and is accepted for its own scope', () => {
    const nonce = mint();
    expect(nonce).toHaveLength(43);
    const checked = checkNonce(nonceKey, scope, nonce, clock);
    expect(checked).toMatchObject({ ok: true, value: { issuedAtMs: nowMs } });
    expect(checked.ok && checked.value.bytes.equals(Buffer.from(nonce, 'base64url'))).toBe(true);
  });

  test.each(Object.keys(scope) as (keyof NonceScope)[])('is invalid for another %s', (member) => {
    const other = { ...scope, [member]: `${scope[member]}x` };
    expect(checkNonce(nonceKey, other, mint(), clock)).toMatchObject({ reason: 'challenge.invalid' });
  });

  test('does not move a character from one field of its scope to the next', () => {
    const shifted = { ...scope, deployment: 'll', key: 'mweights' };
    expect(checkNonce(nonceKey, shifted, mint(), clock)).toMatchObject({ reason: 'challenge.invalid' });
  });

  test('is invalid under another key or epoch', () => {
    const nonce = mint();
    expect(checkNonce({ key: Buffer.alloc(32, 8), epoch: 1 }, scope, nonce, clock)).toMatchObject({ ok: false });
    expect(checkNonce({ ...nonceKey, epoch: 2 }, scope, nonce, clock)).toMatchObject({ reason: 'challenge.invalid' });
  });

  test('is invalid with any one bit changed', () => {
    const bytes = Buffer.from(mint(), 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      expect(checkNonce(nonceKey, scope, changed.toString('base64url'), clock)).toMatchObject({
        reason: 'challenge.invalid',
      });
    }
  });

  test('is invalid in another spelling of the same bytes', () => {
    const nonce = mint();
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    const twin = nonce.slice(0, -1) + last.charAt(last.indexOf(nonce.slice(-1)) ^ 1);
    expect(Buffer.from(twin, 'base64url').equals(Buffer.from(nonce, 'base64url'))).toBe(true);
    for (const spelling of [twin, `${nonce}=`, ` ${nonce}`, `${nonce}\n`, nonce.replaceAll('-', '+').concat('=')]) {
      expect(checkNonce(nonceKey, scope, spelling, clock)).toMatchObject({ reason: 'challenge.invalid' });
    }
  });

  test('expires when its life is over, not one ms before', () => {
    const nonce = mint();
    const at = (ms: number) => checkNonce(nonceKey, scope, nonce, { ...clock, nowMs: nowMs + ms });
    expect(at(119_999)).toMatchObject({ ok: true });
    expect(at(120_000)).toMatchObject({ reason: 'challenge.expired' });
  });

  test('is expired at or below the floor, whatever the clock says', () => {
    const nonce = mint();
    const at = (floorMs: number, now = nowMs) => checkNonce(nonceKey, scope, nonce, { ...clock, floorMs, nowMs: now });
    expect(at(nowMs - 1)).toMatchObject({ ok: true });
    expect(at(nowMs)).toMatchObject({ reason: 'challenge.expired' });
    expect(at(nowMs, nowMs - 3_000)).toMatchObject({ reason: 'challenge.expired' });
  });

  test('may come from a clock that is 5 s ahead, and no more', () => {
    expect(checkNonce(nonceKey, scope, mint(nowMs + MAX_AHEAD_MS), clock)).toMatchObject({ ok: true });
    expect(checkNonce(nonceKey, scope, mint(nowMs + MAX_AHEAD_MS + 1), clock)).toMatchObject({
      reason: 'challenge.expired',
    });
  });

  test('is never anything but a refusal when somebody makes one up', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.base64String()), (text) => {
        expect(checkNonce(nonceKey, scope, text, clock)).toMatchObject({ reason: 'challenge.invalid' });
      }),
    );
  });
});
