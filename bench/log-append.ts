import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyLog } from '../src/audit/verify-log.js';
import type { LogSource } from '../src/audit/source.js';
import { toHex } from '../src/bytes/hex.js';
import type { OpenBroker } from '../src/cli/compose/open-broker.js';
import { sha256 } from '../src/crypto/digest.js';
import type { Principal } from '../src/release/broker.js';
import type { EntryBody, Store } from '../src/release/store.js';
import { parseVerifierKey } from '../src/translog/note.js';
import { encodeBundle, TILE_WIDTH } from '../src/translog/tile.js';
import { built } from './built.js';

const { initialise } = (await import(built('cli/compose/init.js'))) as typeof import('../src/cli/compose/init.js');
const { openBroker } = (await import(
  built('cli/compose/open-broker.js')
)) as typeof import('../src/cli/compose/open-broker.js');

const ADMIN: Principal = { tokenId: 'bench', name: 'bench', role: 'admin' };
const POLICY = Buffer.from('{"bench":true}\n');
/** Releases that share a commit, as under load. */
const BATCH = 32;
const WARM_UP = 5_000;

/** What it costs to append: per entry, over one tenth of the log. */
export interface AppendCost {
  readonly from: number;
  readonly wallUs: number;
  readonly cpuUs: number;
}

export interface GrownLog {
  readonly entries: number;
  /** By tenths. */
  readonly appends: readonly AppendCost[];
  readonly verify: { readonly entriesPerSecond: number; readonly cpuUsPerEntry: number };
}

/**
 * Grows a log of release entries through the store of a broker, in this process: everything that the store does for a
 * release is in it (nonce, entry, tree, signature, durable commit), and nothing that comes before. Then it is verified as
 * `portcullis log verify` does, straight from the store.
 */
export async function growLog(entries: number): Promise<GrownLog> {
  console.error('warming up …');
  await withBroker((open) => append(open, 0, WARM_UP));
  return withBroker(async (open) => {
    const tenth = Math.floor(entries / 10);
    const appends: AppendCost[] = [];
    for (let from = 0; from < tenth * 10; from += tenth) {
      console.error(`entries ${String(from)} to ${String(from + tenth)} …`);
      appends.push(await append(open, from, tenth));
    }
    console.error('verifying …');
    return { entries: tenth * 10, appends, verify: await verify(open) };
  });
}

async function withBroker<T>(work: (open: OpenBroker) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  const dataDir = join(folder, 'data');
  await initialise({ dataDir, profile: 'development' });
  const ignore = (): void => undefined;
  const open = await openBroker({
    dataDir,
    profile: undefined,
    challengeTtlMs: 120_000,
    explain: 'full',
    logNames: 'plain',
    archiveEvidence: false,
    observer: { challenged: ignore, released: ignore, denied: ignore, committed: ignore },
  });
  try {
    await provision(open);
    return await work(open);
  } finally {
    await open.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const AK = { ak_name: `000b${'1a'.repeat(32)}`, ak_spki_sha256: '2b'.repeat(32) };
let version = '';

/** What makes the release entries mean something to whoever verifies the log. */
async function provision({ broker, context }: OpenBroker): Promise<void> {
  await broker.applyDeployment(
    ADMIN,
    {
      apiVersion: 'portcullis/v1',
      kind: 'Deployment',
      metadata: { name: 'bench' },
      policies: [{ content: POLICY.toString('base64url') }],
      platform: { pcrs: { '4': ['00'.repeat(32)], '7': ['00'.repeat(32)] } },
      attesters: { trust: ['pinned'] },
    },
    {},
  );
  const key = await broker.createKey(ADMIN, { name: 'bench', deployments: ['bench'], type: 'oct' });
  version = key.ok ? (key.value.versions[0]?.version ?? '') : '';
  await context.store.change((change) =>
    change.append('attester.trusted', { actor: 'bench', deployment: 'bench', ...AK, trust: 'pinned' }),
  );
}

async function append({ context }: OpenBroker, from: number, count: number): Promise<AppendCost> {
  const { store } = context;
  const { generation, epoch } = await store.read((view) => view.state());
  const detail = JSON.stringify({ met: true, conditions: [{ claim: 'policy.sha256', met: true }] });
  const commit = (at: number) => {
    const nonce = randomBytes(32);
    nonce.writeUIntBE(Date.now(), 0, 6);
    const entry = releaseEntry(context.broker, at, nonce, detail);
    return store.commitRelease({ generation, epoch, nonce, nonceIssuedAtMs: Date.now(), entry, detail });
  };
  const cpu = process.cpuUsage();
  const start = performance.now();
  for (let done = 0; done < count; done += BATCH) {
    const size = Math.min(BATCH, count - done);
    const outcomes = await Promise.all(Array.from({ length: size }, (_, at) => commit(from + done + at)));
    if (outcomes.some(({ outcome }) => outcome !== 'committed')) throw new Error('a release was not committed');
  }
  const wallUs = ((performance.now() - start) * 1000) / count;
  const { user, system } = process.cpuUsage(cpu);
  return { from, wallUs, cpuUs: (user + system) / count };
}

/** As the broker makes it; hashes that would cost time here are random. */
function releaseEntry(broker: string, at: number, nonce: Buffer, detail: string): EntryBody {
  const some = toHex(randomBytes(32));
  return {
    release_id: at.toString(16).padStart(32, '0'),
    profile: 'development',
    broker,
    deployment: 'bench',
    key: 'bench',
    version,
    policy_sha256: toHex(sha256(POLICY)),
    recipient: 'A'.repeat(43),
    ...AK,
    ak_trust: 'pinned',
    boot: 'pinned',
    evidence_sha256: some,
    jwe_sha256: some,
    nonce_sha256: toHex(sha256(nonce)),
    decision_sha256: toHex(sha256(Buffer.from(detail))),
  };
}

async function verify({ context }: OpenBroker): Promise<GrownLog['verify']> {
  const source = sourceOf(context.store, context.logKey);
  const cpu = process.cpuUsage();
  const start = performance.now();
  const report = await verifyLog({
    source,
    trust: { logKey: parseVerifierKey(context.logKey) },
    now: () => performance.now(),
  });
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  if (!report.ok) throw new Error(report.detail);
  const [finding] = report.value.findings.kept;
  if (finding !== undefined) throw new Error(`entry ${String(finding.index)}: ${finding.problem}`);
  const { reached } = report.value;
  return { entriesPerSecond: reached / seconds, cpuUsPerEntry: (user + system) / reached };
}

function sourceOf(store: Store, logKey: string): LogSource {
  return {
    where: 'the store',
    checkpoint: async () => (await store.logHead()).checkpoint,
    verifierKey: async () => logKey,
    tile: async ({ level, index, width }) => {
      const start = index * TILE_WIDTH;
      if (level !== 'entries') return Buffer.concat(await store.logHashes(level, start, width));
      return encodeBundle((await store.logEntries(start, width)).map((text) => Buffer.from(text)));
    },
    close: async () => undefined,
  };
}
