import { equalBytes } from '../../bytes/equal.js';
import { toHex } from '../../bytes/hex.js';
import type { ReferenceMeasurement, VerifiedRim } from '../../endorsement/rim/verify.js';
import { accept, type Finding, reject, type Result } from '../../reason/reason.js';
import { NVDEC_MEASUREMENT } from './constants.js';
import type { GpuFacts } from './facts.js';
import type { GpuReport } from './report.js';

/** What the comparison covered. */
export interface MatchedMeasurements {
  /** How many measurements were compared, all of them equal. */
  readonly compared: number;
  /** How many that are not zero no manifest lists as active: they may be anything. */
  readonly unlisted: number;
  /** What the report was compared with. */
  readonly manifests: readonly VerifiedRim[];
}

/** As many findings as a refusal holds; its detail names every index. */
const MAX_FINDINGS = 4;

/**
 * Compares a report with the manifests of its device, driver and VBIOS of a GPU or the BIOS of a switch: each measurement that
 * one of them lists as active must be in the report, of the size that is listed, and equal to one of the alternatives. Number
 * 35 (all count from 0) is left out where the unit that it is of, NVDEC0, is switched off. Refusals: gpu.rim where two
 * manifests are active for the same measurement, as then none of them is the right one; gpu.measurement. `claims` is where the
 * claims of the device stand: `gpu.0`.
 */
export function matchMeasurements(
  { measurements }: GpuReport,
  { nvdec }: GpuFacts,
  manifests: readonly VerifiedRim[],
  claims: string,
): Result<MatchedMeasurements> {
  const listed = new Map<number, ReferenceMeasurement>();
  for (const manifest of manifests) {
    for (const [index, reference] of manifest.measurements) {
      if (!reference.active) continue;
      if (listed.has(index)) return reject('gpu.rim', `two manifests list measurement ${String(index)}`);
      listed.set(index, reference);
    }
  }
  const unlisted = measurements.filter(({ value }, index) => !listed.has(index) && value.some((byte) => byte !== 0));
  if (nvdec === 'off') listed.delete(NVDEC_MEASUREMENT);
  const wrong = [...listed].filter(([index, reference]) => !isListed(measurements[index]?.value, reference));
  if (wrong.length > 0) {
    const indexes = wrong.map(([index]) => String(index)).sort((a, b) => Number(a) - Number(b));
    const findings = wrong.slice(0, MAX_FINDINGS).map(([index, { alternatives }]): Finding => {
      const value = measurements[index]?.value;
      const found = value === undefined ? null : toHex(value);
      return {
        claim: `${claims}.measurement.${String(index)}`,
        operator: 'in',
        expected: alternatives.map(toHex),
        found,
      };
    });
    return reject(
      'gpu.measurement',
      `not as the manifests list them: measurements ${indexes.join(', ')} (other firmware, or devtools mode)`,
      ...findings,
    );
  }
  return accept({ compared: listed.size, unlisted: unlisted.length, manifests });
}

function isListed(value: Buffer | undefined, { sizeBytes, alternatives }: ReferenceMeasurement): boolean {
  if (value?.length !== sizeBytes) return false;
  return alternatives.some((alternative) => equalBytes(alternative, value));
}
