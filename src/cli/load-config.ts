import type { Config, LoadedConfig } from '../config/config.js';
import type { CliContext } from './context.js';
import { UsageError } from './outcome.js';
import { pathOf, readSmallInput } from './read-input.js';

const MAX_CONFIG_BYTES = 1024 * 1024;

export type Loaded = Extract<LoadedConfig, { readonly ok: true }>;

/** What the command line says of the configuration, by the names of its options. */
export interface ConfigOptions {
  readonly dataDir?: string;
  readonly listen?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly config?: string;
  readonly profile?: Config['profile'];
}

/** The configuration of the broker as `serve` would run with it. Throws UsageError. */
export async function loadBrokerConfig(context: CliContext, options: ConfigOptions): Promise<Loaded> {
  const { io } = context;
  const { loadConfig } = await import('../config/config.js');
  const absolute = (name: string | undefined) => (name === undefined ? undefined : pathOf(io, name));
  const path = absolute(
    options.config ?? (io.env['PORTCULLIS_CONFIG'] === '' ? undefined : io.env['PORTCULLIS_CONFIG']),
  );
  const text = path === undefined ? undefined : (await readSmallInput(io, path, MAX_CONFIG_BYTES)).toString('utf8');
  const loaded = loadConfig({
    ...(path === undefined || text === undefined ? {} : { file: { path, text } }),
    env: io.env,
    flags: {
      profile: options.profile,
      data_dir: absolute(options.dataDir),
      listen: options.listen,
      'tls.cert': absolute(options.tlsCert),
      'tls.key': absolute(options.tlsKey),
    },
  });
  if (!loaded.ok) throw new UsageError(loaded.errors.join('; '));
  return loaded;
}
