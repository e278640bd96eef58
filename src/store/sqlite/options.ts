export interface SqliteOptions {
  /** Whether a file that is missing is made. One that exists is opened either way. */
  readonly create: boolean;
  /** ms since the Unix epoch. */
  readonly clock: () => number;
  /** Hears of every durable commit: how many requests shared it, and how long COMMIT took in ms. */
  readonly onCommit?: (records: number, milliseconds: number) => void;
}
