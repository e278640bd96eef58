import { describe, expect, test } from '@jest/globals';
import { parseCrl } from '../../src/crypto/x509-crl.js';
import { KnownPaths, NO_REVOCATION_LISTS, type RevocationLists } from '../../src/endorsement/known-paths.js';
import type { PathFault, ValidPath } from '../../src/endorsement/path.js';
import { type TrustAnchors, trustAnchorsOf } from '../../src/endorsement/trust-anchors.js';
import { crl, type CrlSpec, NOT_AFTER, NOT_BEFORE, NOW } from '../helpers/pki.js';
import { KEYS, makeCa, makeLeaf, makeRoot } from '../helpers/pki-chain.js';

const DAY = 86_400_000;
const ANCHORS = trustAnchorsOf([makeRoot()]);
const CHAIN = [makeLeaf(), makeCa()];

interface Change {
  readonly chain?: readonly Buffer[];
  readonly anchors?: TrustAnchors;
  readonly atMs?: number;
  readonly crls?: RevocationLists;
  readonly purpose?: string;
}

function ask(paths: KnownPaths, change: Change = {}): ValidPath | PathFault {
  const { chain = CHAIN, anchors = ANCHORS, atMs = NOW, crls = NO_REVOCATION_LISTS, purpose = 'any' } = change;
  return paths.validate(purpose, { chain, anchors, atMs, purpose: {} }, crls);
}

const outcome = (paths: KnownPaths, change: Change = {}) => {
  const found = ask(paths, change);
  return found.ok ? 'good' : found.fault;
};
const lists = (...specs: readonly Partial<CrlSpec>[]): RevocationLists => ({
  lists: specs.map((spec) => parseCrl(crl({ issuer: 'CA', signer: KEYS.ca, ...spec }))),
  policy: 'if-present',
});

describe('a path that was good', () => {
  test('is not looked for again, also where its certificates are other copies', () => {
    const paths = new KnownPaths(10);
    const first = ask(paths);
    expect(first.ok).toBe(true);
    expect(ask(paths)).toBe(first);
    expect(ask(paths, { chain: CHAIN.map((der) => Buffer.from(der)) })).toBe(first);
    expect(ask(paths, { atMs: NOW + DAY })).toBe(first);
  });

  test.each<[string, Change]>([
    ['anchors, of the same certificates', { anchors: trustAnchorsOf([makeRoot()]) }],
    ['CRLs', { crls: { lists: [], policy: 'if-present' } }],
    ['a purpose', { purpose: 'other' }],
    ['order', { chain: [CHAIN[0]!, makeRoot(), CHAIN[1]!] }],
  ])('is looked for again under other %s', (_, change) => {
    const paths = new KnownPaths(10);
    const first = ask(paths);
    const second = ask(paths, change);
    expect(second.ok).toBe(true);
    expect(second).not.toBe(first);
  });

  test('is not good under anchors, or a chain, that do not make it so', () => {
    const paths = new KnownPaths(10);
    expect(outcome(paths)).toBe('good');
    expect(outcome(paths, { anchors: trustAnchorsOf([makeRoot({ key: KEYS.other, signer: KEYS.other })]) })).toBe(
      'chain',
    );
    expect(outcome(paths, { chain: [makeLeaf()] })).toBe('chain');
    const joined = Buffer.concat(CHAIN);
    expect(outcome(paths, { chain: [joined] })).toBe('chain');
    const at = CHAIN[0]!.length - 1;
    expect(outcome(paths, { chain: [joined.subarray(0, at), joined.subarray(at)] })).toBe('chain');
    expect(outcome(paths)).toBe('good');
  });

  test('is good no longer than each of its certificates, and from when each is', () => {
    const short: readonly (readonly [string, Change])[] = [
      ['leaf', { chain: [makeLeaf({ notBefore: NOW - DAY, notAfter: NOW + DAY }), makeCa()] }],
      ['CA', { chain: [makeLeaf(), makeCa({ notBefore: NOW - DAY, notAfter: NOW + DAY })] }],
      ['anchor', { anchors: trustAnchorsOf([makeRoot({ notBefore: NOW - DAY, notAfter: NOW + DAY })]) }],
    ];
    for (const [which, change] of short) {
      const paths = new KnownPaths(10);
      const at = (atMs: number) => [which, atMs - NOW, outcome(paths, { ...change, atMs })];
      expect(at(NOW)).toEqual([which, 0, 'good']);
      expect(at(NOW + DAY)).toEqual([which, DAY, 'good']);
      expect(at(NOW + DAY + 1)).toEqual([which, DAY + 1, 'chain']);
      expect(at(NOW - DAY)).toEqual([which, -DAY, 'good']);
      expect(at(NOW - DAY - 1)).toEqual([which, -DAY - 1, 'chain']);
      expect(at(NaN)).toEqual([which, NaN, 'chain']);
    }
    const paths = new KnownPaths(10);
    for (const atMs of [NOT_BEFORE, NOT_AFTER]) expect(outcome(paths, { atMs })).toBe('good');
    for (const atMs of [NOT_BEFORE - 1, NOT_AFTER + 1]) expect(outcome(paths, { atMs })).toBe('chain');
  });

  test('is good no longer than the CRLs of its issuers; those of others do not count', () => {
    const crls = lists({ nextUpdate: NOW + DAY }, { issuer: 'Elsewhere', signer: KEYS.other, nextUpdate: NOW });
    const paths = new KnownPaths(10);
    const first = ask(paths, { crls });
    expect(ask(paths, { crls, atMs: NOW + DAY })).toBe(first);
    expect(outcome(paths, { crls, atMs: NOW + DAY + 1 })).toBe('collateral');
    expect(outcome(paths, { crls, atMs: NOW - DAY - 1 })).toBe('collateral');
    expect(outcome(paths, { crls, atMs: NOW })).toBe('good');
  });

  test('ends with a new CRL, though nothing else has changed', () => {
    const paths = new KnownPaths(10);
    expect(outcome(paths, { crls: lists({}) })).toBe('good');
    expect(outcome(paths, { crls: lists({ revoked: [{ serial: 3 }] }) })).toBe('revoked');
    expect(outcome(paths, { crls: lists({}) })).toBe('good');
  });
});

