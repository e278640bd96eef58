import type { EkAlgorithm } from '../simulator/ek.js';

/**
 * The member `tpm` of a release request. Bytes are base64url without padding; PCR values are lower-case hex, for exactly
 * the PCRs that the quote selects.
 */
export interface TpmEvidenceMember {
  /** TPMS_ATTEST. */
  readonly quoted: string;
  /** TPMT_SIGNATURE. */
  readonly signature: string;
  /** TPM2B_PUBLIC or TPMT_PUBLIC of the AK. */
  readonly ak: string;
  /** Bank to decimal PCR index to value. */
  readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** DER certificates for the AK, leaf first, where the trust kind needs them. */
  readonly ak_certificates?: readonly string[];
}

/** Bank to ascending PCR indexes, as in the challenge answer. */
export type NeededPcrs = Readonly<Record<string, readonly number[]>>;

/**
 * What goes beside the quote: the members of `evidence` but `tpm`. Bytes are base64url without padding, certificates DER, the leaf
 * first. A machine has one of `hcl`, `snp` and `tdx`, or none.
 */
export interface PlatformEvidence {
  /** Azure: the HCL report, which names the AK; of a TDX machine the quote over its TD report, too. */
  readonly hcl?: { readonly report: string; readonly certificates?: readonly string[]; readonly quote?: string };
  readonly snp?: { readonly report: string; readonly certificates: readonly string[] };
  readonly tdx?: { readonly quote: string };
  /** At most 16, in the order in which the quote covers them. */
  readonly gpus?: readonly { readonly report: string; readonly certificates: readonly string[] }[];
  /** Compact JWTs of authorities that the broker believes. */
  readonly tokens?: readonly string[];
}

/**
 * What makes evidence of a machine without a TPM, whose policy was measured at its launch. Nothing that it returns is verified
 * before the broker sees it.
 */
export interface PlatformAttester {
  /** One line for people: what attests, and where. */
  describe(): string;
  /**
   * What answers `base`, the 32 bytes of the binding. Report data of a machine without HCL is 64 bytes: `base`, then the SHA-256 of
   * the AK's SubjectPublicKeyInfo, or zeros where there is no TPM. The nonce of devices is `base`, and so is the nonce claim of tokens, in
   * base64url. Throws AttesterError.
   */
  besideQuote(base: Buffer): Promise<PlatformEvidence>;
}

/** What makes evidence on the workload's side. Nothing that it returns is verified before the broker sees it. */
export interface Attester extends Partial<Pick<PlatformAttester, 'besideQuote'>> {
  /** One line for people: what attests, and where. */
  describe(): string;
  /**
   * A fresh quote with `extraData` over at least the PCRs named, and what the broker needs to appraise it. Throws
   * AttesterError; never returns less than was asked for.
   */
  evidence(extraData: Buffer, pcrs: NeededPcrs): Promise<TpmEvidenceMember>;
}

/** An EK and what its TPM's maker says of it: what an enrolment sends. */
export interface EkMember {
  /** TPM2B_PUBLIC. */
  readonly tpm2bPublic: Buffer;
  /** DER certificates for the EK, leaf first; at least one. */
  readonly certificates: readonly Buffer[];
}

/** What a broker makes for the EK and the Name of the AK (TPM2_MakeCredential). */
export interface ProtectedCredential {
  /** TPM2B_ID_OBJECT. */
  readonly credentialBlob: Buffer;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly encryptedSecret: Buffer;
}

/** An attester that can prove to a broker that its AK lives in the TPM of a certified EK. Every method throws AttesterError. */
export interface EnrollingAttester extends Attester {
  /** TPM2B_PUBLIC of the AK that makes the evidence. */
  readAkPublic(): Promise<Buffer>;
  /** An EK that has a certificate: of the algorithm, or the first that the TPM has. */
  ek(algorithm?: EkAlgorithm): Promise<EkMember>;
  /** The credential (a secret, the caller's to zeroise) that was made for this EK, as `ek` gave it, and for the Name of this AK. */
  activateCredential(ek: EkMember, credential: ProtectedCredential): Promise<Buffer>;
}
