import type { Config } from '../../config/config.js';
import { shownUrl, type StoreUrl } from '../../config/store-url.js';
import { recomputeLog } from '../../release/recompute-log.js';
import { type KeptBy, readKeptCheckpoint } from '../../release/kept-checkpoint.js';
import type { LogHead, Store } from '../../release/store.js';
import { CheckpointFile, CheckpointFileError } from '../../store/checkpoint-file/checkpoint-file.js';
import { checkpointPath } from '../compose/data-dir.js';
import { keptByOf } from '../compose/log-service.js';
import { openBroker } from '../compose/open-broker.js';
import { containsHead } from '../../release/log-proofs.js';
import type { StoreReport } from './store.js';
import { fail, ok, warn, type Finding } from './finding.js';

/**
 * The database that replicas share, opened as the broker opens it, also while brokers run: that it can be reached and keeps
 * what it has, that its rows are the broker's, that every entry of the log is where it was appended, and that it lacks
 * nothing that the checkpoint file of this replica has seen.
 */
export async function databaseReport(config: Config, url: StoreUrl): Promise<StoreReport> {
  const findings: Finding[] = [];
  const ignore = () => undefined;
  try {
    const open = await openBroker({
      dataDir: config.dataDir,
      store: url,
      profile: undefined,
      challengeTtlMs: config.limits.challengeTtlMs,
      explain: config.explain,
      logNames: config.log.names,
      archiveEvidence: config.archiveEvidence,
      observer: {
        challenged: ignore,
        released: ignore,
        denied: ignore,
        committed: ignore,
        regressed: ignore,
        sightingDropped: ignore,
      },
    });
    try {
      const { store } = open.context;
      findings.push(
        ok('store', `${shownUrl(url)}, synchronous_commit=on, fsync=on; its rows are those of this broker`),
      );
      const head = await store.logHead();
      await recomputeLog(store, head);
      findings.push(ok('log', `${head.origin}, ${String(head.size)} entries, each where it was appended`));
      findings.push(
        await checkpointFinding(new CheckpointFile(checkpointPath(config)), store, head, await keptByOf(open)),
      );
      return { findings, profile: open.profile };
    } finally {
      await open.close();
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unknown error';
    return { findings: [...findings, fail('store', why, 'see docs/OPERATIONS.md, "PostgreSQL and several replicas"')] };
  }
}

const CHECK = 'checkpoint file';

async function checkpointFinding(file: CheckpointFile, store: Store, head: LogHead, keptBy: KeptBy): Promise<Finding> {
  let text: string | undefined;
  try {
    text = await file.read();
  } catch (error) {
    if (!(error instanceof CheckpointFileError)) throw error;
    return warn(CHECK, error.message, 'the broker cannot read it either');
  }
  const unseen = 'so a rollback before the next start could go unnoticed';
  if (text === undefined) return warn(CHECK, `${file.path} is missing, ${unseen}`, 'a broker that runs writes it anew');
  const kept = readKeptCheckpoint(text, keptBy);
  if (kept.standing === 'unproven') {
    return warn(CHECK, `${file.path} proves nothing, ${unseen}: ${kept.why}`, 'look at it, and then remove it');
  }
  if (kept.standing === 'former') return ok(CHECK, `${file.path}, of the log before a rollback that was accepted`);
  const said = `${file.path}, ${String(kept.head.size)} entries`;
  if (await containsHead(store, head, kept.head)) return ok(CHECK, said);
  const advice = 'restore the newer database, or see: portcullis log accept-rollback --help';
  return fail(CHECK, `${said}, some of which the database lacks: it was rolled back`, advice);
}
