import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { Config } from '../../config/config.js';
import { Lifecycle } from '../../http/lifecycle.js';
import { createLogApp, LOG_PREFIX } from '../../http/log/app.js';
import { createNativeApp } from '../../http/native/app.js';
import { type BrokerServer, createServer, type TlsFiles } from '../../http/server.js';
import type { BrokerContext } from '../../release/context.js';
import { recordStart } from '../../release/record-start.js';
import { createLog, type StructuredLog } from '../../telemetry/log.js';
import { createTelemetry, type Exposition, type Telemetry } from '../../telemetry/metrics.js';
import { UsageError } from '../outcome.js';
import { VERSION } from '../version.js';
import { startHousekeeping } from './background.js';
import { refuseExposure, refuseOtherNames } from './exposure.js';
import { LogService } from './log-service.js';
import { openBroker, type OpenBroker, type OpenOptions, ProfileError } from './open-broker.js';

export interface ProcessOptions {
  /** Called once, when every route answers. */
  readonly onListening: (url: string) => void;
  /** Where /metrics comes from, in a process that is one of several. */
  readonly exposition?: (telemetry: Telemetry) => Promise<Exposition>;
  /** Hands out the telemetry, for whoever adds up several processes. */
  readonly onTelemetry?: (telemetry: Telemetry) => void;
  /** Fulfilled when the process is to stop; default: SIGTERM or SIGINT. */
  readonly untilStopped?: Promise<unknown>;
  /** False in a process that is one of several, but for one of them: a start is recorded once. */
  readonly recordsStart?: boolean;
  /** How many processes serve, this one included; default 1. Each has its part of what `limits` allows per second. */
  readonly workers?: number;
  /** Members of every line of the log. */
  readonly logBase?: Readonly<Record<string, unknown>>;
}

/**
 * Serves in this process until it is told to stop, then drains: what is in flight is answered, and the store is closed. A
 * broker whose database was rolled back serves too, and refuses: its operators learn why.
 */
export async function serveInThisProcess(config: Config, options: ProcessOptions): Promise<number> {
  const log = createLog({ base: options.logBase ?? {} });
  const telemetry = createTelemetry();
  options.onTelemetry?.(telemetry);
  const untilStopped = options.untilStopped ?? stopSignal();
  const logService = new LogService(config, log, () => telemetry.checkpointFileFailed());
  const open = await openServable({
    dataDir: config.dataDir,
    store: config.store,
    profile: config.profile,
    challengeTtlMs: config.limits.challengeTtlMs,
    explain: config.explain,
    logNames: config.log.names,
    archiveEvidence: config.archiveEvidence,
    endorsement: config.endorsement,
    collateral: config.collateral,
    authorities: config.authorities,
    onCrlTrouble: (where, why) => {
      telemetry.revocationListFailed();
      log.error(
        { file: where, why },
        'a CRL, a piece of collateral or the keys of an authority cannot be used; what was read before stays',
      );
    },
    observer: telemetry,
    witnesses: logService.witnessesOver,
  });
  try {
    refuseExposure(config, open.profile);
    await refuseOtherNames(config, open.context.store);
    const sound = await logService.hold(open);
    const { exposition } = options;
    const metrics = exposition === undefined ? telemetry : { ...telemetry, exposition: () => exposition(telemetry) };
    const lifecycle = new Lifecycle();
    const native = createNativeApp({
      broker: open.broker,
      version: VERSION,
      bodyBytes: config.limits.bodyBytes,
      releasesPerSecond: config.limits.releasesPerSecond / (options.workers ?? 1),
      enrolmentsPerSecond: config.limits.enrolmentsPerSecond / (options.workers ?? 1),
      challengeNeedsCertificate: config.challengeClientCa !== undefined,
      log,
      metrics,
      load: telemetry,
      lifecycle,
    });
    const { store, logKey } = open.context;
    const published = {
      checkpoint: logService.checkpoint,
      logHead: logService.logHead,
      logHashes: (level: number, start: number, count: number) => store.logHashes(level, start, count),
      logEntries: (start: number, count: number) => store.logEntries(start, count),
    };
    const logFace = createLogApp({ published, logKey, log, metrics, lifecycle });
    const listener: RequestListener = (request, response) => {
      if (request.url?.startsWith(LOG_PREFIX) === true) logFace(request, response);
      else native.listener(request, response);
    };
    const tls = readTls(config);
    const server = createServer(listener, {
      ...config.listen,
      ...(tls === undefined ? {} : { tls }),
      lifecycle,
      log,
      load: telemetry,
    });
    const stopHousekeeping = sound
      ? startHousekeeping(open.context, (job, error) => log.error({ job, err: error }, 'housekeeping failed'))
      : () => Promise.resolve();
    const url = await startListening(server, config);
    if (sound) {
      if (options.recordsStart !== false) await recorded(open.context, log);
      logService.start();
    }
    log.info({ url, broker: open.context.broker, profile: open.profile, version: VERSION }, 'listening');
    if (open.profile === 'development')
      log.warn({}, 'development profile: simulated evidence may be trusted; not for real keys');
    options.onListening(url);
    await untilStopped;
    log.info({}, 'draining');
    await server.stop();
    await stopHousekeeping();
    return 0;
  } finally {
    await logService.stop();
    await open.close();
    log.flush();
  }
}

/** As openBroker; another profile than the directory's is for the command line to change. */
async function openServable(options: OpenOptions): Promise<OpenBroker> {
  try {
    return await openBroker(options);
  } catch (error) {
    throw error instanceof ProfileError ? new UsageError(error.message) : error;
  }
}

/** A broker that cannot record its start cannot record a release either, and says so at /readyz. */
async function recorded(context: BrokerContext, log: StructuredLog): Promise<void> {
  try {
    await recordStart(context);
  } catch (error) {
    log.error({ err: error }, 'the start could not be recorded');
  }
}

/** The PEM files that the configuration names, read. Throws UsageError for one that cannot be read. */
export function readTls({ tls, challengeClientCa }: Config): TlsFiles | undefined {
  if (tls === undefined) return undefined;
  const clientCa = tls.clientCa === undefined ? {} : { clientCa: readPem(tls.clientCa) };
  const challenge = challengeClientCa === undefined ? {} : { challengeClientCa: readPem(challengeClientCa) };
  const pair = { cert: readPem(tls.cert), key: readPem(tls.key) };
  if (!fitTogether(pair)) {
    throw new UsageError(
      `${tls.key} is not the private key of the certificate in ${tls.cert}, or one of them is no PEM file`,
    );
  }
  return { ...pair, ...clientCa, ...challenge };
}

function fitTogether({ cert, key }: { readonly cert: string; readonly key: string }): boolean {
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

/** The address cannot be listened on; the message says why. */
class ListenError extends Error {
  override readonly name = 'ListenError';
}

async function startListening(server: BrokerServer, { listen }: Config): Promise<string> {
  try {
    return await server.start();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    const why = code === 'EADDRINUSE' ? 'another process listens there' : code;
    throw new ListenError(`cannot listen on ${listen.host}:${String(listen.port)}: ${why}; choose another --listen`, {
      cause: error,
    });
  }
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(`${path} cannot be read (${code ?? 'unknown'}); name a PEM file that the broker may read`);
  }
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
