import { MalformedError } from '../../bytes/malformed-error.js';
import type { CertifiedKey } from '../../crypto/x509-key.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import type { Certificate } from '../../crypto/x509.js';
import type { Purpose } from '../../endorsement/certificate-checks.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import { intelRevocationLists } from '../../endorsement/intel/revocation-lists.js';
import { NO_REVOCATION_LISTS } from '../../endorsement/known-paths.js';
import type { ValidPath } from '../../endorsement/path.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import { PCK_CA_COMMON_NAMES, PCK_COMMON_NAME } from './constants.js';
import { pckPlatform, type PckPlatform } from './pck.js';

const PCK_PURPOSE: Purpose = { keyUsage: { oneOf: ['digitalSignature'], mayBeAbsent: false } };

/** A PCK certificate with a good path to a root of Intel. */
export interface VerifiedPck {
  readonly path: ValidPath;
  readonly key: CertifiedKey;
  readonly platform: PckPlatform;
  /** Why it is not known whether a certificate of the path is revoked; undefined where none is. */
  readonly unknown: Rejection | undefined;
}

/**
 * Validates the chain of a quote: the PCK certificate, one CA of Intel's for those, and the root that is believed, in this order and
 * nothing else, by their common names. CRLs of root and CA must be there and current; where one is not, that is told in `unknown`,
 * so that what is wrong with the quote itself is found first. Refusals: tdx.chain, also for what is revoked.
 */
export function verifyPckChain(chain: readonly Buffer[], trust: HardwareTrust): Result<VerifiedPck> {
  const request = { chain, anchors: trust.roots.intel, atMs: trust.atMs, purpose: PCK_PURPOSE };
  const lists = intelRevocationLists(trust.collateral);
  const cleared = trust.paths.validate('intel-pck', request, lists);
  let unknown: Rejection | undefined;
  let path = cleared;
  if (!cleared.ok && cleared.fault === 'collateral') {
    unknown = reject('collateral.unavailable', `PCK certificate chain: ${cleared.detail}`);
    path = trust.paths.validate('intel-pck', request, NO_REVOCATION_LISTS);
  }
  if (!path.ok) return reject('tdx.chain', path.detail);
  const fault = shapeFault(path, chain);
  if (fault !== undefined) return reject('tdx.chain', fault);
  try {
    return accept({ path, key: path.leaf.publicKey(), platform: pckPlatform(path.leaf), unknown });
  } catch (error) {
    if (error instanceof MalformedError) return reject('tdx.chain', error.message);
    throw error;
  }
}

/** What is not as Intel's chains are. The root in the quote is not needed, but if it is there, it is the one that is believed. */
function shapeFault({ path, anchor }: ValidPath, chain: readonly Buffer[]): string | undefined {
  const [leaf, authority, ...more] = path;
  if (leaf === undefined || authority === undefined || more.length > 0) return 'not a PCK certificate below one CA';
  if (commonName(leaf) !== PCK_COMMON_NAME) return 'the leaf is no PCK certificate';
  if (!PCK_CA_COMMON_NAMES.includes(commonName(authority) ?? '')) return 'the CA is none of PCK certificates';
  const expected = [leaf.der, authority.der, anchor.der];
  const asExpected = chain.every((der, index) => expected[index]?.equals(der) === true);
  return asExpected ? undefined : 'certificates that do not belong to the path, or in another order';
}

function commonName({ subject }: Certificate): string | undefined {
  return onlyAttribute(subject.attributes, COMMON_NAME);
}
