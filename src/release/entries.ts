import { parseDateTime } from '../policy/date-time.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { Members } from '../translog/entry.js';
import { type EntryFilter, entryTimeMs, matchesEntry } from '../translog/entry-filter.js';
import type { NameKind } from '../translog/entry-members.js';
import type { PageRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { verifiedNames } from './entry-parts.js';
import type { EntrySelection } from './entry-selection.js';
import { pageOf } from './paging.js';
import { presentEntry } from './present.js';
import type { LogEntry } from './records.js';
import type { StoreView } from './store.js';
import type { EntryView, ListView } from './views.js';

/** An entry can carry the diff of a large document: a page is bounded by what it holds, too. */
const MAX_PAGE_CHARACTERS = 4 * 1024 * 1024;
/** Rows that are read for one page, matching or not. */
const MAX_LOOKED_AT = 2048;
/** Rows that are read at once where not every one will match. */
const CHUNK = 512;

const INDEX = /^(?:0|[1-9][0-9]{0,14})$/;

/** How a name may stand in entries: as it is, and, since `log.names` may change, as its pseudonym. */
function namesOf({ pseudonyms }: BrokerContext, kind: NameKind, name: string): readonly string[] {
  return pseudonyms === undefined ? [name] : [name, pseudonyms.of(kind, name).value];
}

/**
 * Log entries, newest first; the cursor is the index of the last one that was looked at. A page looks at a bounded number
 * of rows, so it may hold fewer than were asked for, or none, and still have a next one.
 */
export async function listEntries(
  context: BrokerContext,
  request: PageRequest & EntrySelection,
): Promise<Result<ListView<EntryView>>> {
  const { cursor, limit, since, until, ...named } = request;
  if (cursor !== undefined && !INDEX.test(cursor)) {
    return reject('request.malformed', 'cursor: use next_cursor of the page before, unchanged');
  }
  const page = pageOf(limit === undefined ? {} : { limit });
  if (!page.ok) return page;
  const [sinceMs, untilMs] = [since, until].map((text) => (text === undefined ? undefined : parseDateTime(text)));
  if ((since !== undefined && sinceMs === undefined) || (until !== undefined && untilMs === undefined)) {
    return reject('request.malformed', 'since and until are times of RFC 3339');
  }
  const filter: EntryFilter = {
    ...named,
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  };
  const before = cursor === undefined ? undefined : Number(cursor);
  return accept(await context.store.read((view) => new Search(context, view, filter, page.value.shown).page(before)));
}

class Search {
  readonly #view: StoreView;
  readonly #filter: EntryFilter;
  readonly #pseudonyms: BrokerContext['pseudonyms'];
  readonly #wanted: number;
  /** What the store selects by; the rest of the filter is looked at here. */
  readonly #selected: { readonly type?: string; readonly deployments?: readonly string[] };
  readonly #selectsAll: boolean;

  constructor(context: BrokerContext, view: StoreView, filter: EntryFilter, wanted: number) {
    const { type, deployment, key, policy, ak, sinceMs } = filter;
    this.#view = view;
    this.#filter = filter;
    this.#pseudonyms = context.pseudonyms;
    this.#wanted = wanted;
    this.#selected = {
      ...(type === undefined ? {} : { type }),
      ...(deployment === undefined ? {} : { deployments: namesOf(context, 'deployment', deployment) }),
    };
    this.#selectsAll = [key, policy, ak, sinceMs].every((each) => each === undefined);
  }

  async page(cursor: number | undefined): Promise<ListView<EntryView>> {
    const items: EntryView[] = [];
    let before = Math.min(cursor ?? Infinity, await this.#endOfTime());
    let characters = 0;
    for (let looked = 0; looked < MAX_LOOKED_AT && items.length < this.#wanted && characters < MAX_PAGE_CHARACTERS;) {
      const rows = await this.#rows(before, this.#selectsAll ? this.#wanted - items.length : CHUNK, characters);
      if (rows.length === 0) return { items };
      for (const row of rows) {
        const entry = JSON.parse(row.entry) as Members;
        if (entryTimeMs(entry) < (this.#filter.sinceMs ?? -Infinity)) return { items };
        looked++;
        before = row.index;
        if (!this.#matches(row, entry)) continue;
        items.push(presentEntry(row, this.#pseudonyms));
        characters += row.entry.length + (row.detail?.length ?? 0);
        if (items.length === this.#wanted || characters >= MAX_PAGE_CHARACTERS) break;
      }
    }
    const more = await this.#rows(before, 1, 0);
    return more.length === 0 ? { items } : { items, next_cursor: String(before) };
  }

  #rows(before: number, limit: number, characters: number): Promise<readonly LogEntry[]> {
    const maxCharacters = MAX_PAGE_CHARACTERS - characters;
    return this.#view.entries({ ...this.#selected, limit, maxCharacters, ...(before === Infinity ? {} : { before }) });
  }

  #matches(row: LogEntry, entry: Members): boolean {
    const names = verifiedNames(row, entry, this.#pseudonyms);
    return matchesEntry(entry, this.#filter, (member) => names?.[member]);
  }

  /** The index after the last entry before `until`: since time never decreases, it is found by halving. */
  async #endOfTime(): Promise<number> {
    const { untilMs } = this.#filter;
    if (untilMs === undefined) return Infinity;
    const [newest] = await this.#view.entries({ limit: 1 });
    let low = 0;
    let high = newest === undefined ? 0 : newest.index + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const [row] = await this.#view.entries({ limit: 1, before: middle + 1 });
      if (row !== undefined && entryTimeMs(JSON.parse(row.entry) as Members) < untilMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
