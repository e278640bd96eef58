import { StoreIntegrityError } from '../../release/store.js';
import { CompactTable } from './compact-table.js';
import { SEPARATOR, shown } from './label.js';
import { LabelHash } from './label-hash.js';
import { type RangePart, Ranges, type Span } from './ranges.js';
import { type ContentsKeys, HELD_MAC_BYTES, type SetHash, SetSum } from './set-hash.js';

const MAC_WORDS = HELD_MAC_BYTES / 4;
const COUNT_WORDS = 1;

/**
 * What one table holds: the label of each row and the first 16 bytes of its MAC. A row's own MAC cannot tell that the row
 * was deleted, or that an older version of it, or a row that was removed, was put back; this can.
 */
export interface TableContents {
  readonly count: number;
  readonly sum: SetSum;
  has(label: string): boolean;
  /** The first 16 bytes of the MAC of a row. */
  macOf(label: string): Buffer | undefined;
  /** Whether there is a row of this label, and this is its MAC. */
  holds(label: string, mac: Uint8Array): boolean;
  /** How many rows there are whose label starts with this id and has another one behind it. */
  childCount(parent: string): number;
  cover(after: string | undefined, last: string | undefined): Span;
  countIn(span: Pick<Span, 'from' | 'before'>): number;
  /** Says how many labels there are in the parts of a range, so that less has to be read next time. */
  split(parts: readonly RangePart[], before: string | undefined): void;
}

/** The contents of a table, to be changed in place: 30 to 42 bytes a row, and 15 to 21 for each parent that has any. */
export class BaseTable implements TableContents {
  readonly #name: string;
  readonly #elements: SetHash;
  readonly #hash: LabelHash;
  readonly #macs: CompactTable;
  readonly #children: CompactTable;
  readonly #ranges = new Ranges();
  #sum = new SetSum();

  constructor(keys: ContentsKeys, name: string) {
    this.#name = name;
    this.#elements = keys.elementsOf(name);
    this.#hash = new LabelHash(keys.labelSeed);
    this.#macs = new CompactTable(MAC_WORDS);
    this.#children = new CompactTable(COUNT_WORDS);
  }

  get count(): number {
    return this.#macs.size;
  }

  get sum(): SetSum {
    return this.#sum;
  }

  get elements(): SetHash {
    return this.#elements;
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#macs.bytes + this.#children.bytes;
  }

  has(label: string): boolean {
    return this.#find(label) >= 0;
  }

  holds(label: string, mac: Uint8Array): boolean {
    const at = this.#find(label);
    if (at < 0 || mac.length < HELD_MAC_BYTES) return false;
    let differs = 0;
    for (let word = 0; word < MAC_WORDS; word++) differs |= this.#macs.word(at + word) ^ wordOf(mac, word);
    return differs === 0;
  }

  macOf(label: string): Buffer | undefined {
    const at = this.#find(label);
    return at < 0 ? undefined : this.#macAt(at);
  }

  childCount(parent: string): number {
    const { high, low } = this.#hash.of(parent);
    const at = this.#children.find(high, low);
    return at < 0 ? 0 : this.#children.word(at);
  }

  cover(after: string | undefined, last: string | undefined): Span {
    return this.#ranges.cover(after, last);
  }

  countIn(span: Pick<Span, 'from' | 'before'>): number {
    return this.#ranges.countIn(span);
  }

  split(parts: readonly RangePart[]): void {
    this.#ranges.split(parts);
  }

  /** Adds a row. Throws StoreIntegrityError where there is one of this label. */
  add(label: string, mac: Uint8Array): void {
    if (this.#place(label, mac) !== undefined) {
      throw new StoreIntegrityError(`${this.#name} ${shown(label)}: the row was found twice`);
    }
    this.#elements.toggle(this.#sum, label, mac);
  }

  /** Takes over what a layer over this table has changed; what undoes that is a layer over the new contents. */
  apply(layer: TableLayer, above: TableContents): TableLayer {
    const undo = new TableLayer(above, this.#elements, this.#sum, this.count);
    this.#sum = layer.sum;
    for (const [label, mac] of layer.changes) {
      undo.note(label, mac === undefined ? this.#drop(label) : this.#place(label, mac), mac);
    }
    return undo;
  }

  #find(label: string): number {
    const { high, low } = this.#hash.of(label);
    return this.#macs.find(high, low);
  }

  #macAt(at: number): Buffer {
    const mac = Buffer.alloc(HELD_MAC_BYTES);
    for (let word = 0; word < MAC_WORDS; word++) mac.writeUInt32LE(this.#macs.word(at + word), 4 * word);
    return mac;
  }

  /** Returns what was there before. */
  #place(label: string, mac: Uint8Array): Buffer | undefined {
    const { count } = this;
    const { high, low } = this.#hash.of(label);
    const at = this.#macs.insert(high, low);
    const before = this.count > count ? undefined : this.#macAt(at);
    for (let word = 0; word < MAC_WORDS; word++) this.#macs.setWord(at + word, wordOf(mac, word));
    if (before === undefined) {
      this.#countChild(label, 1);
      this.#ranges.add(label);
    }
    return before;
  }

