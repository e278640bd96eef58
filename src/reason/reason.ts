/**
 * The registry of reason codes. A code names one condition that was not met; it is stable, it is what clients and
 * dashboards match on, and it never changes meaning. `docs/REASONS.md` lists the same codes; a test compares the two.
 */
export const REASONS = {
  'request.malformed': 'The request is not valid JSON, or not valid against the schema of the route.',
  'request.too_large': 'The request body is larger than the configured limit.',
  'request.rate_limited': 'More requests than the configured rate.',
  'route.unknown': 'No such path, or not with this method.',
  'auth.missing': 'The route needs a credential and none was presented.',
  'auth.invalid': 'The credential is unknown, expired or revoked.',
  'auth.role': 'The credential is valid, but its role may not do this.',
  'resource.exists': 'A resource of this name already exists; nothing was changed.',
  'resource.unknown': 'No such resource (token, attester, policy).',
  'resource.state': 'The resource is in a state that does not allow this change.',
  'deployment.unknown': 'No such deployment.',
  'deployment.frozen': 'An administrator has frozen the deployment.',
  'deployment.unmeasured_boot': 'The deployment pins no boot chain, which the production profile refuses.',
  'deployment.resettable_pcr': 'The policy PCR can be reset by the guest, which the production profile refuses.',
  'deployment.simulator_trust': 'The deployment trusts simulators, which only the development profile allows.',
  'deployment.unsupported': 'The deployment asks for a kind of evidence or trust that this version does not verify.',
  'key.unknown': 'No such key or version, or the deployment may not draw it.',
  'key.disabled': 'The key or the version asked for is disabled or deleted.',
  'key.frozen': 'An administrator has frozen the key.',
  'challenge.invalid': 'The nonce was not issued by this broker for this deployment, key and version.',
  'challenge.expired': 'The nonce is too old, or from the future.',
  'challenge.replayed': 'The nonce has already been spent by a release.',
  'evidence.malformed': 'An evidence structure does not parse.',
  'evidence.unbound': 'Evidence was sent that is not tied to the other evidence of the request.',
  'quote.magic': 'The quoted structure does not start with TPM_GENERATED_VALUE.',
  'quote.type': 'The attestation is not a quote.',
  'quote.algorithm': 'The signature scheme or hash is not accepted, or not the one of the AK.',
  'quote.signature': 'The signature does not verify under the AK.',
  'quote.binding': 'The extraData of the quote is not the expected binding.',
  'quote.pcr_selection':
    'A needed PCR or bank is not in the signed selection, or the selection is empty or has duplicates.',
  'quote.pcr_values': 'The values handed over are not for exactly the selected PCRs.',
  'quote.pcr_digest': 'The values handed over do not hash to the signed pcrDigest.',
  'ak.attributes': 'The AK is not a restricted signing key that is bound to its TPM.',
  'ak.untrusted': 'Nothing that the deployment trusts vouches for the AK.',
  'ak.pending': 'The AK is vouched for, but no rule of the deployment lets it in, or it is in quarantine.',
  'ak.revoked': 'The AK, or what vouches for it, has been revoked.',
  'ek.chain': 'The EK certificate has no good path to a root of the deployment, or is not one of the EK.',
  'ek.revoked': 'The EK, its certificate or a CA above it has been revoked.',
  'enrolment.secret': 'The enrolment is none of this broker, or the secret is not the one in its credential.',
  'enrolment.expired': 'The enrolment is too old.',
  'attester.conflict': 'The AK is held by another EK, or by an administrator under another Name.',
  'snp.version': 'The SEV-SNP report is of a version, signature algorithm or processor that is not verified here.',
  'snp.chain': 'The VCEK or VLEK has no good path to the pinned ARK of its generation.',
  'snp.signature': 'The SEV-SNP report is not signed by its VCEK or VLEK.',
  'snp.tcb_mismatch': 'The VCEK or VLEK was derived for another TCB than the report says.',
  'snp.chip': 'The chip of the SEV-SNP report is not the one of the VCEK, or is hidden.',
  'snp.csp': 'The VLEK is of a cloud provider that the deployment does not name.',
  'snp.vmpl': 'The SEV-SNP report was asked for by the host, not by a guest at a privilege level.',
  'snp.debug': 'The SEV-SNP guest may be debugged by its host.',
  'snp.migration': 'The SEV-SNP guest may be migrated by an agent.',
  'tdx.version': 'The TDX quote is of a version, type or key that is not verified here.',
  'tdx.chain': 'The PCK certificate has no good path to the pinned root of Intel.',
  'tdx.qe':
    'The quoting enclave is not signed by its PCK, does not name the attestation key, or is not the one of Intel.',
  'tdx.signature': 'The TDX quote is not signed by its attestation key.',
  'tdx.module': 'The TDX module is none that Intel lists.',
  'tdx.tcb':
    'The TCB of platform, TDX module or quoting enclave has a status that is not accepted, or no level at all.',
  'tdx.debug': 'The trust domain may be debugged by its host.',
  'tdx.attributes': 'The trust domain has attributes that are not accepted.',
  'tdx.service_td': 'A service TD is bound to the trust domain, which the deployment does not expect.',
  'hcl.type': 'The HCL report is not of an SEV-SNP or TDX machine, or its binding is of a hash that is not accepted.',
  'hcl.runtime_data': 'The runtime data of the HCL report is not what its hardware report names.',
  'hcl.ak_mismatch': 'The AK in the runtime data of the HCL report is not the one of the quote, or there is none.',
  'hcl.quote_mismatch': 'The TD quote beside the HCL report is of another trust domain than its TD report.',
  'gpu.chain': 'The device certificate has no good path to the pinned root of NVIDIA.',
  'gpu.signature': 'The measurement report is not signed by its device.',
  'gpu.nonce': 'The measurement report answers another nonce.',
  'gpu.fwid': 'The firmware that signed the measurement report is not the one in its certificate.',
  'gpu.rim': 'A reference integrity manifest is not signed by NVIDIA, or is not for this device.',
  'gpu.measurement': 'A measurement of the device is none that its reference integrity manifests list.',
  'gpu.debug': 'The device does not say, or not clearly, that it protects its memory.',
  'gpu.duplicate': 'The same device answered twice.',
  'gpu.count': 'Other devices answered than the deployment expects.',
  'token.untrusted': 'An attestation token is of no configured authority, or is not signed by it.',
  'token.invalid': 'An attestation token is not valid now, or says that the attestation failed.',
  'policy.hash': 'The policy PCR equals that of no policy registered for the deployment.',
  'policy.validity': 'The measured policy is registered, but not valid at this time.',
  'policy.pcr': 'A reference PCR has another value.',
  'policy.claims': 'The release policy is not met by the verified claims.',
  'checkpoint.malformed': 'A checkpoint of the log does not parse.',
  'checkpoint.origin': 'A checkpoint is of another log than the one that was expected.',
  'checkpoint.signature': 'A checkpoint is not signed by the log key.',
  'checkpoint.cosignature': 'A checkpoint lacks the cosignature of a witness that was demanded.',
  'receipt.malformed': 'A receipt does not have the members and forms of a receipt, or its entry is no release entry.',
  'receipt.proof': 'The entry of a receipt is not in the tree of its checkpoint.',
  'receipt.jwe': 'The wrapped key is not the one that the receipt is for.',
  'receipt.mismatch': 'A receipt is for another release than the one that was asked for.',
  'log.unwitnessed': 'Too few witnesses have cosigned the record of the release in time; nothing was handed out.',
  'collateral.unavailable': 'A revocation list or other collateral that is needed is missing or stale.',
  'store.unavailable': 'The store cannot record the release; nothing was released.',
  'store.integrity': 'A stored row that decides a release fails its authentication; nothing was released.',
  internal: 'A fault in the broker; the request id finds it in the log.',
} as const;

/** A reason code of the registry. */
export type ReasonCode = keyof typeof REASONS;

/** One condition that was not met: what was expected of a value, and what was found (null: it is absent). Never anything computed with a secret. */
export interface Finding {
  readonly claim: string;
  readonly operator: 'equals' | 'in' | 'exists';
  readonly expected: string | number | boolean | readonly string[];
  readonly found: string | number | boolean | null;
}

/** A refusal: a value, never an exception. `detail` is for people and holds no secret and no echoed body. */
export interface Rejection {
  readonly ok: false;
  readonly reason: ReasonCode;
  readonly detail: string;
  readonly findings?: readonly Finding[];
}

/** An outcome: the value, or the one reason why there is none. */
export type Result<T> = { readonly ok: true; readonly value: T } | Rejection;

/** The accepted outcome. */
export function accept<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** The refused outcome. */
export function reject(reason: ReasonCode, detail: string, ...findings: readonly Finding[]): Rejection {
  return findings.length === 0 ? { ok: false, reason, detail } : { ok: false, reason, detail, findings };
}

/** True for a string that is a code of the registry; own properties only. */
export function isReasonCode(text: string): text is ReasonCode {
  return Object.hasOwn(REASONS, text);
}
