import { MalformedError } from '../bytes/malformed-error.js';
import { parseEntry } from './entry.js';

/** What an entry of type `release` says at least; hashes are lower-case hex. Nothing of it is verified. */
export interface ReleaseEntry {
  readonly type: 'release';
  /** RFC 3339, UTC, by the broker's clock. */
  readonly time: string;
  readonly profile: 'development' | 'production';
  readonly broker: string;
  /** The name, or its pseudonym where `names` is `salted`; so also `key`. */
  readonly deployment: string;
  readonly key: string;
  readonly version: string;
  readonly policy_sha256: string;
  /** RFC 7638 SHA-256 thumbprint of the recipient key, base64url. */
  readonly recipient: string;
  readonly ak_name: string;
  readonly boot: 'pinned' | 'unmeasured';
  readonly state_generation: string;
  readonly names?: 'salted';
  readonly release_id?: string;
  readonly jwe_sha256?: string;
  readonly nonce_sha256?: string;
  readonly evidence_sha256?: string;
}

const NAME = /^[^\p{Cc}]{1,256}$/u;
const SHA256 = /^[0-9a-f]{64}$/;

const NEEDED: Readonly<Record<string, RegExp>> = {
  type: /^release$/,
  time: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/,
  profile: /^(?:development|production)$/,
  broker: NAME,
  deployment: NAME,
  key: NAME,
  version: /^[0-9a-f]{32}$/,
  policy_sha256: SHA256,
  recipient: /^[0-9A-Za-z_-]{43}$/,
  ak_name: /^(?:(?:[0-9a-f]{2}){1,66}|unknown|none)$/,
  boot: /^(?:pinned|unmeasured)$/,
  state_generation: /^(?:0|[1-9]\d{0,19})$/,
};
const OPTIONAL: Readonly<Record<string, RegExp>> = {
  names: /^salted$/,
  release_id: NAME,
  jwe_sha256: SHA256,
  nonce_sha256: SHA256,
  evidence_sha256: SHA256,
};

/**
 * Reads a release entry in canonical form. Further members are allowed: a later broker may record more. Throws
 * MalformedError for another type, a member that is missing or of another form, and a profile or boot chain that is unknown.
 */
export function parseReleaseEntry(text: string): ReleaseEntry {
  const entry = parseEntry(text);
  if (entry['type'] !== 'release') throw new MalformedError('the entry is not one of a release');
  for (const [member, form] of Object.entries({ ...NEEDED, ...OPTIONAL })) {
    const value = Object.hasOwn(entry, member) ? entry[member] : undefined;
    if (value === undefined && Object.hasOwn(OPTIONAL, member)) continue;
    if (typeof value !== 'string' || !form.test(value)) {
      throw new MalformedError(`the release entry has no usable member ${member}`);
    }
  }
  return entry as unknown as ReleaseEntry;
}
