/**
 * Telemetry: what operators see. It may assume that it is called with what the broker decided; it never sees requests.
 * Labels come from registries and route templates alone, so that no input can make or name a time series.
 */
import {
  AggregatorRegistry,
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  type MetricObject,
  Registry,
} from 'prom-client';
import { isReasonCode, REASONS, type ReasonCode } from '../reason/reason.js';

/** What one request was; `route` is a path template, `method` that of the route. */
export interface RequestSeen {
  readonly route: string;
  readonly method: string;
  readonly status: number | 'aborted';
  readonly reason?: ReasonCode;
  readonly seconds: number;
}

/** What was refused or closed so that the rest goes on: what it was, and why. */
export const SHED_CAUSES = {
  request: ['share', 'overload'],
  body: ['share', 'full'],
  connection: ['share', 'full', 'idle', 'pipelined', 'stalled', 'refused'],
} as const;

type ShedCauses = typeof SHED_CAUSES;
export type ShedSeen = { [W in keyof ShedCauses]: `${W}.${ShedCauses[W][number]}` }[keyof ShedCauses];

/** Of what there is more or less at any moment. */
export type LevelSeen = 'connections' | 'requests_under_way' | 'requests_waiting' | 'body_bytes';

const LEVELS: Readonly<Record<LevelSeen, string>> = {
  connections: 'Connections of clients.',
  requests_under_way: 'Requests that were let in and are not answered yet.',
  requests_waiting: 'Requests that wait to be let in.',
  body_bytes: 'Memory that request bodies hold.',
};

export interface Exposition {
  readonly contentType: string;
  /** Prometheus text format. */
  readonly text: string;
}

/** The metrics of one process. It satisfies the ports of the use cases and of the faces. */
export interface Telemetry {
  challenged(): void;
  /** From request to answer, ms. */
  released(milliseconds: number): void;
  denied(reason: ReasonCode): void;
  /** A durable commit of the store: how many records it carried, and how long it took in ms. */
  committed(records: number, milliseconds: number): void;
  /** The clock of a TPM was found to have gone back. */
  regressed(): void;
  /** An AK was seen that the inventory has no room for now. */
  sightingDropped(): void;
  requested(request: RequestSeen): void;
  /** The checkpoint file could not be written. */
  checkpointFileFailed(): void;
  /** A CRL, or the directory of CRLs, has become unusable. */
  revocationListFailed(): void;
  /** Something was refused or closed to keep the rest going. */
  shed(what: ShedSeen): void;
  /** A request waited so long, in ms, before it was let in. */
  waited(milliseconds: number): void;
  /** Hands in what is asked at each exposition. */
  level(of: LevelSeen, read: () => number): void;
  exposition(): Promise<Exposition>;
  /** The values as data, for `mergeSnapshots` in the process that speaks for all. */
  snapshot(): Promise<readonly MetricObject[]>;
}

