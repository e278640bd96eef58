import Database from 'better-sqlite3';
import { parseTreeHead, type TreeHead, verifyCheckpoint } from '../../translog/checkpoint.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { verifierKey } from '../../translog/log-key.js';
import { parseNote, parseVerifierKey, type VerifierKey } from '../../translog/note.js';
import { CheckpointFile, CheckpointFileError } from '../../store/checkpoint-file/checkpoint-file.js';
import { fail, ok, warn, type Finding } from './finding.js';

const OPEN_TIMEOUT_MS = 2_000;

/** What the database says of its log; not authenticated, which needs the KEK. */
interface StoredLog {
  readonly logKey: VerifierKey;
  readonly checkpoint: string;
  readonly entries: number;
}

/**
 * The log of a broker, also while the broker runs: that the database holds as many entries as its checkpoint says, and no
 * fewer than the checkpoint file has seen. Nothing where the database cannot be read, which is said elsewhere.
 */
export async function logFindings(database: string, checkpointFile: string): Promise<readonly Finding[]> {
  // The file first: the database can only be newer then.
  const kept = await readKept(checkpointFile);
  const log = readLog(database);
  if (log === undefined) return [];
  const verified = verifyCheckpoint(log.checkpoint, log.logKey);
  if (!verified.ok || verified.value.head.size !== log.entries) {
    const why = verified.ok
      ? `has ${String(log.entries)} entries, and its checkpoint is of ${String(verified.value.head.size)}`
      : verified.detail;
    return [fail('log', why, 'stop the broker and restore the newest backup')];
  }
  const { head } = verified.value;
  return [
    ok('log', `${head.origin}, ${String(head.size)} entries`),
    typeof kept === 'string' || kept === undefined ? compare(checkpointFile, kept, head, log.logKey) : kept,
  ];
}

const CHECK = 'checkpoint file';

function compare(path: string, kept: string | undefined, head: TreeHead, logKey: VerifierKey): Finding {
  if (kept === undefined) {
    return warn(
      CHECK,
      `${path} is missing, so a rollback before the next start could go unnoticed`,
      'if log.checkpoint_file names another place, say so in PORTCULLIS_LOG_CHECKPOINT_FILE; a broker that runs writes it anew',
    );
  }
  const verified = verifyCheckpoint(kept, logKey);
  if (!verified.ok) return unproven(path, kept, verified.detail, logKey);
  const seen = verified.value.head;
  if (seen.size > head.size || (seen.size === head.size && !seen.root.equals(head.root))) {
    return fail(
      CHECK,
      `${path} has seen ${String(seen.size)} entries, and the database lacks some of them: it was rolled back`,
      'restore the newer database, or see: portcullis log accept-rollback --help',
    );
  }
  return ok(CHECK, `${path}, ${String(seen.size)} entries`);
}

function unproven(path: string, kept: string, why: string, logKey: VerifierKey): Finding {
  const [broker] = logKey.name.split('/');
  if (originOf(kept)?.startsWith(`${String(broker)}/`) === true) {
    return warn(
      CHECK,
      `${path} is of this broker's log under another name`,
      'start the broker: it knows whether the rollback between them was accepted',
    );
  }
  return warn(
    CHECK,
    `${path} proves nothing: ${why}`,
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

function readLog(database: string): StoredLog | undefined {
  let db: Database.Database | undefined;
  try {
    db = new Database(database, { readonly: true, fileMustExist: true, timeout: OPEN_TIMEOUT_MS });
    // One statement, so one moment.
    const row = db
      .prepare(
        'SELECT h.origin, h.checkpoint, b.log_public_key, (SELECT max(log_index) + 1 FROM log_entries) AS entries FROM log_head h, broker b',
      )
      .get() as { origin: string; checkpoint: string; log_public_key: Buffer; entries: number | null } | undefined;
    if (row === undefined) return undefined;
    const logKey = parseVerifierKey(verifierKey(row.origin, row.log_public_key));
    return { logKey, checkpoint: row.checkpoint, entries: row.entries ?? 0 };
  } catch {
    return undefined;
  } finally {
    db?.close();
  }
}
