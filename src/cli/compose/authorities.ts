import { accessSync, constants } from 'node:fs';
import { resolve } from 'node:path';
import { MalformedError } from '../../bytes/malformed-error.js';
import { authorityKeys, type FetchedAuthorityKeys } from '../../collateral/authority-keys.js';
import type { Config } from '../../config/config.js';
import { UsageError } from '../outcome.js';
import { whyUnreadable } from '../read-input.js';
import type { Trouble } from './trouble.js';

/**
 * The keys of the configured authorities, of which none is asked for yet. `trouble` is told of each fetch that fails, at most one in
 * 2 s for each authority. Throws UsageError for an authority that cannot be used.
 */
export function openAuthorities(
  authorities: Config['authorities'],
  trouble: Trouble = () => undefined,
): FetchedAuthorityKeys {
  for (const { ca } of authorities) if (ca !== undefined) assertReadable(ca);
  try {
    return authorityKeys(
      authorities.map(({ ca, jwks, ...others }) => ({
        ...others,
        ...(ca === undefined ? {} : { ca: resolve(ca) }),
        ...(jwks === undefined ? {} : { jwks: jwks.includes('://') ? jwks : resolve(jwks) }),
      })),
      { onFailure: (issuer, { message }) => trouble(`the keys of ${issuer}`, message) },
    );
  } catch (error) {
    if (error instanceof MalformedError) throw new UsageError(`authorities: ${error.message}`);
    throw error;
  }
}

function assertReadable(ca: string): void {
  try {
    accessSync(ca, constants.R_OK);
  } catch (error) {
    throw new UsageError(`authorities: ca: ${ca}: ${whyUnreadable(error)}`);
  }
}
