import type { Config } from '../../config/config.js';
import type { BrokerContext } from '../../release/context.js';
import { proveConsistency } from '../../release/log-proofs.js';
import type { Store } from '../../release/store.js';
import { CheckpointFile } from '../../store/checkpoint-file/checkpoint-file.js';
import type { StructuredLog } from '../../telemetry/log.js';
import type { VerifierKey } from '../../translog/note.js';
import { CosignedLog } from '../../witness/cosigned-log.js';
import { sharedFile } from '../../witness/shared-note.js';
import { WitnessError } from '../../witness/witness-error.js';
import { Witnesses } from '../../witness/witnesses.js';
import { dataDir } from './data-dir.js';

/** The log of a serving process and the witnesses of its configuration, if there are any. */
export class WitnessedLog {
  readonly witnesses: Witnesses;
  readonly #quorum: number;
  readonly #log: StructuredLog;
  readonly #sharedPath: string;
  readonly #onContradiction: () => void;
  #cosigned: CosignedLog | undefined;

  /** `onContradiction` is called when a witness says that it has cosigned what the log does not have, or does not grow from. */
  constructor(config: Pick<Config, 'dataDir' | 'log'>, log: StructuredLog, onContradiction: () => void) {
    this.witnesses = new Witnesses(config.log.witnesses);
    this.#quorum = config.log.quorum;
    this.#sharedPath = dataDir(config.dataDir).cosigned;
    this.#log = log;
    this.#onContradiction = onContradiction;
  }

  /** Binds it to the store; what releases wait for where a quorum is demanded, and what readiness asks. */
  readonly over = (store: Pick<Store, 'logHead' | 'logHashes'>, logKey: VerifierKey): BrokerContext['witnesses'] => {
    const cosigned = new CosignedLog({
      log: {
        head: () => store.logHead(),
        consistency: (oldSize, size) => proveConsistency(store, oldSize, size),
      },
      logKey,
      witnesses: this.witnesses,
      quorum: this.#quorum,
      observer: {
        failed: (witness, why) => this.#log.warn({ witness, why }, 'a witness does not cosign'),
        recovered: (witness) => this.#log.info({ witness }, 'a witness cosigns again'),
        contradicted: (witness, why) => {
          this.#log.warn({ witness, why }, 'a witness says that it holds what is not in the log');
          this.#onContradiction();
        },
      },
      shared: sharedFile(this.#sharedPath),
    });
    this.#cosigned = cosigned;
    if (this.#quorum === 0) return undefined;
    return { cover: (index) => this.#cover(cosigned, index), trouble: () => cosigned.trouble() };
  };

  /** Begins to have the log cosigned. */
  start(): void {
    // Names what it has not finished as the checkpoint file does.
    void new CheckpointFile(this.#sharedPath).tidy(Date.now());
    this.#cosigned?.start();
  }

  /** The checkpoint to publish. Throws what the store throws. */
  async newest(): Promise<string> {
    if (this.#cosigned === undefined) throw new Error('the log is not bound to a store');
    return this.#cosigned.newest();
  }

  async close(): Promise<void> {
    await this.#cosigned?.close();
    await this.witnesses.close();
  }

  async #cover(cosigned: CosignedLog, index: number): Promise<string | undefined> {
    try {
      return await cosigned.cover(index);
    } catch (error) {
      if (!(error instanceof WitnessError)) throw error;
      this.#log.warn({ err: error }, 'a release is recorded, and too few witnesses cosigned it');
      return undefined;
    }
  }
}
