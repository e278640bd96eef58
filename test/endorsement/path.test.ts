/** Every single defect of a path that is good but for it, and what openssl says of the same certificates where it is installed. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Purpose } from '../../src/endorsement/certificate-checks.js';
import { validatePath } from '../../src/endorsement/path.js';
import { trustAnchorsOf } from '../../src/endorsement/trust-anchors.js';
import {
  algorithmId,
  authorityKeyId,
  basicConstraints,
  ecKey,
  extendedKeyUsage,
  extension,
  keyUsage,
  NOT_AFTER,
  NOT_BEFORE,
  NOW,
  pem,
  rsaKey,
  subjectAltName,
  subjectKeyId,
  type Algorithm,
} from '../helpers/pki.js';
import {
  CA_EXTENSIONS,
  CA_USAGE,
  KEYS,
  LEAF_EXTENSIONS,
  LEAF_USAGE,
  makeCa,
  makeCas,
  makeLeaf,
  makeRoot,
  ROOT_EXTENSIONS,
  validateChain,
  validateWith,
} from '../helpers/pki-chain.js';
import { bits, int, nameOf, nil, oid, printable, seq, set, utf8String } from '../helpers/pki-der.js';

const rsa = rsaKey();
const folder = mkdtempSync(join(tmpdir(), 'portcullis-path-'));
const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' }).status === 0;

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Case {
  readonly what: string;
  readonly root?: Buffer;
  readonly ca?: Buffer;
  readonly leaf?: Buffer;
  /** `good`, or a part of what is said. */
  readonly says: string;
  /** Set where openssl, which knows no purpose of a TPM, decides otherwise or cannot be asked. */
  readonly opensslSays?: 'good' | 'refused' | 'not asked';
  readonly purpose?: Purpose;
  readonly atMs?: number;
}

const flip = (signature: Buffer): Buffer => {
  const changed = Buffer.from(signature);
  changed[changed.length - 1]! ^= 1;
  return changed;
};
const critical = (id: string, value = nil()) => extension(id, true, value);
const without = (extensions: readonly Buffer[], left: Buffer) => extensions.filter((one) => one !== left);
const caWith = (...extensions: readonly Buffer[]) => makeCa({ extensions: [...CA_EXTENSIONS, ...extensions] });
const leafWith = (...extensions: readonly Buffer[]) => makeLeaf({ extensions: [...LEAF_EXTENSIONS, ...extensions] });
const SAME_NAME_PRINTABLE = seq(set(seq(oid('2.5.4.3'), printable('CA'))));
const EK = '2.23.133.8.1';
const AK = '2.23.133.8.3';
const wants = (...oneOf: readonly string[]): Purpose => ({ extendedKeyUsage: { oneOf, mayBeAbsent: false } });
const SAN = subjectAltName(true, nameOf('tpm'));

