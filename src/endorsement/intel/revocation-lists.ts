import type { Collateral } from '../collateral.js';
import type { RevocationLists } from '../known-paths.js';

const known = new WeakMap<Collateral, RevocationLists>();

/**
 * The CRLs for certificates of Intel: every one below the root needs one of its issuer that is current. The same object for the same
 * collateral, so that paths which were good before are known.
 */
export function intelRevocationLists(collateral: Collateral): RevocationLists {
  let lists = known.get(collateral);
  if (lists === undefined) {
    lists = { lists: collateral.crls, policy: 'required' };
    known.set(collateral, lists);
  }
  return lists;
}
