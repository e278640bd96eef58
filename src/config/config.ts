/**
 * Configuration: texts in, settings out. It may assume nothing of what people write; it reads no file and no environment
 * of its own, the root hands them in.
 */
import { normalize } from 'node:path';
import type { Profile } from '../release/records.js';
import { type Given, readEnvironment, readFileSource, readFlags } from './sources.js';
import { SETTINGS, type SettingPath } from './settings.js';
import { type Address, isLoopback } from './values.js';
import type { AuthorityEntry } from './authority-list.js';
import { insecureStore, type StoreUrl } from './store-url.js';
import { insecureWitness, type WitnessEntry } from './witness-list.js';

/** What the broker runs with. File names are as given, those of the configuration file relative to it. */
export interface Config {
  /** undefined: the one that init fixed. */
  readonly profile: Profile | undefined;
  readonly dataDir: string;
  readonly listen: Address;
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa?: string } | undefined;
  readonly challengeClientCa: string | undefined;
  /** undefined: SQLite in the data directory. */
  readonly store: StoreUrl | undefined;
  readonly limits: {
    readonly bodyBytes: number;
    readonly challengeTtlMs: number;
    /** Over all workers; 0: unlimited. */
    readonly releasesPerSecond: number;
    /** Enrolments, and as many activations, over all workers; 0: unlimited. */
    readonly enrolmentsPerSecond: number;
  };
  readonly endorsement: {
    /** A directory of CRLs; undefined: none are looked at. */
    readonly crls: string | undefined;
    /** Whether a certificate of which no CRL speaks is refused. */
    readonly requireCrls: boolean;
  };
  /** What makers of hardware publish; undefined: in the data directory, where there is such a folder. */
  readonly collateral: { readonly dir: string | undefined };
  /** Issuers of attestation tokens whose claims are believed. */
  readonly authorities: readonly AuthorityEntry[];
  readonly explain: 'full' | 'codes';
  readonly log: {
    readonly names: 'plain' | 'salted';
    /** undefined: in the data directory. */
    readonly checkpointFile: string | undefined;
    readonly witnesses: readonly WitnessEntry[];
    /** How many of them must have cosigned the record of a release before it is answered. */
    readonly quorum: number;
  };
  /** Whether presented evidence is archived. */
  readonly archiveEvidence: boolean;
}

export type Origin = 'flag' | 'environment' | 'file' | 'default';

export interface ConfigInput {
  readonly file?: { readonly path: string; readonly text: string };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By the path of the setting, such as `tls.cert`. */
  readonly flags: Readonly<Partial<Record<SettingPath, string | undefined>>>;
}

export type LoadedConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      readonly origins: Readonly<Record<SettingPath, Origin>>;
      readonly warnings: readonly string[];
    }
  | { readonly ok: false; readonly errors: readonly string[] };

/**
 * Merges the sources: flags win over environment, environment over file, file over defaults. Every error found is
 * reported, each a sentence that names the place; values are never repeated. Rules that depend on the profile are checked
 * where the profile is given; where it is not, the root calls `exposureFault` with the one of the data directory.
 */
export function loadConfig({ file, env, flags }: ConfigInput): LoadedConfig {
  const nothing = { values: new Map<SettingPath, Given>(), errors: [], warnings: [] };
  const sources = [
    { origin: 'flag', source: readFlags(flags) },
    { origin: 'environment', source: readEnvironment(env) },
    { origin: 'file', source: file === undefined ? nothing : readFileSource(file) },
  ] as const;
  const errors = sources.flatMap(({ source }) => source.errors);
  const origins = {} as Record<SettingPath, Origin>;

  const read = <P extends SettingPath>(path: P): ValueOf<P> | undefined => {
    const found = sources.find(({ source }) => source.values.has(path));
    const { parse, fallback } = SETTINGS[path];
    origins[path] = found?.origin ?? 'default';
    const given = found?.source.values.get(path);
    const text = given?.text ?? fallback;
    if (text === undefined) return undefined;
    const parsed = parse(text);
    if (parsed.ok) return parsed.value;
    errors.push(`${given?.place ?? path}: ${parsed.detail}`);
    return undefined;
  };
  const config = assemble(read, errors);
  if (config === undefined || errors.length > 0) return { ok: false, errors };
  return { ok: true, config, origins, warnings: sources.flatMap(({ source }) => source.warnings) };
}

