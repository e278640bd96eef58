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

/** What makes evidence on the workload's side. Nothing that it returns is verified before the broker sees it. */
export interface Attester {
  /** One line for people: what attests, and where. */
  describe(): string;
  /**
   * A fresh quote with `extraData` over at least the PCRs named, and what the broker needs to appraise it. Throws
   * AttesterError; never returns less than was asked for.
   */
  evidence(extraData: Buffer, pcrs: NeededPcrs): Promise<TpmEvidenceMember>;
}
