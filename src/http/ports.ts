/**
 * What the faces need of telemetry. Adapters do not import each other: the root hands in what satisfies these shapes.
 */
import type { ReasonCode } from '../reason/reason.js';

/** A structured log. Fields are data; the implementation redacts them. Messages are constants of ours, never input. */
export interface Log {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** One request that was answered, or whose client went away before (`aborted`). */
export interface RequestObservation {
  /** The path template of the route, or `unknown`: never the path itself. */
  readonly route: string;
  /** The method of the route, or `other`. */
  readonly method: string;
  readonly status: number | 'aborted';
  /** Of a problem answer. */
  readonly reason?: ReasonCode;
  readonly seconds: number;
}

export interface Metrics {
  requested(observation: RequestObservation): void;
  /** The Prometheus text of /metrics. */
  exposition(): Promise<{ readonly contentType: string; readonly text: string }>;
}
