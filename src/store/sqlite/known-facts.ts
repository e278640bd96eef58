import type { ReleaseFacts, ReleaseQuery } from '../../release/store.js';
import { fold, labelOf } from '../rows/label.js';
import type { State } from '../rows/state.js';
import type { StateWatch } from '../rows/state-watch.js';
import {
  type AkFacts,
  akFacts,
  bytesOfAk,
  bytesOfDeployment,
  bytesOfKey,
  bytesOfRevocation,
  type DeploymentFacts,
  deploymentFacts,
  isRevoked,
  type KeyFacts,
  keyFacts,
  type Moment,
} from './facts.js';
import type { Readers } from './readers.js';
import { Remembered } from './remembered.js';
import { snapshotOf } from './snapshot.js';
import type { StoredLog } from './stored-log.js';
import { stateOf } from './view.js';

/** How long facts are known at most, whoever commits what: then their rows are looked at again. */
const KNOWN_MS = 1000;
const MIB = 1024 * 1024;

/**
 * Facts of releases, read and authenticated once for all requests that would read the same: until something is committed
 * that is no release. Releases change nothing that facts are made of; those of this process are known to be that, and those
 * of others are where the state is the same and the authenticated head of the log has moved on. Whatever else is committed,
 * by SQL too, makes the next request read its rows anew.
 *
 * What deployment, key and AK bring is known in parts, so that an AK that was not seen for long costs its own rows alone. All
 * parts are of one state: what is read beside them is read in a transaction that finds the very same one, or else
 * everything is read in it.
 */
export class KnownFacts {
  readonly #outsideChanges: () => number;
  readonly #readers: Readers;
  readonly #watch: StateWatch;
  readonly #log: StoredLog;
  readonly #deployments = new Remembered<DeploymentFacts>(bytesOfDeployment, 1024, 16 * MIB);
  readonly #keys = new Remembered<KeyFacts>(bytesOfKey, 1024, 8 * MIB);
  readonly #aks = new Remembered<AkFacts>(bytesOfAk, 1024, 4 * MIB);
  readonly #revocations = new Remembered<boolean>(bytesOfRevocation, 4096, 4 * MIB);
  /** Of all that is known; undefined where nothing is. */
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
    const known = this.#state === undefined ? undefined : this.#facts(this.#state, query, undefined);
    return (
      known ??
      this.#readers.now((tables) => {
        const snapshot = snapshotOf(tables, this.#watch);
        if (this.#state === undefined || !isSame(this.#state, snapshot.state)) this.#forget();
        this.#state = snapshot.state;
        return this.#facts(snapshot.state, query, { tables, snapshot });
      })
    );
  }

  /** From what is known of this state, and what else is read at `moment`, which finds it. */
  #facts(state: State, query: ReleaseQuery, moment: Moment): ReleaseFacts;
  /** Undefined where not all of it is known. */
  #facts(state: State, query: ReleaseQuery, moment: undefined): ReleaseFacts | undefined;
  #facts(state: State, query: ReleaseQuery, moment: Moment | undefined): ReleaseFacts | undefined {
    const { version, akSpkiSha256: spki, identities = [] } = query;
    const [name, keyName] = [fold(query.deployment), fold(query.key)];
    const deployment = this.#deployments.of(name, moment && (() => deploymentFacts(moment, name)));
    if (deployment === undefined) return undefined;
    const key = this.#keys.of(labelOf([keyName, version], true), moment && (() => keyFacts(moment, keyName, version)));
    if (key === undefined) return undefined;
    const ak = spki === undefined ? NO_AK : this.#aks.of(spki, moment && (() => akFacts(moment, spki)));
    if (ak === undefined) return undefined;
    const revoked: string[] = [];
    for (const identity of identities) {
      const isOne = this.#revocations.of(identity, moment && (() => isRevoked(moment, identity)));
      if (isOne === undefined) return undefined;
      if (isOne) revoked.push(identity);
    }
    return { state: stateOf(state), ...deployment, ...key, ...ak, revoked };
  }

  #forgetChanged(): void {
    const changes = this.#outsideChanges();
    const ms = performance.now();
    if (ms - this.#since.ms >= KNOWN_MS || (changes !== this.#since.changes && !this.#onlyReleases())) {
      this.#forget();
      this.#since.ms = ms;
    }
    this.#since.changes = changes;
  }

  #onlyReleases(): boolean {
    const known = this.#state;
    const newest = this.#log.watch.newest;
    if (known === undefined || newest === undefined) return false;
    return this.#readers.now((tables) => {
      const { state } = snapshotOf(tables, this.#watch);
      const head = this.#log.find(tables);
      return isSame(state, known) && head !== undefined && head.size > newest.size;
    });
  }

  #forget(): void {
    for (const each of [this.#deployments, this.#keys, this.#aks, this.#revocations]) each.clear();
    this.#state = undefined;
  }
}

const NO_AK: AkFacts = { attester: undefined, akRevoked: false };

/** Whether nothing at all that decides a release differs: generations alone count along one history. */
function isSame(a: State, b: State): boolean {
  return (
    a.generation === b.generation &&
    a.epoch === b.epoch &&
    a.nonceFloorMs === b.nonceFloorMs &&
    a.logIndex === b.logIndex &&
    a.contents === b.contents
  );
}
