/**
 * What a witness must not forget. This folder may assume a disk that keeps what was synced and a kernel whose file locks
 * hold; not that files are whole, or still there. An old copy of the whole directory it cannot tell from the new one.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MalformedError } from '../../bytes/malformed-error.js';
import type { VerifierKey } from '../../translog/note.js';
import { type HeldCheckpoint, MAX_WITNESS_BYTES, originHash, parseHeldCheckpoint } from '../../translog/witness.js';
import { readBounded, syncDirectory, WitnessStateError, writeDurably } from './durable-file.js';
import { witnessPaths } from './identity.js';
import { takeLock } from './lock.js';

const ORIGIN_HASH = /^[0-9a-f]{64}$/;
const MAX_ORIGINS_BYTES = 4 * 1024 * 1024;

/** What is kept of one log; `damaged` says why nothing more can be cosigned for it. */
export type LogState = { readonly held: HeldCheckpoint } | { readonly damaged: string };

/** What `advance` was asked to do: the answer, and the checkpoint to keep before it is given. */
export interface Advance<T> {
  readonly answer: T;
  /** Note with the log's signature and the cosignature; undefined: nothing changes. */
  readonly checkpoint?: string;
}

/**
 * The checkpoint cosigned last, by log. A log whose file is missing, unreadable or not under the witness's own cosignature
 * is refused, since a witness that forgets can be made to cosign a fork. One process at a time, by a lock.
 */
export class WitnessState {
  readonly #directory: string;
  readonly #key: VerifierKey;
  /** By origin hash: what is on disk for certain, and so may be shown. */
  readonly #states: Map<string, LogState>;
  readonly #queues = new Map<string, Promise<unknown>>();
  readonly #unlock: () => void;

  private constructor(directory: string, key: VerifierKey, states: Map<string, LogState>, unlock: () => void) {
    this.#directory = directory;
    this.#key = key;
    this.#states = states;
    this.#unlock = unlock;
  }

  /** Opens the directory of the witness that this is the key of. Throws WitnessStateError. */
  static async open(directory: string, key: VerifierKey): Promise<WitnessState> {
    const paths = witnessPaths(directory);
    const unlock = takeLock(paths.lock);
    try {
      // What a process that was killed had renamed, but not yet synced, becomes certain here.
      await syncDirectory(paths.checkpoints);
      const indexed = await readOrigins(paths.origins);
      const states = await readStates(directory, key, indexed);
      if ([...states.keys()].some((hash) => !indexed.has(hash))) await writeOrigins(paths.origins, states.keys());
      return new WitnessState(directory, key, states, unlock);
    } catch (error) {
      unlock();
      throw error;
    }
  }

  /** What is kept, by origin hash, without the lock: beside a witness that runs. Throws WitnessStateError. */
  static async inspect(directory: string, key: VerifierKey): Promise<ReadonlyMap<string, LogState>> {
    return readStates(directory, key, await readOrigins(witnessPaths(directory).origins));
  }

  /** The checkpoint cosigned last, which is on disk; undefined where there was none. Throws WitnessStateError for damaged state. */
  latest(hash: string): HeldCheckpoint | undefined {
    const state = this.#states.get(hash);
    if (state === undefined) return undefined;
    if ('held' in state) return state.held;
    throw new WitnessStateError(state.damaged);
  }

  /** The logs of which nothing more can be cosigned, and why. */
  damaged(): readonly string[] {
    return [...this.#states.values()].flatMap((state) => ('damaged' in state ? [state.damaged] : []));
  }

  /**
   * Lets `decide` look at the checkpoint cosigned last and say what comes next; nothing else is decided for this log until
   * that is on disk. What `decide` throws comes through. Throws WitnessStateError where the state is damaged, or cannot be
   * written: then nothing has changed, and the answer must not be given.
   */
  async advance<T>(origin: string, decide: (latest: HeldCheckpoint | undefined) => Advance<T>): Promise<T> {
    const hash = originHash(origin);
    return this.#inTurn(hash, async () => {
      const before = this.latest(hash);
      const { answer, checkpoint } = decide(before);
      if (checkpoint !== undefined) await this.#keep(hash, checkpoint, before);
      return answer;
    });
  }

  /** Waits for what is under way, and lets go of the lock. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#queues.values());
    this.#unlock();
  }

  async #keep(hash: string, checkpoint: string, before: HeldCheckpoint | undefined): Promise<void> {
    const held = parseHeldCheckpoint(checkpoint, this.#key);
    if (originHash(held.head.origin) !== hash || held.head.size < (before?.head.size ?? 0)) {
      throw new Error('a witness never goes back, nor from one log to another');
    }
    await writeDurably(stateFile(this.#directory, hash), Buffer.from(checkpoint, 'utf8'));
    // The file first: a log that is in the index and has no file is taken for damaged.
    if (before === undefined) {
      await this.#inTurn('origins', async () => {
        await writeOrigins(witnessPaths(this.#directory).origins, [...this.#states.keys(), hash]);
        this.#states.set(hash, { held });
      });
    }
    this.#states.set(hash, { held });
  }

  async #inTurn<T>(queue: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(queue) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#queues.set(queue, turn);
    try {
      return await turn;
    } finally {
      if (this.#queues.get(queue) === turn) this.#queues.delete(queue);
    }
  }
}

function stateFile(directory: string, hash: string): string {
  return join(witnessPaths(directory).checkpoints, hash);
}

async function readOrigins(path: string): Promise<ReadonlySet<string>> {
  const content = await readBounded(path, MAX_ORIGINS_BYTES);
  if (content === undefined) {
    throw new WitnessStateError(`${path} is missing: without it a lost checkpoint is not noticed; restore it`);
  }
  const hashes = content.toString('latin1').split('\n');
  if (hashes.pop() !== '' || !hashes.every((hash) => ORIGIN_HASH.test(hash))) {
    throw new WitnessStateError(`${path} is damaged: it holds an origin hash a line; restore it`);
  }
  return new Set(hashes);
}

async function writeOrigins(path: string, hashes: Iterable<string>): Promise<void> {
  await writeDurably(path, Buffer.from([...new Set(hashes)].map((hash) => `${hash}\n`).join(''), 'latin1'));
}

/** Everything in the index, and files that a crash kept out of it. */
async function readStates(
  directory: string,
  key: VerifierKey,
  indexed: ReadonlySet<string>,
): Promise<Map<string, LogState>> {
  const states = new Map<string, LogState>();
  const found = await namesIn(witnessPaths(directory).checkpoints);
  for (const hash of new Set([...indexed, ...found.filter((name) => ORIGIN_HASH.test(name))])) {
    states.set(hash, await readState(stateFile(directory, hash), hash, key));
  }
  return states;
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    throw new WitnessStateError(`${path} cannot be listed; restore the directory of the witness`, { cause: error });
  }
}

async function readState(path: string, hash: string, key: VerifierKey): Promise<LogState> {
  const lost = (why: string): LogState => ({
    damaged: `${path} ${why}: nothing more is cosigned for this log until its newest copy is restored`,
  });
  try {
    const content = await readBounded(path, MAX_WITNESS_BYTES);
    if (content === undefined) return lost('is missing');
    const held = parseHeldCheckpoint(content.toString('utf8'), key);
    return originHash(held.head.origin) === hash ? { held } : lost('is of another log');
  } catch (error) {
    if (error instanceof MalformedError) return lost('is damaged');
    if (error instanceof WitnessStateError) return { damaged: error.message };
    throw error;
  }
}