const CASES: readonly Case[] = [
  { what: 'a chain without defect', says: 'good' },

  // Signatures.
  {
    what: 'a changed signature of the leaf',
    leaf: makeLeaf({ changeSignature: flip }),
    says: 'chain: the leaf is not signed by the key of its issuer',
  },
  {
    what: 'a changed signature of the CA',
    ca: makeCa({ changeSignature: flip }),
    says: 'chain: CA 1 above the leaf is not signed by the key of its issuer',
  },
  {
    what: 'a signature of no bytes',
    leaf: makeLeaf({ changeSignature: () => Buffer.alloc(0) }),
    says: 'not signed by the key of its issuer',
  },
  {
    what: 'a leaf signed by another key',
    leaf: makeLeaf({ signer: KEYS.other }),
    says: 'the leaf is not signed by the key of its issuer',
  },
  {
    what: 'a CA signed by another key',
    ca: makeCa({ signer: KEYS.other }),
    says: 'CA 1 above the leaf is not signed by the key of its issuer',
  },
  {
    what: 'a leaf signed by the root in the name of the CA',
    leaf: makeLeaf({ signer: KEYS.root }),
    says: 'the leaf is not signed by the key of its issuer',
  },
  {
    what: 'another algorithm inside the signature',
    leaf: makeLeaf({ innerAlgorithm: algorithmId('ecdsa-sha384') }),
    says: 'does not parse',
    opensslSays: 'refused',
  },
  {
    what: 'ECDSA with SHA-1',
    leaf: makeLeaf({ algorithm: 'ecdsa-sha1' }),
    says: 'the leaf is signed with an algorithm that is not accepted',
  },
  {
    what: 'a CA with SHA-1',
    ca: makeCa({ algorithm: 'ecdsa-sha1' }),
    says: 'CA 1 above the leaf is signed with an algorithm that is not accepted',
  },
  { what: 'an anchor that signed itself with SHA-1', root: makeRoot({ algorithm: 'ecdsa-sha1' }), says: 'good' },
  { what: 'an anchor whose own signature is wrong', root: makeRoot({ changeSignature: flip }), says: 'good' },
  ...(
    ['rsassa-sha256', 'rsassa-sha384', 'rsassa-sha512', 'rsapss-sha256', 'rsapss-sha384', 'rsapss-sha512'] as const
  ).map((algorithm: Algorithm): Case => ({
    what: `a CA of RSA that signs with ${algorithm}`,
    ca: makeCa({ key: rsa }),
    leaf: makeLeaf({ signer: rsa, algorithm }),
    says: 'good',
  })),
  {
    what: 'RSA with MD5',
    ca: makeCa({ key: rsa }),
    leaf: makeLeaf({ signer: rsa, algorithm: 'rsassa-md5' }),
    says: 'an algorithm that is not accepted',
  },
  {
    what: 'RSA with SHA-1',
    ca: makeCa({ key: rsa }),
    leaf: makeLeaf({ signer: rsa, algorithm: 'rsassa-sha1' }),
    says: 'an algorithm that is not accepted',
  },
  ...(['P-384', 'P-521'] as const).map((curve): Case => {
    const key = ecKey(curve);
    return {
      what: `a CA of ${curve}`,
      ca: makeCa({ key }),
      leaf: makeLeaf({ signer: key, algorithm: 'ecdsa-sha384' }),
      says: 'good',
    };
  }),
  {
    what: 'a CA with a key on another curve',
    ca: makeCa({ key: ecKey('secp256k1') }),
    says: 'the leaf is signed with a key or parameters that are not accepted',
    opensslSays: 'refused',
  },
  {
    what: 'a leaf with a key of a kind that is not used here',
    leaf: makeLeaf({ spki: seq(seq(oid('1.3.101.112')), bits(Buffer.alloc(32, 3))) }),
    says: 'good',
    opensslSays: 'not asked',
  },

  // Validity.
  {
    what: 'a leaf that is not valid yet',
    leaf: makeLeaf({ notBefore: NOW + 1000 }),
    says: 'chain: the leaf is not yet valid',
  },
  { what: 'a leaf that has expired', leaf: makeLeaf({ notAfter: NOW - 1000 }), says: 'chain: the leaf is expired' },
  {
    what: 'a CA that is not valid yet',
    ca: makeCa({ notBefore: NOW + 1000 }),
    says: 'chain: CA 1 above the leaf is not yet valid',
  },
  {
    what: 'a CA that has expired',
    ca: makeCa({ notAfter: NOW - 1000 }),
    says: 'chain: CA 1 above the leaf is expired',
  },
  {
    what: 'an anchor that is not valid yet',
    root: makeRoot({ notBefore: NOW + 1000 }),
    says: 'chain: the trust anchor is not yet valid',
  },
  {
    what: 'an anchor that has expired',
    root: makeRoot({ notAfter: NOW - 1000 }),
    says: 'chain: the trust anchor is expired',
  },
  { what: 'the first instant of the leaf', atMs: NOT_BEFORE, says: 'good' },
  { what: 'the instant before the first', atMs: NOT_BEFORE - 1, says: 'the leaf is not yet valid' },
  { what: 'the last instant of the leaf', atMs: NOT_AFTER, says: 'good', opensslSays: 'refused' },
  { what: 'the instant after the last', atMs: NOT_AFTER + 1, says: 'the leaf is expired', opensslSays: 'not asked' },
  { what: 'a leaf without end', leaf: makeLeaf({ notAfter: Date.UTC(9999, 11, 31, 23, 59, 59) }), says: 'good' },
  { what: 'a clock that is no number', atMs: Number.NaN, says: 'the leaf is not yet valid', opensslSays: 'not asked' },

  // Names and key identifiers.
  {
    what: 'a leaf of another issuer',
    leaf: makeLeaf({ issuer: 'CB' }),
    says: 'chain: the issuer of the leaf is neither a trust anchor nor among the certificates',
  },
  {
    what: 'a CA of another issuer',
    ca: makeCa({ issuer: 'Boot' }),
    says: 'chain: the issuer of CA 1 above the leaf is neither',
  },
  {
    what: 'the same name in another case',
    leaf: makeLeaf({ issuer: 'ca' }),
    says: 'the issuer of the leaf is neither',
    opensslSays: 'good',
  },
  {
    what: 'the same name in another encoding',
    leaf: makeLeaf({ issuer: SAME_NAME_PRINTABLE }),
    says: 'the issuer of the leaf is neither',
    opensslSays: 'good',
  },
  {
    what: 'a key identifier of the CA that is not the one in the leaf',
    leaf: makeLeaf({ extensions: [LEAF_USAGE, authorityKeyId(Buffer.of(9))] }),
    says: 'the issuer of the leaf is neither a trust anchor nor among the certificates, key identifier 09',
  },
  {
    what: 'a key identifier of the root that is not the one in the CA',
    ca: makeCa({ extensions: [basicConstraints(true), CA_USAGE, authorityKeyId(Buffer.of(9))] }),
    says: 'the issuer of CA 1 above the leaf is neither',
  },
  { what: 'no key identifier in the leaf', leaf: makeLeaf({ extensions: [LEAF_USAGE] }), says: 'good' },
  { what: 'no key identifier in the CA', ca: makeCa({ extensions: [basicConstraints(true), CA_USAGE] }), says: 'good' },
  {
    what: 'a CA without a name',
    ca: makeCa({ subject: '' }),
    leaf: makeLeaf({ issuer: '' }),
    says: 'CA 1 above the leaf is a CA without a name',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf without a name but in its subjectAltName',
    leaf: makeLeaf({ subject: '', extensions: [...LEAF_EXTENSIONS, SAN] }),
    says: 'good',
  },

  // Basic constraints.
  {
    what: 'a CA without basicConstraints',
    ca: makeCa({ extensions: CA_EXTENSIONS.slice(1) }),
    says: 'CA 1 above the leaf is not a CA certificate',
  },
  {
    what: 'a CA that is none',
    ca: makeCa({ extensions: [basicConstraints(false), ...CA_EXTENSIONS.slice(1)] }),
    says: 'CA 1 above the leaf is not a CA certificate',
  },
  {
    what: 'a CA whose basicConstraints are not critical',
    ca: makeCa({ extensions: [extension('2.5.29.19', false, seq(Buffer.of(1, 1, 0xff))), ...CA_EXTENSIONS.slice(1)] }),
    says: 'good',
  },
  {
    what: 'a CA without extensions',
    ca: makeCa({ extensions: [subjectKeyId(Buffer.alloc(20, 2))] }),
    says: 'CA 1 above the leaf is not a CA certificate',
  },
  {
    what: 'a root that allows no CA below it',
    root: makeRoot({ extensions: [basicConstraints(true, 0), ...ROOT_EXTENSIONS.slice(1)] }),
    says: 'the trust anchor is above more CAs than its pathLenConstraint allows',
    opensslSays: 'refused',
  },
  {
    what: 'a root that allows one CA below it',
    root: makeRoot({ extensions: [basicConstraints(true, 1), ...ROOT_EXTENSIONS.slice(1)] }),
    says: 'good',
  },
  {
    what: 'a CA that allows no CA below it',
    ca: makeCa({ extensions: [basicConstraints(true, 0), ...CA_EXTENSIONS.slice(1)] }),
    says: 'good',
  },
  {
    what: 'a leaf that is a CA',
    leaf: makeLeaf({ extensions: [basicConstraints(true), LEAF_USAGE] }),
    says: 'the leaf is a CA certificate where a leaf is expected',
    opensslSays: 'good',
  },
  { what: 'a leaf without basicConstraints', leaf: makeLeaf({ extensions: [LEAF_USAGE] }), says: 'good' },

  // Key usage.
  {
    what: 'a CA that may not sign certificates',
    ca: makeCa({ extensions: [basicConstraints(true), keyUsage(0, 6)] }),
    says: 'CA 1 above the leaf is not allowed to sign certificates by its keyUsage',
  },
  { what: 'a CA without keyUsage', ca: makeCa({ extensions: without(CA_EXTENSIONS, CA_USAGE) }), says: 'good' },
  {
    what: 'a leaf with the keyUsage that is asked for',
    purpose: { keyUsage: { oneOf: ['keyAgreement', 'digitalSignature'], mayBeAbsent: false } },
    says: 'good',
  },
  {
    what: 'a leaf with another keyUsage',
    purpose: { keyUsage: { oneOf: ['keyEncipherment'], mayBeAbsent: true } },
    says: 'the leaf is for another keyUsage',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf without the keyUsage that must be there',
    leaf: makeLeaf({ extensions: without(LEAF_EXTENSIONS, LEAF_USAGE) }),
    purpose: { keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: false } },
    says: 'the leaf is without keyUsage',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf without a keyUsage that may be absent',
    leaf: makeLeaf({ extensions: without(LEAF_EXTENSIONS, LEAF_USAGE) }),
    purpose: { keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: true } },
    says: 'good',
  },

  // Extended key usage.
  {
    what: 'a leaf with the purpose that is asked for',
    leaf: leafWith(extendedKeyUsage([AK, EK], true)),
    purpose: wants(EK),
    says: 'good',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf with another purpose',
    leaf: leafWith(extendedKeyUsage([AK])),
    purpose: wants(EK),
    says: 'chain: no purpose that was asked for',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf for any purpose',
    leaf: leafWith(extendedKeyUsage(['2.5.29.37.0'])),
    purpose: wants(EK),
    says: 'chain: no purpose that was asked for',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf without the purpose that must be there',
    purpose: wants(EK),
    says: 'chain: the leaf has no extKeyUsage',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf without a purpose that may be absent',
    purpose: { extendedKeyUsage: { oneOf: [EK], mayBeAbsent: true } },
    says: 'good',
  },
  {
    what: 'a CA of another purpose than its leaf',
    ca: caWith(extendedKeyUsage([AK])),
    leaf: leafWith(extendedKeyUsage([EK, AK])),
    purpose: wants(EK),
    says: 'chain: no purpose that was asked for',
    opensslSays: 'not asked',
  },
  {
    what: 'CAs that share no purpose',
    root: makeRoot({ extensions: [...ROOT_EXTENSIONS, extendedKeyUsage([AK])] }),
    ca: caWith(extendedKeyUsage([EK])),
    leaf: leafWith(extendedKeyUsage([EK, AK])),
    purpose: wants(EK, AK),
    says: 'chain: no purpose that was asked for',
    opensslSays: 'not asked',
  },
  {
    what: 'a CA for any purpose',
    ca: caWith(extendedKeyUsage(['2.5.29.37.0'])),
    leaf: leafWith(extendedKeyUsage([EK])),
    purpose: wants(EK),
    says: 'good',
    opensslSays: 'not asked',
  },
  {
    what: 'a critical purpose of the leaf that nobody asks for',
    leaf: leafWith(extendedKeyUsage([EK], true)),
    says: 'the leaf is marked with the critical extension 2.5.29.37',
    opensslSays: 'not asked',
  },
  {
    what: 'a critical purpose of the root that nobody asks for',
    root: makeRoot({ extensions: [...ROOT_EXTENSIONS, extendedKeyUsage([EK], true)] }),
    says: 'the trust anchor is marked with the critical extension 2.5.29.37',
    opensslSays: 'not asked',
  },

  // Critical extensions, policies, name constraints.
  {
    what: 'an unknown critical extension of the leaf',
    leaf: leafWith(critical('1.2.3.4')),
    says: 'the leaf is marked with the critical extension 1.2.3.4, which is not understood',
  },
  {
    what: 'an unknown critical extension of the CA',
    ca: caWith(critical('1.2.3.4')),
    says: 'CA 1 above the leaf is marked with the critical extension 1.2.3.4',
  },
  {
    what: 'a critical extension that the caller checks itself',
    leaf: leafWith(critical('1.2.3.4')),
    purpose: { handledCritical: ['1.2.3.4'] },
    says: 'good',
    opensslSays: 'refused',
  },
  {
    what: 'an unknown extension that is not critical',
    leaf: leafWith(extension('1.2.3.4', false, nil())),
    says: 'good',
  },
  { what: 'a critical subjectAltName', leaf: leafWith(SAN), says: 'good' },
  { what: 'critical policies', ca: caWith(critical('2.5.29.32', seq(seq(oid('1.2.3'))))), says: 'good' },
  {
    what: 'name constraints',
    ca: caWith(extension('2.5.29.30', true, seq(Buffer.from('a00a30088206', 'hex'), Buffer.from('a.test')))),
    says: 'CA 1 above the leaf is constrained in a way that is not supported',
    opensslSays: 'not asked',
  },
  {
    what: 'name constraints that are not critical',
    ca: caWith(extension('2.5.29.30', false, seq())),
    says: 'constrained in a way that is not supported',
    opensslSays: 'not asked',
  },
  {
    what: 'policy constraints',
    ca: caWith(critical('2.5.29.36', seq(Buffer.from('800100', 'hex')))),
    says: 'CA 1 above the leaf is constrained in a way that is not supported',
    opensslSays: 'not asked',
  },
  {
    what: 'critical policy mappings',
    ca: caWith(critical('2.5.29.33', seq(seq(oid('1.2.3'), oid('1.2.4'))))),
    says: 'with the critical extension 2.5.29.33',
    opensslSays: 'not asked',
  },
  {
    what: 'a critical inhibitAnyPolicy',
    ca: caWith(critical('2.5.29.54', int(0))),
    says: 'with the critical extension 2.5.29.54',
    opensslSays: 'not asked',
  },

  // Form.
  {
    what: 'a leaf of version 1',
    leaf: makeLeaf({ version: 0 }),
    says: 'a certificate does not parse: version: not v3',
    opensslSays: 'not asked',
  },
  {
    what: 'a CA of version 1',
    ca: makeCa({ version: 0 }),
    says: 'a certificate does not parse: version: not v3',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf with a trailing byte',
    leaf: Buffer.concat([makeLeaf(), Buffer.of(0)]),
    says: 'a certificate does not parse: Certificate: trailing bytes',
    opensslSays: 'not asked',
  },
  {
    what: 'a leaf of long text',
    leaf: makeLeaf({ subject: seq(set(seq(oid('2.5.4.3'), utf8String('x'.repeat(3000))))) }),
    says: 'good',
  },
];

