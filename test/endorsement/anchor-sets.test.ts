import { expect, test } from '@jest/globals';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { AnchorSets } from '../../src/endorsement/anchor-sets.js';
import { pem } from '../helpers/pki.js';
import { makeCa, makeRoot } from '../helpers/pki-chain.js';

const ROOT = pem(makeRoot());
const CA = pem(makeCa());

test('the same texts give the very same anchors, in the same list or in another one', () => {
  const sets = new AnchorSets();
  const list = [ROOT, CA];
  const anchors = sets.of(list);
  expect(anchors.certificates).toHaveLength(2);
  expect(sets.of(list)).toBe(anchors);
  expect(sets.of([ROOT, CA])).toBe(anchors);
});

test('other texts give others, also where they are the same put together', () => {
  const sets = new AnchorSets();
  const anchors = sets.of([ROOT, CA]);
  for (const texts of [[ROOT], [CA], [CA, ROOT], [`${ROOT}\n${CA}`], [ROOT, CA, '']]) {
    expect(sets.of(texts)).not.toBe(anchors);
  }
});

test('texts that hold no anchors throw each time, and are not kept', () => {
  const sets = new AnchorSets();
  const none: readonly string[] = [];
  for (const texts of [none, none, [''], ['-----BEGIN CERTIFICATE-----'], [ROOT, 'x', pem(Buffer.of(1))]]) {
    expect(() => sets.of(texts)).toThrow(MalformedError);
  }
});

test('of more sets than are kept, the ones used last stay', () => {
  const sets = new AnchorSets(2);
  const [root, ca] = [sets.of([ROOT]), sets.of([CA])];
  expect(sets.of([ROOT])).toBe(root);
  const both = sets.of([ROOT, CA]);
  expect(sets.of([ROOT])).toBe(root);
  expect(sets.of([ROOT, CA])).toBe(both);
  expect(sets.of([CA])).not.toBe(ca);
  expect(sets.of([ROOT, CA])).toBe(both);
});
