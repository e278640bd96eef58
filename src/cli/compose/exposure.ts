import { type Config, exposureFault } from '../../config/config.js';
import type { Profile } from '../../release/records.js';
import { UsageError } from '../outcome.js';

/** Throws UsageError where this configuration must not be served under the profile of the data directory. */
export function refuseExposure(config: Config, profile: Profile): void {
  const fault = exposureFault(config, profile);
  if (fault !== undefined) throw new UsageError(fault);
}
