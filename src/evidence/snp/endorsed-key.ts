import { MalformedError } from '../../bytes/malformed-error.js';
import type { RevocationList } from '../../crypto/x509-crl.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import { type Certificate, parseCertificate } from '../../crypto/x509.js';
import type { Collateral, HardwareTrust } from '../../endorsement/collateral.js';
import type { AmdGeneration, AmdRoots } from '../../endorsement/hardware-roots.js';
import type { RevocationLists } from '../../endorsement/known-paths.js';
import type { ValidPath } from '../../endorsement/path.js';
import { type VendorPath, vendorPath } from '../../endorsement/vendor-path.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import { VEK_NAMES } from './constants.js';
import { generationOfCpuid, type SnpReport } from './report.js';
import { issuerOf, parseVek, type Vek } from './vek.js';

/** The key that AMD vouches for, and by which path. */
export interface EndorsedKey extends VendorPath {
  readonly vek: Vek;
}

/**
 * The generation of the processor that the report is of: by its CPUID, and before version 3, which has none, by the issuer
 * of the leaf. snp.version where it is none that is known here; snp.chain where the leaf does not say.
 */
export function generationOf(report: SnpReport, certificates: readonly Buffer[]): Result<AmdGeneration> {
  if (report.cpuid !== undefined) {
    const generation = generationOfCpuid(report.cpuid);
    return generation === undefined
      ? reject('snp.version', 'the processor of the report is of no generation that is known')
      : accept(generation);
  }
  const [leaf] = certificates;
  if (leaf === undefined) return noLeaf();
  return orChain(() => issuerOf(parseCertificate(leaf)).generation);
}

/**
 * The VCEK or VLEK of a generation, below the pinned ARK of that generation. snp.chain for everything that is wrong with the
 * certificates, a revoked one too: the pinned ASK and ASVK are used where the leaf came alone, otherwise exactly what was sent,
 * of which every piece must be on the path or be one of the pinned.
 */
export function endorsedKey(
  certificates: readonly Buffer[],
  generation: AmdGeneration,
  trust: HardwareTrust,
): Result<EndorsedKey> {
  const [leaf] = certificates;
  if (leaf === undefined) return noLeaf();
  const roots = trust.roots.amd[generation];
  const chain = certificates.length === 1 ? [leaf, ...roots.intermediates] : certificates;
  const { paths, collateral, requireCrls, atMs } = trust;
  const request = { chain, anchors: roots.anchors, atMs, purpose: {} };
  const found = vendorPath(paths, 'snp', request, revocationLists(collateral, requireCrls), 'snp.chain');
  if (!found.ok) return found;
  const { path, withoutCrl } = found.value;
  const vek = orChain(() => vekOf(path.leaf));
  if (!vek.ok) return vek;
  if (vek.value.generation !== generation) {
    return reject('snp.chain', `the certificate is of ${vek.value.generation}, the report of ${generation}`);
  }
  const fault = authorityFault(path, vek.value) ?? strangerFault(certificates, path, roots);
  return fault === undefined ? accept({ vek: vek.value, path, withoutCrl }) : reject('snp.chain', fault);
}

function noLeaf(): Rejection {
  return reject('snp.chain', 'neither a VCEK nor a VLEK was sent');
}

interface ListsByPolicy {
  readonly required: RevocationLists;
  readonly ifPresent: RevocationLists;
}

const LISTS = new WeakMap<readonly RevocationList[], ListsByPolicy>();

/** The same object for the same CRLs: known paths go by it. AMD's CRLs, which the ARK signs, leave the leaves out. */
function revocationLists({ crls }: Collateral, isRequired: boolean): RevocationLists {
  let known = LISTS.get(crls);
  if (known === undefined) {
    known = {
      required: { lists: crls, policy: 'required-for-authorities' },
      ifPresent: { lists: crls, policy: 'if-present' },
    };
    LISTS.set(crls, known);
  }
  return isRequired ? known.required : known.ifPresent;
}

/** The CA is the one for this kind of key, and stands right below the ARK. */
function authorityFault(
  { path: [, authority, ...others], anchor }: ValidPath,
  { kind, generation }: Vek,
): string | undefined {
  if (authority === undefined || others.length > 0) return 'not one CA between leaf and ARK';
  const nameOf = ({ subject }: Certificate) => onlyAttribute(subject.attributes, COMMON_NAME);
  if (nameOf(authority) !== VEK_NAMES[kind].issuer + generation) return `the CA is not the one of a ${kind}`;
  return nameOf(anchor) === `ARK-${generation}` ? undefined : 'the anchor is not the ARK of the generation';
}

/** A certificate that plays no part is refused like a changed one, which it may be, unless it is one of the pinned. */
function strangerFault(sent: readonly Buffer[], { path }: ValidPath, roots: AmdRoots): string | undefined {
  const known = [...path, ...roots.anchors.certificates].map(({ der }) => der).concat(roots.intermediates);
  const isStranger = (certificate: Buffer) => !known.some((der) => der.equals(certificate));
  return sent.some(isStranger) ? 'a certificate was sent that is not on the path of the leaf' : undefined;
}

const VEKS = new WeakMap<Certificate, Vek>();

/** Parsed once for each certificate that a known path holds. */
function vekOf(certificate: Certificate): Vek {
  const known = VEKS.get(certificate) ?? parseVek(certificate);
  VEKS.set(certificate, known);
  return known;
}

function orChain<T>(parse: () => T): Result<T> {
  try {
    return accept(parse());
  } catch (error) {
    if (error instanceof MalformedError)
      return reject('snp.chain', `the VCEK or VLEK does not parse: ${error.message}`);
    throw error;
  }
}
