import { describe, expect, test } from '@jest/globals';
import { parseCertificate, type Certificate } from '../../src/crypto/x509.js';
import { mayHaveIssued } from '../../src/endorsement/certificate-checks.js';
import { IssuerSignatures } from '../../src/endorsement/issuer-signatures.js';
import { basicConstraints, ecKey, type TestKey } from '../helpers/pki.js';
import { CA_USAGE, KEYS, LEAF_USAGE, makeCa, makeLeaf, makeRoot } from '../helpers/pki-chain.js';

const PLAIN = [basicConstraints(true), CA_USAGE];
const LEAF = parseCertificate(makeLeaf({ extensions: [LEAF_USAGE] }));

/** A search, and how often keys of anchors and of the pool were taken to verify something. */
function searchOf(pool: readonly Buffer[], anchors: readonly Buffer[] = [makeRoot({ extensions: PLAIN })]) {
  const used = { anchors: 0, pool: 0 };
  const counted = (der: Buffer, by: keyof typeof used): Certificate => {
    const certificate = parseCertificate(der);
    return {
      ...certificate,
      publicKey: () => {
        used[by]++;
        return certificate.publicKey();
      },
    };
  };
  const parsedAnchors = anchors.map((der) => counted(der, 'anchors'));
  const parsedPool = pool.map((der) => counted(der, 'pool'));
  const signatures = new IssuerSignatures({
    pool: parsedPool,
    isUsable: () => true,
    anchorsOf: (issued) => parsedAnchors.filter((anchor) => mayHaveIssued(anchor, issued)),
    anchorsOfOneName: anchors.length,
  });
  return { signatures, used, pool: parsedPool, anchors: parsedAnchors };
}

const ca = (key: TestKey, issuer: string, signer: TestKey, subject = 'CA') =>
  makeCa({ subject, key, issuer, signer, extensions: PLAIN });

describe('keys that no anchor vouches for', () => {
  const keys = Array.from({ length: 7 }, () => ecKey());

  test('verify nothing, however the certificates of a name sign one another', () => {
    const circle = keys.map((key, index) => ca(key, 'CA', keys[(index + 1) % 7]!));
    const { signatures, used, pool } = searchOf(circle);
    expect(pool.map((one) => signatures.isVouched(one))).toEqual(Array(7).fill(false));
    expect(used).toEqual({ anchors: 0, pool: 0 });
  });

  test('cost one check each in the name of an anchor, also when asked for again', () => {
    const { signatures, used, pool } = searchOf(keys.map((key) => ca(key, 'Root', key)));
    for (let round = 0; round < 3; round++) {
      expect(pool.map((one) => signatures.isVouched(one))).toEqual(Array(7).fill(false));
    }
    expect(used).toEqual({ anchors: 7, pool: 0 });
  });

  test('are not in the way of one that is vouched for, and get nothing by it', () => {
    const strangers = keys.slice(0, 5).map((key) => ca(key, 'CA', key));
    const { signatures, used, pool } = searchOf([...strangers, ca(KEYS.ca, 'Root', KEYS.root)]);
    expect(pool.map((one) => signatures.isVouched(one))).toEqual([...Array<boolean>(5).fill(false), true]);
    // By the key that an anchor vouches for, each of the five.
    expect(used).toEqual({ anchors: 1, pool: 5 });
  });
});

describe('certificates that an anchor vouches for', () => {
  test('do so for others, down a chain, whatever the order', () => {
    const [a, b, c] = [ecKey(), ecKey(), ecKey()];
    const chain = [ca(a, 'Root', KEYS.root, 'A'), ca(b, 'A', a, 'B'), ca(c, 'B', b, 'C')];
    for (const order of [chain, chain.toReversed()]) {
      const { signatures, used, pool } = searchOf(order);
      expect(pool.map((one) => signatures.isVouched(one))).toEqual([true, true, true]);
      expect(used).toEqual({ anchors: 1, pool: 2 });
    }
  });

  test('do so in a circle too, where one of it hangs on an anchor', () => {
    const [a, b] = [ecKey(), ecKey()];
    const circle = [ca(a, 'B', b, 'A'), ca(b, 'A', a, 'B'), ca(a, 'Root', KEYS.root, 'A')];
    const { signatures, pool } = searchOf(circle);
    expect(pool.map((one) => signatures.isVouched(one))).toEqual([true, true, true]);
  });

  test('are asked once for a certificate, by their key', () => {
    const { signatures, used, pool } = searchOf([
      ca(KEYS.ca, 'Root', KEYS.root),
      makeCa({ serial: 9, extensions: PLAIN }),
    ]);
    for (const issuer of [...pool, ...pool]) expect(signatures.fault(issuer, LEAF)).toBeUndefined();
    expect(used).toEqual({ anchors: 0, pool: 1 });
  });
});

test.each([
  [1, 12],
  [2, 13],
  [20, 31],
  [21, 32],
  [40, 32],
])('with %i anchors of a name %i signatures are verified, and no more', (sharing, most) => {
  const anchors = Array.from({ length: sharing }, () => makeRoot({ extensions: PLAIN }));
  const { signatures, used, anchors: parsed } = searchOf([], anchors);
  const issued = Array.from({ length: 40 }, () => parseCertificate(ca(KEYS.ca, 'Root', KEYS.root)));
  const faults = issued.map((one) => signatures.fault(parsed[0]!, one));
  expect(faults.filter((fault) => fault === undefined)).toHaveLength(most);
  expect(faults.at(-1)).toBe('one that too many certificates may have issued');
  expect(used.anchors).toBe(most);
});
