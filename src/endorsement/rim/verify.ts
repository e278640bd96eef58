/**
 * Reference integrity manifests of NVIDIA: what is measured in a GPU or switch that runs what it should. Nothing may be assumed of
 * the bytes; what is believed of them is what a signer below NVIDIA's pinned root signed, while its certificates are valid.
 */
import { MalformedError } from '../../bytes/malformed-error.js';
import { sha256Hex } from '../../crypto/digest.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import type { Purpose } from '../certificate-checks.js';
import type { Collateral, HardwareTrust } from '../collateral.js';
import { pathIdentities, type RevocableIdentity } from '../identity.js';
import type { RevocationLists } from '../known-paths.js';
import type { PathFault, ValidPath } from '../path.js';
import { idOfBroken, readManifest, type ReferenceManifest } from './manifest.js';
import { isSignedBySigner, readSignature, type XmlSignature } from './signature.js';
import { parseXml, type XmlElement } from './xml.js';

export { rimId, type ReferenceManifest, type ReferenceMeasurement, type RimKind } from './manifest.js';

/** NVIDIA's signers have digitalSignature and no extKeyUsage. */
const RIM_SIGNER: Purpose = { keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: false } };
const RIM_SIGNER_NAME = 'rim-signer';

/** A manifest as it was read, whose digest is right: neither its signature nor its signer is verified. */
export interface ParsedRim {
  readonly manifest: ReferenceManifest;
  readonly signature: XmlSignature;
  /** While all of its certificates are valid, Unix milliseconds, both ends inclusive; never, where the first is behind the second. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** SHA-256 of the bytes that were read, hex. */
  readonly sha256: string;
}

/** A manifest that a signer of NVIDIA vouches for, now. */
export interface VerifiedRim extends ReferenceManifest {
  /** SHA-256 of the file, hex: NVIDIA signs several manifests of one id, and only this tells them apart. */
  readonly sha256: string;
  /** What could be revoked of the signer and of those above it. */
  readonly identities: readonly RevocableIdentity[];
}

/** What is wrong with the form or the digest of a manifest. */
interface BrokenRim {
  /** What it says it is of, where that can be read. */
  readonly id: string | undefined;
  readonly fault: string;
}

/** What follows from the bytes alone: the manifest, or why there is none. */
interface Read {
  readonly rim: ParsedRim | BrokenRim;
  isSigned?: boolean;
  verified?: { readonly path: ValidPath; readonly result: Result<VerifiedRim> };
}

const READ = new WeakMap<Buffer, Read>();
const LISTS = new WeakMap<Collateral, RevocationLists>();
const CANDIDATES = new WeakMap<Collateral, ReadonlyMap<string, readonly Buffer[]>>();

/** Parses a manifest of at most MAX_RIM_BYTES. Throws only MalformedError, also where it was changed after it had been signed. */
export function parseRim(bytes: Buffer): ParsedRim {
  return readRim(parseXml(bytes), bytes);
}

function readRim(root: XmlElement, bytes: Buffer): ParsedRim {
  const signature = readSignature(root);
  const { certificates } = signature;
  return {
    manifest: readManifest(root),
    signature,
    fromMs: Math.max(...certificates.map(({ notBeforeMs }) => notBeforeMs)),
    untilMs: Math.min(...certificates.map(({ notAfterMs }) => notAfterMs)),
    sha256: sha256Hex(bytes),
  };
}

/**
 * Verifies a manifest: its form, its signature, and the path of its signer to NVIDIA's root, in which each certificate it brings must
 * have its place. `gpu.rim` where one of these fails, whatever the time is, and where a CRL at hand revokes the signer or a CA;
 * `collateral.unavailable` where the only thing wrong is the time: a certificate is no longer, or not yet, valid, or a CRL at hand is
 * stale. A CRL that is missing is no fault, since NVIDIA's CAs below the second level publish none.
 *
 * Parsing and signature are remembered for the Buffer, which must not change; paths by `trust.paths`.
 */
export function verifyRim(bytes: Buffer, trust: HardwareTrust): Result<VerifiedRim> {
  const read = readOnce(bytes);
  if ('fault' in read.rim) return reject('gpu.rim', read.rim.fault);
  const { manifest, signature, fromMs, untilMs } = read.rim;
  const refused = (why: string) => reject('gpu.rim', `the manifest ${manifest.id}: ${why}`);
  if (fromMs > untilMs) return refused('its certificates are never valid together');
  // Whether it is genuine is found out for a moment at which it can be: what is forged is never called stale.
  const atMs = Math.min(Math.max(trust.atMs, fromMs), untilMs);
  const chain = signature.certificates.map(({ der }) => der);
  const request = { chain, anchors: trust.roots.nvidiaRims, atMs, purpose: RIM_SIGNER };
  const path = trust.paths.validate(RIM_SIGNER_NAME, request, listsOf(trust.collateral));
  if (!path.ok && path.fault !== 'collateral') return refused(`the signer has no good path: ${path.detail}`);
  if (path.ok && !isPath(signature, path)) return refused('it brings certificates that are not those of its path');
  read.isSigned ??= isSignedBySigner(signature);
  if (!read.isSigned) return refused('it is not signed by its signer');
  if (atMs !== trust.atMs) return outOfDate(manifest, trust.atMs, read.rim);
  if (!path.ok) return unavailable(manifest, path);
  if (read.verified?.path !== path) {
    read.verified = {
      path,
      result: accept({ ...manifest, sha256: read.rim.sha256, identities: pathIdentities(path) }),
    };
  }
  return read.verified.result;
}

