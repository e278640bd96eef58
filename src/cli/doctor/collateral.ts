import { type HardwareRoots, PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import { isTrouble } from '../../collateral/state.js';
import { collateralReport } from '../collateral/explain.js';
import { isoTime } from '../collateral/status.js';
import type { CollateralPlace } from '../compose/collateral.js';
import { UsageError } from '../outcome.js';
import { fail, ok, warn, type Finding } from './finding.js';

const CHECK = 'collateral';

/** The collateral that the broker would use: a warning for all that is not current for a week yet, or one finding; none where there is none. */
export async function collateralFindings(
  place: CollateralPlace,
  nowMs: number,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<readonly Finding[]> {
  try {
    const { path, items, missing, unusable } = await collateralReport(place, nowMs, roots);
    if (items.length + unusable.length === 0) return [];
    const advice = `fetch it anew: portcullis collateral fetch --dir ${path}; a running broker finds it within a minute`;
    const warnings = [
      ...items
        .filter(({ state }) => isTrouble(state) || state === 'ending')
        .map(({ item, state, fault, untilMs = 0 }) => {
          const until = isoTime(untilMs);
          if (fault !== undefined) return `${item.file}: ${fault}`;
          if (state === 'future') return `${item.file} is from the future: is the clock right?`;
          return state === 'ending'
            ? `${item.file} is current until ${until} only`
            : `${item.file} was current until ${until}`;
        }),
      ...missing.map((what) => `${what} is missing: TDX quotes cannot be verified without`),
      ...unusable.map(({ file, why }) => `${file} cannot be used: ${why}`),
    ].map((detail) => warn(CHECK, detail, advice));
    if (warnings.length > 0) return warnings;
    const until = Math.min(...items.flatMap(({ untilMs, state }) => (state === 'replaced' ? [] : [untilMs ?? 0])));
    return [ok(CHECK, `${String(items.length)} pieces in ${path}, all current until ${isoTime(until)}`)];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [
      fail(CHECK, error.message, 'a broker does not start with it: make the directory, or correct collateral.dir'),
    ];
  }
}
