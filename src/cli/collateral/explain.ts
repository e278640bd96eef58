import { type HardwareRoots, PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import type { Judgement } from '../../collateral/state.js';
import { type CollateralPlace, collateralPath, openCollateral } from '../compose/collateral.js';
import type { UnusableFile } from './place.js';
import { isoTime, judgementOf, KINDS } from './status.js';

/** The collateral that a broker would use, and how it stands. */
export interface CollateralReport extends Judgement {
  readonly path: string;
  readonly unusable: readonly UnusableFile[];
}

/** Throws UsageError for a directory that is named and cannot be read. */
export async function collateralReport(
  place: CollateralPlace,
  atMs: number,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<CollateralReport> {
  const unusable: UnusableFile[] = [];
  const { pieces } = await openCollateral(place, (file, why) => void unusable.push({ file, why }));
  return { path: collateralPath(place), unusable, ...(await judgementOf(pieces, roots, atMs)) };
}

/** What `serve --check-config` says of it: a line for each piece, and for each that lacks. */
export async function explainCollateral(
  place: CollateralPlace,
  atMs: number,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<readonly string[]> {
  const { path, items, missing, unusable } = await collateralReport(place, atMs, roots);
  if (items.length + unusable.length === 0) return [`there is no collateral for evidence of hardware in ${path}`];
  return [
    `evidence of hardware is held against the collateral in ${path}`,
    ...items.map(({ item, subject, untilMs, state, fault }) => {
      const until = untilMs === undefined ? '' : `, current until ${isoTime(untilMs)}`;
      return `${KINDS[item.kind]} ${subject === '' ? item.file : `for ${subject}`}: ${fault ?? state}${fault === undefined ? until : ''}`;
    }),
    ...missing.map((what) => `${what} is missing: TDX quotes cannot be verified`),
    ...unusable.map(({ file, why }) => `${file} cannot be used: ${why}`),
  ];
}
