import { fromHex, toHex } from '../../bytes/hex.js';
import { DIGEST_BYTES, digest } from '../../crypto/digest.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import type { BankName, PcrValues } from './evidence.js';
import type { BankSelection } from './pcr-selection.js';

/** TPM2_PCR_Extend: the new value of a PCR, H(old || data), H the hash of the bank; both of its length. */
export function extendPcr(bank: BankName, old: Buffer, data: Buffer): Buffer {
  if (old.length !== DIGEST_BYTES[bank] || data.length !== DIGEST_BYTES[bank]) {
    throw new RangeError(`a ${bank} PCR is extended with a ${bank} digest`);
  }
  return digest(bank, old, data);
}

/**
 * The value, in lower-case hex, of a policy PCR that was extended once from reset with the policy's digest:
 * H(0^len || digest), H the hash of the bank. `policyDigestHex` is a digest of that hash, in lower-case hex.
 */
export function expectedPolicyPcr(bank: 'sha256' | 'sha384', policyDigestHex: string): string {
  return toHex(extendPcr(bank, Buffer.alloc(DIGEST_BYTES[bank]), fromHex(policyDigestHex, 'policy digest')));
}

/** Values that are for exactly the selected PCRs, in the order in which they are digested. Not yet believed. */
export interface MatchedValues {
  readonly ordered: readonly Buffer[];
  /** The same by bank and number, the SHA-1 bank left out. */
  readonly pcrs: PcrValues;
}

/**
 * Takes the value of each selected PCR from what was handed over, by the numbers of the signed selection and never by
 * position. quote.pcr_values unless there is a value, in lower-case hex of the bank's length, for each selected PCR of
 * each bank, and no other value.
 */
export function matchValues(selected: readonly BankSelection[], handedOver: PcrValues): Result<MatchedValues> {
  const extra = Object.entries(handedOver).find(
    ([bank, values]) => Object.keys(values).length > 0 && !selected.some((entry) => entry.bank === bank),
  );
  if (extra !== undefined) return unselected(extra[0]);

  const ordered: Buffer[] = [];
  const believed: Partial<Record<BankName, Readonly<Record<string, string>>>> = {};
  for (const { bank, pcrs } of selected) {
    const values = Object.hasOwn(handedOver, bank) ? (handedOver[bank] ?? {}) : {};
    const named = Object.create(null) as Record<string, string>;
    for (const pcr of pcrs) {
      const hex = Object.hasOwn(values, String(pcr)) ? values[String(pcr)] : undefined;
      if (hex === undefined) return missingValue(bank, pcr);
      if (!isDigestHex(hex, bank)) {
        return malformedValue(bank, pcr, hex);
      }
      ordered.push(Buffer.from(hex, 'hex'));
      named[String(pcr)] = hex;
    }
    const other = Object.keys(values).find((pcr) => named[pcr] === undefined);
    if (other !== undefined) return unselected(`${bank}.${other}`);
    if (bank !== 'sha1') believed[bank] = named;
  }
  return accept({ ordered, pcrs: believed });
}

function unselected(place: string): Rejection {
  const finding = { claim: `quote.pcr_values.${place}`, operator: 'exists', expected: false, found: true } as const;
  return reject('quote.pcr_values', `values were handed over for what the quote does not select: ${place}`, finding);
}

function malformedValue(bank: BankName, pcr: number, found: string): Rejection {
  const claim = `quote.pcr_values.${bank}.${String(pcr)}`;
  const expected = `${String(DIGEST_BYTES[bank] * 2)} lower-case hex digits`;
  const detail = `the value of PCR ${String(pcr)} is not lower-case hex of a ${bank} digest`;
  return reject('quote.pcr_values', detail, { claim, operator: 'equals', expected, found });
}

function missingValue(bank: BankName, pcr: number): Rejection {
  const claim = `quote.pcr_values.${bank}.${String(pcr)}`;
  const finding = { claim, operator: 'exists', expected: true, found: null } as const;
  return reject('quote.pcr_values', `no value was handed over for PCR ${String(pcr)} of the ${bank} bank`, finding);
}

const LOWER_HEX = /^[0-9a-f]*$/;

function isDigestHex(hex: string, bank: BankName): boolean {
  return hex.length === DIGEST_BYTES[bank] * 2 && LOWER_HEX.test(hex);
}
