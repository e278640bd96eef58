import { StoreIntegrityError } from '../../release/store.js';
import type { Contents } from './contents.js';
import { fold, isLabel, labelOf, SEPARATOR, shown } from './label.js';
import { RANGE_LABELS, type RangePart, type Span } from './ranges.js';
import type { Row, RowMac } from './row-mac.js';
import type { TableSpec } from './specs.js';

/** What the rows of one consistent view are checked against. */
export interface Witness {
  readonly rowMac: RowMac;
  readonly contents: Contents;
}

/** A label of the contents: of a row, or of one of its aliases, which stands in a table of its own. */
export interface PlacedLabel {
  readonly table: string;
  readonly label: string;
}

/** A row that stands in its table, by one of its labels. */
export interface HeldLabel extends PlacedLabel {
  readonly mac: Uint8Array;
}

/** A span that has to be read, and what a page claims of it: that its labels are all those after `after`, up to `last`. */
export interface PageSpan extends Span {
  /** undefined: from the first one on. */
  readonly after: string | undefined;
  /** undefined: to the last one. */
  readonly last: string | undefined;
  readonly labels: readonly string[];
}

/**
 * One deciding table, without its engine: what has been read from it is handed over, and comes back as records. Each row is
 * checked against its own MAC and against the contents of the table as the state row sums them up, so a row that SQL
 * changed, removed, inserted or put back is noticed when it is used: StoreIntegrityError. It is also checked against what was
 * asked for, and no row counts twice: a genuine row in the place of another one is as bad as a forged one, and
 * neither an index nor a server that answers need be believed.
 */
export class GuardedTable<R> {
  readonly name: string;
  /** The columns that labels are made of. */
  readonly labelColumns: readonly string[];
  readonly #spec: TableSpec<R>;
  readonly #columns: readonly string[];
  readonly #aliases: readonly { readonly column: string; readonly table: string }[];

  /** `columns`: all that the table has, in any order that stays the same. */
  constructor(spec: TableSpec<R>, columns: readonly string[]) {
    this.name = spec.table;
    this.#spec = spec;
    this.#columns = columns.filter((column) => column !== 'mac');
    this.#aliases = (spec.aliases ?? []).map((column) => ({ column, table: aliasTable(spec.table, column) }));
    this.labelColumns = [...spec.key, ...(spec.aliases ?? [])];
  }

  /** The row as it stands, authenticated by nothing. */
  unverified(row: Row | undefined): R | undefined {
    return row === undefined ? undefined : this.#spec.fromRow(row);
  }

