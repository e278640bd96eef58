/**
 * The witnesses of the broker's log. This folder may assume that configuration names who they are; a witness may be down,
 * slow, or lie: nothing counts but a cosignature that verifies. It alone makes the broker connect to others, to the URLs of
 * the configuration and to no other.
 */
import { verifyCheckpoint } from '../translog/checkpoint.js';
import { parseVerifierKey, TYPE_COSIGNATURE, type VerifierKey } from '../translog/note.js';
import { WitnessClient } from './witness-client.js';

/** A witness of the configuration. */
export interface WitnessSetting {
  /** Submission and monitoring prefix. */
  readonly url: string;
  /** The vkey string, type 04. */
  readonly key: string;
}

/** What one witness says it cosigned last of a log. */
export interface Held {
  /** The name of the witness's key. */
  readonly witness: string;
  /** Undefined: it never cosigned a checkpoint of this log, or `problem`. Under the log's own signature, which was verified. */
  readonly seen?: { readonly size: number; readonly root: Buffer; readonly checkpoint: string };
  /** Why it could not be learned. */
  readonly problem?: string;
}

export interface WitnessesOptions {
  /** For one request; default 2000. */
  readonly timeoutMs?: number;
  /** Milliseconds, never going back; default: those of the process. */
  readonly monotonic?: () => number;
}

const DEFAULT_TIMEOUT_MS = 2_000;

/** Every witness of the configuration. Throws RangeError for two of one key, or a key that is not a witness's. */
export class Witnesses {
  readonly clients: readonly WitnessClient[];

  constructor(settings: readonly WitnessSetting[], options: WitnessesOptions = {}) {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, monotonic = () => performance.now() } = options;
    const parsed = settings.map(({ url, key }) => ({ url, key: parseVerifierKey(key) }));
    const keys = parsed.map(({ key }) => key);
    // By the key alone: one key under two names is still one witness.
    const publicKeys = new Set(
      keys.map(({ publicKey }) => publicKey.export({ format: 'der', type: 'spki' }).toString('hex')),
    );
    if (publicKeys.size !== keys.length) throw new RangeError('two witnesses have one key');
    if (keys.some(({ type }) => type !== TYPE_COSIGNATURE)) throw new RangeError('not the key of a witness (type 04)');
    this.clients = parsed.map(({ url, key }) => new WitnessClient({ url, key, timeoutMs, monotonic }));
  }

  /** What the witnesses hold of the log that this is the key of: a log that lacks any of it has been rolled back. Throws nothing. */
  latest(logKey: VerifierKey): Promise<readonly Held[]> {
    return Promise.all(
      this.clients.map(async (client): Promise<Held> => {
        const witness = client.name;
        try {
          const checkpoint = await client.latest(logKey.name);
          if (checkpoint === undefined) return { witness };
          const verified = verifyCheckpoint(checkpoint, logKey);
          if (!verified.ok) return { witness, problem: verified.detail };
          const { size, root } = verified.value.head;
          return { witness, seen: { size, root, checkpoint } };
        } catch (error) {
          const { code, message } = error as { code?: unknown; message?: unknown };
          return { witness, problem: typeof code === 'string' ? code : String(message) };
        }
      }),
    );
  }

  /** Abandons what is under way, and lets go of the connections. */
  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
  }
}
