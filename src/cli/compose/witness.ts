import { randomBytes } from 'node:crypto';
import { Lifecycle } from '../../http/lifecycle.js';
import { type BrokerServer, createServer, type TlsFiles } from '../../http/server.js';
import { createWitnessApp } from '../../http/witness/app.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { WitnessStateError } from '../../store/witness/durable-file.js';
import { createWitnessDirectory, readIdentity } from '../../store/witness/identity.js';
import { type LogState, WitnessState } from '../../store/witness/witness-state.js';
import { createLog } from '../../telemetry/log.js';
import { Cosigner } from '../../translog/cosignature.js';
import { parseVerifierKey, type VerifierKey } from '../../translog/note.js';
import { errorCode } from '../error-code.js';
import { UsageError } from '../outcome.js';

const SEED_BYTES = 32;
/** Each may hold a request of 64 KiB in memory. */
const MAX_CONNECTIONS = 1024;

/** A witness as `show` sees it. */
export interface WitnessView {
  readonly name: string;
  /** The vkey string, type 04: what brokers and verifiers are configured with. */
  readonly key: string;
  /** By origin hash. */
  readonly logs: ReadonlyMap<string, LogState>;
}

export interface WitnessServeOptions {
  readonly dataDir: string;
  /** The keys of the logs that are cosigned. */
  readonly logs: readonly VerifierKey[];
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls?: TlsFiles;
  readonly clock: () => number;
  /** Called once, when it answers. */
  readonly onListening: (url: string) => void;
  /** Fulfilled when it is to stop; default: SIGTERM or SIGINT. */
  readonly untilStopped?: Promise<unknown>;
}

/** Makes the directory of a new witness and its key; resource.exists where the directory holds anything, which is then untouched. */
export async function initialiseWitness(dataDir: string, name: string): Promise<Result<string>> {
  const seed = randomBytes(SEED_BYTES);
  try {
    await createWitnessDirectory(dataDir, { name, seed });
    return accept(new Cosigner(name, seed).verifierKey);
  } catch (error) {
    if (error instanceof WitnessStateError) return reject('resource.exists', error.message);
    throw error;
  } finally {
    seed.fill(0);
  }
}

/** Who the witness is, and what it has cosigned; also while it runs. */
export async function showWitness(dataDir: string): Promise<Result<WitnessView>> {
  try {
    const { name, verifierKey } = await openCosigner(dataDir);
    const logs = await WitnessState.inspect(dataDir, parseVerifierKey(verifierKey));
    return accept({ name, key: verifierKey, logs });
  } catch (error) {
    if (error instanceof WitnessStateError) return reject('resource.state', error.message);
    throw error;
  }
}

/** Runs a witness until it is told to stop. resource.state where its directory, its lock or its address cannot be had. */
export async function serveWitness(options: WitnessServeOptions): Promise<Result<void>> {
  const untilStopped = options.untilStopped ?? stopSignal();
  const log = createLog();
  try {
    const cosigner = await openCosigner(options.dataDir);
    const memory = await WitnessState.open(options.dataDir, parseVerifierKey(cosigner.verifierKey));
    try {
      for (const damage of memory.damaged()) log.error({ detail: damage }, 'state of a log is damaged');
      const lifecycle = new Lifecycle();
      const logs = new Map(options.logs.map((key) => [key.name, key]));
      const app = createWitnessApp({ cosigner, logs, memory, clock: options.clock, lifecycle, log });
      const { listen, tls } = options;
      const limits = { maxConnections: MAX_CONNECTIONS };
      let server: BrokerServer;
      try {
        server = createServer(app, { ...listen, ...(tls === undefined ? {} : { tls }), limits, lifecycle, log });
      } catch {
        throw new UsageError('--tls-key is not the private key of --tls-cert, or one of them is no PEM file');
      }
      let url: string;
      try {
        url = await server.start();
      } catch (error) {
        const why = errorCode(error) === 'EADDRINUSE' ? 'another process listens there' : errorCode(error);
        return reject(
          'resource.state',
          `cannot listen on ${listen.host}:${String(listen.port)}: ${why}; choose another --listen`,
        );
      }
      log.info({ url, witness: cosigner.name, logs: [...logs.keys()] }, 'listening');
      options.onListening(url);
      await untilStopped;
      await server.stop();
      return accept(undefined);
    } finally {
      await memory.close();
    }
  } catch (error) {
    if (error instanceof WitnessStateError) return reject('resource.state', error.message);
    throw error;
  } finally {
    log.flush();
  }
}

async function openCosigner(dataDir: string): Promise<Cosigner> {
  const { name, seed } = await readIdentity(dataDir);
  try {
    return new Cosigner(name, seed);
  } finally {
    seed.fill(0);
  }
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve());
  });
}