const FAST_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** A fresh registry with every reason at zero, so that a rate exists before the first denial. `processMetrics` adds those of the Node process. */
export function createTelemetry({ processMetrics = true }: { readonly processMetrics?: boolean } = {}): Telemetry {
  const registry = new Registry();
  const registers = [registry];
  if (processMetrics) collectDefaultMetrics({ register: registry, prefix: 'portcullis_' });
  const challenges = new Counter({ name: 'portcullis_challenges_total', help: 'Nonces issued.', registers });
  const releases = new Counter({ name: 'portcullis_releases_total', help: 'Keys released.', registers });
  const denials = new Counter({
    name: 'portcullis_denials_total',
    help: 'Releases denied, by reason.',
    labelNames: ['reason'],
    registers,
  });
  const problems = new Counter({
    name: 'portcullis_http_problems_total',
    help: 'Problem answers, by reason.',
    labelNames: ['reason'],
    registers,
  });
  const seconds = (name: string, help: string) => new Histogram({ name, help, buckets: FAST_SECONDS, registers });
  const releaseSeconds = seconds('portcullis_release_duration_seconds', 'From release request to answer.');
  const commitSeconds = seconds('portcullis_commit_duration_seconds', 'Durable commits of the store.');
  const commitRecords = new Histogram({
    name: 'portcullis_commit_records',
    help: 'Records that shared one durable commit.',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  });
  const fileFailures = new Counter({
    name: 'portcullis_checkpoint_file_failures_total',
    help: 'Writes of the checkpoint file that failed.',
    registers,
  });
  const crlFailures = new Counter({
    name: 'portcullis_revocation_list_failures_total',
    help: 'CRLs that were found to be unusable.',
    registers,
  });
  const regressions = new Counter({
    name: 'portcullis_attester_regressions_total',
    help: 'TPMs whose clock or resetCount was found to have gone back.',
    registers,
  });
  const sightingsDropped = new Counter({
    name: 'portcullis_attester_sightings_dropped_total',
    help: 'Sightings of AKs that the inventory had no room for.',
    registers,
  });
  const requestSeconds = new Histogram({
    name: 'portcullis_http_request_duration_seconds',
    help: 'HTTP requests, by route template, method and status.',
    labelNames: ['route', 'method', 'status'],
    buckets: FAST_SECONDS,
    registers,
  });
  const shed = new Counter({
    name: 'portcullis_shed_total',
    help: 'Requests, request bodies and connections refused or closed under load, by cause.',
    labelNames: ['what', 'cause'],
    registers,
  });
  const waitSeconds = seconds(
    'portcullis_admission_wait_seconds',
    'How long requests waited that were not let in at once.',
  );
  const levels = new Map<LevelSeen, () => number>();
  for (const [level, help] of Object.entries(LEVELS)) {
    new Gauge({
      name: `portcullis_${level}`,
      help,
      registers,
      collect() {
        this.set(levels.get(level as LevelSeen)?.() ?? 0);
      },
    });
  }
  for (const reason of Object.keys(REASONS)) denials.inc({ reason }, 0);
  for (const [what, causes] of Object.entries(SHED_CAUSES)) {
    for (const cause of causes) shed.inc({ what, cause }, 0);
  }

  return {
    challenged: () => challenges.inc(),
    released: (milliseconds) => {
      releases.inc();
      releaseSeconds.observe(milliseconds / 1000);
    },
    denied: (reason) => denials.inc({ reason: label(reason) }),
    committed: (records, milliseconds) => {
      commitRecords.observe(records);
      commitSeconds.observe(milliseconds / 1000);
    },
    regressed: () => regressions.inc(),
    sightingDropped: () => sightingsDropped.inc(),
    requested: ({ route, method, status, reason, seconds: taken }) => {
      requestSeconds.observe({ route, method, status: String(status) }, taken);
      if (reason !== undefined) problems.inc({ reason: label(reason) });
    },
    checkpointFileFailed: () => fileFailures.inc(),
    revocationListFailed: () => crlFailures.inc(),
    shed: (given) => {
      const [what = '', cause = ''] = given.split('.');
      if (Object.hasOwn(SHED_CAUSES, what)) shed.inc({ what, cause });
    },
    waited: (milliseconds) => waitSeconds.observe(milliseconds / 1000),
    level: (of, read) => void levels.set(of, read),
    exposition: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    snapshot: () => registry.getMetricsAsJSON(),
  };
}

/** One exposition for several processes: counters and histograms are added up. */
export async function mergeSnapshots(snapshots: readonly (readonly MetricObject[])[]): Promise<Exposition> {
  const merged = AggregatorRegistry.aggregate(snapshots.map((snapshot) => [...snapshot]));
  return { contentType: merged.contentType, text: await merged.metrics() };
}

/** The type says so already; a label that came from elsewhere would be unbounded. */
function label(reason: string): ReasonCode {
  return isReasonCode(reason) ? reason : 'internal';
}
