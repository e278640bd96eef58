import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyLog } from '../src/audit/verify-log.js';
import type { LogSource } from '../src/audit/source.js';
import type { OpenBroker } from '../src/cli/compose/open-broker.js';
import type { Store } from '../src/release/store.js';
import { parseVerifierKey } from '../src/translog/note.js';
import { encodeBundle, TILE_WIDTH } from '../src/translog/tile.js';
import { withBroker } from '../test/helpers/with-broker.js';
import { type AppendCost, appendReleases, provisionLog } from './append-releases.js';
import { built } from './built.js';

const { initialise } = (await import(built('cli/compose/init.js'))) as typeof import('../src/cli/compose/init.js');
const { openBroker } = (await import(
  built('cli/compose/open-broker.js')
)) as typeof import('../src/cli/compose/open-broker.js');

const WARM_UP = 5_000;

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
  await inNewBroker((open) => appendReleases(open, 0, WARM_UP));
  return inNewBroker(async (open) => {
    const tenth = Math.floor(entries / 10);
    const appends: AppendCost[] = [];
    for (let from = 0; from < tenth * 10; from += tenth) {
      console.error(`entries ${String(from)} to ${String(from + tenth)} …`);
      appends.push(await appendReleases(open, from, tenth));
    }
    console.error('verifying …');
    return { entries: tenth * 10, appends, verify: await verify(open) };
  });
}

async function inNewBroker<T>(work: (open: OpenBroker) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  const dataDir = join(folder, 'data');
  await initialise({ dataDir, profile: 'development' });
  try {
    return await withBroker(openBroker, dataDir, async (open) => {
      await provisionLog(open);
      return work(open);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