describe('a path that was refused', () => {
  const bad = { chain: [makeLeaf()] };

  test('is remembered for the very same moment and request alone', () => {
    const paths = new KnownPaths(10);
    const first = ask(paths, bad);
    expect(first.ok).toBe(false);
    expect(ask(paths, bad)).toBe(first);
    for (const change of [
      { atMs: NOW + 1 },
      { anchors: trustAnchorsOf([makeRoot()]) },
      { crls: lists() },
      { purpose: 'x' },
    ]) {
      expect(ask(paths, { ...bad, ...change })).not.toBe(first);
    }
    expect(outcome(paths)).toBe('good');
  });

  test('becomes good with its anchor', () => {
    const paths = new KnownPaths(10);
    const others = trustAnchorsOf([makeRoot({ key: KEYS.other, signer: KEYS.other })]);
    expect(outcome(paths, { anchors: others })).toBe('chain');
    expect(outcome(paths)).toBe('good');
  });

  test('pushes no good one out, however many come', () => {
    const paths = new KnownPaths(1);
    const good = ask(paths);
    for (let serial = 10; serial < 20; serial++) {
      expect(outcome(paths, { chain: [makeLeaf({ serial })] })).toBe('chain');
    }
    expect(ask(paths)).toBe(good);
  });
});

describe('strangers', () => {
  test('push out no path by another order of a good chain, or by padding it', () => {
    const paths = new KnownPaths(2);
    const good = ask(paths);
    const leaf = makeLeaf({ serial: 50 });
    const behind = [makeCa(), makeRoot(), ...[60, 61, 62].map((serial) => makeCa({ serial }))];
    const orders = behind.flatMap((_, at) => {
      const turned = [...behind.slice(at), ...behind.slice(0, at)];
      return [turned, turned.toReversed(), turned.slice(1), [...turned, turned[0]!]];
    });
    for (const order of orders) expect(outcome(paths, { chain: [leaf, ...order] })).toBe('good');
    expect(ask(paths)).toBe(good);
  });

  test('make no path forgotten by its leaf, before what is no good', () => {
    const paths = new KnownPaths(10);
    const good = ask(paths);
    const [leaf] = CHAIN;
    const others = trustAnchorsOf([makeRoot({ key: KEYS.other, signer: KEYS.other })]);
    expect(outcome(paths, { anchors: others })).toBe('chain');
    expect(outcome(paths, { chain: [leaf!, makeCa({ signer: KEYS.other })] })).toBe('chain');
    expect(ask(paths)).toBe(good);
  });

  test('get nothing by the leaf of a path that is remembered: what is behind it decides', () => {
    const paths = new KnownPaths(10);
    expect(outcome(paths)).toBe('good');
    const [leaf] = CHAIN;
    for (const behind of [[], [makeRoot()], [makeCa({ signer: KEYS.other })], [CHAIN[1]!, Buffer.of(0)]]) {
      expect(outcome(paths, { chain: [leaf!, ...behind] })).toBe('chain');
      expect(outcome(new KnownPaths(10), { chain: [leaf!, ...behind] })).toBe('chain');
    }
    expect(outcome(paths, { chain: [] })).toBe('chain');
  });
});

test('of more paths than are kept, the ones used last stay', () => {
  const paths = new KnownPaths(2);
  const of = (serial: number) => ask(paths, { chain: chains[serial]! });
  const chains = [10, 11, 12].map((serial) => [makeLeaf({ serial }), makeCa()]);
  const [first, second] = [of(0), of(1)];
  expect(of(0)).toBe(first);
  const third = of(2);
  expect(of(0)).toBe(first);
  expect(of(2)).toBe(third);
  expect(of(1)).not.toBe(second);
});
