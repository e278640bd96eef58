import type { openBroker, OpenBroker } from '../../src/cli/compose/open-broker.js';

const ignore = (): void => undefined;

/**
 * Runs `work` on a broker that is opened in this process on a data directory, with the settings that `serve` has unless told
 * otherwise and nobody who observes it, and closes it. `open` is openBroker: of the sources, or of the built program.
 */
export async function withBroker<T>(
  open: typeof openBroker,
  dataDir: string,
  work: (open: OpenBroker) => Promise<T>,
): Promise<T> {
  const opened = await open({
    dataDir,
    profile: undefined,
    challengeTtlMs: 120_000,
    explain: 'full',
    logNames: 'plain',
    archiveEvidence: false,
    observer: {
      challenged: ignore,
      released: ignore,
      denied: ignore,
      committed: ignore,
      regressed: ignore,
      sightingDropped: ignore,
    },
  });
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}
