import { toHex } from '../bytes/hex.js';
import { sha256Hex } from '../crypto/digest.js';
import type { Random } from '../crypto/random.js';
import type { KekProvider } from '../keys/kek.js';
import { openSecret, sealSecret } from '../keys/secret.js';
import { CheckpointSigner, type TreeHead } from '../translog/checkpoint.js';
import { parseEntry } from '../translog/entry.js';
import { logPublicKey } from '../translog/log-key.js';
import { leafHash } from '../translog/merkle.js';
import { verifyInclusion } from '../translog/proof.js';
import { secretIdentity } from './initialise.js';
import { assertKekCurrent, assertSameRecord } from './kek-rotation.js';
import { allPages } from './paging.js';
import { freezeId } from './keys.js';
import { containsHead, proveInclusion } from './log-proofs.js';
import type { BrokerRecord } from './records.js';
import type { LogHead, SeenHead, Store, StoreChange } from './store.js';

const PAGE = 100;
const SECRET_BYTES = 32;
const SALT_BYTES = 16;
const ACCEPTED = 'log.rollback_accepted';
/** More than these no broker can have lived through. */
const MAX_ACCEPTED = 1000;

/** What is left of a log, and what is missing from it. */
export interface Survived {
  readonly head: LogHead;
  /** RFC 3339: of the newest entry. */
  readonly newestEntryAt: string | undefined;
  /** Of the heads that were seen, those that the log lacks; the largest first. */
  readonly missing: readonly SeenHead[];
}

/** Holds the log against heads that were seen outside of the store, without changing what the store does. */
export async function examineLog(store: Store, seen: readonly SeenHead[]): Promise<Survived> {
  const head = await store.logHead();
  const missing: SeenHead[] = [];
  for (const each of seen) if (!(await containsHead(store, head, each))) missing.push(each);
  missing.sort((a, b) => b.size - a.size);
  const [newest] = await store.read((view) => view.entries({ limit: 1 }));
  const time = newest === undefined ? undefined : parseEntry(newest.entry)['time'];
  return { head, newestEntryAt: typeof time === 'string' ? time : undefined, missing };
}

/**
 * Which heads of other logs the rollbacks accepted in this one have settled: those of the logs that it continues, and those
 * that showed the losses. Each of their entries is held against the authenticated head, so that none can be added with SQL.
 */
export async function settledHeads(store: Store): Promise<(head: TreeHead) => boolean> {
  const entries = await store.read((view) => view.entries({ type: ACCEPTED, limit: MAX_ACCEPTED }));
  const { size, root } = await store.logHead();
  const settled = new Set<string>();
  for (const { index, entry } of entries) {
    const proof = await proveInclusion(store, index, size);
    if (!verifyInclusion(leafHash(Buffer.from(entry, 'utf8')), index, size, proof, root)) continue;
    const { previous_origin: origin, newest_known_size: knownSize, newest_known_root: knownRoot } = parseEntry(entry);
    if (typeof origin === 'string') settled.add(origin);
    if (typeof knownSize === 'string' && typeof knownRoot === 'string') settled.add(`${knownSize} ${knownRoot}`);
  }
  return (head) => settled.has(head.origin) || settled.has(`${String(head.size)} ${toHex(head.root)}`);
}

export interface AcceptPorts {
  readonly store: Store;
  readonly keks: KekProvider;
  readonly random: Random;
}

/** Why a rollback is accepted: the head that shows it; or, where nothing does, what the administrator says. */
export type RollbackCause = { readonly missing: SeenHead } | { readonly reason: string };

export interface AcceptedRollback {
  readonly previousOrigin: string;
  /** Entries that survived. */
  readonly previousSize: number;
  /** The vkey string of the new log: who pinned the former one needs it. */
  readonly logKey: string;
  readonly head: LogHead;
  readonly epoch: number;
  readonly frozenKeys: number;
}

