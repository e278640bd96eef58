import { MalformedError } from '../../bytes/malformed-error.js';
import type { Reader } from '../../bytes/reader.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { BANK_OF_ALG, MAX_PCR_SELECTIONS, PCR_COUNT, PCR_SELECT_BYTES } from './constants.js';
import type { BankName } from './evidence.js';
import type { PcrSelection } from './structures.js';

/** An entry of a selection that has been checked: a known bank, named once, with at least one PCR, ascending. */
export interface BankSelection {
  readonly bank: BankName;
  readonly pcrs: readonly number[];
}

/** PCRs by bank. */
export type PcrsByBank = Readonly<Partial<Record<BankName, readonly number[]>>>;

/**
 * TPML_PCR_SELECTION: u32 count, then per entry u16 hash, u8 sizeofSelect, bits (PCR n is bit n mod 8 of byte n div 8).
 * At most 16 entries, sizeofSelect exactly 3. Nothing else is checked. Throws MalformedError.
 */
export function parsePcrSelections(r: Reader): readonly PcrSelection[] {
  const count = r.u32be('pcrSelect.count');
  if (count > MAX_PCR_SELECTIONS) {
    throw new MalformedError(`pcrSelect.count: ${String(count)} is over the maximum of ${String(MAX_PCR_SELECTIONS)}`);
  }
  const selections: PcrSelection[] = [];
  for (let i = 0; i < count; i++) {
    const hashAlg = r.u16be('pcrSelect.hash');
    const sizeofSelect = r.u8('pcrSelect.sizeofSelect');
    if (sizeofSelect !== PCR_SELECT_BYTES) {
      throw new MalformedError(`pcrSelect.sizeofSelect: ${String(sizeofSelect)} is not ${String(PCR_SELECT_BYTES)}`);
    }
    selections.push({ hashAlg, pcrs: pcrsOfBits(r.take(PCR_SELECT_BYTES, 'pcrSelect.pcrSelect')) });
  }
  return selections;
}

/** The PCR numbers whose bits are set in the three bytes of pcrSelect, ascending. */
export function pcrsOfBits(bits: Buffer): readonly number[] {
  const mask = bits.readUIntLE(0, PCR_SELECT_BYTES);
  return Array.from({ length: PCR_COUNT }, (_, pcr) => pcr).filter((pcr) => (mask & (1 << pcr)) !== 0);
}

/**
 * Whether a signed selection is one that values can be believed for: not empty, every bank known and named once, no
 * entry that selects nothing (a TPM signs one when it is asked for a bank that is not allocated), and every needed PCR
 * in its own bank. A SHA-1 bank may stand beside others, but no need is met by it. quote.pcr_selection otherwise.
 */
export function checkSelection(
  pcrSelect: readonly PcrSelection[],
  needed: PcrsByBank,
): Result<readonly BankSelection[]> {
  const refuse = (detail: string) =>
    reject('quote.pcr_selection', detail, {
      claim: 'quote.pcr_selection',
      operator: 'equals',
      expected: 'at least one PCR in each of one or more banks, each bank once',
      found: detail,
    });
  if (pcrSelect.length === 0) return refuse('the signed selection is empty');
  const checked: BankSelection[] = [];
  for (const { hashAlg, pcrs } of pcrSelect) {
    const bank = BANK_OF_ALG.get(hashAlg);
    if (bank === undefined)
      return refuse(`the signed selection names a bank of unknown hash 0x${hashAlg.toString(16)}`);
    if (checked.some((other) => other.bank === bank))
      return refuse(`the signed selection names the ${bank} bank twice`);
    if (pcrs.length === 0) return refuse(`the signed selection selects nothing in the ${bank} bank`);
    checked.push({ bank, pcrs });
  }
  return checkNeeded(checked, needed);
}

function checkNeeded(selected: readonly BankSelection[], needed: PcrsByBank): Result<readonly BankSelection[]> {
  for (const [bank, pcrs] of Object.entries(needed)) {
    const present = bank === 'sha1' ? undefined : selected.find((entry) => entry.bank === bank);
    const missing = pcrs.filter((pcr) => present?.pcrs.includes(pcr) !== true);
    if (missing.length === 0) continue;
    const why =
      bank === 'sha1'
        ? 'values of the sha1 bank are never believed'
        : `the signed selection lacks PCR ${missing.join(', ')} of the ${bank} bank`;
    const findings = missing.map((pcr) => ({
      claim: `quote.pcr_selection.${bank}.${String(pcr)}`,
      operator: 'exists' as const,
      expected: true,
      found: null,
    }));
    return reject('quote.pcr_selection', why, ...findings);
  }
  return accept(selected);
}
