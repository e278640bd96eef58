import type { Pieces } from '../../collateral/items.js';
import type { Judged, Judgement } from '../../collateral/state.js';
import { type HardwareRoots, PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import type { CliContext } from '../context.js';
import { answer, type Outcome } from '../outcome.js';
import { type PlaceOptions, placeOf, readCollateral } from './place.js';

export interface StatusOptions extends PlaceOptions {
  /** RFC 3339. */
  readonly at?: string;
}

/** For people. */
export const KINDS = { 'tcb-info': 'TCB info', 'qe-identity': 'QE identity', crl: 'CRL', rim: 'RIM' } as const;

/** What there is of collateral, who vouches for it and until when it is good. */
export async function status(
  context: CliContext,
  options: StatusOptions,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<Outcome> {
  const dir = placeOf(context, options);
  const atMs = options.at === undefined ? context.parts.now() : Date.parse(options.at);
  const { pieces, unusable } = await readCollateral(dir);
  const { items, missing } = await judgementOf(pieces, roots, atMs);
  const { isTrouble } = await import('../../collateral/state.js');
  const troubles = items.filter(({ state }) => isTrouble(state)).length;
  const ok = troubles + missing.length + unusable.length === 0;
  const shown = items.map((item) => shownItem(item, atMs));
  const json = { ok, dir, at: isoTime(atMs), items: shown, missing, unusable };
  const table = {
    head: ['kind', 'for', 'signer', 'issued', 'current until', 'days left', 'state', 'file'],
    rows: shown.map(rowOf),
  };
  const notes = [
    ...items.flatMap(({ fault, item }) => (fault === undefined ? [] : [`${item.file}: ${fault}`])),
    ...missing.map((what) => `${what} is missing: TDX quotes cannot be verified without`),
    ...unusable.map(({ file, why }) => `${file}: ${why}`),
  ];
  const verdict = ok
    ? 'All of it is current.'
    : 'Evidence that needs what is stale, missing or unverified is refused as collateral.unavailable.';
  const text = items.length === 0 ? [`There is no collateral in ${dir}.`] : [table, '', verdict];
  return { ...answer(json, text, notes), failed: !ok };
}

/** How all of it stands at a time. */
export async function judgementOf(pieces: Pieces, roots: HardwareRoots, atMs: number): Promise<Judgement> {
  const { crlIssuers } = await import('../../collateral/crl-issuers.js');
  const { itemsOf } = await import('../../collateral/items.js');
  const { standingsOf } = await import('../../collateral/standing.js');
  const { judge } = await import('../../collateral/state.js');
  return judge(standingsOf(itemsOf(pieces), { roots, crlIssuers: crlIssuers(roots, pieces) }), atMs);
}

function shownItem({ item, subject, fault, edition, untilMs, state }: Judged, atMs: number) {
  return {
    file: item.file,
    kind: item.kind,
    for: subject,
    signer: fault ?? 'good',
    issued: Number.isFinite(edition.issuedMs) ? isoTime(edition.issuedMs) : null,
    current_until: untilMs === undefined ? null : isoTime(untilMs),
    days_left: untilMs === undefined ? null : daysLeft(untilMs, atMs),
    state,
  };
}

function rowOf(shown: ReturnType<typeof shownItem>): readonly string[] {
  return [
    KINDS[shown.kind],
    shown.for,
    shown.signer === 'good' ? 'good' : 'NOT GOOD',
    shown.issued?.slice(0, 10) ?? '',
    shown.current_until ?? '',
    shown.days_left?.toString() ?? '',
    shown.state === 'stale' ? 'STALE' : shown.state,
    shown.file,
  ];
}

const DAY_MS = 86_400_000;

/** Whole days; below zero where it is past. */
function daysLeft(untilMs: number, atMs: number): number {
  return Math.floor((untilMs - atMs) / DAY_MS);
}

/** To the second, as certificates and documents have it. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}
