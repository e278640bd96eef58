import Database from 'better-sqlite3';
import { parseTreeHead, type TreeHead, verifyCheckpoint } from '../../translog/checkpoint.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { verifierKey } from '../../translog/log-key.js';
import { parseNote, parseVerifierKey, type VerifierKey } from '../../translog/note.js';
import { containsHead } from '../../release/log-proofs.js';
import { recomputeLog } from '../../release/recompute-log.js';
import { StoreIntegrityError } from '../../release/store.js';
import { assertLogEnd } from '../../store/rows/log-watch.js';
import { LogTable } from '../../store/sqlite/log-table.js';
import { CheckpointFile, CheckpointFileError } from '../../store/checkpoint-file/checkpoint-file.js';
import { fail, ok, warn, type Finding } from './finding.js';

const OPEN_TIMEOUT_MS = 2_000;

/**
 * The log of a broker, also while the broker runs: that entries, hashes, nodes and checkpoint in the database agree, and
 * that it lacks nothing that the checkpoint file has seen. Nothing where the database cannot be read, which is said elsewhere.
 */
export async function logFindings(database: string, checkpointFile: string): Promise<readonly Finding[]> {
  // The file first: the database can only be newer then.
  const kept = await readKept(checkpointFile);
  let db: Database.Database | undefined;
  try {
    db = new Database(database, { readonly: true, fileMustExist: true, timeout: OPEN_TIMEOUT_MS });
    db.exec('BEGIN');
    return await findingsOf(db, checkpointFile, kept);
  } catch (error) {
    if (error instanceof StoreIntegrityError) {
      return [fail('log', `${error.message}: rows of the log were changed`, 'stop the broker and restore a backup')];
    }
    if (error instanceof MalformedError) return [fail('log', error.message, 'stop the broker and restore a backup')];
    return [];
  } finally {
    db?.close();
  }
}

async function findingsOf(
  db: Database.Database,
  checkpointFile: string,
  kept: string | undefined | Finding,
): Promise<readonly Finding[]> {
  const row = db.prepare('SELECT h.origin, h.checkpoint, b.log_public_key FROM log_head h, broker b').get() as
    { origin: string; checkpoint: string; log_public_key: Buffer } | undefined;
  if (row === undefined) return [];
  const logKey = parseVerifierKey(verifierKey(row.origin, row.log_public_key));
  const verified = verifyCheckpoint(row.checkpoint, logKey);
  if (!verified.ok) return [fail('log', verified.detail, 'stop the broker and restore a backup')];
  const { head } = verified.value;
  const table = new LogTable(db);
  assertLogEnd(table.end(), head.size);
  const source = {
    logEntries: async (start: number, count: number) => table.texts(start, count),
    logHashes: async (level: number, start: number, count: number) => table.hashes(level, start, count),
  };
  await recomputeLog(source, head);
  const whole = ok('log', `${head.origin}, ${String(head.size)} entries, each where it was appended`);
  if (typeof kept !== 'string') return [whole, kept ?? missing(checkpointFile)];
  return [whole, await compare(checkpointFile, kept, source, head, logKey)];
}

const CHECK = 'checkpoint file';

function missing(path: string): Finding {
  return warn(
    CHECK,
    `${path} is missing, so a rollback before the next start could go unnoticed`,
    'if log.checkpoint_file names another place, say so in PORTCULLIS_LOG_CHECKPOINT_FILE; a broker that runs writes it anew',
  );
}

async function compare(
  path: string,
  kept: string,
  source: Parameters<typeof containsHead>[0],
  head: TreeHead,
  logKey: VerifierKey,
): Promise<Finding> {
  const verified = verifyCheckpoint(kept, logKey);
  if (!verified.ok) return unproven(path, kept, verified.detail, logKey);
  const seen = verified.value.head;
  if (await containsHead(source, head, seen)) return ok(CHECK, `${path}, ${String(seen.size)} entries`);
  return fail(
    CHECK,
    `${path} has seen ${String(seen.size)} entries, and the database lacks some of them: it was rolled back`,
    'restore the newer database, or see: portcullis log accept-rollback --help',
  );
}

function unproven(path: string, kept: string, why: string, logKey: VerifierKey): Finding {
  const [broker] = logKey.name.split('/');
  const origin = originOf(kept);
  if (origin !== logKey.name && origin?.startsWith(`${String(broker)}/`) === true) {
    return warn(
      CHECK,
      `${path} is of this broker's log under another name`,
      'start the broker: it knows whether the rollback between them was accepted',
    );
  }
  return warn(
    CHECK,
    `${path} ${origin === logKey.name ? 'names this log, and proves nothing of it' : 'proves nothing'}: ${why}`,
    'look at it, and then remove it: a broker that runs writes it anew',
  );
}

function originOf(checkpoint: string): string | undefined {
  try {
    return parseTreeHead(parseNote(checkpoint).text).origin;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

async function readKept(path: string): Promise<string | undefined | Finding> {
  try {
    return await new CheckpointFile(path).read();
  } catch (error) {
    if (!(error instanceof CheckpointFileError)) throw error;
    return warn(CHECK, error.message, 'the broker cannot read it either');
  }
}
