import { equalBytes } from '../../bytes/equal.js';
import { sha256 } from '../../crypto/digest.js';
import { StoreIntegrityError } from '../../release/store.js';

/**
 * What one table holds: the label of each row (its primary key, folded) and the row's MAC. A row's own MAC cannot tell
 * that the row was deleted, or that an older version of it, or a row that was removed, was put back; this can.
 */
export class TableContents {
  readonly #macs: Map<string, Buffer>;
  #sorted: readonly string[] | undefined;
  #summary: readonly [number, string] | undefined;

  constructor(macs: Iterable<readonly [string, Buffer]> = []) {
    this.#macs = new Map(macs);
  }

  get count(): number {
    return this.#macs.size;
  }

  has(label: string): boolean {
    return this.#macs.has(label);
  }

  holds(label: string, mac: Buffer): boolean {
    const known = this.#macs.get(label);
    return known !== undefined && equalBytes(known, mac);
  }

  set(label: string, mac: Buffer): void {
    this.#macs.set(label, mac);
    this.#sorted = this.#summary = undefined;
  }

  delete(label: string): void {
    this.#macs.delete(label);
    this.#sorted = this.#summary = undefined;
  }

  copy(): TableContents {
    return new TableContents(this.#macs);
  }

  /** At most `limit` labels after `after`, in order. */
  page(limit: number, after?: string): readonly string[] {
    const start = after === undefined ? 0 : this.#position(`${after}\0`);
    return this.#labels().slice(start, start + limit);
  }

  /** How many labels start with `prefix`, which ends in NUL. */
  countOf(prefix: string): number {
    return this.#position(`${prefix.slice(0, -1)}\x01`) - this.#position(prefix);
  }

  /** Count, and SHA-256 over labels and MACs in order, hex. */
  summary(): readonly [number, string] {
    return (this.#summary ??= [
      this.count,
      sha256(
        Buffer.from(JSON.stringify(this.#labels().map((label) => [label, this.#macs.get(label)?.toString('hex')]))),
      ).toString('hex'),
    ]);
  }

  #labels(): readonly string[] {
    return (this.#sorted ??= [...this.#macs.keys()].sort());
  }

  /** The index of the first label that is not less than `label`. */
  #position(label: string): number {
    const labels = this.#labels();
    let low = 0;
    let high = labels.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((labels[middle] ?? '') < label) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * What all deciding tables hold under one state generation. Its `text`, counts and digests by table, stands in the state
 * row and so under that row's MAC. Empty tables are left out: a table that a migration adds changes nothing.
 */
export class Contents {
  readonly #tables: Map<string, TableContents>;
  readonly #own: Set<string>;

  private constructor(tables: Map<string, TableContents>, own: Iterable<string>) {
    this.#tables = tables;
    this.#own = new Set(own);
  }

  static empty(): Contents {
    return new Contents(new Map(), []);
  }

  /** Reads every label and MAC of the tables, and demands that they are those that `text` sums up. */
  static read(tables: readonly { readonly name: string; contents(): TableContents }[], text: string): Contents {
    const contents = new Contents(new Map(tables.map((table) => [table.name, table.contents()])), []);
    if (contents.text() !== text) {
      throw new StoreIntegrityError(`${contents.#differences(text)}: rows were inserted, deleted or replaced`);
    }
    return contents;
  }

  table(name: string): TableContents {
    return this.#tables.get(name) ?? NOTHING;
  }

  /** A copy to change; this one stays as it is. */
  edit(): Contents {
    return new Contents(new Map(this.#tables), []);
  }

  /** A table of a copy, to change. */
  writable(name: string): TableContents {
    if (!this.#own.has(name)) {
      this.#own.add(name);
      this.#tables.set(name, this.table(name).copy());
    }
    return this.table(name);
  }

  text(): string {
    const tables = [...this.#tables].filter(([, table]) => table.count > 0).sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify(Object.fromEntries(tables.map(([name, table]) => [name, table.summary()])));
  }

  /** The names of the tables that differ from `text`, which was authenticated. */
  #differences(text: string): string {
    const expected = JSON.parse(text) as Record<string, unknown>;
    const found = JSON.parse(this.text()) as Record<string, unknown>;
    const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
    return [...names].filter((name) => JSON.stringify(expected[name]) !== JSON.stringify(found[name])).join(', ');
  }
}

const NOTHING = new TableContents();
