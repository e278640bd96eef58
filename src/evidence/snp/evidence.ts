/** AMD SEV-SNP evidence as it was received; nothing in it is verified. */
export interface SnpEvidence {
  /** ATTESTATION_REPORT, 1184 bytes, the exact bytes that were signed. */
  readonly report: Buffer;
  /** DER: the VCEK or VLEK first, then the ASK or ASVK where it was sent. */
  readonly certificates: readonly Buffer[];
}

/** What of a deployment says more, or less, than the safe defaults do. */
export interface SnpRules {
  /** Whether a guest that its host may debug is accepted. */
  readonly debug: boolean;
  /** Whether a guest that an agent may migrate is accepted. */
  readonly migrationAgent: boolean;
  /** Whether a report that hides its chip (MASK_CHIP_KEY) is accepted. */
  readonly maskedChip: boolean;
  /** The cloud providers whose VLEKs are accepted; undefined: all. */
  readonly cspIds: readonly string[] | undefined;
}

/** What is accepted unless somebody says otherwise. */
export const SAFE_SNP_RULES: SnpRules = { debug: false, migrationAgent: false, maskedChip: false, cspIds: undefined };
