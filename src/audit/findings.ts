/** How many findings are kept; the others are counted. */
export const MAX_FINDINGS = 100;

/** One thing that is not as it should be. */
export interface LogFinding {
  /** The first entry that it concerns. */
  readonly index: number;
  readonly problem: string;
  /** What to do about it. */
  readonly advice: string;
}

/** Findings, in the order in which they were made: the first ones, and how many there are. */
export class Findings {
  readonly #kept: LogFinding[];
  #count: number;

  constructor(kept: readonly LogFinding[] = [], count = kept.length) {
    this.#kept = [...kept];
    this.#count = count;
  }

  get kept(): readonly LogFinding[] {
    return this.#kept;
  }

  get count(): number {
    return this.#count;
  }

  add(finding: LogFinding): void {
    this.#count++;
    if (this.#kept.length < MAX_FINDINGS) this.#kept.push(finding);
  }
}

export const ADVICE = {
  meaning:
    'ask the operator of the broker to explain this entry; `portcullis log query` shows what stands around it, and the log proves that it was made',
  entry:
    'the copy that was read was altered, or the database of the broker: compare it with another copy (`portcullis log export`), and trust no entry from here on',
  tile: 'the hash tiles that were read were altered, the entries were not: read the log from another place, or have the tile restored',
  checkpoint:
    'what is served is not what the log key has signed: keep a copy (`portcullis log export` fails, so save the files), and ask the operator',
  history:
    'the two checkpoints printed here prove it to anyone: keep them, believe no entry of this log that is newer than the older one, and tell everybody who relies on the broker',
  former:
    'the checkpoint of the former log in its state file and this entry contradict each other: keep the file and a copy of this log, which prove it, believe no entry of this log that is newer than that checkpoint, and ask the operator',
  shrank:
    'the broker runs on a database that lost entries, or an old copy is served: keep both checkpoints, which prove it, and ask the operator; for a directory that is meant to be an older copy, name a state file of its own with --state',
} as const;
