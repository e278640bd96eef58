import { isOfAmd } from './conflicts.js';
import { isOlder, type Standing } from './standing.js';

/**
 * `current`; `ending` within a week; `stale`, `future`: outside of its dates; `unverified`: nobody who is believed vouches for it;
 * `replaced`: not of use, while something newer about the same thing is.
 */
export type State = 'current' | 'ending' | 'stale' | 'future' | 'unverified' | 'replaced';

export const DAY_MS = 86_400_000;
const SOON_MS = 7 * DAY_MS;

export interface Judged extends Standing {
  readonly state: State;
}

/** How the items of a directory are at a time. */
export interface Judgement {
  readonly items: readonly Judged[];
  /** What TDX quotes cannot be verified without although there is TCB info; for people. */
  readonly missing: readonly string[];
}

/** Whether it is of use at that time. */
export function isUsable(state: State): boolean {
  return state === 'current' || state === 'ending';
}

/** Whether it makes verifiers answer collateral.unavailable, or would. */
export function isTrouble(state: State): boolean {
  return state === 'stale' || state === 'future' || state === 'unverified';
}

export function stateAt({ fault, fromMs, untilMs }: Standing, atMs: number): State {
  if (fault !== undefined || fromMs === undefined || untilMs === undefined) return 'unverified';
  if (atMs < fromMs) return 'future';
  if (!(atMs <= untilMs)) return 'stale';
  return atMs > untilMs - SOON_MS ? 'ending' : 'current';
}

export function judge(standings: readonly Standing[], atMs: number): Judgement {
  const alone = standings.map((standing) => ({ ...standing, state: stateAt(standing, atMs) }));
  const usable = alone.filter(({ state }) => isUsable(state));
  const items = alone.map((item): Judged => {
    const isReplaced = usable.some(({ topic, edition }) => topic === item.topic && isOlder(item.edition, edition));
    // Of the two CRLs of AMD the one with the lower number revokes what it always did.
    return isReplaced && !isOfAmd(item) && item.state !== 'unverified' ? { ...item, state: 'replaced' } : item;
  });
  return { items, missing: missingOf(items) };
}

const ROOT_CRL = 'Intel SGX Root CA';
/** Of the machines that have TDX, which are servers; the Processor CA is that of others. */
const PCK_CRL = 'Intel SGX PCK Platform CA';

function missingOf(items: readonly Standing[]): readonly string[] {
  const subjects = (kind: Standing['item']['kind']) =>
    items.flatMap(({ item, subject }) => (item.kind === kind ? [subject] : []));
  if (subjects('tcb-info').length === 0) return [];
  const crls = subjects('crl');
  return [
    ...(subjects('qe-identity').length === 0 ? ['the QE identity'] : []),
    ...(crls.includes(ROOT_CRL) ? [] : [`the CRL of ${ROOT_CRL}`]),
    ...(crls.includes(PCK_CRL) ? [] : [`the CRL of ${PCK_CRL}`]),
  ];
}