/**
 * Goes on with a store that has lost entries, in one change: the log gets a new origin and a new key, and what survived is
 * its start, so that the former key never signs a second history; the nonce epoch is raised, so that no nonce of before is
 * good for anything; every key is frozen. Other processes of the broker refuse to go on until they are started anew.
 * Whether anything was lost is for the caller to find out. Throws KekError and the store's errors.
 */
export async function acceptRollback(ports: AcceptPorts, cause: RollbackCause): Promise<AcceptedRollback> {
  const { store, random } = ports;
  const record = await store.broker();
  if (record === undefined) throw new Error('the store has no broker record');
  const seed = random(SECRET_BYTES);
  try {
    const signer = new CheckpointSigner(`${record.broker}/${toHex(random(8))}`, seed);
    const renewed = await withLogKey(ports, record, signer.origin, seed);
    const accepted = await store.change(async (change) => {
      await assertKekCurrent(ports, change, renewed.kek);
      await assertSameRecord(change, record);
      const before = await change.logHead();
      await change.restartLog(signer);
      const frozenKeys = await freezeEveryKey(change);
      await change.raiseEpoch();
      await change.setBroker(renewed);
      await appendAccepted(change, {
        before,
        origin: signer.origin,
        frozenKeys,
        cause,
        salt: toHex(random(SALT_BYTES)),
      });
      return { before, frozenKeys, epoch: (await change.state()).epoch };
    });
    const { before, frozenKeys, epoch } = accepted;
    const { origin: previousOrigin, size: previousSize } = before;
    const head = await store.logHead();
    return { previousOrigin, previousSize, logKey: signer.verifierKey, head, epoch, frozenKeys };
  } finally {
    seed.fill(0);
  }
}

/** The broker record with another log: its secrets are sealed anew, since their sealing authenticates the log's identity. */
async function withLogKey(
  { keks }: AcceptPorts,
  record: BrokerRecord,
  logOrigin: string,
  seed: Buffer,
): Promise<BrokerRecord> {
  const next = { ...record, logOrigin, logPublicKey: logPublicKey(seed) };
  const sealed = { kek: record.kek, wrapped: record.wrappedRootSecret };
  const rootSecret = await openSecret(keks, secretIdentity(record, 'root-secret'), sealed);
  try {
    const root = await sealSecret(keks, secretIdentity(next, 'root-secret'), rootSecret);
    const log = await sealSecret(keks, secretIdentity(next, 'log-key'), seed);
    if (root.kek !== log.kek) throw new Error('the active KEK changed meanwhile; try again');
    return { ...next, kek: root.kek, wrappedRootSecret: root.wrapped, wrappedLogKey: log.wrapped };
  } finally {
    rootSecret.fill(0);
  }
}

async function freezeEveryKey(change: StoreChange): Promise<number> {
  const keys = await allPages(
    (after) => change.keys.list({ limit: PAGE, ...after }),
    (key) => key.name,
  );
  for (const { name } of keys) await change.freezes.add(freezeId(name));
  return keys.length;
}

interface Acceptance {
  readonly before: LogHead;
  readonly origin: string;
  readonly frozenKeys: number;
  readonly cause: RollbackCause;
  readonly salt: string;
}

async function appendAccepted(change: StoreChange, acceptance: Acceptance): Promise<void> {
  const { before, origin, frozenKeys, cause, salt } = acceptance;
  const shown = 'missing' in cause ? cause.missing : undefined;
  // What people write, and names of files, are nobody's business but the broker's: kept beside, with their hash in the log.
  const detail = JSON.stringify(
    'missing' in cause ? { seen_in: cause.missing.where, salt } : { reason: cause.reason, salt },
  );
  await change.append(
    ACCEPTED,
    {
      log_origin: origin,
      previous_origin: before.origin,
      previous_size: String(before.size),
      previous_root: toHex(before.root),
      newest_known_size: shown === undefined ? undefined : String(shown.size),
      newest_known_root: shown === undefined ? undefined : toHex(shown.root),
      frozen_keys: frozenKeys,
      detail_sha256: sha256Hex(detail),
    },
    detail,
  );
}
