import type { KeyObject } from 'node:crypto';
import type { Result } from '../../reason/reason.js';

/** The signature algorithms of tokens that are known here, all of them asymmetric. */
export const TOKEN_ALGORITHMS = ['RS256', 'PS256', 'PS384', 'ES256', 'ES384'] as const;
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];

/** An issuer of attestation tokens whose claims are believed, by configuration. */
export interface Authority {
  /** Its name in the configuration, and that of the authority in release policies. */
  readonly issuer: string;
  /** What its tokens may be signed with; the token does not choose. */
  readonly algorithms: readonly TokenAlgorithm[];
}

/** The configured authorities, and their keys as they are at hand. */
export interface AuthorityKeys {
  /** The authority that a token names as `iss`; undefined: none of the configuration. One trailing slash makes no difference. */
  authorityOf(issuer: string): Authority | undefined;
  /**
   * The public keys of an authority under this key id; all of them where a token names none. Empty: the authority has no such
   * key now. collateral.unavailable: its keys cannot be had now.
   */
  keys(authority: Authority, kid: string | undefined): Promise<Result<readonly KeyObject[]>>;
}

/** Nobody's tokens are believed. */
export const NO_AUTHORITIES: AuthorityKeys = {
  authorityOf: () => undefined,
  keys: () => Promise.resolve({ ok: true, value: [] }),
};
