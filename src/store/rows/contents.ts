import { BaseTable, type TableContents, TableLayer } from './table-contents.js';
import type { ContentsKeys } from './set-hash.js';

/**
 * What all deciding tables hold under one state generation. Its `text`, counts and sealed sums by table, stands in the state
 * row and so under that row's MAC. Empty tables are left out: a table that a migration adds changes nothing.
 *
 * The newest contents hold the tables; those of a change under way, and those from before one that a view may still use,
 * hold what differs. Nothing is copied, and no change costs more than the rows that it changes.
 */
export class Contents {
  readonly #keys: ContentsKeys;
  /** The tables; undefined where these are contents in terms of others. */
  #tables: Map<string, BaseTable> | undefined;
  #below: Contents | undefined;
  #layers = new Map<string, TableLayer>();

  private constructor(keys: ContentsKeys, below: Contents | undefined) {
    this.#keys = keys;
    this.#below = below;
    this.#tables = below === undefined ? new Map<string, BaseTable>() : undefined;
  }

  /** Of an empty store; or to be filled by `set` with every row that there is. */
  static empty(keys: ContentsKeys): Contents {
    return new Contents(keys, undefined);
  }

  table(name: string): TableContents {
    return this.#layers.get(name) ?? this.#below?.table(name) ?? this.#base(name);
  }

  /** The same contents, to change; these stay as they are. */
  edit(): Contents {
    return new Contents(this.#keys, this);
  }

  isEditOf(contents: Contents): boolean {
    return this.#below === contents;
  }

  /**
   * Adds a row, or replaces its MAC. Contents that are filled have each row once: StoreIntegrityError for a label that comes
   * again, in whose place another row would be hidden.
   */
  set(table: string, label: string, mac: Uint8Array): void {
    if (this.#below === undefined) this.#base(table).add(label, mac);
    else this.#layer(table).set(label, mac);
  }

  /** Of contents that `edit` made. Does nothing where there is no such row, whatever the names: they may be a hint. */
  delete(table: string, label: string): void {
    if (this.#below === undefined) throw new Error('contents that are filled lose nothing');
    if (this.#knows(table) && this.table(table).has(label)) this.#layer(table).delete(label);
  }

  /**
   * Makes an edit the newest contents: the tables are its own now, and those that it was made from become contents in
   * terms of it. Throws where they are not the newest ones.
   */
  adopt(): void {
    const former = this.#below;
    const tables = former === undefined ? undefined : former.#tables;
    if (former === undefined || tables === undefined) throw new Error('the contents are not made from the newest ones');
    for (const [name, layer] of this.#layers) {
      const base = former.#base(name);
      former.#layers.set(name, base.apply(layer, new Later(this, name)));
    }
    this.#tables = tables;
    this.#below = undefined;
    this.#layers = new Map();
    former.#tables = undefined;
    former.#below = this;
  }

  text(): string {
    const names = [...this.#names()].filter((name) => this.table(name).count > 0).sort();
    return JSON.stringify(
      Object.fromEntries(
        names.map((name) => {
          const { count, sum } = this.table(name);
          return [name, [count, this.#keys.seal(name, count, sum.bytes)]];
        }),
      ),
    );
  }

  /** The names of the tables that differ from `text`, which was authenticated. */
  differences(text: string): string {
    const expected = JSON.parse(text) as Record<string, unknown>;
    const found = JSON.parse(this.text()) as Record<string, unknown>;
    const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
    return [...names].filter((name) => JSON.stringify(expected[name]) !== JSON.stringify(found[name])).join(', ');
  }

  /** Whether any row of this table was ever set here or below. */
  #knows(name: string): boolean {
    if (this.#layers.has(name) || this.#tables?.has(name) === true) return true;
    return this.#below === undefined ? false : this.#below.#knows(name);
  }

  #names(): Set<string> {
    const below = this.#below === undefined ? [] : this.#below.#names();
    return new Set([...(this.#tables?.keys() ?? []), ...below, ...this.#layers.keys()]);
  }

  #base(name: string): BaseTable {
    const tables = this.#tables;
    if (tables === undefined) throw new Error('the contents are made of others');
    const table = tables.get(name) ?? new BaseTable(this.#keys, name);
    tables.set(name, table);
    return table;
  }

  #layer(name: string): TableLayer {
    let layer = this.#layers.get(name);
    if (layer === undefined) {
      const { sum, count } = this.table(name);
      const below = new Later(this.#below ?? this, name);
      layer = new TableLayer(below, this.#keys.elementsOf(name), sum.copy(), count);
      this.#layers.set(name, layer);
    }
    return layer;
  }
}

/** A table of contents that may change what they are made of meanwhile. */
class Later implements TableContents {
  readonly #contents: Contents;
  readonly #name: string;

  constructor(contents: Contents, name: string) {
    this.#contents = contents;
    this.#name = name;
  }

  get count(): number {
    return this.#now.count;
  }

  get sum(): TableContents['sum'] {
    return this.#now.sum;
  }

  has: TableContents['has'] = (label) => this.#now.has(label);
  macOf: TableContents['macOf'] = (label) => this.#now.macOf(label);
  holds: TableContents['holds'] = (label, mac) => this.#now.holds(label, mac);
  childCount: TableContents['childCount'] = (parent) => this.#now.childCount(parent);
  cover: TableContents['cover'] = (after, last) => this.#now.cover(after, last);
  countIn: TableContents['countIn'] = (span) => this.#now.countIn(span);
  split: TableContents['split'] = (parts, before) => this.#now.split(parts, before);

  get #now(): TableContents {
    return this.#contents.table(this.#name);
  }
}
