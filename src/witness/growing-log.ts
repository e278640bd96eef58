/** The newest checkpoint of a log. */
export interface LogTip {
  readonly size: number;
  /** Signed note. */
  readonly checkpoint: string;
}

/** The broker's own log. */
export interface GrowingLog {
  /** The newest checkpoint, which is on disk. */
  head(): Promise<LogTip>;
  /** The consistency proof between two sizes, both at most that of the head. */
  consistency(oldSize: number, size: number): Promise<readonly Buffer[]>;
}
