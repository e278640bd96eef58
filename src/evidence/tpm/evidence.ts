/** The digest algorithms of PCR banks. Values of the SHA-1 bank are only ever counted into a digest, never believed. */
export type BankName = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** PCR values: bank, then PCR number in decimal without leading zeros, then the value in lower-case hex. */
export type PcrValues = Readonly<Partial<Record<BankName, Readonly<Record<string, string>>>>>;

/** TPM evidence as it was received; nothing in it is verified. */
export interface TpmEvidence {
  /** TPMS_ATTEST, the exact bytes that were signed. */
  readonly quoted: Buffer;
  /** TPMT_SIGNATURE. */
  readonly signature: Buffer;
  /** The AK: TPM2B_PUBLIC or TPMT_PUBLIC. undefined: left out, it is the key of the first certificate, or `namedSpki`. */
  readonly ak: Buffer | undefined;
  readonly pcrs: PcrValues;
  /** DER, leaf first; empty when there is none. verifyQuote takes the key of the first where `ak` is left out, and verifies none of them: that is the matter of whoever decides trust. */
  readonly akCertificates: readonly Buffer[];
  /** Where both are left out: the key that other evidence names, SubjectPublicKeyInfo in DER. Whether that is to be believed is for whoever decides trust. */
  readonly namedSpki?: Buffer;
}
