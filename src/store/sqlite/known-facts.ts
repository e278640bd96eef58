import type { ReleaseFacts, ReleaseQuery } from '../../release/store.js';
import type { State } from '../rows/state.js';
import type { StateWatch } from '../rows/state-watch.js';
import { factsOf, memoryOf } from './facts.js';
import type { Readers } from './readers.js';
import { Remembered } from './remembered.js';
import { snapshotOf } from './snapshot.js';
import type { StoredLog } from './stored-log.js';

/** How long facts are known at most, whoever commits what: then their rows are looked at again. */
const KNOWN_MS = 1000;

/**
 * Facts of releases, read and authenticated once for all requests that would read the same: until something is committed
 * that is no release. Releases change nothing that facts are made of; those of this process are known to be that, and those
 * of others are where the state is the same and the authenticated head of the log has moved on. Whatever else is committed,
 * by SQL too, makes the next request read its rows anew.
 */
export class KnownFacts {
  readonly #outsideChanges: () => number;
  readonly #readers: Readers;
  readonly #watch: StateWatch;
  readonly #log: StoredLog;
  readonly #known = new Remembered();
  /** Of all that is known. */
  #state: State | undefined;
  #since = { changes: 0, ms: 0 };

  /** `outsideChanges` counts what was committed by anything but releases of this process. */
  constructor(outsideChanges: () => number, readers: Readers, watch: StateWatch, log: StoredLog) {
    this.#outsideChanges = outsideChanges;
    this.#readers = readers;
    this.#watch = watch;
    this.#log = log;
  }

  /** Awaits nothing. Throws StoreIntegrityError where a row that is read is not authentic. */
  of(query: ReleaseQuery): ReleaseFacts {
    this.#forgetChanged();
    const { deployment, key, version, akSpkiSha256 = '', identities = [] } = query;
    const name = JSON.stringify([deployment, key, version, akSpkiSha256, ...identities]);
    if (this.#known.has(name)) return this.#known.get(name) as ReleaseFacts;
    const facts = this.#readers.now((tables) => {
      const snapshot = snapshotOf(tables, this.#watch);
      this.#state ??= snapshot.state;
      return factsOf(tables, snapshot, query);
    });
    this.#known.set(name, facts, memoryOf(facts));
    return facts;
  }

  #forgetChanged(): void {
    const changes = this.#outsideChanges();
    const ms = performance.now();
    if (ms - this.#since.ms < KNOWN_MS && (changes === this.#since.changes || this.#onlyReleases())) {
      this.#since.changes = changes;
      return;
    }
    this.#known.clear();
    this.#state = undefined;
    this.#since = { changes, ms };
  }

  #onlyReleases(): boolean {
    const known = this.#state;
    const newest = this.#log.watch.newest;
    if (known === undefined || newest === undefined) return false;
    return this.#readers.now((tables) => {
      const { state } = snapshotOf(tables, this.#watch);
      const head = this.#log.find(tables);
      const same = state.generation === known.generation && state.nonceFloorMs === known.nonceFloorMs;
      return same && head !== undefined && head.size > newest.size;
    });
  }
}
