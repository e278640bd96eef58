/** How Intel grades a TCB level, from the best to the worst. */
export const TCB_STATUSES = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const;
export type TcbStatus = (typeof TCB_STATUSES)[number];

/** The status of this name; undefined where Intel has made one up that is not known here, which is a failure and never the best one. */
export function knownStatus(text: string): TcbStatus | undefined {
  return TCB_STATUSES.find((status) => status === text);
}

/**
 * The status of a machine whose parts have these, as Intel's own verifier converges them: the worst one, but
 * OutOfDateConfigurationNeeded where one part is OutOfDate and another one needs configuration. At least one must be given.
 */
export function convergedStatus(statuses: readonly TcbStatus[]): TcbStatus {
  const worst = statuses.reduce((bad, status) => (isWorse(status, bad) ? status : bad));
  const needsConfiguration =
    statuses.includes('ConfigurationNeeded') || statuses.includes('ConfigurationAndSWHardeningNeeded');
  return worst === 'OutOfDate' && needsConfiguration ? 'OutOfDateConfigurationNeeded' : worst;
}

/** Whether `a` is a worse status than `b`. */
export function isWorse(a: TcbStatus, b: TcbStatus): boolean {
  return TCB_STATUSES.indexOf(a) > TCB_STATUSES.indexOf(b);
}
