import type { Config } from '../../config/config.js';
import type { BrokerContext } from '../../release/context.js';
import type { KeptBy } from '../../release/kept-checkpoint.js';
import { settledHeads } from '../../release/rollback.js';
import { type LogHead, RolledBackError, type Store } from '../../release/store.js';
import { CheckpointFile } from '../../store/checkpoint-file/checkpoint-file.js';
import type { StructuredLog } from '../../telemetry/log.js';
import { parseVerifierKey, type VerifierKey } from '../../translog/note.js';
import { CheckpointKeeper } from './checkpoint-keeper.js';
import { checkpointPath } from './data-dir.js';
import type { OpenBroker } from './open-broker.js';
import { holdAgainst } from './rollback-alarm.js';
import { askWitnesses, lookOutside, type SeenOutside } from './seen-outside.js';
import { WitnessedLog } from './witnessed-log.js';

/** What makes a kept checkpoint believable to this broker. */
export async function keptByOf({ context, seal }: Pick<OpenBroker, 'context' | 'seal'>): Promise<KeptBy> {
  return { logKey: parseVerifierKey(context.logKey), seal, settled: await settledHeads(context.store) };
}

/**
 * What a serving process does for its log besides appending to it: it holds it against what was seen outside of the
 * database, keeps the newest checkpoint there, and has it cosigned.
 */
export class LogService {
  readonly #dataDir: string;
  readonly #file: CheckpointFile;
  readonly #log: StructuredLog;
  readonly #onFileFailure: () => void;
  readonly #witnessed: WitnessedLog;
  #store: Store | undefined;
  #keptBy: KeptBy | undefined;
  #keeper: CheckpointKeeper | undefined;
  #asking: Promise<void> | undefined;
  /** Whether the log has everything that was seen of it. */
  #sound = true;

  constructor(config: Config, log: StructuredLog, onFileFailure: () => void) {
    this.#dataDir = config.dataDir;
    this.#file = new CheckpointFile(checkpointPath(config));
    this.#log = log;
    this.#onFileFailure = onFileFailure;
    this.#witnessed = new WitnessedLog(config, log, () => {
      this.#asking ??= this.#askAgain().finally(() => (this.#asking = undefined));
    });
  }

  /** For openBroker: what releases wait for where a quorum is demanded. */
  readonly witnessesOver = (store: Store, logKey: VerifierKey): BrokerContext['witnesses'] => {
    this.#store = store;
    return this.#witnessed.over({ logHead: this.logHead, logHashes: store.logHashes.bind(store) }, logKey);
  };

  /** Before the broker listens. False where the database was rolled back: its store refuses everything then. */
  async hold(open: OpenBroker): Promise<boolean> {
    this.#keptBy = await keptByOf(open);
    await this.#holdAgainst(await lookOutside(this.#file, this.#witnessed.witnesses, this.#keptBy));
    return this.#sound;
  }

  /** Begins to keep and to have cosigned what the log comes to; after `hold` has said that all is well. */
  start(): void {
    if (this.#keptBy === undefined) throw new Error('the log has not been looked at');
    const [keptBy, onFailure] = [this.#keptBy, this.#onFileFailure];
    this.#keeper = new CheckpointKeeper({
      file: this.#file,
      store: {
        logHead: this.logHead,
        newestCheckpoint: () => this.#bound.newestCheckpoint(),
        expectLog: async (seen) => {
          const contained = await this.#bound.expectLog(seen);
          if (!contained) this.#sound = false;
          return contained;
        },
      },
      keptBy,
      log: this.#log,
      onFailure,
    });
    this.#keeper.start();
    this.#witnessed.start();
  }

  /** The head as it may be published and kept. Throws RolledBackError where the log lacks what was seen of it, and what the store throws. */
  readonly logHead = async (): Promise<LogHead> => {
    if (!this.#sound) throw new RolledBackError('the log lacks what was seen of it elsewhere, and is not published');
    return this.#bound.logHead();
  };

  /** The checkpoint to publish. Throws what `logHead` throws. */
  readonly checkpoint = (): Promise<string> => this.#witnessed.newest();

  /** When nothing is appended any more. Throws nothing. */
  async stop(): Promise<void> {
    await this.#keeper?.stop();
    await this.#witnessed.close();
    await this.#asking;
  }

  /** A witness, which may not have been there at the start, says that it holds what is not in the log: what it can prove decides. */
  async #askAgain(): Promise<void> {
    if (this.#keptBy === undefined) return;
    try {
      const seen = await askWitnesses(this.#witnessed.witnesses, this.#keptBy);
      await this.#holdAgainst({ ...seen, fileMissing: false });
    } catch (error) {
      this.#log.error({ err: error }, 'the log could not be held against what a witness has seen');
    }
  }

  async #holdAgainst(seen: SeenOutside): Promise<void> {
    if (!(await holdAgainst(seen, { store: this.#bound, log: this.#log, dataDir: this.#dataDir }))) this.#sound = false;
  }

  get #bound(): Store {
    if (this.#store === undefined) throw new Error('the log is not bound to a store');
    return this.#store;
  }
}
