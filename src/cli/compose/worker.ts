import cluster from 'node:cluster';
import type { Config } from '../../config/config.js';
import type { Exposition, Telemetry } from '../../telemetry/metrics.js';
import { serveInThisProcess } from './serve-process.js';
import type { ToSupervisor, ToWorker } from './worker-messages.js';

/** Serves as one of `workers`. Ends with the supervising process, however that ended. */
export async function serveAsWorker(config: Config, workers: number): Promise<number> {
  const waiting: ((exposition: Exposition) => void)[] = [];
  let telemetry: Telemetry | undefined;
  const untilStopped = new Promise<void>((resolve) => {
    process.on('message', (message: ToWorker) => {
      if ('stop' in message) resolve();
      else if ('exposition' in message) {
        for (const give of waiting.splice(0)) give(message.exposition);
      } else {
        const { snapshot } = message;
        void telemetry?.snapshot().then((values) => tell({ snapshot, values }));
      }
    });
    process.once('SIGTERM', () => resolve());
  });
  // A terminal sends its interrupt to every process; the supervising one tells when to stop.
  process.on('SIGINT', () => undefined);
  process.once('disconnect', () => process.exit(1));
  try {
    const code = await serveInThisProcess(config, {
      onListening: (url) => tell({ listening: url }),
      onTelemetry: (own) => (telemetry = own),
      // Asked for once, however many wait for the answer.
      exposition: () =>
        new Promise((resolve) => {
          if (waiting.push(resolve) === 1) tell({ exposition: 'wanted' });
        }),
      untilStopped,
      workers,
      // Of the first workers, not of one that replaces another.
      recordsStart: cluster.worker?.id === 1,
      logBase: { worker: cluster.worker?.id ?? 0 },
    });
    process.removeAllListeners('disconnect');
    process.disconnect();
    return code;
  } catch (error) {
    // Not disconnected: that ends a worker at once, before it has said what is wrong and with the wrong exit code.
    process.channel?.unref();
    throw error;
  }
}

function tell(message: ToSupervisor): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}
