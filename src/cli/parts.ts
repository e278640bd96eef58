import type { Initialise, Serve } from './compose/ports.js';

/** The heavy parts of the program, loaded when a command needs them: `--help` and `quote verify` load neither store nor server. */
export interface CliParts {
  readonly initialise: Initialise;
  readonly serve: Serve;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

export const REAL_PARTS: CliParts = {
  initialise: async (options) => (await import('./compose/init.js')).initialise(options),
  serve: async (options) => (await import('./compose/serve.js')).serve(options),
  now: () => Date.now(),
};
