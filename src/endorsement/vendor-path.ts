import { accept, reject, type ReasonCode, type Rejection, type Result } from '../reason/reason.js';
import { type KnownPaths, NO_REVOCATION_LISTS, type RevocationLists } from './known-paths.js';
import type { PathRequest, ValidPath } from './path.js';

/** A path to the root of a maker. */
export interface VendorPath {
  readonly path: ValidPath;
  /** Where the path is good but for a CRL that is missing or stale: the refusal that waits for every other check. */
  readonly withoutCrl: Rejection | undefined;
}

/**
 * The path that a verifier of evidence goes on with. One that lacks nothing but a CRL is one: signature and content come first, so
 * that a forgery is never told to try again. Refusal for everything else that is wrong with the certificates: `chainFault`.
 * `name` stands for the purpose in `paths`.
 */
export function vendorPath(
  paths: KnownPaths,
  name: string,
  request: Omit<PathRequest, 'crls' | 'crlPolicy' | 'enforceAnchorValidity'>,
  lists: RevocationLists,
  chainFault: ReasonCode,
): Result<VendorPath> {
  const path = paths.validate(name, request, lists);
  if (path.ok) return accept({ path, withoutCrl: undefined });
  if (path.fault !== 'collateral') return reject(chainFault, path.detail);
  const unlisted = paths.validate(`${name} without CRLs`, request, NO_REVOCATION_LISTS);
  if (!unlisted.ok) return reject(chainFault, unlisted.detail);
  return accept({ path: unlisted, withoutCrl: reject('collateral.unavailable', path.detail) });
}
