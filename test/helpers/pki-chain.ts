/** A chain of three that is good: root, CA, leaf, to which a test does one thing. Keys are made once per file. */
import type { RevocationList } from '../../src/crypto/x509-crl.js';
import { validatePath, type PathRequest } from '../../src/endorsement/path.js';
import { trustAnchorsOf } from '../../src/endorsement/trust-anchors.js';
import {
  authorityKeyId,
  basicConstraints,
  certificate,
  ecKey,
  keyUsage,
  NOW,
  subjectKeyId,
  type CertificateSpec,
  type TestKey,
} from './pki.js';

export const KEYS = { root: ecKey(), ca: ecKey(), leaf: ecKey(), other: ecKey() };
const ID = { root: Buffer.alloc(20, 1), ca: Buffer.alloc(20, 2) };

export const CA_USAGE = keyUsage(5, 6);
export const LEAF_USAGE = keyUsage(0);

/** The parts of the good certificates, for tests that leave one out or put one more in. */
export const ROOT_EXTENSIONS = [basicConstraints(true), CA_USAGE, subjectKeyId(ID.root)];
export const CA_EXTENSIONS = [basicConstraints(true), CA_USAGE, subjectKeyId(ID.ca), authorityKeyId(ID.root)];
export const LEAF_EXTENSIONS = [basicConstraints(false), LEAF_USAGE, authorityKeyId(ID.ca)];

type Change = Partial<CertificateSpec>;

export const makeRoot = (change: Change = {}) =>
  certificate({
    serial: 1,
    subject: 'Root',
    issuer: 'Root',
    key: KEYS.root,
    signer: KEYS.root,
    extensions: ROOT_EXTENSIONS,
    ...change,
  });
export const makeCa = (change: Change = {}) =>
  certificate({
    serial: 2,
    subject: 'CA',
    issuer: 'Root',
    key: KEYS.ca,
    signer: KEYS.root,
    extensions: CA_EXTENSIONS,
    ...change,
  });
export const makeLeaf = (change: Change = {}) =>
  certificate({
    serial: 3,
    subject: 'Leaf',
    issuer: 'CA',
    key: KEYS.leaf,
    signer: KEYS.ca,
    extensions: LEAF_EXTENSIONS,
    ...change,
  });

/** CAs one below the other, the first under the root: their DER, and how to sign what is below the last one. */
export function makeCas(changes: readonly Change[]): {
  readonly ders: Buffer[];
  readonly name: string | Buffer;
  readonly key: TestKey;
} {
  let above: { name: string | Buffer; key: TestKey } = { name: 'Root', key: KEYS.root };
  const ders = changes.map((change, index) => {
    const spec = {
      subject: `CA ${String(index + 1)}`,
      key: ecKey(),
      issuer: above.name,
      signer: above.key,
      extensions: [basicConstraints(true), CA_USAGE],
      ...change,
    };
    above = { name: spec.subject, key: spec.key };
    return certificate(spec);
  });
  return { ders, ...above };
}

export interface Overrides extends Partial<Omit<PathRequest, 'anchors' | 'chain'>> {
  readonly root?: Buffer;
  readonly ca?: Buffer;
  readonly leaf?: Buffer;
  readonly crls?: readonly RevocationList[];
}

/** Validates root, CA and leaf, the good ones where a test gives none. */
export function validateWith({ root, ca, leaf, ...request }: Overrides = {}): string {
  return validateChain([leaf ?? makeLeaf(), ca ?? makeCa()], [root ?? makeRoot()], request);
}

/** `good`, or the fault and its detail. */
export function validateChain(
  chain: readonly Buffer[],
  roots: readonly Buffer[],
  request: Partial<Omit<PathRequest, 'anchors' | 'chain'>> = {},
): string {
  const anchors = trustAnchorsOf(roots);
  const result = validatePath({ chain, anchors, atMs: NOW, purpose: {}, crls: [], crlPolicy: 'none', ...request });
  return result.ok ? 'good' : `${result.fault}: ${result.detail}`;
}
