/*
 * src/collateral may assume nothing about what it reads or is sent: whoever uses a piece verifies it first. Keys of authorities are
 * the exception: they are believed because of where they come from, so they come from where the configuration says, and over TLS.
 */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { pemBlocks } from '../crypto/pem.js';
import { MAX_CERTIFICATE_BYTES } from '../crypto/x509.js';
import type { Authority, AuthorityKeys } from '../evidence/authority/authority-keys.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { authorityAgent, AuthorityFetchError, fetchDocument, readDocument } from './authority-fetch.js';
import { type KeySet, parseKeySet } from './authority-key-set.js';
import {
  type AuthoritySettings,
  checkAuthorities,
  type CheckedAuthority,
  httpsUrl,
  withoutSlash,
} from './authority-settings.js';

export interface AuthorityKeysOptions {
  /** Milliseconds of a clock that never goes back. Default: of the process. */
  readonly nowMs?: () => number;
  /** For one fetch, both documents together. Default 5000. */
  readonly timeoutMs?: number;
  /** Told of each fetch that failed, with its cause, which callers are not told. */
  readonly onFailure?: (issuer: string, error: Error) => void;
}

/** The keys of the configured authorities, and what they are fetched over. */
export interface FetchedAuthorityKeys extends AuthorityKeys {
  close(): Promise<void>;
}

const TIMEOUT_MS = 5_000;
/** An unknown key id, or a failed fetch, is no reason to ask again sooner. */
const RETRY_MS = 2_000;
/** From here on keys are fetched again, while those at hand still serve. */
const REFRESH_MS = 10 * 60_000;
/** From here on keys serve no more: the authority may have withdrawn them. */
const MAX_AGE_MS = 60 * 60_000;
const MAX_ROOTS = 64;
const MAX_DISCOVERY_BYTES = 64 * 1024;
const MAX_KEY_SET_BYTES = 1024 * 1024;

/**
 * The keys of authorities, fetched when a token first needs them: by OpenID Connect Discovery, `jwks_uri` of the issuer's own
 * origin alone, or from the configured `jwks`. Nothing that a token says is ever followed. Keys are kept for an hour at most; an
 * unknown key id fetches again, at most every 2 s; concurrent requests share a fetch. Throws MalformedError for bad settings
 * and a CA file without certificates, and the error of the system where that cannot be read.
 */
export function authorityKeys(
  settings: readonly AuthoritySettings[],
  options: AuthorityKeysOptions = {},
): FetchedAuthorityKeys {
  const sources = checkAuthorities(settings).map((checked) => new AuthoritySource(checked, options));
  const byIssuer = new Map(sources.map((source) => [withoutSlash(source.authority.issuer), source]));
  return {
    authorityOf: (issuer) => byIssuer.get(withoutSlash(issuer))?.authority,
    keys: async (authority, kid) => {
      const source = byIssuer.get(withoutSlash(authority.issuer));
      return source === undefined ? accept([]) : source.keys(kid);
    },
    keysAtHand: (authority, kid) => byIssuer.get(withoutSlash(authority.issuer))?.keysAtHand(kid) ?? [],
    close: async () => {
      await Promise.all(sources.map((source) => source.close()));
    },
  };
}

class AuthoritySource {
  readonly authority: Authority;
  readonly #jwks: CheckedAuthority['jwks'];
  readonly #agent: ReturnType<typeof authorityAgent>;
  readonly #nowMs: () => number;
  readonly #timeoutMs: number;
  readonly #onFailure: AuthorityKeysOptions['onFailure'];
  #kept: { readonly keys: KeySet; readonly fetchedMs: number } | undefined;
  #lastFetchMs = -Infinity;
  #lastFailed = false;
  #pending: Promise<void> | undefined;

  constructor(checked: CheckedAuthority, options: AuthorityKeysOptions) {
    const { issuer, algorithms, ca, jwks } = checked;
    this.authority = { issuer, algorithms };
    this.#jwks = jwks;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#onFailure = options.onFailure;
    this.#agent = authorityAgent(ca === undefined ? [] : rootsIn(ca), this.#timeoutMs);
  }