  /** What was found under the primary key `ids`. */
  one(witness: Witness, ids: readonly string[], row: Row | undefined): R | undefined {
    const label = labelOf(ids, this.#spec.folded);
    if (row !== undefined) {
      const record = this.verified(witness, row);
      if (this.#labelOf(row) !== label) throw this.#another(label, row);
      return record;
    }
    if (witness.contents.table(this.name).has(label)) throw this.#missing(label);
    return undefined;
  }

  /** The record of a row, wherever it was found: what was asked for is the caller's to compare. */
  verified(witness: Witness, row: Row): R {
    const label = this.#labelOf(row);
    const mac = witness.rowMac.verify(this.name, shown(label), this.#columns, row);
    if (!witness.contents.table(this.name).holds(label, mac)) {
      throw new StoreIntegrityError(`${this.name} ${shown(label)}: the row is not the one that was set last`);
    }
    return this.#spec.fromRow(row);
  }

  /** All rows that were found of a parent, in the order of their ids: every one of them, and no other. */
  children(witness: Witness, parent: string, rows: readonly Row[]): readonly R[] {
    const { records, labels } = this.#inOrder(witness, rows);
    const folded = labelOf([parent], this.#spec.folded);
    const stray = labels.findIndex((label) => !label.startsWith(folded + SEPARATOR));
    if (stray >= 0) throw this.#another(`${folded}/*`, rows[stray]);
    if (records.length !== witness.contents.table(this.name).childCount(folded)) throw this.#missing(`${folded}/*`);
    return records;
  }

  /** All rows that were found under an alias: every one of them, and no other. */
  aliased(witness: Witness, column: string, value: string, rows: readonly Row[]): readonly R[] {
    const records = this.#distinct(witness, rows);
    const folded = fold(value);
    const stray = rows.find((row) => fold(String(row[column])) !== folded);
    if (stray !== undefined) throw this.#another(`${value} (*)`, stray);
    const table = aliasTable(this.name, column);
    if (records.length !== witness.contents.table(table).childCount(folded)) throw this.#missing(`${value} (*)`);
    return records;
  }

  /**
   * Rows that were found to be destroyed at or before a time: each is, and has material still where it is one that has any. A
   * row that was not found is not noticed.
   */
  due(witness: Witness, throughMs: number, rows: readonly Row[]): readonly R[] {
    const records = this.#distinct(witness, rows);
    const stray = rows.find((row) => !isDue(row, throughMs));
    if (stray !== undefined) throw this.#another('(to be destroyed)', stray);
    return records;
  }

  /**
   * The rows of a page: those that were found after the ids `after`, in the order of their ids, at most `limit`. Where they
   * are not the whole table, `assertComplete` wants to see the labels and MACs of the span before they are believed.
   */
  page(
    witness: Witness,
    rows: readonly Row[],
    limit: number,
    after: readonly string[] | undefined,
  ): { readonly records: readonly R[]; readonly span: PageSpan | undefined } {
    const start = after === undefined ? undefined : labelOf(after, this.#spec.folded);
    const { records, labels } = this.#inOrder(witness, rows, start);
    if (rows.length > limit) throw this.#missing('*');
    const contents = witness.contents.table(this.name);
    const last = rows.length < limit ? undefined : labels.at(-1);
    if (start === undefined && last === undefined) {
      if (records.length !== contents.count) throw this.#missing('*');
      return { records, span: undefined };
    }
    return { records, span: { ...contents.cover(start, last), after: start, last, labels } };
  }

  /**
   * Demands that these, with the columns of the primary key and `mac`, are all rows of the span, in the order of their ids: each
   * is held, none comes twice, and none is missing; and that the page has every one of them that it claims to have.
   */
  assertComplete(witness: Witness, span: PageSpan, rows: Iterable<Row>): void {
    const contents = witness.contents.table(this.name);
    const parts: (RangePart & { count: number })[] = [];
    let [found, paged] = [0, 0];
    let previous: string | undefined;
    for (const row of rows) {
      const label = this.#labelOf(row);
      if (!contents.holds(label, row['mac'] as Buffer)) throw this.#missing(label);
      if (!isAfter(label, previous)) throw this.#repeated(label);
      if (label < span.from || (span.before !== undefined && label >= span.before)) throw this.#another('*', row);
      if (isAfter(label, span.after) && (span.last === undefined || label <= span.last)) {
        if (label !== span.labels[paged]) throw this.#missing(label);
        paged++;
      }
      if (found % RANGE_LABELS === 0) parts.push({ start: found === 0 ? span.from : label, count: 0 });
      const part = parts.at(-1);
      if (part !== undefined) part.count++;
      found++;
      previous = label;
    }
    if (found !== contents.countIn(span) || paged !== span.labels.length) throw this.#missing('*');
    if (span.single && found > 2 * RANGE_LABELS) contents.split(parts, span.before);
  }

  /** The row that a record becomes. `logIndex` is the index of the log entry that sets it. Throws RangeError, a bug of the caller, for an id that is not printable ASCII. */
  sealed(rowMac: RowMac, record: R, logIndex: number): Row {
    const row: Row = { ...this.#spec.toRow(record), log_index: logIndex };
    if (!isLabel(this.#labelOf(row))) {
      throw new RangeError(`${this.name}: an id is not 1 to 512 characters of printable ASCII`);
    }
    return { ...row, mac: rowMac.of(this.name, this.#columns, row) };
  }

  /** Whether the row of this primary key has to be read before it is replaced or removed: there should be one. */
  wantsFormer(witness: Witness, ids: readonly string[]): boolean {
    return witness.contents.table(this.name).has(labelOf(ids, this.#spec.folded));
  }

  /** Notes a row that was written in the place of `former`, if `wantsFormer`. Returns the labels that are gone by that. Throws StoreIntegrityError where the former row is not what it was, or gone. */
  wasSet(witness: Witness, row: Row, former: Row | undefined): readonly PlacedLabel[] {
    this.one(witness, this.idsOf(row), former);
    const gone = former === undefined ? [] : this.#forget(witness, former, row);
    for (const { table, label } of this.labels(row)) witness.contents.set(table, label, row['mac'] as Buffer);
    return gone;
  }

  /** Notes a row that was removed; as for `wasSet`. */
  wasRemoved(witness: Witness, ids: readonly string[], former: Row | undefined): readonly PlacedLabel[] {
    this.one(witness, ids, former);
    if (former === undefined) return [];
    const gone = this.#forget(witness, former, undefined);
    const label = labelOf(ids, this.#spec.folded);
    witness.contents.delete(this.name, label);
    return [...gone, { table: this.name, label }];
  }

  /** The labels that a row gives the contents. Not verified. */
  labels(row: Row): readonly PlacedLabel[] {
    return this.labelsOf(this.labelColumns.map((column) => String(row[column] ?? '')));
  }

  /** As `labels`, of the values of `labelColumns`; an alias that is NULL is empty there. */
  labelsOf(values: readonly string[]): readonly PlacedLabel[] {
    const ids = this.#spec.key.length;
    const label = labelOf(values.length === ids ? values : values.slice(0, ids), this.#spec.folded);
    const labels = [{ table: this.name, label }];
    for (const [at, { table }] of this.#aliases.entries()) {
      const value = values[ids + at] ?? '';
      if (value !== '') labels.push({ table, label: `${fold(value)}${SEPARATOR}${label}` });
    }
    return labels;
  }

  /** The ids of a row. */
  idsOf(row: Row): readonly string[] {
    return this.#spec.key.map((column) => String(row[column]));
  }

  /** For people: the table and its primary key. */
  shown(row: Row): string {
    return `${this.name} ${shown(this.#labelOf(row))}`;
  }

  /** Takes the aliases of a former row out of the contents, unless the new one has them too. */
  #forget(witness: Witness, former: Row, row: Row | undefined): readonly PlacedLabel[] {
    if (this.#aliases.length === 0) return [];
    const kept = new Set(row === undefined ? [] : this.labels(row).map(({ label }) => label));
    const gone = this.labels(former).filter(({ table, label }) => table !== this.name && !kept.has(label));
    for (const { table, label } of gone) witness.contents.delete(table, label);
    return gone;
  }

  /** The records of rows that come in the order of their labels, after `after`: none of them twice. */
  #inOrder(
    witness: Witness,
    rows: readonly Row[],
    after?: string,
  ): { readonly records: readonly R[]; readonly labels: readonly string[] } {
    const records = rows.map((row) => this.verified(witness, row));
    const labels = rows.map((row) => this.#labelOf(row));
    const wrong = labels.find((label, at) => !isAfter(label, at === 0 ? after : labels[at - 1]));
    if (wrong !== undefined) throw this.#repeated(wrong);
    return { records, labels };
  }

  /** The records of rows that come in any order, none of them twice. */
  #distinct(witness: Witness, rows: readonly Row[]): readonly R[] {
    const records = rows.map((row) => this.verified(witness, row));
    const labels = new Set<string>();
    for (const row of rows) {
      const label = this.#labelOf(row);
      if (labels.has(label)) throw this.#repeated(label);
      labels.add(label);
    }
    return records;
  }

  #another(wanted: string, row: Row | undefined): StoreIntegrityError {
    const found = row === undefined ? '' : shown(this.#labelOf(row));
    return new StoreIntegrityError(`${this.name} ${shown(wanted)}: another row was found, ${found}`);
  }

  #repeated(label: string): StoreIntegrityError {
    return new StoreIntegrityError(`${this.name} ${shown(label)}: the row was found twice, or out of order`);
  }

  #missing(label: string): StoreIntegrityError {
    return new StoreIntegrityError(`${this.name} ${shown(label)}: rows were deleted or inserted`);
  }

  #labelOf(row: Row): string {
    return labelOf(this.idsOf(row), this.#spec.folded);
  }
}

/** Whether a label comes after another one; every one does after undefined. */
function isAfter(label: string, other: string | undefined): boolean {
  return other === undefined || label > other;
}

/** Keys have a time, versions material as well. */
function isDue({ purge_at_ms: atMs, ciphertext }: Row, throughMs: number): boolean {
  if (typeof atMs !== 'number' || atMs > throughMs) return false;
  return typeof ciphertext !== 'object' || ciphertext === null || ciphertext.length > 0;
}

function aliasTable(table: string, column: string): string {
  return `${table}.${column}`;
}
