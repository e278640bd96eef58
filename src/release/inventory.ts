import { UNKNOWN_NAME } from '../evidence/tpm/ak.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { Standings } from './attester-standing.js';
import { hashInName, knownAttester, presentAttester } from './attester-views.js';
import type { PageRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { listOf, pageOf } from './paging.js';
import type { AttesterRecord, StoredSighting } from './records.js';
import type { StoreView } from './store.js';
import type { AttesterView, ListView } from './views.js';
import { vouchersOf } from './vouchers.js';

const SPKI_HASH = /^[0-9a-f]{64}$/i;
/** Of each AK on a page certificates may have to be verified, about 2 ms of CPU, while releases wait. */
const MAX_PAGE = 100;

/** Which AK an id means, and what it was last seen to be. */
export interface FoundAttester {
  readonly spkiSha256: string;
  readonly sighting: StoredSighting | undefined;
}

/**
 * The AK of a name, an AK Name, an SPKI hash, or the name that is made of one; undefined where nothing of it is known but
 * perhaps the hash, which is for the caller to judge.
 */
export async function findAttester(context: BrokerContext, id: string): Promise<FoundAttester | undefined> {
  const { store } = context;
  // Of several AKs without a known Name, this could mean any.
  const record =
    id.toLowerCase() === UNKNOWN_NAME ? undefined : await store.read((view) => view.attesters.get(id.toLowerCase()));
  const spkiSha256 = record?.spkiSha256 ?? (SPKI_HASH.test(id) ? id.toLowerCase() : undefined);
  if (spkiSha256 !== undefined) return { spkiSha256, sighting: await store.sighting(spkiSha256) };
  const digits = hashInName(id.toLowerCase());
  if (digits === undefined) return undefined;
  const [sighting, other] = await store.listSightings({ limit: 2, after: digits });
  if (sighting?.spkiSha256.startsWith(digits) !== true || other?.spkiSha256.startsWith(digits) === true) {
    return undefined;
  }
  return { spkiSha256: sighting.spkiSha256, sighting };
}

/** An AK as it is shown. `view` may be a change under way: it is shown as it will be. */
export function attesterView(
  context: BrokerContext,
  view: StoreView,
  record: AttesterRecord | undefined,
  { spkiSha256, sighting }: FoundAttester,
): Promise<AttesterView> {
  return presentAttester(new Standings(view, vouchersOf(context)), knownAttester(record, sighting, spkiSha256));
}

/** By name, AK Name or SPKI hash; pinned, enrolled, or seen alone. */
export async function showAttester(context: BrokerContext, id: string): Promise<Result<AttesterView>> {
  const found = await findAttester(context, id);
  if (found === undefined) return noSuchAttester();
  return context.store.read(async (view) => {
    const record = await view.attesters.get(found.spkiSha256);
    if (record === undefined && found.sighting === undefined) return noSuchAttester();
    return accept(await attesterView(context, view, record, found));
  });
}

/**
 * Every AK that was pinned or enrolled, and every one that was seen, by SPKI hash. Both are read from the same place on,
 * each with one more than is shown: whatever stands on the page is whole, and the page after it loses and repeats nothing.
 * A page has at most 100, whatever limit was asked for.
 */
export async function listAttesters(
  context: BrokerContext,
  request: PageRequest,
): Promise<Result<ListView<AttesterView>>> {
  const page = pageOf({ ...request, limit: Math.min(request.limit ?? MAX_PAGE, MAX_PAGE) });
  if (!page.ok) return page;
  const { shown } = page.value;
  const sightings = await context.store.listSightings(page.value);
  return context.store.read(async (view) => {
    const records = await view.attesters.list(page.value);
    const recordOf = new Map(records.map((record) => [record.spkiSha256, record]));
    const sightingOf = new Map(sightings.map((sighting) => [sighting.spkiSha256, sighting]));
    const ids = [...new Set([...recordOf.keys(), ...sightingOf.keys()])].sort();
    const standings = new Standings(view, vouchersOf(context));
    const present = (id: string) => presentAttester(standings, knownAttester(recordOf.get(id), sightingOf.get(id), id));
    return accept(await listOf(ids, shown, (id) => id, present));
  });
}

export function noSuchAttester(): Rejection {
  return reject('resource.unknown', 'there is no attester of this name or hash; see: portcullis attester list');
}
