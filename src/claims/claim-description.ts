/** What docs/CLAIMS.md says of a claim, and what the linter knows of its name. */
export interface ClaimDescription {
  /** Dotted, whole: `snp.tcb.reported.snp`. `<i>` stands for an index, `<n>` for a number. */
  readonly name: string;
  readonly type: 'string' | 'number' | 'boolean';
  /** Unit or encoding, and what it says. One sentence. */
  readonly meaning: string;
}
