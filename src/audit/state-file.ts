import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fromBase64, toBase64 } from '../bytes/base64.js';
import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256 } from '../crypto/digest.js';
import { verifyCheckpoint } from '../translog/checkpoint.js';
import { formatVerifierKey, parseVerifierKey, TYPE_ED25519, type VerifierKey } from '../translog/note.js';
import type { SeenCheckpoint } from './compare-heads.js';
import { Findings, type LogFinding } from './findings.js';
import { Frontier } from './frontier.js';
import { History } from './history.js';
import { makeDirectory } from './make-directory.js';
import { Rollbacks } from './rollbacks.js';

/** What an auditor remembers of the log so far: how far it was recomputed, and what was found. */
export interface Progress {
  readonly frontier: Frontier;
  readonly history: History;
  readonly findings: Findings;
  readonly rollbacks: Rollbacks;
}

/** Of a log that nothing was read of yet. */
export function noProgress(): Progress {
  return { frontier: new Frontier(), history: new History(), findings: new Findings(), rollbacks: new Rollbacks() };
}

/** The state file cannot be used. The message says what to do. */
export class StateFileError extends Error {
  override readonly name = 'StateFileError';
}

const VERSION = 1;
const MAX_STATE_BYTES = 128 * 1024 * 1024;
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** The digest is over the bytes between these two, so that a file that was cut or edited is noticed. It is no signature. */
const OPENING = /^\{"sha256":"([0-9a-f]{64})","state":/;
const CLOSING = '}\n';

interface StoredProgress {
  readonly size: number;
  /** Partial tiles, base64, level 0 first. */
  readonly tiles: readonly string[];
  readonly history: unknown;
  readonly findings: readonly LogFinding[];
  readonly finding_count: number;
  readonly rollbacks: unknown;
}

interface Stored {
  readonly version: number;
  readonly origin: string;
  /** Ed25519, base64url. */
  readonly log_key: string;
  /** The newest checkpoint that the log was seen to sign. */
  readonly checkpoint: string;
  readonly progress: StoredProgress;
}

/**
 * The memory of an auditor, in a file that is his alone: the newest checkpoint that he has seen of one log, and how far he
 * has recomputed it. Whoever can write the file can make him forget.
 */
export class StateFile {
  readonly #path: string;
  readonly #logKey: VerifierKey;
  #stamp: string;
  #seen: SeenCheckpoint | undefined;
  /** The JSON of the progress that is on disk; undefined where there is none. */
  #progress: string | undefined;

  private constructor(path: string, logKey: VerifierKey, stamp: string) {
    this.#path = path;
    this.#logKey = logKey;
    this.#stamp = stamp;
  }

  /** Reads the file; one that is not there yet remembers nothing. Throws StateFileError for one that is damaged, or of another log. */
  static async open(path: string, logKey: VerifierKey): Promise<StateFile> {
    const stamp = await stampOf(path);
    const file = new StateFile(path, logKey, stamp);
    if (stamp !== NOT_THERE) file.#load(await readState(path));
    return file;
  }

  /**
   * The newest checkpoint that was seen of a log whose key is not at hand: the file says which one it was. Undefined where
   * there is no file. Throws StateFileError.
   */
  static async remembered(path: string, origin: string): Promise<SeenCheckpoint | undefined> {
    if ((await stampOf(path)) === NOT_THERE) return undefined;
    const { log_key: publicKey } = unsealed(path, await readState(path));
    let logKey: VerifierKey;
    try {
      logKey = parseVerifierKey(formatVerifierKey(origin, TYPE_ED25519, fromBase64url(publicKey, 'log key')));
    } catch (cause) {
      throw damaged(path, cause);
    }
    return (await StateFile.open(path, logKey)).seen;
  }

  /** The newest checkpoint that was seen of the log; its signature was verified. */
  get seen(): SeenCheckpoint | undefined {
    return this.#seen;
  }

  /** How far the log was recomputed. Throws StateFileError. */
  progress(): Progress | undefined {
    if (this.#progress === undefined) return undefined;
    try {
      return parseProgress(JSON.parse(this.#progress) as StoredProgress);
    } catch (cause) {
      throw this.#damaged(cause);
    }
  }

  /**
   * Replaces the file at once and durably. Without progress, the one that is on disk stays. Throws StateFileError where
   * another process has written the file since this one read it: what that one has seen must not be forgotten.
   */
  async save(seen: SeenCheckpoint, progress?: Progress): Promise<void> {
    const text = progress === undefined ? (this.#progress ?? storedText(noProgress())) : storedText(progress);
    const stored = `{"version":${String(VERSION)},"origin":${JSON.stringify(this.#logKey.name)},"log_key":${JSON.stringify(publicBytes(this.#logKey))},"checkpoint":${JSON.stringify(seen.text)},"progress":${text}}`;
    const bytes = Buffer.from(stored, 'utf8');
    if (bytes.length > MAX_STATE_BYTES - 128) throw this.#error('would grow beyond what is read back');
    const content = Buffer.concat([
      Buffer.from(`{"sha256":"${sha256(bytes).toString('hex')}","state":`, 'ascii'),
      bytes,
      Buffer.from(CLOSING, 'ascii'),
    ]);
    try {
      await makeDirectory(dirname(this.#path), DIRECTORY_MODE);
      if ((await stampOf(this.#path)) !== this.#stamp) {
        throw this.#error('was written by another run in the meantime; run this again');
      }
      await replaceFile(this.#path, content);
      this.#stamp = await stampOf(this.#path);
    } catch (cause) {
      if (cause instanceof StateFileError) throw cause;
      throw this.#error(`cannot be written (${codeOf(cause)}); check its directory and the disk`, cause);
    }
    this.#seen = seen;
    this.#progress = text;
  }

  #load(content: Buffer): void {
    const stored = unsealed(this.#path, content);
    if (stored.origin !== this.#logKey.name || stored.log_key !== publicBytes(this.#logKey)) {
      throw this.#error('is of another log, or of another key; name another file with --state');
    }
    const verified = verifyCheckpoint(stored.checkpoint, this.#logKey);
    if (!verified.ok) throw this.#damaged();
    this.#seen = { text: stored.checkpoint, head: verified.value.head };
    this.#progress = JSON.stringify(stored.progress);
    const { size, root } = this.#seen.head;
    const frontier = this.progress()?.frontier ?? new Frontier();
    if (frontier.size > size || (frontier.size === size && !frontier.root().equals(root))) throw this.#damaged();
  }

  #damaged(cause?: unknown): StateFileError {
    return damaged(this.#path, cause);
  }

  #error(problem: string, cause?: unknown): StateFileError {
    return stateFileError(this.#path, problem, cause);
  }
}

function stateFileError(path: string, problem: string, cause?: unknown): StateFileError {
  return new StateFileError(`the state file ${path} ${problem}`, { cause });
}

function damaged(path: string, cause?: unknown): StateFileError {
  return stateFileError(
    path,
    'is damaged; restore it, or delete it and begin anew, which forgets the checkpoints that were seen until now',
    cause,
  );
}

/** What the file holds, its digest and version looked at and nothing else. Throws StateFileError. */
function unsealed(path: string, content: Buffer): Stored {
  const text = content.toString('utf8');
  const [opening = '', digest = ''] = OPENING.exec(text) ?? [];
  const inner = text.slice(opening.length, -CLOSING.length);
  const sound =
    opening !== '' && text.endsWith(CLOSING) && sha256(Buffer.from(inner, 'utf8')).toString('hex') === digest;
  if (!sound) throw damaged(path);
  const stored = JSON.parse(inner) as Stored;
  if (stored.version === VERSION) return stored;
  throw stateFileError(path, 'is of another version of this program; name another one with --state');
}

function storedText({ frontier, history, findings, rollbacks }: Progress): string {
  const stored: StoredProgress = {
    size: frontier.size,
    tiles: frontier.partials().map(toBase64),
    history: history.toJSON(),
    findings: findings.kept,
    finding_count: findings.count,
    rollbacks: rollbacks.toJSON(),
  };
  return JSON.stringify(stored);
}

function parseProgress(stored: StoredProgress): Progress {
  const tiles = stored.tiles.map((tile) => fromBase64(tile, 'tile'));
  const count = stored.finding_count;
  const kept = stored.findings.map(({ index, problem, advice }) => ({ index, problem, advice }));
  if (!Number.isSafeInteger(count) || count < kept.length) throw new MalformedError('state: not a count of findings');
  const history = History.from(stored.history);
  if (history.next !== stored.size) throw new MalformedError('state: history and tree are of different sizes');
  const rollbacks = Rollbacks.from(stored.rollbacks);
  return { frontier: new Frontier(stored.size, tiles), history, findings: new Findings(kept, count), rollbacks };
}

function publicBytes(key: VerifierKey): string {
  return key.publicKey.export({ format: 'jwk' }).x ?? '';
}

const NOT_THERE = 'none';

/** Changes whenever the file does. */
async function stampOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await lstat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return NOT_THERE;
    throw new StateFileError(`the state file ${path} cannot be read (${codeOf(error)})`, { cause: error });
  }
}

async function readState(path: string): Promise<Buffer> {
  try {
    const { size } = await regularFile(path);
    if (size > MAX_STATE_BYTES) throw stateFileError(path, 'is too large to be one');
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return await readUpTo(handle, size);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof StateFileError) throw cause;
    throw stateFileError(path, `cannot be read (${codeOf(cause)})`, cause);
  }
}

async function regularFile(path: string): Promise<Stats> {
  const stat = await lstat(path);
  if (stat.isFile()) return stat;
  throw stateFileError(path, 'is not a regular file');
}

/** Never more than the file is long: some of /proc and /sys have no end. */
async function readUpTo(handle: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, null);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** Readers see the old file or the new one, also after a crash. */
async function replaceFile(path: string, content: Buffer): Promise<void> {
  const next = `${path}.${String(process.pid)}.new`;
  await rm(next, { force: true });
  const handle = await open(next, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, FILE_MODE);
  try {
    await handle.chmod(FILE_MODE);
    await handle.writeFile(content);
    await handle.sync();
    await rename(next, path);
  } catch (error) {
    await rm(next, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  const directory = await open(dirname(path), constants.O_RDONLY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function codeOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : 'unknown error';
}
