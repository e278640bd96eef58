import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { quoteBinding } from '../challenge/binding.js';
import type { Attester, NeededPcrs, PlatformAttester, PlatformEvidence, TpmEvidenceMember } from './attester.js';
import { AttesterError } from './errors.js';

/** The member `evidence` of a release request. */
export interface EvidenceMember extends PlatformEvidence {
  readonly tpm?: TpmEvidenceMember;
}

/**
 * All evidence of a machine for one binding: first what answers its base (32 bytes), then, where there is a TPM, a quote that
 * covers the reports of the devices in the order in which they are sent. Throws AttesterError.
 */
export async function gatherEvidence(
  attester: Attester | PlatformAttester,
  base: Buffer,
  pcrs: NeededPcrs,
): Promise<EvidenceMember> {
  const beside = (await attester.besideQuote?.(base)) ?? {};
  if (!('evidence' in attester)) return beside;
  const asked = Object.keys(pcrs).length === 0 ? ANY_PCR : pcrs;
  return { tpm: await attester.evidence(extraDataOf(base, beside), asked), ...beside };
}

/** A quote is of something, also where the broker asks for no PCR: the policy is measured elsewhere then. */
const ANY_PCR: NeededPcrs = { sha256: [0] };

/** What the quote must hold beside this evidence. */
export function extraDataOf(base: Buffer, { gpus = [] }: PlatformEvidence): Buffer {
  try {
    return quoteBinding(
      base,
      gpus.map(({ report }) => fromBase64url(report, 'report of a device')),
    );
  } catch (cause) {
    if (!(cause instanceof MalformedError) && !(cause instanceof RangeError)) throw cause;
    throw new AttesterError(`the devices cannot be bound to the request: ${cause.message}`, { cause });
  }
}
