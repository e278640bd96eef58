import { digest, DIGEST_BYTES } from '../crypto/digest.js';
import { toHex } from '../bytes/hex.js';
import type { Measurement, PolicyBank } from './deployment.js';

/** The policy hash in both banks: the digest of the bytes of the runtime policy file, whatever its language. Lower-case hex. */
export function policyHash(content: Uint8Array): { readonly sha256: string; readonly sha384: string } {
  return { sha256: toHex(digest('sha256', content)), sha384: toHex(digest('sha384', content)) };
}

/**
 * The value of a PCR that was reset to zeros and then extended once with `digestHex`: H(0^len || digest), H the hash of
 * the bank (TPM 2.0 Library part 1, PCR extend). `digestHex` is hex of a digest of the bank's own length.
 */
export function expectedPcr(bank: PolicyBank, digestHex: string): string {
  return extendedPcr(bank, '00'.repeat(DIGEST_BYTES[bank]), digestHex);
}

/** The value of a PCR of value `pcrHex` after one extend with `digestHex`. */
export function extendedPcr(bank: PolicyBank, pcrHex: string, digestHex: string): string {
  const length = DIGEST_BYTES[bank];
  const [old, data] = [Buffer.from(pcrHex, 'hex'), Buffer.from(digestHex, 'hex')];
  if (old.length !== length || data.length !== length) throw new RangeError(`a digest of ${bank} has another length`);
  return toHex(digest(bank, old, data));
}

/** Where a processor measures what its host puts there at launch. */
export type PolicyField = 'snp.host_data' | 'tdx.mrconfigid';

/** In bytes (HOST_DATA of an SEV-SNP report, MRCONFIGID of a TD). */
const FIELD_BYTES: Readonly<Record<PolicyField, number>> = { 'snp.host_data': 32, 'tdx.mrconfigid': 48 };

/** The whole field, lower-case hex, where a digest (hex) was put into it: cut to its size, or filled up with zeros behind. */
export function expectedField(field: PolicyField, digestHex: string): string {
  const digits = 2 * FIELD_BYTES[field];
  return digestHex.slice(0, digits).padEnd(digits, '0');
}

/** Why a policy hash for which isEmptyField holds is refused. */
export const EMPTY_FIELD =
  'makes a field of zeros, which is that of every guest that was launched without a policy; give the hash of the policy file';

/** Whether a policy of these hashes would be found wherever the host puts nothing. Never so of a PCR: that is extended, and changes. */
export function isEmptyField(
  { source, bank }: Pick<Measurement, 'source' | 'bank'>,
  hashes: Readonly<Partial<Record<PolicyBank, string | undefined>>>,
): boolean {
  const digest = hashes[bank];
  return source !== 'tpm' && digest !== undefined && /^0*$/.test(expectedField(source, digest));
}
