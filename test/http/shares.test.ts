import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FairQueue } from '../../src/http/fair-queue.js';
import { Shares } from '../../src/http/shares.js';
import { networksOf, sourceOfAddress } from '../../src/http/source.js';

describe('shares', () => {
  /** Takes for the sources in turn until nobody gets more; what each one has then. */
  function fill(shares: Shares, sources: readonly string[]): number[] {
    let given = true;
    while (given) given = sources.filter((source) => shares.take(source) === undefined).length > 0;
    return sources.map((source) => shares.heldBy(source));
  }

  test('one source alone has four fifths, and what is left is for the next one', () => {
    const shares = new Shares(100);
    expect(fill(shares, ['a'])).toEqual([80]);
    expect(shares.shortage('a')).toBe('share');
    expect(shares.take('b')).toBeUndefined();
  });

  test('several that want everything get the same', () => {
    expect(fill(new Shares(900), ['a', 'b'])).toEqual([400, 400]);
    expect(new Set(fill(new Shares(1300), ['a', 'b', 'c']))).toEqual(new Set([400]));
  });

  test('whoever has the most gets nothing more where others come, and the others do', () => {
    const shares = new Shares(100);
    fill(shares, ['greedy']);
    for (let i = 0; i < 8; i++) expect(shares.take(`modest ${String(i)}`)).toBeUndefined();
    expect(shares.take('greedy')).toBe('share');
    shares.give('greedy', 40);
    expect(shares.take('greedy')).toBeUndefined();
  });

  test('all sources of one IPv6 network together leave something for others, however many they are', () => {
    for (const network of [256, 65_536]) {
      const shares = new Shares(1024);
      const sources = Array.from({ length: network }, (_, at) => `2001:db8:1:${at.toString(16)}::/64`);
      // Every one of them would get some if it were a network of its own.
      let held = -1;
      while (shares.held > held) {
        held = shares.held;
        for (const source of sources) shares.take(source);
      }
      expect(shares.held).toBe(964);
      expect(shares.shortage(sources[0]!)).toBe('share');
      for (let i = 0; i < 20; i++) expect(shares.take('2001:db8:2:0::/64')).toBeUndefined();
      expect(shares.take('192.0.2.7')).toBeUndefined();
      for (const source of sources) shares.give(source, shares.heldBy(source));
      expect([shares.held, shares.heldBy('2001:db8:1::/48')]).toEqual([21, 0]);
    }
  });

  test('neighbours in one network do not get into the way of each other before that', () => {
    const shares = new Shares(100);
    expect(fill(shares, ['2001:db8:1:1::/64'])).toEqual([80]);
    expect(shares.take('2001:db8:1:2::/64')).toBeUndefined();
  });

  test('more than is left is not there for anybody', () => {
    const shares = new Shares(10);
    expect(shares.take('a', 11)).toBe('full');
    expect(shares.held).toBe(0);
  });

  test('never hold more than there is, refuse no first comer what is free, and forget whoever gave all back', () => {
    const step = fc.record({
      source: fc.constantFrom('a', 'b', 'c'),
      amount: fc.integer({ min: 1, max: 30 }),
      take: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const shares = new Shares(100);
        const held = new Map<string, number>();
        for (const { source, amount, take } of steps) {
          const before = held.get(source) ?? 0;
          if (!take) {
            const back = Math.min(before, amount);
            if (back > 0) shares.give(source, back);
            held.set(source, before - back);
          } else if (shares.take(source, amount) === undefined) held.set(source, before + amount);
          else if (before === 0) expect(amount).toBeGreaterThan(100 - shares.held);
          const all = [...held.values()].reduce((sum, each) => sum + each, 0);
          expect([shares.held, shares.heldBy(source)]).toEqual([all, held.get(source) ?? 0]);
          expect(all).toBeLessThanOrEqual(100);
        }
      }),
    );
  });
});

describe('a fair queue', () => {
  test('gives out in turns, each source in its own order', () => {
    const queue = new FairQueue<string>();
    for (const item of ['a1', 'a2', 'a3', 'b1', 'a4', 'c1', 'b2']) queue.push(item.charAt(0), item);
    expect([queue.size, queue.sources, queue.of('a'), queue.of('d')]).toEqual([7, 3, 4, 0]);
    const order = Array.from({ length: 8 }, () => queue.shift());
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4', undefined]);
    expect([queue.size, queue.sources]).toEqual([0, 0]);
  });
});

describe('the source of an address', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002::9', '2001:db8:1:2::/64'],
    ['2001:DB8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['64:ff9b::192.0.2.7', '192.0.2.7'],
    ['64:ff9b::c000:207', '192.0.2.7'],
    ['64:FF9B:0:0:0:0:C000:0207', '192.0.2.7'],
    ['64:ff9b:1::c000:207', '64:ff9b:1:0::/64'],
    ['64:ff9b::1:c000:207', '64:ff9b:0:0::/64'],
    ['::ffff:c000:207', '192.0.2.7'],
    [undefined, 'unknown'],
  ])('of %s is %s', (address, source) => {
    expect(sourceOfAddress(address)).toBe(source);
  });

  test.each([
    ['2001:db8:1:2ab::1', ['2001:db8:1:200::/56', '2001:db8:1::/48']],
    ['2001:db8:1:2::1', ['2001:db8:1:0::/56', '2001:db8:1::/48']],
    ['192.0.2.7', []],
    ['64:ff9b::192.0.2.7', []],
    [undefined, []],
  ])('and %s lies in the networks %j', (address, networks) => {
    expect(networksOf(sourceOfAddress(address))).toEqual(networks);
  });
});
