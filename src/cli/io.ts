/** Where the program writes. */
export interface Sink {
  write(text: string): void;
  /** Whether a person looks at it: colours are for terminals only. */
  readonly isTerminal: boolean;
}

/** What a run of the command may touch of the process around it, besides files and the network: so that tests run it in-process. */
export interface CliIo {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: AsyncIterable<Uint8Array | string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The directory that file names on the command line are relative to; absolute. */
  readonly cwd: string;
}
