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

/** What was refused or closed so that the rest goes on, by what and why. */
export type Shed =
  | 'request.share'
  | 'request.overload'
  | 'body.share'
  | 'body.full'
  | 'connection.share'
  | 'connection.full'
  | 'connection.idle'
  | 'connection.pipelined'
  | 'connection.stalled'
  | 'connection.refused';

/** Of what there is more or less at any moment. */
export type Level = 'connections' | 'requests_under_way' | 'requests_waiting' | 'body_bytes';

/** What watches how loaded the process is. */
export interface LoadObserver {
  shed(what: Shed): void;
  /** A request waited so long before it was let in. */
  waited(milliseconds: number): void;
  /** Hands in what is asked whenever somebody looks. */
  level(of: Level, read: () => number): void;
}