describe('a path', () => {
  test.each(CASES)('with $what: $says', ({ root, ca, leaf, says, purpose, atMs }) => {
    const said = validateWith({
      root: root ?? makeRoot(),
      ca: ca ?? makeCa(),
      leaf: leaf ?? makeLeaf(),
      ...(purpose === undefined ? {} : { purpose }),
      ...(atMs === undefined ? {} : { atMs }),
    });
    if (says === 'good') expect(said).toBe('good');
    else expect(said).toContain(says);
  });
});

(openssl ? describe : describe.skip)('openssl verify', () => {
  const asked = CASES.filter(({ opensslSays }) => opensslSays !== 'not asked');

  test.each(asked)('agrees on $what', ({ root, ca, leaf, says, opensslSays, atMs }) => {
    const file = (name: string, der: Buffer) => {
      writeFileSync(join(folder, name), pem(der));
      return join(folder, name);
    };
    const anchor = file('root.pem', root ?? makeRoot());
    const untrusted = file('ca.pem', ca ?? makeCa());
    const time = String(Math.floor((atMs ?? NOW) / 1000));
    const options = ['verify', '-no-CAstore', '-no-CApath', '-auth_level', '2', '-attime', time];
    const args = [...options, '-CAfile', anchor, '-untrusted', untrusted, file('leaf.pem', leaf ?? makeLeaf())];
    const { status } = spawnSync('openssl', args, { timeout: 10_000 });
    expect(status === 0 ? 'good' : 'refused').toBe(opensslSays ?? (says === 'good' ? 'good' : 'refused'));
  });
});

