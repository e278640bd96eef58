/** One field of a piece of evidence, for a person. Nothing of it is verified. */
export interface ExplainedField {
  readonly name: string;
  readonly value: string;
  /** What it means, or what is wrong with it. */
  readonly note?: string;
  /** True where the note says what is wrong. */
  readonly wrong?: true;
}

export interface ExplainedSection {
  readonly title: string;
  readonly fields: readonly ExplainedField[];
}