  async keys(kid: string | undefined): Promise<Result<readonly KeySetEntry[]>> {
    const known = this.keysAtHand(kid);
    if (known.length > 0) {
      // A failure is told to onFailure, and to callers once the keys at hand are too old.
      if (this.#ageMs() >= REFRESH_MS) void this.#refresh();
      return accept(known);
    }
    await this.#refresh();
    const found = this.keysAtHand(kid);
    if (found.length > 0) return accept(found);
    // Without an answer nobody knows whether the authority has such a key by now.
    if (this.#lastFailed || this.#kept === undefined) {
      return reject('collateral.unavailable', `the keys of ${this.authority.issuer} cannot be had now`);
    }
    return accept([]);
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  #ageMs(): number {
    return this.#kept === undefined ? Infinity : this.#nowMs() - this.#kept.fetchedMs;
  }

  keysAtHand(kid: string | undefined): readonly KeySetEntry[] {
    return this.#kept === undefined || this.#ageMs() >= MAX_AGE_MS ? [] : this.#kept.keys.find(kid);
  }

  /** Fetches again unless that was done less than 2 s ago. Never rejects. */
  #refresh(): Promise<void> {
    if (this.#pending !== undefined) return this.#pending;
    const startMs = this.#nowMs();
    if (startMs - this.#lastFetchMs < RETRY_MS) return Promise.resolve();
    this.#lastFetchMs = startMs;
    this.#pending = this.#fetch(startMs).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #fetch(startMs: number): Promise<void> {
    try {
      this.#kept = { keys: parseKeySet(await this.#keySet()), fetchedMs: startMs };
      this.#lastFailed = false;
    } catch (error) {
      this.#lastFailed = true;
      const isExpected = error instanceof AuthorityFetchError || error instanceof MalformedError;
      this.#onFailure?.(
        this.authority.issuer,
        isExpected ? error : new Error('fault in fetching keys', { cause: error }),
      );
    }
  }

  async #keySet(): Promise<Buffer> {
    const jwks = this.#jwks;
    if (jwks !== undefined && 'file' in jwks) return readDocument(jwks.file, MAX_KEY_SET_BYTES);
    const signal = AbortSignal.timeout(this.#timeoutMs);
    const url = jwks?.url ?? (await this.#discover(signal));
    return fetchDocument(url, { agent: this.#agent, signal, maxBytes: MAX_KEY_SET_BYTES });
  }

  /** OpenID Connect Discovery 1.0, section 4. */
  async #discover(signal: AbortSignal): Promise<URL> {
    const issuer = withoutSlash(this.authority.issuer);
    const url = new URL(`${issuer}/.well-known/openid-configuration`);
    const body = await fetchDocument(url, { agent: this.#agent, signal, maxBytes: MAX_DISCOVERY_BYTES });
    const document = parseJson(body) as { issuer?: unknown; jwks_uri?: unknown } | null;
    const { issuer: named = issuer, jwks_uri: place } = document ?? {};
    if (typeof named !== 'string' || withoutSlash(named) !== issuer) {
      throw new MalformedError('discovery document: of another issuer');
    }
    if (typeof place !== 'string') throw new MalformedError('discovery document: no jwks_uri');
    const found = httpsUrl(place, 'jwks_uri');
    if (found.origin !== url.origin) throw new MalformedError('discovery document: jwks_uri of another origin');
    return found;
  }
}

/** The certificates of a PEM file, each as PEM. */
function rootsIn(file: string): readonly string[] {
  const blocks = pemBlocks(readFileSync(file, 'latin1'), 'CERTIFICATE', MAX_ROOTS, MAX_CERTIFICATE_BYTES);
  if (blocks.length === 0) throw new MalformedError('ca: a file without certificates');
  return blocks.map((der) => new X509Certificate(der).toString());
}

type KeySetEntry = ReturnType<KeySet['find']>[number];
