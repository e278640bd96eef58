import { setTimeout as delay } from 'node:timers/promises';
import { LogSourceError, type LogSource } from '../../audit/source.js';
import { openLog, signedEntries, type SignedEntry, type SignedLog } from '../../audit/signed-log.js';
import type { CheckpointTrust } from '../../audit/trusted-checkpoint.js';
import type { CliContext } from '../context.js';
import { answer, type Outcome } from '../outcome.js';
import { oneLine, plainJson } from '../output.js';
import { ENTRY_HEAD, entryRow } from './entry-row.js';
import { type KnownNames, readNames } from './names-file.js';
import { trustOf, type TrustOptions, withLog } from './open-log.js';

const DEFAULT_LINES = 10;
const DEFAULT_INTERVAL_SECONDS = 2;

export interface TailOptions extends TrustOptions {
  readonly lines?: number;
  readonly follow?: true;
  readonly interval?: number;
  readonly names?: string;
}

/** `log tail`. */
export function tail(context: CliContext, options: TailOptions): Promise<Outcome> {
  return withLog(context, undefined, async (source) => {
    const names = await readNames(context, options.names);
    const trusted = await trustOf(context, source, options);
    if (!trusted.ok) return trusted;
    const { trust, notes } = trusted.value;
    const log = await openLog(source, trust);
    if (!log.ok) return log;
    const { size } = log.value.checkpoint.head;
    const first = Math.max(size - (options.lines ?? DEFAULT_LINES), 0);
    if (options.follow === true) {
      for (const note of notes) context.io.stderr.write(`${oneLine(note)}\n`);
      return follow(context, source, { trust, names, log: log.value, first, interval: options.interval });
    }
    const entries: SignedEntry[] = [];
    for await (const entry of signedEntries(source, log.value.tiles, first, size)) entries.push(entry);
    const json = { ok: true, log: trust.logKey.name, size, items: entries.map((entry) => itemOf(entry, names)) };
    return answer(json, [{ head: ENTRY_HEAD, rows: entries.map((entry) => rowOf(entry, names)) }], notes);
  });
}

interface Following {
  readonly trust: CheckpointTrust;
  readonly names: KnownNames;
  readonly log: SignedLog;
  readonly first: number;
  readonly interval: number | undefined;
}

/** Prints entries as they come, until the process ends or the log does what no log may do. */
async function follow(context: CliContext, source: LogSource, following: Following): Promise<Outcome> {
  const { trust, names, interval = DEFAULT_INTERVAL_SECONDS } = following;
  let { log, first: next } = following;
  for (;;) {
    const { size } = log.checkpoint.head;
    try {
      for await (const entry of signedEntries(source, log.tiles, next, size)) {
        print(context, entry, names);
        next = entry.index + 1;
      }
      await delay(interval * 1000);
      const now = await openLog(source, trust, log.checkpoint);
      if (!now.ok) return now;
      log = now.value;
    } catch (error) {
      if (!(error instanceof LogSourceError) || error.failure !== 'unreachable') throw error;
      context.io.stderr.write(`${oneLine(`${source.where}: ${error.message}; still following`)}\n`);
      await delay(interval * 1000);
    }
  }
}

function print({ io, json }: CliContext, entry: SignedEntry, names: KnownNames): void {
  // One line an entry: what follows cannot be one JSON document, since it has no end.
  const line = json ? plainJson(itemOf(entry, names)) : oneLine(rowOf(entry, names).join('  '));
  io.stdout.write(`${line}\n`);
}

function itemOf({ index, text, members }: SignedEntry, names: KnownNames) {
  if (members === undefined) return { index, text };
  const known = names.of(members);
  return { index, entry: members, ...(Object.keys(known).length === 0 ? {} : { names: known }) };
}

function rowOf({ index, text, members }: SignedEntry, names: KnownNames): readonly string[] {
  if (members === undefined) return [String(index), '', '(not canonical)', text.slice(0, 200)];
  return entryRow(index, members, names.of(members));
}
