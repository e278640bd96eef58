/**
 * The face of a witness, C2SP tlog-witness: add-checkpoint, and the checkpoints that it cosigned, for monitors. It may
 * assume a state that is durable and never goes back; nothing of who asks, who needs no credential but a log's signature.
 */
import { isUtf8 } from 'node:buffer';
import type { RequestListener } from 'node:http';
import { MalformedError } from '../../bytes/malformed-error.js';
import type { Cosigner } from '../../translog/cosignature.js';
import type { VerifierKey } from '../../translog/note.js';
import {
  authenticateSubmission,
  formatConflict,
  type HeldCheckpoint,
  MAX_WITNESS_BYTES,
  parseAddCheckpoint,
  refusalOf,
  type SignedSubmission,
  type WitnessRefusal,
} from '../../translog/witness.js';
import { ClientGoneError } from '../body.js';
import { Exchange } from '../exchange.js';
import type { Lifecycle } from '../lifecycle.js';
import type { Log, Metrics } from '../ports.js';
import { readBody } from './body.js';

const TEXT = 'text/plain; charset=utf-8';
const SIZE = 'text/x.tlog.size';
/**
 * A checkpoint that was cosigned no longer ago is answered with the same cosignature: checkpoints are public, and to send
 * one again must not cost a witness a disk write each time. Seconds.
 */
const RENEW_AFTER_SECONDS = 10n;

const STATUS: Readonly<Record<Exclude<WitnessRefusal['refused'], 'conflict'>, number>> = {
  malformed: 400,
  'unknown-log': 404,
  unsigned: 403,
  inconsistent: 422,
};

/** What a witness remembers. */
export interface WitnessMemory {
  /** The checkpoint cosigned last, by origin hash. Throws where it is damaged. */
  latest(hash: string): HeldCheckpoint | undefined;
  /** Has `checkpoint` on disk before it resolves to `answer`; nothing else is decided for the log meanwhile. */
  advance<T>(
    origin: string,
    decide: (latest: HeldCheckpoint | undefined) => { readonly answer: T; readonly checkpoint?: string },
  ): Promise<T>;
}

export interface WitnessOptions {
  readonly cosigner: Cosigner;
  /** The logs that are cosigned: their keys, by origin. */
  readonly logs: ReadonlyMap<string, VerifierKey>;
  readonly memory: WitnessMemory;
  /** Milliseconds since the Unix epoch: goes into cosignatures. */
  readonly clock: () => number;
  readonly lifecycle: Lifecycle;
  readonly log: Log;
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

const CHECKPOINT_PATH = /^\/([0-9a-f]{64})\/checkpoint$/;

/** What answers the requests of a witness: the statuses of the specification, and plain text that says why. */
export function createWitnessApp(options: WitnessOptions): RequestListener {
  const services = { log: options.log, metrics: NO_METRICS, lifecycle: options.lifecycle };
  return (request, response) => {
    const exchange = new Exchange(request, response, services);
    answer(exchange, options)
      .catch((error: unknown): Reply | undefined => {
        if (error instanceof ClientGoneError) return undefined;
        options.log.error({ err: error, request_id: exchange.id }, 'request failed');
        return say(500, `a fault in the witness; its log has the cause under the request id ${exchange.id}`);
      })
      .then((reply) => {
        if (reply !== undefined) exchange.text(reply.status, reply.type, reply.text);
      })
      .catch((error: unknown) => options.log.error({ err: error, request_id: exchange.id }, 'answer failed'));
  };
}

async function answer(exchange: Exchange, options: WitnessOptions): Promise<Reply> {
  const { method = '', url = '' } = exchange.request;
  const [path = ''] = url.split('?', 1);
  if (path === '/add-checkpoint') {
    exchange.matched('POST', path);
    return method === 'POST' ? addCheckpoint(exchange, options) : say(405, 'add-checkpoint is a POST');
  }
  const [, hash] = CHECKPOINT_PATH.exec(path) ?? [];
  if (hash === undefined && path !== '/healthz') {
    return say(
      404,
      'a witness has POST /add-checkpoint, GET /<SHA-256 of the origin, hex>/checkpoint and GET /healthz',
    );
  }
  exchange.matched('GET', hash === undefined ? path : '/{origin}/checkpoint');
  if (method !== 'GET') return say(405, 'this is a GET');
  if (hash === undefined) return say(200, 'ok');
  const held = options.memory.latest(hash);
  if (held === undefined) return say(404, 'this witness has never cosigned a checkpoint of that log');
  return { status: 200, type: TEXT, text: held.checkpoint };
}

async function addCheckpoint(
  exchange: Exchange,
  { cosigner, logs, memory, clock, log }: WitnessOptions,
): Promise<Reply> {
  const body = await readBody(exchange, MAX_WITNESS_BYTES);
  if (body === undefined) return say(413, `the request is larger than ${String(MAX_WITNESS_BYTES)} bytes`);
  const submission = read(body, logs);
  if ('refused' in submission) return refuse(submission);
  const reply = await memory.advance(submission.head.origin, (latest): { answer: Reply; checkpoint?: string } => {
    const refusal = refusalOf(submission, latest?.head);
    if (refusal !== undefined) return { answer: refuse(refusal) };
    const now = Math.floor(clock() / 1000);
    if (latest?.text === submission.text && BigInt(now) - latest.cosignedAt < RENEW_AFTER_SECONDS) {
      return { answer: { status: 200, type: TEXT, text: latest.cosignature } };
    }
    const line = cosigner.cosign(submission.text, now);
    return { answer: { status: 200, type: TEXT, text: line }, checkpoint: `${submission.checkpoint}${line}` };
  });
  // The log itself has signed what is not consistent with what it signed before: somebody should look.
  if (reply.status === 422) {
    const { origin, size, root } = submission.head;
    log.warn(
      { request_id: exchange.id, origin, size, root: root.toString('base64') },
      'inconsistent checkpoint refused',
    );
  }
  return reply;
}

function read(body: Buffer, logs: ReadonlyMap<string, VerifierKey>): SignedSubmission | WitnessRefusal {
  if (!isUtf8(body)) return { refused: 'malformed', detail: 'the request is not UTF-8' };
  try {
    const request = parseAddCheckpoint(body.toString('utf8'));
    // C2SP tlog-checkpoint: the origin is not empty. So this is no checkpoint, rather than one of a log that is not known.
    if (request.checkpoint.startsWith('\n')) return { refused: 'malformed', detail: 'the origin line is empty' };
    return authenticateSubmission(request, logs);
  } catch (error) {
    if (error instanceof MalformedError) return { refused: 'malformed', detail: error.message };
    throw error;
  }
}

function refuse(refusal: WitnessRefusal): Reply {
  if (refusal.refused === 'conflict') return { status: 409, type: SIZE, text: formatConflict(refusal.size) };
  return say(STATUS[refusal.refused], refusal.detail);
}

function say(status: number, text: string): Reply {
  return { status, type: TEXT, text: `${text}\n` };
}

const NO_METRICS: Metrics = {
  requested: () => undefined,
  exposition: () => Promise.resolve({ contentType: TEXT, text: '' }),
};
