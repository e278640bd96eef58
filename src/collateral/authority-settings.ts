import { isAbsolute } from 'node:path';
import { MalformedError } from '../bytes/malformed-error.js';
import { TOKEN_ALGORITHMS, type TokenAlgorithm } from '../evidence/authority/authority-keys.js';

/** An issuer of attestation tokens whose claims are believed, as the configuration names it. */
export interface AuthoritySettings {
  /** The `iss` of its tokens, an https URL: `https://sharedeus.eus.attest.azure.net`. */
  readonly issuer: string;
  /** A file, PEM: roots that its TLS certificate may also hang on. */
  readonly ca?: string;
  /** Where its keys are, if not where `/.well-known/openid-configuration` says: an https URL, or an absolute file name. */
  readonly jwks?: string;
  /** Default: RS256, PS256, PS384, ES256, ES384. */
  readonly algorithms?: readonly string[];
}

export const MAX_AUTHORITIES = 16;
const MAX_URL_LENGTH = 512;

/** Settings that can be used. */
export interface CheckedAuthority {
  readonly issuer: string;
  readonly ca: string | undefined;
  readonly jwks: { readonly url: URL } | { readonly file: string } | undefined;
  readonly algorithms: readonly TokenAlgorithm[];
}

/**
 * Checks the settings of all authorities: no more than 16, issuers https URLs without query, fragment or credentials, none of them
 * twice (one trailing slash makes no difference), algorithms known and at least one. Throws MalformedError. Files are not looked at.
 */
export function checkAuthorities(settings: readonly AuthoritySettings[]): readonly CheckedAuthority[] {
  if (settings.length > MAX_AUTHORITIES) throw new MalformedError(`more than ${String(MAX_AUTHORITIES)} authorities`);
  const issuers = new Set(settings.map(({ issuer }) => withoutSlash(issuer)));
  if (issuers.size !== settings.length) throw new MalformedError('the same issuer twice');
  return settings.map(({ issuer, ca, jwks, algorithms }) => {
    httpsUrl(issuer, 'issuer');
    if (/[?#]/.test(issuer)) throw new MalformedError('issuer: a URL with query or fragment');
    return { issuer, ca, jwks: placeOf(jwks), algorithms: algorithmsOf(algorithms) };
  });
}

/** An issuer without its last slash: what two spellings of it have in common. */
export function withoutSlash(issuer: string): string {
  return issuer.endsWith('/') ? issuer.slice(0, -1) : issuer;
}

/** An https URL without credentials. Throws MalformedError. */
export function httpsUrl(text: string, name: string): URL {
  const url = text.length <= MAX_URL_LENGTH && URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:') throw new MalformedError(`${name}: not an https URL`);
  if (url.username !== '' || url.password !== '') throw new MalformedError(`${name}: a URL with credentials`);
  return url;
}

function placeOf(jwks: string | undefined): CheckedAuthority['jwks'] {
  if (jwks === undefined) return undefined;
  if (isAbsolute(jwks)) return { file: jwks };
  return { url: httpsUrl(jwks, 'jwks') };
}

function algorithmsOf(names: readonly string[] | undefined): readonly TokenAlgorithm[] {
  if (names === undefined) return TOKEN_ALGORITHMS;
  if (names.length === 0) throw new MalformedError('algorithms: none');
  return names.map((name) => {
    const known = TOKEN_ALGORITHMS.find((algorithm) => algorithm === name);
    if (known === undefined) throw new MalformedError(`algorithms: each one of ${TOKEN_ALGORITHMS.join(', ')}`);
    return known;
  });
}
