import type { Certificate } from '../crypto/x509.js';
import { ekIdentity, pathIdentities } from '../endorsement/identity.js';
import type { PathFault, ValidPath } from '../endorsement/path.js';
import type { AkIdentity } from '../evidence/tpm/ak.js';
import type { Deployment } from '../policy/deployment.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import type { BrokerContext } from './context.js';
import { noSuchDeployment } from './deployments.js';
import type { AttesterRecord, EkEndorsement } from './records.js';
import type { StoreView } from './store.js';
import { ekPath, enrolmentFor, type Vouchers } from './vouchers.js';

/** Who is to be enrolled, as it was presented. */
export interface Candidate {
  readonly deployment: string;
  readonly ak: AkIdentity;
  /** Of the EK: DER, the leaf first. */
  readonly certificates: readonly Buffer[];
}

/** The EK, as far as it is needed here. */
interface Ek {
  readonly spkiSha256: string;
}

/** A candidate that nothing speaks against now. */
export interface Examined<E extends Ek> {
  readonly deployment: Deployment;
  readonly ek: E;
  /** The AK, where it is known already. */
  readonly known: AttesterRecord | undefined;
}

/** Two claim one AK: the members of the log record. */
interface Conflict {
  readonly deployment: string;
  readonly ak_name: string;
  readonly ak_spki_sha256: string;
  readonly ek_spki_sha256: string;
}

/** A refusal; with what is to be recorded of it. */
export type Refusal = Rejection & { readonly conflict?: Conflict };

/**
 * Everything that an enrolment depends on and that may have changed since it was asked for, which is why it is examined when it
 * is asked for and when it is activated: deployment.unknown, ak.untrusted (no EK counts there), ek.chain,
 * collateral.unavailable, ek.revoked, ak.revoked, attester.conflict. `ekOf` gives the EK that has the key of the leaf.
 */
export async function examine<E extends Ek>(
  view: StoreView,
  vouchers: Vouchers,
  { deployment: name, ak, certificates }: Candidate,
  ekOf: (leaf: Certificate) => Result<E>,
): Promise<{ readonly ok: true; readonly value: Examined<E> } | Refusal> {
  const deployment = (await view.deployments.get(name))?.deployment;
  if (deployment?.name !== name) return noSuchDeployment();
  if (!deployment.attesters.trust.includes('ek-certificate')) {
    return reject('ak.untrusted', 'the deployment believes no EK certificates: attesters.trust lacks ek-certificate');
  }
  if (await view.revocations.has(ak.spkiSha256)) {
    return reject('ak.revoked', 'this AK has been revoked, which is for good; make a new AK in the TPM');
  }
  const path = ekPath(vouchers, deployment, certificates);
  if (!path.ok) return pathRefusal(path);
  const ek = ekOf(path.leaf);
  if (!ek.ok) return ek;
  const revoked = await revokedOf(view, path, ek.value.spkiSha256);
  if (revoked !== undefined) return reject('ek.revoked', `what vouches for the EK has been revoked: ${revoked}`);
  const known = await view.attesters.get(ak.spkiSha256);
  const conflict = conflictOf(known, name, ak, ek.value.spkiSha256);
  if (conflict !== undefined) return { ...conflict, conflict: conflictEntry(name, ak, ek.value) };
  return accept({ deployment, ek: ek.value, known });
}

/** Whether the certificates that are kept of an EK still make a deployment believe it. */
export async function isGood(
  view: StoreView,
  vouchers: Vouchers,
  deployment: Deployment,
  { spkiSha256, certificates }: EkEndorsement,
): Promise<boolean> {
  const path = ekPath(vouchers, deployment, certificates);
  return path.ok && (await revokedOf(view, path, spkiSha256)) === undefined;
}

/**
 * What the caller is told at activation; a conflict is recorded, best effort and not more often than its EK may cause it. Not
 * before: certificates and public areas are no secrets, and whoever has but copied them writes nothing into the log.
 */
export function refuse(
  { store, clock, enrolmentLimits }: Pick<BrokerContext, 'store' | 'clock' | 'enrolmentLimits'>,
  { conflict, ...refusal }: Refusal,
): Rejection {
  if (conflict !== undefined && enrolmentLimits.conflicts.take(conflict.ek_spki_sha256, clock())) {
    store.appendRecord('attester.conflict', { ...conflict }).catch(() => undefined);
  }
  return refusal;
}

function pathRefusal({ fault, detail }: PathFault): Rejection {
  switch (fault) {
    case 'revoked':
      return reject('ek.revoked', `the EK certificate is not good: ${detail}`);
    case 'collateral':
      return reject('collateral.unavailable', `the EK certificate cannot be looked up: ${detail}`);
    case 'chain':
      return reject('ek.chain', `the EK certificate is not good: ${detail}`);
  }
}

/** The first thing on the path, or the EK itself, that an administrator has revoked. */
async function revokedOf(view: StoreView, path: ValidPath, ekSpkiSha256: string): Promise<string | undefined> {
  for (const identity of [ekIdentity(ekSpkiSha256), ...pathIdentities(path)]) {
    if (await view.revocations.has(identity)) return identity;
  }
  return undefined;
}

/**
 * Who was there first for this deployment keeps the AK. Activation proves that AK and EK share a TPM, where the maker certifies
 * EKs of TPMs alone; an EK that other deployments believe in may be in no TPM at all, and decides nothing here.
 */
function conflictOf(
  known: AttesterRecord | undefined,
  deployment: string,
  ak: AkIdentity,
  ekSpkiSha256: string,
): Rejection | undefined {
  const enrolment = enrolmentFor(known, deployment);
  if (enrolment !== undefined && enrolment.ek.spkiSha256 !== ekSpkiSha256) {
    return reject('attester.conflict', 'this AK is enrolled by another EK; enrol it by that one, or make a new AK');
  }
  const pin = known?.deployments.includes(deployment) === true && hasName(known) ? known : undefined;
  if ([enrolment, pin].some((each) => each !== undefined && each.akName !== ak.name)) {
    return reject('attester.conflict', 'this key is known under another Name, with other attributes; make a new AK');
  }
  return undefined;
}

/** Without a public area, an AK that was trusted or put aside for its certificate has none. */
export function hasName({ publicArea }: AttesterRecord): boolean {
  return publicArea.length > 0;
}

function conflictEntry(deployment: string, ak: AkIdentity, ek: Ek): Conflict {
  return { deployment, ak_name: ak.name, ak_spki_sha256: ak.spkiSha256, ek_spki_sha256: ek.spkiSha256 };
}
