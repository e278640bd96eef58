import type { X509Certificate } from 'node:crypto';
import { MalformedError } from '../bytes/malformed-error.js';
import type { AnchorSets } from '../endorsement/anchor-sets.js';
import { ekIdentity, pathIdentities, type RevocableIdentity } from '../endorsement/identity.js';
import { instanceOf } from '../endorsement/instance.js';
import type { KnownPaths, RevocationLists } from '../endorsement/known-paths.js';
import type { PathFault, ValidPath } from '../endorsement/path.js';
import type { Purpose } from '../endorsement/certificate-checks.js';
import { AK_CERTIFICATE_PURPOSE, EK_CERTIFICATE_PURPOSE } from '../endorsement/tpm-identity.js';
import type { Deployment } from '../policy/deployment.js';
import type { Rejection } from '../reason/reason.js';
import type { BrokerContext } from './context.js';
import type { AkEnrolment, AttesterRecord } from './records.js';

/** What a confidential-VM report that was verified, and is tied to the request, says of the AK of its machine. */
export interface CvmVouching {
  /** The AK that the report names: SubjectPublicKeyInfo, DER. undefined: none, or not the one that was presented. */
  readonly akSpki: Buffer | undefined;
  /** Whether the AK stands in the runtime data of a paravisor, which vouches for its attributes. */
  readonly isParavisorAk?: boolean;
  /** Launch measurement and digest of the identity key, lower-case hex. */
  readonly measurement: string;
  readonly idKeyDigest?: string;
  /** 0 where there are none. */
  readonly vmpl: number;
  /** The chip, and what the report's own chain hangs on. */
  readonly identities: readonly RevocableIdentity[];
}

/** What vouches for AKs beside the facts of the store, and when: ms since the Unix epoch. */
export interface Vouchers {
  /** Development profile only. */
  readonly simulatorCa: X509Certificate | undefined;
  readonly nowMs: number;
  readonly anchors: AnchorSets;
  readonly paths: KnownPaths;
  readonly revocationLists: RevocationLists;
  /** Undefined where no such report was sent; then trust by `cvm-report` is refused. Where it was refused, why. */
  readonly cvm?: CvmVouching | Rejection;
}

/** The report, where it was verified. */
export function verifiedCvm({ cvm }: Pick<Vouchers, 'cvm'>): CvmVouching | undefined {
  return cvm === undefined || 'ok' in cvm ? undefined : cvm;
}

/** What vouches now. */
export function vouchersOf({
  simulator,
  clock,
  anchors,
  paths,
  revocationLists,
}: Pick<BrokerContext, 'simulator' | 'clock' | 'anchors' | 'paths' | 'revocationLists'>): Vouchers {
  return {
    simulatorCa: simulator?.certificate,
    nowMs: clock(),
    anchors,
    paths,
    revocationLists: revocationLists(),
  };
}

/** keyEncipherment of RSA, keyAgreement of ECC: a signing key that a maker certified under the same purpose is no EK. */
const EK_PURPOSE: Purpose = {
  extendedKeyUsage: { oneOf: [EK_CERTIFICATE_PURPOSE], mayBeAbsent: true },
  keyUsage: { oneOf: ['keyEncipherment', 'keyAgreement'], mayBeAbsent: false },
};

/** Clouds certify AKs without any extended key usage too, and Google those of older machines with that of an EK. */
const AK_PURPOSE: Purpose = {
  extendedKeyUsage: { oneOf: [AK_CERTIFICATE_PURPOSE, EK_CERTIFICATE_PURPOSE], mayBeAbsent: true },
  keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: true },
};

type Path = ValidPath | PathFault;

/**
 * The path of an EK certificate (DER, the leaf first) to the roots of a deployment. One without extended key usage, as Google
 * certifies the EKs of its newer machines, must name a cloud instance: else any key that may encrypt would pass for an EK.
 */
export function ekPath(vouchers: Vouchers, { attesters }: Deployment, chain: readonly Buffer[]): Path {
  const path = pathOf('ek', EK_PURPOSE, vouchers, attesters.roots, chain);
  if (!path.ok || path.leaf.extendedKeyUsage !== undefined) return path;
  if (Object.keys(instanceOf(path.leaf)).length > 0) return path;
  return { ok: false, fault: 'chain', detail: 'the leaf is not certified as an EK: it has no extended key usage' };
}

/** The path of an AK certificate to the roots of a deployment. */
export function akPath(vouchers: Vouchers, { attesters }: Deployment, chain: readonly Buffer[]): Path {
  return pathOf('ak', AK_PURPOSE, vouchers, attesters.roots, chain);
}

function pathOf(
  name: string,
  purpose: Purpose,
  { anchors, paths, revocationLists, nowMs }: Vouchers,
  roots: readonly string[],
  chain: readonly Buffer[],
): Path {
  if (chain.length === 0) return { ok: false, fault: 'chain', detail: 'no certificate was sent' };
  try {
    return paths.validate(name, { chain, anchors: anchors.of(roots), atMs: nowMs, purpose }, revocationLists);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return { ok: false, fault: 'chain', detail: `the roots of the deployment are unusable: ${error.message}` };
  }
}

/** The enrolment of an AK for this deployment. Those for others say nothing here: an EK that their roots believe may be anybody's. */
export function enrolmentFor(attester: AttesterRecord | undefined, deployment: string): AkEnrolment | undefined {
  return attester?.enrolments?.find((each) => each.deployment === deployment);
}

/**
 * Everything that vouches for an AK by the rules of the deployment, each of which may have been revoked, and the EK that it
 * was enrolled by for this deployment, whatever the rules. Empty where nothing but the AK itself can be.
 */
export function vouchingIdentities(
  vouchers: Vouchers,
  deployment: Deployment | undefined,
  attester: AttesterRecord | undefined,
  certificates: readonly Buffer[],
): readonly RevocableIdentity[] {
  if (deployment === undefined) return [];
  const { trust } = deployment.attesters;
  const identities = new Set<RevocableIdentity>(trust.includes('cvm-report') ? verifiedCvm(vouchers)?.identities : []);
  const take = (path: Path): void => {
    if (path.ok) for (const identity of pathIdentities(path)) identities.add(identity);
  };
  const enrolment = enrolmentFor(attester, deployment.name);
  if (enrolment !== undefined) {
    identities.add(ekIdentity(enrolment.ek.spkiSha256));
    if (trust.includes('ek-certificate')) take(ekPath(vouchers, deployment, enrolment.ek.certificates));
  }
  if (trust.includes('ak-certificate') && certificates.length > 0) take(akPath(vouchers, deployment, certificates));
  return [...identities];
}