describe('the way to an anchor', () => {
  const leafUnder = ({ name, key }: ReturnType<typeof makeCas>) =>
    makeLeaf({ issuer: name, signer: key, extensions: [LEAF_USAGE] });

  test('may have four CAs between leaf and anchor, and not five', () => {
    const four = makeCas([{}, {}, {}, {}]);
    expect(validateChain([leafUnder(four), ...four.ders], [makeRoot()])).toBe('good');
    const five = makeCas([{}, {}, {}, {}, {}]);
    expect(validateChain([leafUnder(five), ...five.ders], [makeRoot()])).toBe('chain: the path is too long');
  });

  test('is found whatever the order behind the leaf, and with the anchor among the certificates', () => {
    const cas = makeCas([{}, {}, {}]);
    const leaf = leafUnder(cas);
    fc.assert(
      fc.property(fc.shuffledSubarray([...cas.ders, makeRoot(), leaf], { minLength: 5 }), (rest) => {
        expect(validateChain([leaf, ...rest], [makeRoot()])).toBe('good');
      }),
      { numRuns: 20 },
    );
  });

  test('ends at the first anchor, which may be an intermediate', () => {
    const result = validatePath({
      chain: [makeLeaf(), makeCa()],
      anchors: trustAnchorsOf([makeRoot(), makeCa()]),
      atMs: NOW,
      purpose: {},
      crls: [],
      crlPolicy: 'none',
    });
    expect(result.ok && [result.path.length, result.leaf.serial, result.anchor.serial]).toEqual([1, '03', '02']);
  });

  test('goes by another anchor where the first has expired', () => {
    const expired = makeCa({ notAfter: NOW - 1000 });
    expect(validateChain([makeLeaf(), makeCa({ serial: 9 })], [expired, makeRoot()])).toBe('good');
    expect(validateChain([makeLeaf()], [expired, makeCa()])).toBe('good');
  });

  test('counts no self-issued CA against pathLenConstraint', () => {
    const root = makeRoot({ extensions: [basicConstraints(true, 1), CA_USAGE] });
    const first = makeCa({ extensions: [basicConstraints(true, 0), CA_USAGE] });
    const newKey = makeCa({
      issuer: 'CA',
      signer: KEYS.ca,
      key: KEYS.other,
      extensions: [basicConstraints(true), CA_USAGE],
    });
    const leaf = makeLeaf({ signer: KEYS.other, extensions: [LEAF_USAGE] });
    expect(validateChain([leaf, first, newKey], [root])).toBe('good');
    const below = makeCa({
      subject: 'Below',
      issuer: 'CA',
      signer: KEYS.ca,
      key: KEYS.other,
      extensions: [basicConstraints(true), CA_USAGE],
    });
    const deeper = makeLeaf({ issuer: 'Below', signer: KEYS.other, extensions: [LEAF_USAGE] });
    expect(validateChain([deeper, first, below], [makeRoot()])).toContain('than its pathLenConstraint allows');
  });

  test('takes the one of several certificates of a CA that is good', () => {
    const bad = [
      makeCa({ notAfter: NOW - 1000 }),
      makeCa({ key: KEYS.other, extensions: [basicConstraints(true), CA_USAGE] }),
      makeCa({ signer: KEYS.other }),
      caWith(critical('1.2.3.4')),
    ];
    expect(validateChain([makeLeaf(), ...bad, makeCa()], [makeRoot()])).toBe('good');
    expect(validateChain([makeLeaf(), ...bad], [makeRoot()])).toMatch(/^chain: /);
  });

  test('goes in no circle', () => {
    const a = makeCa({
      subject: 'A',
      issuer: 'B',
      signer: KEYS.other,
      key: KEYS.ca,
      extensions: [basicConstraints(true), CA_USAGE],
    });
    const b = makeCa({
      subject: 'B',
      issuer: 'A',
      signer: KEYS.ca,
      key: KEYS.other,
      extensions: [basicConstraints(true), CA_USAGE],
    });
    const self = makeCa({ subject: 'A', issuer: 'A', signer: KEYS.ca, extensions: [basicConstraints(true), CA_USAGE] });
    const leaf = makeLeaf({ issuer: 'A', extensions: [LEAF_USAGE] });
    expect(validateChain([leaf, a, b, self], [makeRoot()])).toMatch(/^chain: the issuer of .* is neither/);
  });

  test('is given up when too many certificates could be the issuer', () => {
    const anchors = Array.from({ length: 33 }, (_, serial) =>
      makeRoot({
        serial: serial + 10,
        subject: 'CA',
        spki: ecKey().spki,
        extensions: [basicConstraints(true), CA_USAGE],
      }),
    );
    const good = makeRoot({ subject: 'CA', key: KEYS.ca, extensions: [basicConstraints(true), CA_USAGE] });
    expect(validateChain([makeLeaf()], [...anchors.slice(0, 31), good])).toBe('good');
    expect(validateChain([makeLeaf()], [...anchors, good])).toMatch(/^chain: /);
  });

  test('is given up after six good CAs of one name that did not issue the leaf', () => {
    const anew = () => makeCa({ key: ecKey(), extensions: [basicConstraints(true), CA_USAGE] });
    const others = Array.from({ length: 6 }, anew);
    const leaf = makeLeaf({ extensions: [LEAF_USAGE] });
    expect(validateChain([leaf, ...others.slice(1), makeCa()], [makeRoot()])).toBe('good');
    expect(validateChain([leaf, ...others, makeCa()], [makeRoot()])).toBe(
      'chain: CA 1 above the leaf is one that too many certificates may have issued',
    );
  });

  test('is found beside self-made CAs, whose keys are not used', () => {
    const keys = Array.from({ length: 6 }, () => ecKey());
    const strangers = keys.map((key, index) =>
      makeCa({ key, issuer: 'CA', signer: keys[(index + 1) % 6]!, extensions: [basicConstraints(true), CA_USAGE] }),
    );
    const extensions = [LEAF_USAGE];
    expect(validateChain([makeLeaf({ extensions }), ...strangers, makeCa()], [makeRoot()])).toBe('good');
    // Of a signature by one of them nothing is said, right or wrong: it was not looked at.
    for (const signer of [keys[0]!, KEYS.other]) {
      expect(validateChain([makeLeaf({ extensions, signer }), ...strangers], [makeRoot()])).toMatch(
        /^chain: (the path is too long|the issuer of CA \d above the leaf is neither)/,
      );
    }
  });

  test('is found where signatures lead to the anchor, and nowhere else', () => {
    const keyOf = { a: KEYS.ca, b: KEYS.other, root: KEYS.root };
    const signers = (['a', 'b', 'root'] as const).flatMap((signer) =>
      ['A', 'B', 'Root'].map((issuer) => ({ issuer, signer })),
    );
    const all = signers.flatMap(({ issuer, signer }) =>
      (['a', 'b'] as const).flatMap((key) =>
        ['A', 'B'].map((subject) => {
          const names = { subject, key: keyOf[key], issuer, signer: keyOf[signer] };
          const der = makeCa({ ...names, extensions: [basicConstraints(true), CA_USAGE] });
          return { subject, key, issuer, signer, der };
        }),
      ),
    );
    const leaves = signers.map(({ issuer, signer }) => {
      const der = makeLeaf({ issuer, signer: keyOf[signer], extensions: [LEAF_USAGE] });
      return { issuer, signer, der };
    });
    let found = 0;
    const check = (leaf: (typeof leaves)[number], pool: typeof all) => {
      const above: { readonly issuer: string; readonly signer: string }[] = [leaf];
      for (const { issuer, signer } of above) {
        above.push(...pool.filter((one) => one.subject === issuer && one.key === signer && !above.includes(one)));
      }
      const good = above.some(({ issuer, signer }) => issuer === 'Root' && signer === 'root');
      const said = validateChain(
        [leaf, ...pool].map(({ der }) => der),
        [makeRoot()],
      );
      expect(said === 'good').toBe(good);
      if (good) found++;
    };
    const pools = fc.subarray(all, { minLength: 1, maxLength: 4 });
    fc.assert(fc.property(fc.constantFrom(...leaves), pools, check), { numRuns: 200 });
    expect(found).toBeGreaterThan(10);
  });

  test('needs a leaf, and takes eight certificates', () => {
    const spare = Array.from({ length: 7 }, (_, serial) => makeCa({ serial: serial + 20 }));
    expect(validateChain([], [makeRoot()])).toBe('chain: no certificate was given');
    expect(validateChain([makeLeaf(), ...spare], [makeRoot()])).toBe('good');
    expect(validateChain([makeLeaf(), ...spare, makeCa()], [makeRoot()])).toBe('chain: too many certificates');
  });

  test('does not end at a leaf, nor at a root that the certificates bring along', () => {
    const self = makeLeaf({ issuer: 'Leaf', signer: KEYS.leaf });
    expect(validateChain([self], [makeRoot()])).toMatch(/^chain: the issuer of the leaf is neither/);
    const ownRoot = makeRoot({ subject: 'Mallory', issuer: 'Mallory', key: KEYS.other, signer: KEYS.other });
    const ownCa = makeCa({ issuer: 'Mallory', signer: KEYS.other });
    expect(validateChain([makeLeaf(), ownCa, ownRoot], [makeRoot()])).toMatch(/^chain: the issuer of CA 2 above/);
    const fakeRoot = makeRoot({ key: KEYS.other, signer: KEYS.other });
    const fakeCa = makeCa({ signer: KEYS.other });
    expect(validateChain([makeLeaf(), fakeCa, fakeRoot], [makeRoot()])).toMatch(/^chain: /);
  });

  test('may leave the validity of the anchor alone', () => {
    const root = makeRoot({ notAfter: NOW - 1000 });
    expect(validateWith({ root, enforceAnchorValidity: false })).toBe('good');
    expect(validateWith({ root, enforceAnchorValidity: true })).toBe('chain: the trust anchor is expired');
  });

  test('a flipped bit anywhere in leaf or CA is refused', () => {
    const chain = [makeLeaf({ extensions: [...LEAF_EXTENSIONS, SAN] }), makeCa()];
    const anchors = trustAnchorsOf([makeRoot()]);
    const request = { anchors, atMs: NOW, purpose: {}, crls: [], crlPolicy: 'none' } as const;
    expect(validatePath({ ...request, chain }).ok).toBe(true);
    for (const [index, der] of chain.entries()) {
      for (let bit = 0; bit < der.length * 8; bit++) {
        const changed = Buffer.from(der);
        changed[bit >> 3]! ^= 0x80 >> (bit & 7);
        const result = validatePath({ ...request, chain: chain.with(index, changed) });
        expect([bit, result.ok]).toEqual([bit, false]);
      }
    }
  });
});
