/** As rimId makes it, of a driver. */
const DRIVER = /^NV_GPU_DRIVER_([A-Z0-9]+)_/;
export const CC_DRIVER = 'NV_GPU_CC_DRIVER_';

/**
 * The name to ask NVIDIA for, of a manifest of a driver with this id (see rimId): NVIDIA's clients ask for
 * `NV_GPU_DRIVER_GH100_<version>`, and for `NV_GPU_CC_DRIVER_<chip>_<version>` of every later chip. Any other name is itself.
 */
export function servedDriver(name: string): string {
  const [prefix, chip] = DRIVER.exec(name) ?? [];
  return prefix === undefined || chip === 'GH100' ? name : `${CC_DRIVER}${chip ?? ''}_${name.slice(prefix.length)}`;
}
