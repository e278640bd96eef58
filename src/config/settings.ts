import type { Profile } from '../release/records.js';
import { type Address, address, duration, integer, line, oneOf, type Parse, size } from './values.js';
import { type AuthorityEntry, authorityList } from './authority-list.js';
import { type StoreUrl, storeUrl } from './store-url.js';
import { type WitnessEntry, witnessList } from './witness-list.js';

/** One setting: its path in the file, and what it means. Its variable is PORTCULLIS_ and the path in upper case. */
export interface Setting<T> {
  readonly parse: Parse<T>;
  /** As it would stand in the file; undefined: unset. */
  readonly fallback?: string;
  /** A file name: relative ones in the configuration file are relative to that file. */
  readonly file?: true;
  /** true or false in the file. */
  readonly truth?: true;
  /** A list in the file; as text, in the environment, its JSON. */
  readonly list?: true;
  /** Members of a list that name files, relative to the configuration file where they are no URLs. */
  readonly fileMembers?: readonly string[];
  readonly description: string;
}

function setting<T>(parse: Parse<T>, description: string, fallback?: string): Setting<T> {
  return { parse, description, ...(fallback === undefined ? {} : { fallback }) };
}

function file(description: string): Setting<string> {
  return { parse: line, description, file: true };
}

/** false unless said. */
function truth(description: string): Setting<'true' | 'false'> {
  return { parse: oneOf('true', 'false'), description, truth: true, fallback: 'false' };
}

function list<T>(parse: Parse<T>, description: string, ...fileMembers: readonly string[]): Setting<T> {
  return { parse, description, list: true, fallback: '[]', fileMembers };
}

/** Every setting there is, by its path in the file (contract, section 5). */
export const SETTINGS = {
  profile: setting<Profile>(oneOf('development', 'production'), 'must be the profile that init fixed; unset: that one'),
  data_dir: file('the data directory that init made'),
  listen: setting<Address>(address, 'where to listen', '127.0.0.1:8440'),
  'tls.cert': file('certificate chain, PEM, the leaf first'),
  'tls.key': file('private key of the certificate, PEM'),
  'tls.client_ca': file('every client must show a certificate under this authority, PEM'),
  'challenge.client_ca': file(
    'who asks for a challenge, or enrols an AK, must show a certificate under this authority, PEM',
  ),
  'store.url': setting<StoreUrl>(
    storeUrl,
    'the PostgreSQL database that replicas share, postgres://USER@HOST/DATABASE; unset: SQLite in data_dir',
  ),
  'limits.body': setting(size('1KiB', '16MiB'), 'largest request body', '1MiB'),
  'limits.challenge_ttl': setting(duration('1s', '1h'), 'how long a nonce, or an enrolment, is valid', '120s'),
  'limits.releases_per_second': setting(
    integer(0, 1_000_000),
    'release requests per second, over all workers of one serve; 0: unlimited',
    '0',
  ),
  'limits.enrolments_per_second': setting(
    integer(0, 1_000_000),
    'enrolments of AKs, and as many activations, per second, over all workers of one serve; 0: unlimited',
    '10',
  ),
  'endorsement.crls': file(
    'a directory with CRLs of TPM makers and clouds, *.crl and *.pem; unset: none are looked at',
  ),
  'endorsement.require_crls': truth('true: certificates that no CRL speaks of are refused'),
  'collateral.dir': file(
    'a directory with what makers of hardware publish: TCB info, QE identity, CRLs, RIMs; unset: collateral in data_dir, if it is there',
  ),
  authorities: list<readonly AuthorityEntry[]>(
    authorityList,
    'issuers of attestation tokens whose claims are believed, each with issuer, and ca, jwks or algorithms where needed',
    'ca',
    'jwks',
  ),
  'log.names': setting(
    oneOf('plain', 'salted'),
    'salted: names of deployments and keys stand in the public log as salted hashes',
    'plain',
  ),
  'log.checkpoint_file': file(
    'keeps the newest checkpoint outside the database, best on another volume; unset: log.checkpoint in data_dir',
  ),
  'log.witnesses': list<readonly WitnessEntry[]>(witnessList, 'witnesses that cosign the log, each with url and key'),
  'log.quorum': setting(integer(0, 15), 'how many witnesses must have cosigned the record of a release; 0: none', '0'),
  'archive.evidence': setting(
    oneOf('off', 'on'),
    'on: what a released key was given for is kept, encrypted, so that it can be appraised again',
    'off',
  ),
  explain: setting(oneOf('full', 'codes'), 'codes: denials hide expected values from workloads', 'full'),
} as const;

export type SettingPath = keyof typeof SETTINGS;

/** Names of the contract that this version does not have: they are refused, not ignored. */
export const UNSUPPORTED: Readonly<Record<string, string>> = {
  azure: 'this version has no Azure face; remove it',
};

/** Variables of the command that are not settings of the broker. */
export const COMMAND_VARIABLES: ReadonlySet<string> = new Set(
  ['URL', 'TOKEN', 'TOKEN_FILE', 'CA', 'CLIENT_CERT', 'CLIENT_KEY', 'CONFIG', 'WORKERS', 'DEBUG'].map(
    (name) => `PORTCULLIS_${name}`,
  ),
);

/** The environment variable of a setting: `limits.body` is PORTCULLIS_LIMITS_BODY. */
export function variableOf(path: string): string {
  return `PORTCULLIS_${path.replaceAll('.', '_').toUpperCase()}`;
}

export function isSettingPath(path: string): path is SettingPath {
  return Object.hasOwn(SETTINGS, path);
}

/** Whether a setting names a file. */
export function isFileName(path: SettingPath): boolean {
  return 'file' in SETTINGS[path];
}

/** Whether a setting is a list in the file. */
export function isList(path: SettingPath): boolean {
  return 'list' in SETTINGS[path];
}

/** The members of a list that name files. */
export function fileMembersOf(path: SettingPath): readonly string[] {
  const setting: Setting<unknown> = SETTINGS[path];
  return setting.fileMembers ?? [];
}

/** Whether a setting is true or false in the file. */
export function isTruth(path: SettingPath): boolean {
  return 'truth' in SETTINGS[path];
}
