import Database from 'better-sqlite3';
import { assertOurs } from '../../store/sqlite/migrations.js';
import type { Profile } from '../compose/ports.js';
import { fail, ok, warn, type Finding } from './finding.js';

const OPEN_TIMEOUT_MS = 2_000;
/** `PRAGMA synchronous`: FULL. */
const FULL = 2;
const MAX_AHEAD_MS = 5_000;

export interface StoreReport {
  readonly findings: readonly Finding[];
  /** As init fixed it, where the database says so; it is not authenticated here. */
  readonly profile?: Profile;
}

/**
 * The database of a broker, opened read-only, also while the broker runs: that it is ours, sound, in WAL mode and takes
 * synchronous=FULL, and that the clock has not fallen behind it. Row authentication needs the KEK and is the broker's.
 */
export function storeReport(path: string, nowMs: number): StoreReport {
  let db: Database.Database;
  try {
    db = new Database(path, { readonly: true, fileMustExist: true, timeout: OPEN_TIMEOUT_MS });
  } catch (error) {
    return { findings: [cannotOpen(path, error)] };
  }
  try {
    assertOurs(db, path);
    const profile = db.prepare('SELECT profile FROM broker WHERE id = 1').pluck().get();
    const findings = [soundFinding(db), durableFinding(db), clockFinding(db, nowMs)];
    return profile === 'development' || profile === 'production' ? { findings, profile } : { findings };
  } catch (error) {
    return { findings: [cannotOpen(path, error)] };
  } finally {
    db.close();
  }
}

function cannotOpen(path: string, error: unknown): Finding {
  const why = error instanceof Error ? error.message : 'unknown error';
  return fail('store', `${path} cannot be opened: ${why}`, 'check the data directory, or restore a backup');
}

function soundFinding(db: Database.Database): Finding {
  const verdict: unknown = db.pragma('quick_check(1)', { simple: true });
  if (verdict === 'ok') return ok('store', 'opens, and its pages are sound');
  return fail('store', `SQLite finds damage: ${String(verdict)}`, 'stop the broker and restore a backup');
}

function durableFinding(db: Database.Database): Finding {
  const journal = db.pragma('journal_mode', { simple: true });
  db.pragma('synchronous = FULL');
  const synchronous = db.pragma('synchronous', { simple: true });
  if (journal === 'wal' && synchronous === FULL) return ok('durability', 'WAL, synchronous=FULL');
  return warn(
    'durability',
    `journal_mode ${String(journal)}, synchronous ${String(synchronous)}, where WAL and FULL are wanted`,
    'start the broker once, which sets both; put the data directory on a local disk',
  );
}

function clockFinding(db: Database.Database, nowMs: number): Finding {
  const floorMs = Number(db.prepare('SELECT nonce_floor_ms FROM state WHERE id = 1').pluck().get() ?? 0);
  if (floorMs <= nowMs + MAX_AHEAD_MS) return ok('clock and nonces', 'the clock is past the floor of nonces');
  return fail(
    'clock and nonces',
    `the clock is ${String(Math.ceil((floorMs - nowMs) / 1000))} s behind the floor of nonces, so every nonce counts as expired`,
    'correct the clock: timedatectl set-ntp true',
  );
}