/**
 * The manifest of that id (see rimId) in the collateral at hand. Of several the one is taken whose signer's certificate is the
 * newest, of those that are good. NVIDIA has signed manifests of one id with different measurements: which of them is the right one
 * nothing here tells, so that whoever fills the collateral decides, or a policy by `sha256`. Where there is none, nor one that says
 * it is of that id, `collateral.unavailable`; where all are refused, the refusal of the newest, though `collateral.unavailable` before
 * `gpu.rim`. One that is broken is `gpu.rim` like any other, as long as it can still be read what it is of.
 */
export function findRim(id: string, trust: HardwareTrust): Result<VerifiedRim> {
  let refusal: Rejection | undefined;
  for (const bytes of candidatesIn(trust.collateral).get(id) ?? []) {
    const result = verifyRim(bytes, trust);
    if (result.ok) return result;
    if (refusal === undefined || (refusal.reason === 'gpu.rim' && result.reason !== 'gpu.rim')) refusal = result;
  }
  return refusal ?? reject('collateral.unavailable', `there is no manifest ${id} at hand`);
}

/** The SHA-256 of the other good manifests of the same id at hand, hex: what they list was not used. */
export function unusedRims({ id, sha256 }: VerifiedRim, trust: HardwareTrust): readonly string[] {
  const good = (candidatesIn(trust.collateral).get(id) ?? []).flatMap((bytes) => {
    const result = verifyRim(bytes, trust);
    return result.ok ? [result.value.sha256] : [];
  });
  return [...new Set(good)].filter((other) => other !== sha256);
}

/** By id, the newest signer first, those that are broken last; what is of no id is left out. */
function candidatesIn(collateral: Collateral): ReadonlyMap<string, readonly Buffer[]> {
  const known = CANDIDATES.get(collateral);
  if (known !== undefined) return known;
  const read = collateral.rims.map((bytes) => ({ bytes, rim: readOnce(bytes).rim }));
  const signedAt = (rim: Read['rim']) =>
    'fault' in rim ? -Infinity : (rim.signature.certificates[0]?.notBeforeMs ?? 0);
  const newestFirst = read.toSorted((a, b) => {
    const [x, y] = [signedAt(a.rim), signedAt(b.rim)];
    return x === y ? 0 : y - x;
  });
  const found = new Map<string, Buffer[]>();
  for (const { bytes, rim } of newestFirst) {
    const id = 'fault' in rim ? rim.id : rim.manifest.id;
    if (id !== undefined) found.set(id, [...(found.get(id) ?? []), bytes]);
  }
  CANDIDATES.set(collateral, found);
  return found;
}

function readOnce(bytes: Buffer): Read {
  let read = READ.get(bytes);
  if (read === undefined) {
    read = { rim: parsedOrBroken(bytes) };
    READ.set(bytes, read);
  }
  return read;
}

function parsedOrBroken(bytes: Buffer): ParsedRim | BrokenRim {
  let root: XmlElement | undefined;
  try {
    root = parseXml(bytes);
    const rim = readRim(root, bytes);
    // A signer with a key of another kind is a fault of the file like any other.
    rim.signature.certificates[0]?.publicKey();
    return rim;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    const id = root === undefined ? undefined : idOfBroken(root);
    return {
      id,
      fault: `${id === undefined ? 'a manifest' : `the manifest ${id}`} is not what it should be: ${error.message}`,
    };
  }
}

/** The same object while the collateral is the same, which is what KnownPaths goes by. */
function listsOf(collateral: Collateral): RevocationLists {
  let lists = LISTS.get(collateral);
  if (lists === undefined) {
    lists = { lists: collateral.crls, policy: 'if-present' };
    LISTS.set(collateral, lists);
  }
  return lists;
}

/** A certificate beside the path would be one that nobody vouches for: a copy of the root is the only one that may stand behind it. */
function isPath({ certificates }: XmlSignature, { path, anchor }: ValidPath): boolean {
  const expected = [...path, anchor];
  return certificates.every(({ der }, index) => expected[index]?.der.equals(der));
}

function outOfDate({ id }: ReferenceManifest, atMs: number, { fromMs, untilMs }: ParsedRim): Rejection {
  const [when, ms] = atMs > untilMs ? ['until', untilMs] : ['from', fromMs];
  const date = new Date(ms).toISOString();
  return reject(
    'collateral.unavailable',
    `the signer of the manifest ${id} is valid ${when} ${date}: fetch the manifest anew`,
  );
}

function unavailable({ id }: ReferenceManifest, { detail }: PathFault): Rejection {
  return reject('collateral.unavailable', `the signer of the manifest ${id} cannot be checked: ${detail}`);
}