  /** Returns what was there before. */
  #drop(label: string): Buffer | undefined {
    const before = this.macOf(label);
    if (before === undefined) return undefined;
    const { high, low } = this.#hash.of(label);
    this.#macs.delete(high, low);
    this.#countChild(label, -1);
    this.#ranges.remove(label);
    return before;
  }

  #countChild(label: string, by: 1 | -1): void {
    const parent = parentOf(label);
    if (parent === undefined) return;
    const { high, low } = this.#hash.of(parent);
    const at = this.#children.insert(high, low);
    const count = this.#children.word(at) + by;
    if (count === 0) this.#children.delete(high, low);
    else this.#children.setWord(at, count);
  }
}

/** Contents that differ from others in some rows: those of a change under way, or those from before one. */
export class TableLayer implements TableContents {
  readonly #below: TableContents;
  readonly #elements: SetHash;
  readonly #changes = new Map<string, Buffer | undefined>();
  readonly #children = new Map<string, number>();
  #count: number;
  readonly sum: SetSum;

  constructor(below: TableContents, elements: SetHash, sum: SetSum, count: number) {
    this.#below = below;
    this.#elements = elements;
    this.sum = sum;
    this.#count = count;
  }

  get count(): number {
    return this.#count;
  }

  /** By label, what is there instead. */
  get changes(): ReadonlyMap<string, Buffer | undefined> {
    return this.#changes;
  }

  has(label: string): boolean {
    return this.#changes.has(label) ? this.#changes.get(label) !== undefined : this.#below.has(label);
  }

  macOf(label: string): Buffer | undefined {
    return this.#changes.has(label) ? this.#changes.get(label) : this.#below.macOf(label);
  }

  holds(label: string, mac: Uint8Array): boolean {
    if (!this.#changes.has(label)) return this.#below.holds(label, mac);
    const known = this.#changes.get(label);
    return known !== undefined && mac.length >= HELD_MAC_BYTES && known.equals(mac.subarray(0, HELD_MAC_BYTES));
  }

  childCount(parent: string): number {
    return this.#below.childCount(parent) + (this.#children.get(parent) ?? 0);
  }

  cover(after: string | undefined, last: string | undefined): Span {
    return this.#below.cover(after, last);
  }

  countIn(span: Pick<Span, 'from' | 'before'>): number {
    return this.#below.countIn(span) + this.#addedIn(span);
  }

  split(parts: readonly RangePart[], before: string | undefined): void {
    const below = parts.map(({ start, count }, at) => ({
      start,
      count: count - this.#addedIn({ from: start, before: parts[at + 1]?.start ?? before }),
    }));
    this.#below.split(below, before);
  }

  /** Adds a row, or replaces its MAC. */
  set(label: string, mac: Uint8Array): void {
    this.#change(label, Buffer.from(mac.subarray(0, HELD_MAC_BYTES)));
  }

  delete(label: string): void {
    this.#change(label, undefined);
  }

  /** Remembers what a row is here, and that it is another one, or none, below; sum and count have it already. */
  note(label: string, mac: Buffer | undefined, below: Buffer | undefined): void {
    this.#changes.set(label, mac);
    const parent = parentOf(label);
    const by = Number(mac !== undefined) - Number(below !== undefined);
    if (parent !== undefined && by !== 0) this.#children.set(parent, (this.#children.get(parent) ?? 0) + by);
  }

  #change(label: string, mac: Buffer | undefined): void {
    const before = this.macOf(label);
    if (before === undefined && mac === undefined) return;
    if (before !== undefined) this.#elements.toggle(this.sum, label, before);
    if (mac !== undefined) this.#elements.toggle(this.sum, label, mac);
    this.#count += Number(mac !== undefined) - Number(before !== undefined);
    this.note(label, mac, before);
  }

  #addedIn({ from, before }: Pick<Span, 'from' | 'before'>): number {
    let added = 0;
    for (const [label, mac] of this.#changes) {
      if (label < from || (before !== undefined && label >= before)) continue;
      added += Number(mac !== undefined) - Number(this.#below.has(label));
    }
    return added;
  }
}

function wordOf(mac: Uint8Array, word: number): number {
  const at = 4 * word;
  return ((mac[at] ?? 0) | ((mac[at + 1] ?? 0) << 8) | ((mac[at + 2] ?? 0) << 16) | ((mac[at + 3] ?? 0) << 24)) >>> 0;
}

function parentOf(label: string): string | undefined {
  const end = label.indexOf(SEPARATOR);
  return end < 0 ? undefined : label.slice(0, end);
}
