import { resolve } from 'node:path';
import { MalformedError } from '../../bytes/malformed-error.js';
import { authorityKeys, type FetchedAuthorityKeys } from '../../collateral/authority-keys.js';
import type { Config } from '../../config/config.js';
import { UsageError } from '../outcome.js';

/** The keys of the configured authorities, of which none is asked for yet. Throws UsageError for an authority that cannot be used. */
export function openAuthorities(authorities: Config['authorities']): FetchedAuthorityKeys {
  try {
    return authorityKeys(
      authorities.map(({ ca, jwks, ...others }) => ({
        ...others,
        ...(ca === undefined ? {} : { ca: resolve(ca) }),
        ...(jwks === undefined ? {} : { jwks: jwks.includes('://') ? jwks : resolve(jwks) }),
      })),
    );
  } catch (error) {
    if (error instanceof MalformedError) throw new UsageError(`authorities: ${error.message}`);
    throw error;
  }
}
