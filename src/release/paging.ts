import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { PageRequest } from './broker.js';
import type { Page } from './store.js';
import type { ListView } from './views.js';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const MAX_CURSOR = 512;

/** The page that is asked for, with one record more than its limit, so that the end of the list is known. A cursor is opaque: request.malformed where it is not one of ours. */
export function pageOf(request: PageRequest): Result<Page & { readonly shown: number }> {
  const shown = Math.min(Math.max(request.limit ?? DEFAULT_LIMIT, 1), MAX_LIMIT);
  if (request.cursor === undefined) return accept({ limit: shown + 1, shown });
  try {
    if (request.cursor.length > MAX_CURSOR) throw new MalformedError('cursor is too long');
    return accept({ limit: shown + 1, shown, after: fromBase64url(request.cursor, 'cursor').toString('utf8') });
  } catch (error) {
    if (error instanceof MalformedError) {
      return reject('request.malformed', 'cursor: use next_cursor of the page before, unchanged');
    }
    throw error;
  }
}

/** The answer to a page request: `records` read with `pageOf`'s limit, cut to what is shown. */
export async function listOf<R, V>(
  records: readonly R[],
  shown: number,
  idOf: (record: R) => string,
  present: (record: R) => V | Promise<V>,
): Promise<ListView<V>> {
  const items: V[] = [];
  for (const record of records.slice(0, shown)) items.push(await present(record));
  const last = records[shown - 1];
  if (records.length <= shown || last === undefined) return { items };
  return { items, next_cursor: toBase64url(Buffer.from(idOf(last), 'utf8')) };
}

/** Reads a list page by page to its end. */
export async function allPages<R>(
  page: (after: { readonly after?: string }) => Promise<readonly R[]>,
  idOf: (record: R) => string,
): Promise<readonly R[]> {
  const all: R[] = [];
  for (;;) {
    const last = all.at(-1);
    const records = await page(last === undefined ? {} : { after: idOf(last) });
    if (records.length === 0) return all;
    all.push(...records);
  }
}