type ValueOf<P extends SettingPath> = Extract<
  ReturnType<(typeof SETTINGS)[P]['parse']>,
  { readonly ok: true }
>['value'];
type Read = <P extends SettingPath>(path: P) => ValueOf<P> | undefined;

/** Builds the configuration and adds what does not fit together to the errors; undefined where a value is missing. */
function assemble(read: Read, errors: string[]): Config | undefined {
  const profile = read('profile');
  const dataDir = read('data_dir');
  const listen = read('listen');
  const [cert, key, clientCa] = [read('tls.cert'), read('tls.key'), read('tls.client_ca')];
  const challengeClientCa = read('challenge.client_ca');
  const store = read('store.url');
  const [bodyBytes, challengeTtlMs] = [read('limits.body'), read('limits.challenge_ttl')];
  const releasesPerSecond = read('limits.releases_per_second');
  const enrolmentsPerSecond = read('limits.enrolments_per_second');
  const [crls, requireCrls] = [read('endorsement.crls'), read('endorsement.require_crls')];
  const explain = read('explain');
  const authorities = read('authorities');
  const [witnesses, quorum] = [read('log.witnesses'), read('log.quorum')];
  const [names, checkpointFile, archive] = [read('log.names'), read('log.checkpoint_file'), read('archive.evidence')];

  if (dataDir === undefined) errors.push('data_dir: is missing; give --data-dir D');
  if (cert === undefined && key !== undefined)
    errors.push('tls.cert: is missing, since tls.key is set; give --tls-cert F');
  if (cert !== undefined && key === undefined)
    errors.push('tls.key: is missing, since tls.cert is set; give --tls-key F');
  if (cert === undefined && clientCa !== undefined)
    errors.push('tls.client_ca: works with TLS only; set tls.cert and tls.key');
  if (cert === undefined && challengeClientCa !== undefined) {
    errors.push('challenge.client_ca: works with TLS only; set tls.cert and tls.key');
  }
  if (
    clientCa !== undefined &&
    challengeClientCa !== undefined &&
    normalize(clientCa) !== normalize(challengeClientCa)
  ) {
    errors.push(
      'challenge.client_ca: is another file than tls.client_ca, which every client must satisfy already; set one of them',
    );
  }
  if (witnesses !== undefined && quorum !== undefined && quorum > witnesses.length) {
    errors.push(
      `log.quorum: is larger than the number of witnesses, ${String(witnesses.length)}, so that nothing could be released; add to log.witnesses`,
    );
  }
  if (requireCrls === 'true' && crls === undefined) {
    errors.push('endorsement.require_crls: refuses every certificate, since there are no CRLs; set endorsement.crls');
  }
  if (dataDir === undefined || listen === undefined || bodyBytes === undefined) return undefined;
  if (challengeTtlMs === undefined || releasesPerSecond === undefined || explain === undefined) return undefined;
  if (enrolmentsPerSecond === undefined || requireCrls === undefined) return undefined;
  if (authorities === undefined) return undefined;
  if (names === undefined || archive === undefined || witnesses === undefined || quorum === undefined) return undefined;
  const tls =
    cert === undefined || key === undefined
      ? undefined
      : { cert, key, ...(clientCa === undefined ? {} : { clientCa }) };
  const limits = { bodyBytes, challengeTtlMs, releasesPerSecond, enrolmentsPerSecond };
  const config: Config = {
    profile,
    dataDir,
    listen,
    tls,
    challengeClientCa,
    store,
    limits,
    endorsement: { crls, requireCrls: requireCrls === 'true' },
    collateral: { dir: read('collateral.dir') },
    authorities,
    explain,
    log: { names, checkpointFile, witnesses, quorum },
    archiveEvidence: archive === 'on',
  };
  const exposed = profile === undefined ? undefined : exposureFault(config, profile);
  if (exposed !== undefined) errors.push(exposed);
  return config;
}

/**
 * Why a configuration must not be served under a profile: production without TLS listens on loopback only, and asks
 * witnesses and a database on other machines over TLS only. What to do, or undefined.
 */
export function exposureFault({ listen, tls, log, store }: Config, profile: Profile): string | undefined {
  if (profile === 'development') return undefined;
  if (tls !== undefined || isLoopback(listen.host)) return insecureStore(store) ?? insecureWitness(log.witnesses);
  return 'listen: without TLS the production profile listens on loopback only; set tls.cert and tls.key, or listen on 127.0.0.1, [::1] or localhost (behind a proxy that ends TLS)';
}
