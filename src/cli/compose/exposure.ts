import { type Config, exposureFault } from '../../config/config.js';
import type { Profile } from '../../release/records.js';
import { namesInLog } from '../../release/log-names.js';
import type { Store } from '../../release/store.js';
import { UsageError } from '../outcome.js';

/** Throws UsageError where this configuration must not be served under the profile of the data directory. */
export function refuseExposure(config: Config, profile: Profile): void {
  const fault = exposureFault(config, profile);
  if (fault !== undefined) throw new UsageError(fault);
}

/** Throws UsageError where names stand in the log in another way than the configuration says: who reads the log could not link them. */
export async function refuseOtherNames({ log }: Config, store: Store): Promise<void> {
  const found = await namesInLog(store);
  if (found === undefined || found === log.names) return;
  throw new UsageError(
    `log.names: this log has ${found} names, for good, since one name must be one in the whole log; set log.names: ${found}, or make a new broker`,
  );
}
