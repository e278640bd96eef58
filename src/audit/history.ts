import { entryFault } from '../translog/entry-schemas.js';
import { type Entry, RECORD_TYPES } from '../translog/entry-types.js';
import type { Members } from '../translog/entry.js';
import { takeEntry } from './history-changes.js';
import { type Facts, factsFromState, factsToState, noFacts, type Say } from './history-facts.js';
import { type HistoryState, parseHistoryState } from './history-state.js';

/** Something in the log that a broker which keeps to its rules never writes. */
export interface Finding {
  readonly index: number;
  /** One sentence for people, with names as they stand in the log. */
  readonly problem: string;
}

const NOTHING: readonly Finding[] = [];

/**
 * The meaning of a log: what allowed each release, from the entries before it and nothing else.
 *
 * Checked: the schema of every entry, the order of time and state_generation, and that each release went to a deployment
 * that existed and was not frozen, under a policy that it accepted at that time, to an AK that it trusted and that nobody
 * had revoked or put in quarantine, with the EK and the rule that its trust needs, of a key version that existed, was enabled, not frozen and linked to it, by the broker and profile that the log
 * began with; and that changes are made to what exists. NOT checked: that the entries are those of the log (the tree says
 * that), evidence and decisions (the log has their hashes), reference values, release policies and lists of attesters (the
 * log has the hash of the document), certificates and the revocation of what is above them, that a nonce was spent once, and who made a change. Names may be salted, since each keeps its pseudonym; a log in which names are now
 * plain, now salted, cannot be followed.
 */
export class History {
  readonly #facts: Facts;
  #next: number;
  #time: string;
  /** Undefined behind an entry that was not valid. */
  #generation: string | undefined;
  /** Whether the entry before was an administrative change: the entries of one change share a generation. */
  #changed: boolean;
  /** Whether names are salted; undefined before the first one. */
  #salted: boolean | undefined;

  constructor(kept?: HistoryState) {
    this.#facts = kept === undefined ? noFacts() : factsFromState(kept);
    this.#next = kept?.next ?? 0;
    this.#time = kept?.time ?? '';
    this.#generation = kept === undefined ? '0' : kept.generation;
    this.#changed = kept?.changed ?? false;
    this.#salted = kept?.salted;
  }

  /** A history as `toJSON` left it. Throws MalformedError for anything of another shape. */
  static from(json: unknown): History {
    return new History(parseHistoryState(json));
  }

  /** The index of the next entry. */
  get next(): number {
    return this.#next;
  }

  /**
   * Takes the next entry in, and says what is wrong with it. Throws RangeError for another index than the next: none may
   * be left out. What an entry says is believed for those after it even where it is a finding, but not where its schema is.
   */
  apply(index: number, entry: Members): readonly Finding[] {
    if (index !== this.#next) throw new RangeError(`the next entry is ${String(this.#next)}, not ${String(index)}`);
    this.#next++;
    let findings: Finding[] | undefined;
    const say = (problem: string): void => void (findings ??= []).push({ index, problem });
    const type = entry['type'];
    if (index === 0 && type !== 'broker.initialised') say('the log does not begin with the initialisation of a broker');
    const fault = typeof type === 'string' ? entryFault(type, entry) : 'it has no type';
    if (fault !== undefined) {
      say(`the entry is not valid: ${fault}`);
      this.#generation = undefined;
      return findings ?? NOTHING;
    }
    const valid = entry as unknown as Entry;
    this.#checkOrder(valid, say);
    this.#checkNames(valid, say);
    takeEntry(this.#facts, index, valid, say);
    return findings ?? NOTHING;
  }

  toJSON(): HistoryState {
    return {
      version: 2,
      next: this.#next,
      time: this.#time,
      ...(this.#generation === undefined ? {} : { generation: this.#generation }),
      changed: this.#changed,
      ...(this.#salted === undefined ? {} : { salted: this.#salted }),
      ...factsToState(this.#facts),
    };
  }

  #checkOrder({ type, time, state_generation: generation }: Entry, say: Say): void {
    if (time < this.#time) say(`the time goes back from ${this.#time} to ${time}`);
    const change = !RECORD_TYPES.has(type);
    const before = this.#generation;
    if (before === generation) {
      if (change && !this.#changed) say('an administrative change does not raise state_generation');
    } else if (before !== undefined) {
      const step = BigInt(generation) - BigInt(before);
      const moves = `state_generation goes from ${before} to ${generation}`;
      if (step < 0n) say(`${moves}, back`);
      else if (!change) say(`${moves} without an administrative change`);
      else if (step > 1n) say(`${moves}: a change left no entry`);
    }
    this.#time = time;
    this.#generation = generation;
    this.#changed = change;
  }

  /** A name keeps its pseudonym, but is not seen to be what it was called when it stood there as it is. */
  #checkNames(entry: Entry, say: Say): void {
    if (!('deployment' in entry || 'key' in entry || 'attester' in entry)) return;
    const salted = 'names' in entry;
    if (this.#salted !== undefined && salted !== this.#salted) {
      say(`names are ${salted ? 'salted' : 'plain'} from here on, so that nothing is known of what they name`);
    }
    this.#salted = salted;
  }
}
