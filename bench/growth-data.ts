import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toHex } from '../src/bytes/hex.js';
import type { OpenBroker } from '../src/cli/compose/open-broker.js';
import { sha256 } from '../src/crypto/digest.js';
import { sealKey, type SealedKey } from '../src/keys/envelope.js';
import { withBroker } from '../test/helpers/with-broker.js';
import { appendReleases, provisionLog } from './append-releases.js';
import { built } from './built.js';
import { derivedAk } from './derived-ak.js';
import { DEPLOYMENT } from './provision.js';

const { initialise } = (await import(built('cli/compose/init.js'))) as typeof import('../src/cli/compose/init.js');
const { openBroker } = (await import(
  built('cli/compose/open-broker.js')
)) as typeof import('../src/cli/compose/open-broker.js');

/** Records of one administrative change. */
const CHUNK = 10_000;
/** Outside of build/, which each run of the bench makes anew. */
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/portcullis-bench', import.meta.url));

/** Of what a broker has many. */
export type Grown = 'keys' | 'attesters' | 'entries';

/** The name of a key of a data directory that has many. */
export function keyName(number: number): string {
  return `key-${String(number)}`;
}

/**
 * A data directory with a deployment, and `count` keys that it may draw, or attesters pinned for it, or release entries in
 * its log, all of them as a broker would have made them; filled through the store, in large changes. It is kept for later
 * runs of the same build of the store, which add what they measure. `fresh`: made anew in `folder` instead.
 */
export async function grownDataDir(what: Grown, count: number, fresh?: string): Promise<string> {
  const name = `${what}-${String(count)}-`;
  const home = fresh ?? join(CACHE, name + storeBuild());
  const dataDir = join(home, 'data');
  if (existsSync(dataDir)) return dataDir;
  // What earlier builds made is of no use any more, and may be gigabytes.
  const stale =
    fresh === undefined && existsSync(CACHE) ? readdirSync(CACHE).filter((each) => each.startsWith(name)) : [];
  for (const each of stale) rmSync(join(CACHE, each), { recursive: true, force: true });
  const making = `${home}.making`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { recursive: true });
  const made = join(making, 'data');
  const initialised = await initialise({ dataDir: made, profile: 'development' });
  if (!initialised.ok) throw new Error(initialised.detail);
  writeFileSync(join(made, 'admin.token'), initialised.value.adminToken, { mode: 0o600 });
  await withBroker(openBroker, made, async (open) => {
    await provisionLog(open);
    for (let from = 0; from < count; from += CHUNK) {
      if (from % 100_000 === 0) console.error(`making ${String(count)} ${what}: ${String(from)} …`);
      await FILL[what](open, from, Math.min(count, from + CHUNK));
    }
  });
  rmSync(home, { recursive: true, force: true });
  renameSync(making, home);
  return dataDir;
}

/** Directories that another build made are not opened. */
function storeBuild(): string {
  const hash = createHash('sha256');
  for (const folder of ['store/sqlite/migrations', 'store/rows', 'translog', 'keys']) {
    const path = fileURLToPath(built(folder));
    if (!existsSync(path)) continue;
    for (const file of readdirSync(path).sort()) {
      if (file.endsWith('.js')) hash.update(readFileSync(join(path, file)));
    }
  }
  return hash.digest('hex').slice(0, 12);
}

const FILL: Readonly<Record<Grown, (open: OpenBroker, from: number, to: number) => Promise<void>>> = {
  keys: addKeys,
  attesters: addAttesters,
  entries: async (open, from, to) => {
    await appendReleases(open, from, to - from);
  },
};

async function addKeys({ context }: OpenBroker, from: number, to: number): Promise<void> {
  const { store, keks, broker, clock } = context;
  const version = (number: number) => number.toString(16).padStart(32, '0');
  const sealed: SealedKey[] = [];
  for (let number = from; number < to; number++) {
    const identity = { broker, key: keyName(number), version: version(number), kty: 'oct' };
    const jwk = Buffer.from(JSON.stringify({ kty: 'oct', k: randomBytes(32).toString('base64url') }));
    sealed.push(await sealKey(keks, identity, jwk, randomBytes));
  }
  const [enabled, createdAtMs] = ['enabled' as const, clock()];
  await store.change(async (change) => {
    await change.append('key.created', {
      actor: 'bench',
      key: keyName(from),
      version: version(from),
      kty: 'oct',
      size: 256,
      origin: 'generated',
      deployments: [DEPLOYMENT],
    });
    for (const [at, envelope] of sealed.entries()) {
      const name = keyName(from + at);
      const shared = { state: enabled, createdAtMs };
      await change.keys.put({ name, kty: 'oct', sizeBits: 256, deployments: [DEPLOYMENT], ...shared });
      await change.keyVersions.put({ key: name, version: version(from + at), sequence: 1, ...envelope, ...shared });
    }
  });
}

async function addAttesters({ context }: OpenBroker, from: number, to: number): Promise<void> {
  const createdAtMs = context.clock();
  const records = Array.from({ length: to - from }, (_, at) => {
    const ak = derivedAk(from + at);
    return {
      spkiSha256: toHex(sha256(ak.spki)),
      akName: toHex(ak.name),
      publicArea: ak.publicArea,
      name: `machine-${String(from + at)}`,
      deployments: [DEPLOYMENT],
      createdAtMs,
    };
  });
  await context.store.change(async (change) => {
    for (const record of records) await change.attesters.put(record);
    const [first] = records;
    if (first === undefined) return;
    const { name: attester, akName: ak_name, spkiSha256: ak_spki_sha256 } = first;
    const entry = { actor: 'bench', deployment: DEPLOYMENT, attester, ak_name, ak_spki_sha256, trust: 'pinned' };
    await change.append('attester.trusted', entry);
  });
}
