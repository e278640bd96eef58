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

/** Whether `a` is a worse status than `b`. */
export function isWorse(a: TcbStatus, b: TcbStatus): boolean {
  return TCB_STATUSES.indexOf(a) > TCB_STATUSES.indexOf(b);
}
