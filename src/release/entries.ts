import { accept, reject, type Result } from '../reason/reason.js';
import type { PageRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { pageOf } from './paging.js';
import { presentEntry } from './present.js';
import type { EntryView, ListView } from './views.js';

/** An entry can carry the diff of a large document: a page is bounded by what it holds, too. */
const MAX_PAGE_CHARACTERS = 4 * 1024 * 1024;

const INDEX = /^(?:0|[1-9][0-9]{0,14})$/;

/** Log entries, newest first; the cursor is the index of the last one shown. A page may hold fewer than were asked for. */
export async function listEntries(
  context: BrokerContext,
  request: PageRequest & { readonly type?: string; readonly deployment?: string },
): Promise<Result<ListView<EntryView>>> {
  const { cursor, type, deployment, limit } = request;
  if (cursor !== undefined && !INDEX.test(cursor)) {
    return reject('request.malformed', 'cursor: use next_cursor of the page before, unchanged');
  }
  const page = pageOf(limit === undefined ? {} : { limit });
  if (!page.ok) return page;
  const { shown } = page.value;
  const entries = await context.store.read((view) =>
    view.entries({
      limit: page.value.limit,
      maxCharacters: MAX_PAGE_CHARACTERS,
      ...(type === undefined ? {} : { type }),
      ...(deployment === undefined ? {} : { deployment }),
      ...(cursor === undefined ? {} : { before: Number(cursor) }),
    }),
  );
  const items = entries.slice(0, shown).map(presentEntry);
  const last = items.at(-1);
  const characters = entries.reduce((sum, { entry, detail = '' }) => sum + entry.length + detail.length, 0);
  const more = entries.length > shown || characters >= MAX_PAGE_CHARACTERS;
  return accept(more && last !== undefined ? { items, next_cursor: String(last.index) } : { items });
}
