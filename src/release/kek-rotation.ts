import { resealKey } from '../keys/envelope.js';
import { KekError } from '../keys/kek.js';
import { openSecret, sealSecret } from '../keys/secret.js';
import { accept, type Result } from '../reason/reason.js';
import type { Principal } from './broker.js';
import type { BrokerContext } from './context.js';
import { secretIdentity } from './initialise.js';
import type { BrokerRecord, KeyVersionRecord } from './records.js';
import type { Page, StoreChange } from './store.js';

const BATCH = 64;

/**
 * Makes a new KEK and re-wraps everything under it, while releases go on: each batch is one change, and a version that was
 * changed meanwhile is left for the next round. KEKs that were out of use before this rotation are destroyed at its end;
 * the one just replaced is kept until the next rotation, since another process of the broker may be wrapping with it at
 * this moment. To destroy a KEK at once, rotate twice.
 */
export async function rotateKek(
  context: BrokerContext,
  by: Principal,
): Promise<Result<{ readonly kek: string; readonly rewrapped: number }>> {
  // Before a KEK is made: a file that lacks the one in use must be replaced, not added to.
  await assertFileCurrent(context, await context.store.broker());
  const { kek, replaced } = await context.keks.rotate();
  await rewrapBrokerSecrets(context, by, kek);
  let rewrapped = 0;
  while (context.keks.activeId() === kek) {
    const round = await rewrapRound(context, kek);
    if (round === 0) break;
    rewrapped += round;
  }
  await retireUnused(context, [kek, replaced]);
  return accept({ kek, rewrapped });
}

/**
 * Destroys the KEKs that nothing stored is wrapped under, but those to keep. Inside a change, since what is looked at must
 * not be added to meanwhile: whoever stores a wrapping checks, inside a change of its own, that its KEK still exists.
 */
async function retireUnused(context: BrokerContext, keep: readonly string[]): Promise<void> {
  await context.store.change(async (change) => {
    const used = new Set(keep);
    const broker = await change.broker();
    if (broker !== undefined) used.add(broker.kek);
    for await (const page of versionPages((page) => change.keyVersions.list(page))) {
      for (const version of page) used.add(version.kek);
    }
    await context.keks.retire([...used]);
  });
}

/** Throws KekError where a KEK was destroyed between wrapping and storing: to be called inside the change that stores. */
export async function assertKekHeld(context: Pick<BrokerContext, 'keks'>, kek: string): Promise<void> {
  if (await context.keks.holds(kek)) return;
  throw new KekError(
    'the KEK was destroyed by a rotation before what it wraps was stored; nothing was changed, try again',
  );
}

/**
 * As assertKekHeld, for what is wrapped anew: throws KekError also where another replica has rotated the KEK and its new
 * KEK file is not here yet, since the one that is active here may be destroyed there.
 */
export async function assertKekCurrent(
  context: Pick<BrokerContext, 'keks'>,
  change: Pick<StoreChange, 'broker'>,
  kek: string,
): Promise<void> {
  await assertKekHeld(context, kek);
  await assertFileCurrent(context, await change.broker());
}

async function assertFileCurrent(
  context: Pick<BrokerContext, 'keks'>,
  broker: BrokerRecord | undefined,
): Promise<void> {
  if (broker === undefined || (await context.keks.holds(broker.kek))) return;
  throw new KekError('another replica has rotated the KEK; copy its kek.json here, then try again');
}

/**
 * To be called inside the change that replaces a broker record which was read before it: throws KekError where the record is
 * another one by now. Another replica has then rotated the KEK, or accepted a rollback, and its record must stay.
 */
export async function assertSameRecord(change: Pick<StoreChange, 'broker'>, read: BrokerRecord): Promise<void> {
  const found = await change.broker();
  const same =
    found?.kek === read.kek &&
    found.logOrigin === read.logOrigin &&
    found.logPublicKey.equals(read.logPublicKey) &&
    found.wrappedRootSecret.equals(read.wrappedRootSecret) &&
    found.wrappedLogKey.equals(read.wrappedLogKey);
  if (same) return;
  throw new KekError(
    'another process has rotated the KEK, or accepted a rollback, at the same time; what it stored stays: wait until it ' +
      'has ended, copy its kek.json here where it is on another host, then try again',
  );
}

async function rewrapBrokerSecrets(context: BrokerContext, by: Principal, kek: string): Promise<void> {
  const record = await context.store.broker();
  if (record === undefined) throw new Error('the store has no broker record');
  const rewrap = async (purpose: 'root-secret' | 'log-key', sealed: BrokerRecord['wrappedRootSecret']) => {
    const identity = secretIdentity(record, purpose);
    const secret = await openSecret(context.keks, identity, { kek: record.kek, wrapped: sealed });
    try {
      return await sealSecret(context.keks, identity, secret);
    } finally {
      secret.fill(0);
    }
  };
  const root = await rewrap('root-secret', record.wrappedRootSecret);
  const log = await rewrap('log-key', record.wrappedLogKey);
  if (root.kek !== kek || log.kek !== kek) throw new Error('the active KEK changed during its rotation; rotate again');
  await context.store.change(async (change) => {
    await assertKekCurrent(context, change, kek);
    await assertSameRecord(change, record);
    await change.append('kek.rotated', { actor: by.tokenId, kek });
    await change.setBroker({ ...record, kek, wrappedRootSecret: root.wrapped, wrappedLogKey: log.wrapped });
  });
}

/** One pass over all versions that are not under `kek`; returns how many were re-wrapped. */
async function rewrapRound(context: BrokerContext, kek: string): Promise<number> {
  let done = 0;
  const list = (page: Page) => context.store.read((view) => view.keyVersions.list(page));
  for await (const page of versionPages(list)) {
    const stale = page.filter((version) => version.kek !== kek && version.ciphertext.length > 0);
    if (stale.length > 0) done += await rewrapBatch(context, stale);
  }
  return done;
}

/** All key versions, a page at a time. */
async function* versionPages(
  list: (page: Page) => Promise<readonly KeyVersionRecord[]>,
): AsyncGenerator<readonly KeyVersionRecord[]> {
  for (let cursor: { readonly after?: string } = {}; ;) {
    const page = await list({ limit: BATCH, ...cursor });
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    cursor = { after: `${last.key}/${last.version}` };
  }
}

async function rewrapBatch(context: BrokerContext, stale: readonly KeyVersionRecord[]): Promise<number> {
  const resealed: [KeyVersionRecord, Pick<KeyVersionRecord, 'kek' | 'wrappedDek' | 'ciphertext'>][] = [];
  for (const version of stale) {
    const key = await context.store.read((view) => view.keys.get(version.key));
    if (key === undefined) continue;
    const identity = { broker: context.broker, key: key.name, version: version.version, kty: key.kty };
    resealed.push([version, await resealKey(context.keks, identity, version, context.random)]);
  }
  return context.store.change(async (change) => {
    for (const kek of new Set(resealed.map(([, sealed]) => sealed.kek))) await assertKekCurrent(context, change, kek);
    let done = 0;
    for (const [before, sealed] of resealed) {
      const current = await change.keyVersions.get(before.key, before.version);
      if (current?.ciphertext.equals(before.ciphertext) !== true) continue;
      await change.keyVersions.put({ ...current, ...sealed });
      done++;
    }
    await change.append('kek.rewrapped', { versions: done });
    return done;
  });
}
