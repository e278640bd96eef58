import type { KeyObject } from 'node:crypto';
import { accept, reject, type Result } from '../../reason/reason.js';

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
  /** Those of them that can be given without asking anybody. */
  keysAtHand(authority: Authority, kid: string | undefined): readonly KeyObject[];
}

/** The same for one who cannot wait: what is not at hand is asked for, and collateral.unavailable until it is there. */
export function withoutWaiting(authorities: AuthorityKeys): AuthorityKeys {
  return {
    authorityOf: (issuer) => authorities.authorityOf(issuer),
    keysAtHand: (authority, kid) => authorities.keysAtHand(authority, kid),
    keys: async (authority, kid) => {
      const keys = authorities.keysAtHand(authority, kid);
      if (keys.length > 0) return accept(keys);
      // Its answer is for the next request; what fails is told to whom the keys are fetched for.
      authorities.keys(authority, kid).catch(() => undefined);
      return reject('collateral.unavailable', `the keys of ${authority.issuer} are not at hand yet; try again`);
    },
  };
}

/** Nobody's tokens are believed. */
export const NO_AUTHORITIES: AuthorityKeys = {
  authorityOf: () => undefined,
  keys: () => Promise.resolve(accept([])),
  keysAtHand: () => [],
};
