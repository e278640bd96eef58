import { describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import {
  authorityIdentity,
  certificateIdentity,
  ekIdentity,
  isRevocable,
  pathIdentities,
} from '../../src/endorsement/identity.js';
import { validatePath } from '../../src/endorsement/path.js';
import { trustAnchorsOf } from '../../src/endorsement/trust-anchors.js';
import { basicConstraints, NOW } from '../helpers/pki.js';
import { KEYS, makeCa, makeCas, makeLeaf, makeRoot } from '../helpers/pki-chain.js';
import { nameOf } from '../helpers/pki-der.js';

const HASH = 'ab'.repeat(32);

describe('what can be revoked', () => {
  test.each([
    HASH,
    `ek/${HASH}`,
    `ca/${HASH}`,
    `certificate/${HASH}/00`,
    `certificate/${HASH}/${'0f'.repeat(20)}`,
    `chip/${'01'.repeat(8)}`,
    `chip/${'01'.repeat(64)}`,
  ])('is %s', (identity) => {
    expect(isRevocable(identity)).toBe(true);
  });

  test.each([
    '',
    HASH.slice(2),
    `${HASH}ab`,
    HASH.toUpperCase(),
    `ak/${HASH}`,
    `ek/${HASH.toUpperCase()}`,
    `ek/${HASH}/00`,
    `ek/${HASH}\n`,
    ` ${HASH}`,
    `/${HASH}`,
    `certificate/${HASH}`,
    `certificate/${HASH}/00f2a1`,
    `certificate/${HASH}/0000`,
    `certificate/${HASH}/`,
    `certificate/${HASH}/0`,
    `certificate/${HASH}/0G`,
    `certificate/${HASH}/${'0f'.repeat(21)}`,
    `certificate/${HASH}/00/00`,
    `chip/${'01'.repeat(7)}`,
    `chip/${'01'.repeat(65)}`,
    'chip/',
  ])('is not %j', (text) => {
    expect(isRevocable(text)).toBe(false);
  });

  test('has names that every certificate and key gives', () => {
    const leaf = parseCertificate(makeLeaf({ serial: 0xff00n }));
    expect(certificateIdentity(leaf)).toBe(`certificate/${sha256Hex(nameOf('CA'))}/ff00`);
    const ca = parseCertificate(makeCa());
    expect(authorityIdentity(ca)).toBe(`ca/${sha256Hex(KEYS.ca.spki)}`);
    const largest = parseCertificate(makeLeaf({ serial: 2n ** 159n - 1n }));
    for (const identity of [certificateIdentity(leaf), certificateIdentity(largest), authorityIdentity(ca)]) {
      expect(isRevocable(identity)).toBe(true);
    }
    expect(isRevocable(ekIdentity(HASH))).toBe(true);
  });
});

describe('a path', () => {
  function identitiesOf(chain: readonly Buffer[]): readonly string[] {
    const found = validatePath({
      ...{ chain, anchors: trustAnchorsOf([makeRoot()]), atMs: NOW, purpose: {}, crls: [], crlPolicy: 'none' },
    });
    if (!found.ok) throw new Error(found.detail);
    return pathIdentities(found);
  }

  test('is ended by each of its certificates, and by the key of each CA, the root included', () => {
    expect(identitiesOf([makeLeaf(), makeCa()])).toEqual([
      `certificate/${sha256Hex(nameOf('CA'))}/03`,
      `certificate/${sha256Hex(nameOf('Root'))}/02`,
      `ca/${sha256Hex(KEYS.ca.spki)}`,
      `ca/${sha256Hex(KEYS.root.spki)}`,
    ]);
  });

  test('is as long as it is, and never has more identities than a release asks for', () => {
    const { ders, name, key } = makeCas([{}, {}, {}, {}]);
    const leaf = makeLeaf({ issuer: name, signer: key, extensions: [basicConstraints(false)] });
    const identities = identitiesOf([leaf, ...ders]);
    expect(identities).toHaveLength(5 + 5);
    expect(new Set(identities).size).toBe(identities.length);
    // Twice, of an EK and of an AK, the EK itself beside it: store.ts allows 64.
    expect(2 * identities.length + 1).toBeLessThanOrEqual(64);
  });

  test('of the root alone has the leaf and the root', () => {
    const direct = makeLeaf({ issuer: 'Root', signer: KEYS.root, extensions: [basicConstraints(false)] });
    expect(identitiesOf([direct])).toEqual([
      `certificate/${sha256Hex(nameOf('Root'))}/03`,
      `ca/${sha256Hex(KEYS.root.spki)}`,
    ]);
  });
});
