import { type HardwareRoots, PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import { isTrouble, isUsable } from '../../collateral/state.js';
import type { Deployment } from '../../policy/deployment.js';
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
    const anew = fetchAdvice(path);
    const warnings = [
      ...items
        .filter(({ state }) => isTrouble(state) || state === 'ending')
        .map(({ item, state, fault, untilMs = 0 }) => {
          const until = isoTime(untilMs);
          // What nobody vouches for may be about nothing that is fetched, so that nothing takes its place.
          if (fault !== undefined) return warn(CHECK, `${item.file}: ${fault}`, `remove it, or ${anew}`);
          if (state === 'future') return warn(CHECK, `${item.file} is from the future: is the clock right?`, anew);
          const was = state === 'ending' ? `is current until ${until} only` : `was current until ${until}`;
          return warn(CHECK, `${item.file} ${was}`, anew);
        }),
      ...missing.map((what) => warn(CHECK, `${what} is missing: TDX quotes cannot be verified without`, anew)),
      ...unusable.map(({ file, why }) =>
        warn(
          CHECK,
          `${file} cannot be used: ${why}`,
          'remove it, or correct it: nothing that is fetched takes its place',
        ),
      ),
    ];
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

/**
 * What a deployment cannot do without: a warning for each kind of collateral of which nothing is current. It asks for GPUs by
 * `platform.gpus.count`, for TDX by `platform.tdx` or by what is measured; which driver, VBIOS or platform that will be, evidence says.
 */
export async function deploymentCollateralFindings(
  place: CollateralPlace,
  { name, measurement, platform }: Pick<Deployment, 'name' | 'measurement' | 'platform'>,
  nowMs: number,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<readonly Finding[]> {
  const wantsGpus = (platform.gpus?.count ?? 0) > 0;
  const wantsTdx = platform.tdx !== undefined || measurement.source.startsWith('tdx.');
  if (!wantsGpus && !wantsTdx) return [];
  try {
    const { path, items } = await collateralReport(place, nowMs, roots);
    const lacks = (kind: (typeof items)[number]['item']['kind'], about: RegExp) =>
      !items.some(({ item, subject, state }) => item.kind === kind && about.test(subject) && isUsable(state));
    const missing = [
      ...(wantsGpus && lacks('rim', /^NV_GPU_DRIVER_/) ? ['a manifest (RIM) of the driver of its GPUs'] : []),
      ...(wantsGpus && lacks('rim', /^NV_GPU_VBIOS_/) ? ['a manifest (RIM) of the VBIOS of its GPUs'] : []),
      ...(wantsTdx && lacks('tcb-info', /^TDX /) ? ['the TCB info of its TDX platforms'] : []),
    ];
    return missing.map((what) =>
      warn(
        CHECK,
        `deployment ${name} needs ${what}, and there is none in ${path} that is current: evidence is refused as collateral.unavailable`,
        `portcullis evidence explain says which; then: portcullis collateral fetch --dir ${path} --${what.includes('RIM') ? 'rim ID' : 'fmspc HEX'}`,
      ),
    );
  } catch (error) {
    // The directory cannot be read, which collateralFindings says.
    if (error instanceof UsageError) return [];
    throw error;
  }
}

function fetchAdvice(path: string): string {
  return `fetch it anew: portcullis collateral fetch --dir ${path}; a running broker finds it within a minute`;
}
