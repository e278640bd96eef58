import { performance } from 'node:perf_hooks';
import { Type } from 'typebox';
import { reject } from '../../reason/reason.js';
import type { Broker } from '../../release/broker.js';
import { UnwitnessedError } from '../../release/receipt.js';
import type { Lifecycle } from '../lifecycle.js';
import type { Log, Metrics } from '../ports.js';
import { refusalOfFault } from '../problem.js';
import { type Outcome, type Route, route } from './route.js';
import { StatusSchema } from './view-schemas.js';

/** How long an answer of broker.ready() is reused: anybody may ask, and every answer costs the store a durable write. */
const READY_FOR_MS = 500;

export interface Operations {
  readonly broker: Broker;
  readonly lifecycle: Lifecycle;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What operators' tools ask. `describe` gives the OpenAPI document, which lists these routes too. */
export function operationRoutes(operations: Operations, describe: () => object): readonly Route[] {
  const readiness = readinessOf(operations);
  return [
    route({
      method: 'GET',
      path: '/healthz',
      operationId: 'health',
      summary: 'Whether the process is alive',
      access: 'public',
      watch: true,
      success: 200,
      answer: StatusSchema,
      handle: async () => ({ ok: true, value: { status: 'ok' } }),
    }),
    route({
      method: 'GET',
      path: '/readyz',
      operationId: 'readiness',
      summary: 'Whether a release could be recorded and answered now',
      access: 'public',
      watch: true,
      success: 200,
      answer: StatusSchema,
      handle: readiness,
    }),
    route({
      method: 'GET',
      path: '/metrics',
      operationId: 'metrics',
      summary: 'Prometheus metrics',
      access: 'public',
      watch: true,
      success: 200,
      answer: Type.String(),
      produces: 'text',
      handle: async () => ({ ok: true, value: await operations.metrics.exposition() }),
    }),
    route({
      method: 'GET',
      path: '/openapi.json',
      operationId: 'openapi',
      summary: 'This document',
      access: 'public',
      watch: true,
      success: 200,
      answer: Type.Object({}, { description: 'OpenAPI 3.1' }),
      handle: async () => ({ ok: true, value: describe() }),
    }),
  ];
}

/** Asks the broker at most once at a time, and keeps the answer for READY_FOR_MS. */
function readinessOf({ broker, lifecycle, log }: Operations): () => Promise<Outcome> {
  let asked: { readonly atMs: number; readonly outcome: Promise<Outcome> } | undefined;
  const ask = async (): Promise<Outcome> => {
    try {
      await broker.ready();
      return { ok: true, value: { status: 'ready' } };
    } catch (error) {
      log.warn({ err: error }, 'not ready');
      if (error instanceof UnwitnessedError) {
        return reject(
          'log.unwitnessed',
          'too few witnesses cosign now, so no release can be answered; the log of the broker names them',
        );
      }
      const refusal = refusalOfFault(error);
      return refusal.reason === 'internal'
        ? reject('store.unavailable', 'a release could not be recorded now')
        : refusal;
    }
  };
  return async () => {
    if (lifecycle.phase !== 'serving') return reject('store.unavailable', `the broker is ${lifecycle.phase}`);
    const nowMs = performance.now();
    if (asked === undefined || nowMs - asked.atMs > READY_FOR_MS) asked = { atMs: nowMs, outcome: ask() };
    return asked.outcome;
  };
}
