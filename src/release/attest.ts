import { equalBytes } from '../bytes/equal.js';
import { verifyQuote } from '../evidence/tpm/quote.js';
import type { AkIdentity } from '../evidence/tpm/ak.js';
import type { Evidence } from '../evidence/evidence.js';
import type { PcrValues, TpmEvidence } from '../evidence/tpm/evidence.js';
import type { ClaimTree } from '../claims/claims.js';
import type { Deployment } from '../policy/deployment.js';
import { pinsPcrs } from '../policy/boot-chain.js';
import { neededPcrs } from '../policy/evaluate.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { akTrust, type AkTrusted, cvmTrust } from './ak-trust.js';
import type { Circumstances } from './circumstances.js';
import type { Denial } from './broker.js';
import type { DecidingFacts } from './entitlement.js';
import { type BesidesQuote, hardwareIdentities } from './hardware.js';
import { refuseUnbound } from './refuse-unbound.js';
import type { TpmClock } from './records.js';
import { verifiedCvm } from './vouchers.js';

/** Evidence of one request, and what its quote must hold. */
interface Subject {
  readonly evidence: Evidence;
  readonly besides: BesidesQuote | undefined;
  readonly extraData: Buffer;
}

/** Who attested, why that is believed, and what is known by it. */
export interface Attested {
  /** undefined: the machine has no TPM. */
  readonly ak: AkIdentity | undefined;
  readonly trust: AkTrusted;
  readonly clock: TpmClock | undefined;
  /** The tree below `tpm`, or nothing. */
  readonly claims: ClaimTree;
  readonly pcrs: PcrValues;
}

type Attestation = { readonly ok: true; readonly value: Attested } | Denial;

/**
 * That the evidence is of a machine that the deployment believes, that all of it is tied together, and that nothing in it was
 * revoked. Refusals: those of verifyQuote, akTrust and of each kind of evidence, evidence.unbound.
 */
export function attest(
  subject: Subject,
  deployment: Deployment,
  facts: DecidingFacts,
  circumstances: Circumstances,
): Attestation {
  const { tpm, hcl } = subject.evidence;
  const { measurement, platform } = deployment;
  if (hcl !== undefined && measurement.source !== 'tpm' && !pinsPcrs(deployment) && !platform.unmeasuredBoot) {
    return reject(
      'evidence.unbound',
      'the launch measurement of a machine with HCL is its paravisor’s, which heeds no policy: platform.pcrs must pin what runs above it',
    );
  }
  const attested =
    tpm === undefined
      ? withoutTpm(subject.evidence, deployment, facts, circumstances)
      : withTpm(tpm, subject, deployment, facts, circumstances);
  if (!attested.ok) return attested;
  const other = otherEvidence(subject, attested.value, deployment, facts, circumstances);
  return other.ok ? attested : other;
}

function withTpm(
  tpm: TpmEvidence,
  { extraData }: Subject,
  deployment: Deployment,
  facts: DecidingFacts,
  circumstances: Circumstances,
): Attestation {
  const decide = akTrust(circumstances, facts, deployment, tpm.akCertificates);
  let unproven: Rejection | undefined;
  const quote = verifyQuote(tpm, {
    extraData,
    neededPcrs: neededPcrs(deployment),
    trust: (ak) => {
      const trust = decide(ak);
      if (!trust.ok) unproven = trust;
      return trust;
    },
    known: circumstances.aks,
  });
  if (!quote.ok) return quote === unproven ? { ...quote, unproven: true } : quote;
  const { ak, trust, claims, pcrs } = quote.value;
  const untied = trust.kind === 'ak-certificate' ? [] : tpm.akCertificates;
  const bound = refuseUnbound(untied, ak.spki);
  if (!bound.ok) return bound;
  const { clockInfo, firmwareVersion } = quote.value.quote;
  return accept({ ak, trust, claims, pcrs, clock: { ...clockInfo, firmwareVersion } });
}

/** The report of the VM stands in for the quote: it answers this request, and names no AK. */
function withoutTpm(
  evidence: Evidence,
  deployment: Deployment,
  facts: DecidingFacts,
  circumstances: Circumstances,
): Attestation {
  const { source } = deployment.measurement;
  if (source === 'tpm' || Object.keys(neededPcrs(deployment)).length > 0) {
    return reject('evidence.malformed', 'evidence.tpm is missing: the deployment needs PCRs of the TPM');
  }
  if (evidence.hcl !== undefined) {
    return reject('evidence.unbound', 'an HCL report is as old as the machine: only a TPM quote by its AK is fresh');
  }
  if (evidence.snp === undefined && evidence.tdx === undefined) {
    return reject('evidence.malformed', `evidence.${source === 'snp.host_data' ? 'snp' : 'tdx'} is missing`);
  }
  const trust = cvmTrust(circumstances, facts, deployment);
  if (!trust.ok) return { ...trust, unproven: true };
  return accept({ ak: undefined, trust: trust.value, claims: {}, pcrs: {}, clock: undefined });
}

/** Everything but the quote: that it was accepted, names the AK, and is of nothing that was revoked. */
function otherEvidence(
  { besides }: Subject,
  { ak, trust }: Attested,
  deployment: Deployment,
  facts: DecidingFacts,
  circumstances: Circumstances,
): Result<undefined> {
  if (deployment.measurement.source !== 'tpm' && trust.kind !== 'cvm-report') {
    const believed = cvmTrust(circumstances, facts, deployment);
    if (!believed.ok) return believed;
  }
  if (besides === undefined) return accept(undefined);
  const { cvm: report, devices, tokens } = besides;
  if (report?.ok === false) return report;
  const cvm = verifiedCvm(circumstances);
  if (ak !== undefined && cvm !== undefined && cvm.akSpki === undefined) {
    return reject('evidence.unbound', 'the report of the VM is about another AK than the one of the quote');
  }
  const revoked = hardwareIdentities(besides).find((identity) => facts.revoked.includes(identity));
  if (revoked !== undefined) return reject('ak.revoked', `what the evidence hangs on has been revoked: ${revoked}`);
  if (devices?.ok === false) return devices;
  if (tokens?.ok === false) return tokens;
  if (tokens?.value.aks.some((named) => ak === undefined || !equalBytes(named, ak.spki)) === true) {
    return reject('evidence.unbound', 'a token is about a machine with another AK than the one of the quote');
  }
  return accept(undefined);
}
