import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import { MAX_DIGEST_BYTES, MAX_PCR_SELECTIONS, PCR_SELECT_BYTES } from './constants.js';
import { pcrsOfBits } from './pcr-selection.js';
import type { PcrSelection } from './structures.js';

/** TPML_PCR_SELECTION in memory: u32 count, 16 entries of 8 bytes (u16 hash, u8 sizeofSelect, 4 bytes of bits, padding). */
const SELECTION_STRUCT_BYTES = 4 + MAX_PCR_SELECTIONS * 8;
/** TPML_DIGEST in memory: u32 count, 8 entries of u16 size and 64 bytes. */
const DIGESTS_PER_LIST = 8;
const DIGEST_LIST_STRUCT_BYTES = 4 + DIGESTS_PER_LIST * (2 + MAX_DIGEST_BYTES);

/** What a file of C structs holds: a selection, and digests in the order of the selection. */
export interface PcrStructs {
  readonly pcrSelect: readonly PcrSelection[];
  readonly digests: readonly Buffer[];
}

/** Whether a file starts as one of C structs does: a little-endian count of 1 to 16. No text does, since bytes 1 to 3 are zero. */
export function startsWithCount(file: Buffer): boolean {
  if (file.length < SELECTION_STRUCT_BYTES) return false;
  const count = file.readUInt32LE(0);
  return count >= 1 && count <= MAX_PCR_SELECTIONS;
}

/**
 * What `tpm2_quote -o` of tpm2-tools 5.4 writes by default: the memory of a TPML_PCR_SELECTION, a u32 count, so many
 * TPML_DIGEST of up to 8 digests; all numbers little-endian, unused entries and padding ignored. How many digests there
 * are, and of which lengths, is not held against the selection here. Throws MalformedError.
 */
export function parsePcrStructs(file: Buffer): PcrStructs {
  const r = new Reader(file);
  const pcrSelect = parseSelectionStruct(r);
  const lists = r.u32le('PCR values: count of lists');
  if (lists * DIGEST_LIST_STRUCT_BYTES !== r.remaining) {
    throw new MalformedError('PCR values: the length does not fit the count of lists');
  }
  const digests: Buffer[] = [];
  for (let i = 0; i < lists; i++) digests.push(...parseDigestListStruct(r));
  r.end('PCR values');
  return { pcrSelect, digests };
}

function parseSelectionStruct(r: Reader): readonly PcrSelection[] {
  const count = r.u32le('PCR values: count of selections');
  if (count > MAX_PCR_SELECTIONS) throw new MalformedError('PCR values: more than 16 selections');
  const selections: PcrSelection[] = [];
  for (let i = 0; i < MAX_PCR_SELECTIONS; i++) {
    const hashAlg = r.u16le('PCR values: hash');
    const sizeofSelect = r.u8('PCR values: sizeofSelect');
    const bits = r.take(PCR_SELECT_BYTES, 'PCR values: pcrSelect');
    r.take(2, 'PCR values: padding');
    if (i >= count) continue;
    if (sizeofSelect !== PCR_SELECT_BYTES) throw new MalformedError('PCR values: sizeofSelect is not 3');
    selections.push({ hashAlg, pcrs: pcrsOfBits(bits) });
  }
  return selections;
}

function parseDigestListStruct(r: Reader): readonly Buffer[] {
  const count = r.u32le('PCR values: count of digests');
  if (count > DIGESTS_PER_LIST) throw new MalformedError('PCR values: more than 8 digests in a list');
  const digests: Buffer[] = [];
  for (let i = 0; i < DIGESTS_PER_LIST; i++) {
    const size = r.u16le('PCR values: size');
    const buffer = r.take(MAX_DIGEST_BYTES, 'PCR values: digest');
    if (i >= count) continue;
    if (size > MAX_DIGEST_BYTES) throw new MalformedError('PCR values: a digest of more than 64 bytes');
    digests.push(buffer.subarray(0, size));
  }
  return digests;
}
