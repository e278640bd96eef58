/** One thing that is fuzzed. `run` throws only on a finding: an error that is not the parser's own, or a false accept. */
export interface FuzzTarget {
  readonly name: string;
  /** Well-formed inputs to start from. */
  readonly seeds: readonly Buffer[];
  run(input: Buffer): void;
}
