import { releaseBinding } from '../challenge/binding.js';
import type { AkIdentity, AkTrust } from '../evidence/tpm/ak.js';
import type { TpmEvidence } from '../evidence/tpm/evidence.js';
import { verifyQuote } from '../evidence/tpm/quote.js';
import { accept } from '../reason/reason.js';
import type { Appraisal } from './appraise.js';
import type { ReleaseRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import type { VersionState } from './entitlement.js';
import type { AttesterRecord } from './records.js';
import type { ReleaseFacts } from './store.js';
import { enrolmentFor } from './vouchers.js';

/** An AK that has presented evidence. */
export interface Seen {
  readonly ak: AkIdentity;
  readonly evidence: TpmEvidence;
}

/** Notes an AK that a key was released to. Of the hot path: nothing is copied or computed. */
export function noteTrusted(
  { sightings }: Pick<BrokerContext, 'sightings'>,
  { ak, evidence }: Seen,
  { entitlement, nonce, trust, clock }: Pick<Appraisal<VersionState>, 'entitlement' | 'nonce' | 'trust' | 'clock'>,
  seenAtMs: number,
): void {
  sightings.note({
    spkiSha256: ak.spkiSha256,
    akName: ak.name,
    publicArea: ak.publicArea,
    deployment: entitlement.deployment.name,
    trust: trust.kind,
    state: 'trusted',
    certificates: evidence.akCertificates,
    seenAtMs,
    challengedAtMs: nonce.issuedAtMs,
    clock,
  });
}

/**
 * Notes an AK that was refused with ak.pending, for an administrator to find, if it has signed this very request: certificates
 * and public areas are no secrets, and whoever shows those of another machine is not that machine. What PCRs it quotes
 * does not matter.
 */
export function notePending(
  context: Pick<BrokerContext, 'broker' | 'sightings'>,
  { ak, evidence }: Seen,
  request: Pick<ReleaseRequest, 'deployment' | 'key' | 'version' | 'nonce'> & {
    readonly recipient: string;
    /** Where devices answered too. */
    readonly extraData: Buffer | undefined;
  },
  { attester }: Pick<ReleaseFacts, 'attester'>,
  { nowMs: seenAtMs }: { readonly nowMs: number },
): void {
  const { broker, sightings } = context;
  const { deployment, key, version = 'latest', nonce, recipient } = request;
  const binding = request.extraData ?? releaseBinding({ broker, deployment, key, version, nonce, recipient });
  const quote = verifyQuote(evidence, {
    extraData: binding,
    neededPcrs: {},
    trust: () => accept({ kind: trustOf(attester, deployment, evidence) }),
  });
  if (!quote.ok) return;
  sightings.note({
    spkiSha256: ak.spkiSha256,
    akName: ak.name,
    publicArea: ak.publicArea,
    deployment,
    trust: quote.value.trust.kind,
    state: 'pending',
    certificates: evidence.akCertificates,
    seenAtMs,
  });
}

/** What would make it believable, in the order in which a deployment asks. */
function trustOf(attester: AttesterRecord | undefined, deployment: string, { akCertificates }: TpmEvidence): AkTrust {
  if (enrolmentFor(attester, deployment) !== undefined) return 'ek-certificate';
  return akCertificates.length > 0 ? 'ak-certificate' : 'pinned';
}
