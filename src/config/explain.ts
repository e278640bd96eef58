import type { Config, Origin } from './config.js';
import { shownUrl } from './store-url.js';
import { SETTINGS, type SettingPath } from './settings.js';
import { isLoopback } from './values.js';

/** What `serve --check-config` prints: one line per setting with its value and where it comes from, then what follows from them. */
export function explainConfig(config: Config, origins: Readonly<Record<SettingPath, Origin>>): readonly string[] {
  const values = valuesOf(config);
  const lines = (Object.keys(SETTINGS) as SettingPath[]).map((path) => {
    const value = values[path];
    return value === undefined
      ? `${path}: not set (${SETTINGS[path].description})`
      : `${path}: ${value} (${origins[path]})`;
  });
  return [...lines, ...consequences(config)];
}

function valuesOf(config: Config): Readonly<Record<SettingPath, string | undefined>> {
  const { listen, tls, limits } = config;
  const host = listen.host.includes(':') ? `[${listen.host}]` : listen.host;
  return {
    profile: config.profile,
    data_dir: config.dataDir,
    listen: `${host}:${String(listen.port)}`,
    'tls.cert': tls?.cert,
    'tls.key': tls?.key,
    'tls.client_ca': tls?.clientCa,
    'challenge.client_ca': config.challengeClientCa,
    'store.url': config.store === undefined ? undefined : shownUrl(config.store),
    'limits.body': `${String(limits.bodyBytes)} bytes`,
    'limits.challenge_ttl': `${String(limits.challengeTtlMs / 1000)}s`,
    'limits.releases_per_second': limits.releasesPerSecond === 0 ? '0, unlimited' : String(limits.releasesPerSecond),
    'limits.enrolments_per_second':
      limits.enrolmentsPerSecond === 0 ? '0, unlimited' : String(limits.enrolmentsPerSecond),
    'endorsement.crls': config.endorsement.crls,
    'endorsement.require_crls': String(config.endorsement.requireCrls),
    'collateral.dir': config.collateral.dir,
    authorities: config.authorities.length === 0 ? 'none' : config.authorities.map(({ issuer }) => issuer).join(', '),
    'log.names': config.log.names,
    'log.checkpoint_file': config.log.checkpointFile,
    'log.witnesses': witnessesOf(config),
    'log.quorum': String(config.log.quorum),
    'archive.evidence': config.archiveEvidence ? 'on' : 'off',
    explain: config.explain,
  };
}

function witnessesOf({ log }: Config): string {
  return log.witnesses.length === 0 ? 'none' : log.witnesses.map(({ name, url }) => `${name} at ${url}`).join(', ');
}

function consequences({ profile, listen, tls, challengeClientCa, endorsement, log }: Config): string[] {
  const reach = isLoopback(listen.host) ? 'this machine only' : 'other machines';
  return [
    `serves ${tls === undefined ? 'HTTP without TLS' : 'HTTPS, TLS 1.2 or later'}; reachable from ${reach}`,
    ...(tls?.clientCa === undefined ? [] : ['every client needs a certificate (tls.client_ca)']),
    ...(challengeClientCa === undefined
      ? []
      : ['asking for a challenge, and enrolling an AK, needs a client certificate (challenge.client_ca)']),
    ...(endorsement.crls === undefined
      ? ['certificates of EKs and AKs are not looked up in CRLs, since there are none (endorsement.crls)']
      : [
          `certificates of EKs and AKs are looked up in the CRLs of ${endorsement.crls}; one that no CRL speaks of is ${endorsement.requireCrls ? 'refused' : 'accepted'}`,
        ]),
    ...(log.witnesses.length === 0
      ? []
      : [
          log.quorum === 0
            ? 'no release waits for witnesses; what they cosign is published with the log'
            : `a release is answered when ${String(log.quorum)} of ${String(log.witnesses.length)} witnesses have cosigned its record, or not at all`,
        ]),
    ...(profile === undefined ? ['the profile is the one that init fixed in data_dir'] : []),
  ];
}
