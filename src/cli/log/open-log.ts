/** What the sub-commands of `portcullis log` share: where a log is read from, whose word is believed, and what faults mean. */
import { stat } from 'node:fs/promises';
import { LogSourceError, type LogSource } from '../../audit/source.js';
import type { CheckpointTrust } from '../../audit/trusted-checkpoint.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { parseVerifierKey, TYPE_ED25519 } from '../../translog/note.js';
import type { CliContext } from '../context.js';
import { UnreachableError, UsageError, type Outcome } from '../outcome.js';
import { pathOf, whyUnreadable } from '../read-input.js';
import { readLogKey, readWitnesses } from '../verifier-key.js';
import { faultOutcome } from './findings-text.js';

/** What a broker serves its log below. */
const LOG_PREFIX = '/log';

export interface TrustOptions {
  readonly logKey?: string;
  readonly witness?: readonly string[];
  readonly quorum?: number;
}

/** Whose word is believed, the vkey of the log, and what there is to note about it. */
export interface Trust {
  readonly trust: CheckpointTrust;
  readonly vkey: string;
  readonly notes: readonly string[];
}

/**
 * Runs `work` on the log in a directory, or else on that of the broker of --url, and says what its failures mean. Throws
 * UnreachableError, UsageError.
 */
export async function withLog(
  context: CliContext,
  directory: string | undefined,
  work: (source: LogSource) => Promise<Outcome>,
): Promise<Outcome> {
  const source = directory === undefined ? await remoteLog(context) : await localLog(context, directory);
  try {
    return await work(source);
  } catch (error) {
    return await outcomeOf(error, source, directory !== undefined);
  } finally {
    await source.close();
  }
}

/** The key and witnesses that are given; without a key, the one that the place itself names, with a note that says so. */
export async function trustOf(context: CliContext, source: LogSource, options: TrustOptions): Promise<Result<Trust>> {
  const { logKey: given, witness = [], quorum } = options;
  const vkey = given === undefined ? await keyOfPlace(source) : await readLogKey(context, given);
  if (!vkey.ok) return vkey;
  const witnesses = await readWitnesses(context, witness, quorum);
  if (!witnesses.ok) return witnesses;
  const { witnessPolicy } = await import('../../workload/log-trust.js');
  const logKey = parseVerifierKey(vkey.value);
  const note = `note: the log key is the one that ${source.where} names; give the one you know with --log-key`;
  return accept({
    trust: { logKey, witnesses: witnesses.value === undefined ? undefined : witnessPolicy(witnesses.value) },
    vkey: vkey.value,
    notes: given === undefined ? [note] : [],
  });
}

async function keyOfPlace(source: LogSource): Promise<Result<string>> {
  const vkey = await source.verifierKey();
  try {
    if (parseVerifierKey(vkey).type === TYPE_ED25519) return accept(vkey);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
  }
  return reject('checkpoint.signature', `${source.where} names no log key; give it with --log-key`);
}

async function remoteLog(context: CliContext): Promise<LogSource> {
  const { url, ...tls } = await context.address();
  const path = url.pathname.replace(/\/+$/, '');
  const prefix = new URL(url);
  prefix.pathname = path.endsWith(LOG_PREFIX) ? path : path + LOG_PREFIX;
  const { httpSource } = await import('../../audit/http-source.js');
  return httpSource({ url: prefix, ...tls });
}

async function localLog(context: CliContext, name: string): Promise<LogSource> {
  const path = pathOf(context.io, name);
  const found = await stat(path).catch((error: unknown) => {
    throw new UsageError(`cannot read ${name}: ${whyUnreadable(error)}`);
  });
  if (!found.isDirectory()) throw new UsageError(`${name} is not a directory; --dir names that of an exported log`);
  const { directorySource } = await import('../../audit/directory-source.js');
  return directorySource(path);
}

async function outcomeOf(error: unknown, source: LogSource, local: boolean): Promise<Outcome> {
  const { LogFault } = await import('../../audit/signed-log.js');
  if (error instanceof LogFault) return faultOutcome(error);
  if (error instanceof LogSourceError) return sourceOutcome(error, source, local);
  // The audit room cannot know of usage: by name, since the modules are loaded when they are needed.
  if (error instanceof Error && STATED.has(error.name)) throw new UsageError(error.message);
  throw error;
}

const STATED: ReadonlySet<string> = new Set(['StateFileError', 'ExportDirectoryError']);

function sourceOutcome(error: LogSourceError, source: LogSource, local: boolean): Outcome {
  const { failure, message, reason } = error;
  if (failure === 'unreachable') {
    if (local) throw new UsageError(`cannot read ${source.where}: ${message}`);
    throw new UnreachableError(`cannot reach the broker at ${source.where}: ${message}; check --url`);
  }
  if (failure === 'refused') return { ok: false, reason: reason ?? 'internal', detail: message };
  const hint = local ? 'is this an exported log?' : 'does --url name a broker, or a place that ends in /log?';
  return reject('checkpoint.malformed', `${source.where}: ${message}; ${hint}`);
}
