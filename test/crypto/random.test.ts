import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { pooled } from '../../src/crypto/random.js';

test('hands out every byte of the source at most once, and forgets it', () => {
  const drawn: Buffer[] = [];
  const original: Buffer[] = [];
  const random = pooled((bytes) => {
    const fresh = randomBytes(bytes);
    drawn.push(fresh);
    original.push(Buffer.from(fresh));
    return fresh;
  });
  const sizes = [10, 16, 32, 12, 64, 1, 0];
  const taken = Array.from({ length: 700 }, (_, turn) => {
    const size = sizes[turn % sizes.length] ?? 0;
    const bytes = random(size);
    expect(bytes).toHaveLength(size);
    return bytes;
  });
  // In order, each pool from its start; what was left of it when it no longer sufficed is dropped.
  const all = original.map((pool) => pool.toString('hex'));
  let [pool, at] = [0, 0];
  for (const bytes of taken) {
    if (at + bytes.length > 4096) [pool, at] = [pool + 1, 0];
    expect(bytes.toString('hex')).toBe(all[pool]?.slice(2 * at, 2 * (at + bytes.length)));
    at += bytes.length;
  }
  expect(drawn).toHaveLength(pool + 1);
  expect(drawn.slice(0, -1).every((used) => used.every((byte) => byte === 0))).toBe(true);
  expect(
    drawn
      .at(-1)
      ?.subarray(0, at)
      .every((byte) => byte === 0),
  ).toBe(true);
});

test('what is handed out is the holder’s own: changing it changes nothing else', () => {
  const random = pooled((bytes) => Buffer.alloc(bytes, 7));
  random(32).fill(0);
  expect(random(32)).toEqual(Buffer.alloc(32, 7));
});

test('what is longer than 64 bytes comes from the source as it is', () => {
  const asked: number[] = [];
  const random = pooled((bytes) => {
    asked.push(bytes);
    return Buffer.alloc(bytes, 1);
  });
  expect(random(65)).toHaveLength(65);
  expect(random(100_000)).toHaveLength(100_000);
  expect(asked).toEqual([65, 100_000]);
});

test('a source that fails once leaves nothing behind to be handed out: the next draw asks it again', () => {
  let fails = false;
  const random = pooled((bytes) => {
    if (fails) throw new Error('no entropy');
    return Buffer.alloc(bytes, 7);
  });
  for (let drawn = 0; drawn < 4096 - 20; drawn += 4) random(4);
  fails = true;
  expect(() => random(32)).toThrow('no entropy');
  // There were 20 bytes left, so this would have fitted.
  expect(() => random(16)).toThrow('no entropy');
  fails = false;
  expect(random(16)).toEqual(Buffer.alloc(16, 7));
});
