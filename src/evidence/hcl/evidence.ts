/** Evidence of an Azure confidential VM as it was received; nothing in it is verified. */
export interface HclEvidence {
  /** The HCL report as read from NV index 0x01400001; up to 4096 zero bytes behind it are ignored. */
  readonly report: Buffer;
  /** DER: the VCEK first, then the ASK where it was sent; empty for TDX machines. */
  readonly certificates: readonly Buffer[];
  /** The TD quote over the TD report inside; TDX machines only. */
  readonly quote: Buffer | undefined;
}
