import type { Standing } from './standing.js';

/**
 * What newer does not mean better for. Makers sign more than one piece about the same thing that are good at the same time: AMD a CRL
 * for VCEKs and one for VLEKs by one issuer, NVIDIA manifests of one id with other measurements. No date tells which is meant.
 */

/** AMD publishes a CRL for VCEKs and one for VLEKs, both by one issuer, and in nothing but their serials different. */
export function isOfAmd({ item, subject }: Standing): boolean {
  return item.kind === 'crl' && subject.startsWith('ARK-');
}

/** Whether a CRL lists all that another one does; false of what is no CRL. */
export function listsAllOf({ item }: Standing, { item: other }: Standing): boolean {
  if (item.kind !== 'crl' || other.kind !== 'crl') return false;
  const { serials } = item.crl.list;
  return [...other.crl.list.serials].every((serial) => serials.has(serial));
}

/**
 * Whether a CRL in place of this one would undo a revocation: of CRLs of AMD, and of those of another issuer that stand in the same
 * file. Others leave out what has expired, and are told apart by their scope.
 */
export function undoes(standing: Standing, other: Standing): boolean {
  if (standing.item.kind !== 'crl' || other.item.kind !== 'crl' || other.fault !== undefined) return false;
  return (isOfAmd(other) || other.topic !== standing.topic) && !listsAllOf(standing, other);
}

/** Whether both are good manifests of one id that want different measurements. */
export function contradicts(standing: Standing, other: Standing): boolean {
  if (standing.item.kind !== 'rim' || other.topic !== standing.topic || other.fault !== undefined) return false;
  return other.references !== standing.references;
}
