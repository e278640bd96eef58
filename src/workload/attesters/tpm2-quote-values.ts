import { Writer } from '../../bytes/writer.js';
import { DIGEST_BYTES, digest, type HashName } from '../../crypto/digest.js';
import type { NeededPcrs, TpmEvidenceMember } from '../attester.js';
import { AttesterError } from '../errors.js';

type Bank = keyof typeof DIGEST_BYTES;

/** Hash algorithm ids of the banks (TPM 2.0 Library part 2). */
const ALG_OF_BANK: Readonly<Record<Bank, number>> = { sha1: 0x0004, sha256: 0x000b, sha384: 0x000c, sha512: 0x000d };
const MAX_PCR = 23;
const SELECT_BYTES = 3;

/** The PCRs as tpm2_quote takes them: `sha256:0,4,8+sha384:8`. Throws AttesterError for an unknown bank or PCR, and where nothing is selected. */
export function selectionArgument(pcrs: NeededPcrs): string {
  const banks = entries(pcrs);
  if (banks.length === 0) throw new AttesterError('the challenge names no PCR to quote');
  return banks.map(([bank, indexes]) => `${bank}:${indexes.join(',')}`).join('+');
}

/**
 * The values that tpm2_quote wrote with `-F values` (bare digests in the order of the selection), by bank and index. They
 * are compared with the quote itself, which must end in the selection asked for and their digest: a bank that is not
 * active, or a PCR that was extended between reading and quoting, is an AttesterError here and not a denial later.
 */
export function quotedValues(
  pcrs: NeededPcrs,
  signatureHash: HashName,
  quoted: Buffer,
  values: Buffer,
): TpmEvidenceMember['pcrs'] {
  const banks = entries(pcrs);
  const tail = new Writer().u32be(banks.length);
  const named: Record<string, Record<string, string>> = {};
  let offset = 0;
  for (const [bank, indexes] of banks) {
    const size = DIGEST_BYTES[bank];
    const byIndex: Record<string, string> = {};
    for (const index of indexes) {
      byIndex[String(index)] = values.toString('hex', offset, offset + size);
      offset += size;
    }
    named[bank] = byIndex;
    tail.u16be(ALG_OF_BANK[bank]).u8(SELECT_BYTES).bytes(selectBits(indexes));
  }
  tail.sized16(digest(signatureHash, values));
  if (offset !== values.length || !endsWith(quoted, tail.finish())) {
    throw new AttesterError('the TPM quoted other PCRs or values than it was asked for: is every bank active?');
  }
  return named;
}

function entries(pcrs: NeededPcrs): readonly (readonly [Bank, readonly number[]])[] {
  return Object.entries(pcrs)
    .filter(([, indexes]) => indexes.length > 0)
    .map(([bank, indexes]) => [bankOf(bank), checked(indexes)]);
}

function bankOf(name: string): Bank {
  if (!Object.hasOwn(ALG_OF_BANK, name)) throw new AttesterError(`there is no PCR bank ${name}`);
  return name as Bank;
}

/** The TPM quotes PCRs in ascending order and each once, so that only such a list says what it will answer. */
function checked(indexes: readonly number[]): readonly number[] {
  const isPcr = (index: number) => Number.isInteger(index) && index >= 0 && index <= MAX_PCR;
  if (!indexes.every((index, at) => isPcr(index) && (at === 0 || index > (indexes[at - 1] ?? MAX_PCR)))) {
    throw new AttesterError('PCRs are ascending numbers from 0 to 23');
  }
  return indexes;
}

function selectBits(indexes: readonly number[]): Buffer {
  const bits = Buffer.alloc(SELECT_BYTES);
  bits.writeUIntLE(
    indexes.reduce((mask, index) => mask | (1 << index), 0),
    0,
    SELECT_BYTES,
  );
  return bits;
}

function endsWith(bytes: Buffer, tail: Buffer): boolean {
  return bytes.length >= tail.length && bytes.subarray(bytes.length - tail.length).equals(tail);
}
