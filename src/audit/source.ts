/**
 * What an auditor runs: reading a log from where it is served or kept, and finding out whether it is whole and means what
 * it should. This room may assume nothing of the broker, of a mirror, or of a directory: every byte that comes from there
 * is held against a checkpoint that the log key has signed. It trusts the log key, and its own state file.
 */
import { HASH_BYTES } from '../translog/merkle.js';
import { MAX_ENTRY_BYTES } from '../translog/entry.js';
import { MAX_NOTE_CHARACTERS } from '../translog/note.js';
import { type TileName, tilePath } from '../translog/tile.js';

/** A log in the layout of C2SP tlog-tiles. Nothing that it hands out is verified; sizes are bounded. */
export interface LogSource {
  /** Where it is, for people. */
  readonly where: string;
  /** The signed note. Throws LogSourceError. */
  checkpoint(): Promise<string>;
  /** A hash tile or entry bundle, in a buffer that is the caller's. Throws LogSourceError. */
  tile(name: TileName): Promise<Buffer>;
  /** The vkey of the log, as the place itself says it: believed on its word alone. Throws LogSourceError. */
  verifierKey(): Promise<string>;
  /** Lets go of connections. */
  close(): Promise<void>;
}

/**
 * Why a source has not given what it was asked for. `unreachable`: no answer, or one that says to come again later.
 * `absent`: there is no such file. `refused`: a problem document of a broker, whose reason code is in `reason`. `unfit`: what
 * came cannot be what was asked for.
 */
export type SourceFailure = 'unreachable' | 'absent' | 'refused' | 'unfit';

export class LogSourceError extends Error {
  override readonly name = 'LogSourceError';
  readonly failure: SourceFailure;
  /** The reason code of a problem document. */
  readonly reason: string | undefined;

  constructor(failure: SourceFailure, message: string, options: { cause?: unknown; reason?: string } = {}) {
    super(message, { cause: options.cause });
    this.failure = failure;
    this.reason = options.reason;
  }
}

/** What is wanted of a source: its path below the prefix, and the most bytes that it can have. */
export interface Resource {
  readonly path: string;
  readonly maxBytes: number;
}

/** UTF-8 takes up to three bytes for a UTF-16 code unit. */
export const CHECKPOINT: Resource = { path: 'checkpoint', maxBytes: 3 * MAX_NOTE_CHARACTERS };
/** The vkey and a newline: as a broker serves it, and as an exported log has it beside its files. */
export const LOG_KEY: Resource = { path: 'key', maxBytes: 1024 };
export const LOG_KEY_FILE: Resource = { path: 'log-key', maxBytes: 1024 };

const LENGTH_BYTES = 2;

export function tileResource(name: TileName): Resource {
  const each = name.level === 'entries' ? LENGTH_BYTES + MAX_ENTRY_BYTES : HASH_BYTES;
  return { path: tilePath(name), maxBytes: name.width * each };
}

/** The text of a file as it came. Throws LogSourceError where it is not UTF-8. */
export function textOf({ path }: Resource, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new LogSourceError('unfit', `${path} is not UTF-8`, { cause });
  }
}
