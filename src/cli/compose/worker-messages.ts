import type { Exposition, Telemetry } from '../../telemetry/metrics.js';

/** What passes between the supervising process and its workers. */
export type Snapshot = Awaited<ReturnType<Telemetry['snapshot']>>;
export type ToWorker = { readonly stop: true } | { readonly snapshot: number } | { readonly exposition: Exposition };
export type ToSupervisor =
  | { readonly listening: string }
  | { readonly snapshot: number; readonly values: Snapshot }
  | { readonly exposition: 'wanted' };
