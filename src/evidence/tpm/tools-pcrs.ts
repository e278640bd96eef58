import { MalformedError } from '../../bytes/malformed-error.js';
import { parseJson } from '../../bytes/json.js';
import { toHex } from '../../bytes/hex.js';
import { Reader } from '../../bytes/reader.js';
import { DIGEST_BYTES } from '../../crypto/digest.js';
import { BANK_OF_ALG } from './constants.js';
import type { BankName, PcrValues } from './evidence.js';
import type { PcrSelection } from './structures.js';
import { parsePcrStructs, startsWithCount } from './tools-structs.js';

/** The largest file of PCR values that is read. Four banks of 24 PCRs take 6,520 bytes as C structs and 13 KiB as text. */
export const MAX_PCRS_FILE_BYTES = 65536;

/**
 * PCR values from a file, in one of four formats, told apart in this order:
 * 1. exactly as long as the values of the quote's selection: their bare concatenation (`tpm2_quote -o F -F values`), in
 *    the order of the selection. Every other format is longer for the same selection, so none is mistaken for it;
 * 2. starts with a little-endian count of 1 to 16: C structs (`tpm2_quote -o F`), with a selection of their own;
 * 3. `{`: JSON `{"sha256":{"8":"<hex>"}}`, hex of either case;
 * 4. otherwise: the text of `tpm2_pcrread`.
 * Nothing is verified: the values may be for other PCRs than the selected ones. Throws MalformedError, also where a PCR
 * stands twice with different values. Read from the files and the text that tpm2-tools 5.4 writes.
 */
export function parseToolsPcrs(file: Buffer, pcrSelect: readonly PcrSelection[]): PcrValues {
  if (file.length > MAX_PCRS_FILE_BYTES) {
    throw new MalformedError(`PCR values: more than ${String(MAX_PCRS_FILE_BYTES)} bytes`);
  }
  if (file.length === valuesLength(pcrSelect)) return parseValues(new Reader(file), pcrSelect);
  if (startsWithCount(file)) return parseStructs(file);
  const text = decodeText(file);
  return text.trimStart().startsWith('{') ? parseJsonValues(file) : parsePcrread(text);
}

/** Values by bank and number, each PCR with one value. */
class Values {
  readonly #banks = new Map<BankName, Record<string, string>>();

  add(bank: BankName, pcr: string, hex: string): void {
    const values = this.#banks.get(bank) ?? (Object.create(null) as Record<string, string>);
    this.#banks.set(bank, values);
    if ((values[pcr] ?? hex) !== hex) throw new MalformedError('PCR values: a PCR stands twice, with different values');
    values[pcr] = hex;
  }

  finish(): PcrValues {
    return Object.fromEntries(this.#banks);
  }
}

/** undefined where a bank is unknown, and so the length of its values. */
function valuesLength(pcrSelect: readonly PcrSelection[]): number | undefined {
  let length = 0;
  for (const { hashAlg, pcrs } of pcrSelect) {
    const bank = BANK_OF_ALG.get(hashAlg);
    if (bank === undefined) return undefined;
    length += pcrs.length * DIGEST_BYTES[bank];
  }
  return length;
}

function parseValues(r: Reader, pcrSelect: readonly PcrSelection[]): PcrValues {
  const values = new Values();
  for (const { bank, pcr } of eachSelected(pcrSelect)) {
    values.add(bank, String(pcr), toHex(r.take(DIGEST_BYTES[bank], 'PCR value')));
  }
  r.end('PCR values');
  return values.finish();
}

function* eachSelected(
  pcrSelect: readonly PcrSelection[],
): Generator<{ readonly bank: BankName; readonly pcr: number }> {
  for (const { hashAlg, pcrs } of pcrSelect) {
    const bank = BANK_OF_ALG.get(hashAlg);
    if (bank === undefined) throw new MalformedError('PCR values: a selection of unknown hash');
    for (const pcr of pcrs) yield { bank, pcr };
  }
}

function parseStructs(file: Buffer): PcrValues {
  const { pcrSelect, digests } = parsePcrStructs(file);
  const values = new Values();
  let next = 0;
  for (const { bank, pcr } of eachSelected(pcrSelect)) {
    const digest = digests[next++];
    if (digest?.length !== DIGEST_BYTES[bank]) {
      throw new MalformedError('PCR values: a value is missing or not of the length of its bank');
    }
    values.add(bank, String(pcr), toHex(digest));
  }
  if (next !== digests.length) throw new MalformedError('PCR values: more values than selected PCRs');
  return values.finish();
}

function decodeText(file: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file);
  } catch {
    throw new MalformedError('PCR values: neither what tpm2_quote nor what tpm2_pcrread writes, nor JSON');
  }
}

function parseJsonValues(file: Buffer): PcrValues {
  const values = new Values();
  for (const [bank, members] of membersOf(parseJson(file))) {
    if (!isBankName(bank)) throw new MalformedError('PCR values: unknown bank');
    for (const [pcr, hex] of membersOf(members)) {
      if (typeof hex !== 'string') throw new MalformedError('PCR values: a value is not a string');
      values.add(bank, pcr, hex.toLowerCase());
    }
  }
  return values.finish();
}

function membersOf(value: unknown): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedError('PCR values: JSON is not of the form {"sha256":{"8":"<hex>"}}');
  }
  return Object.entries(value);
}

const BANK_LINE = /^\s*(\w{1,16}):\s*$/;
const VALUE_LINE = /^\s*(0|[1-9]\d?)\s*:\s*0x([0-9A-Fa-f]{1,128})\s*$/;

function parsePcrread(text: string): PcrValues {
  const values = new Values();
  let bank: BankName | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const value = VALUE_LINE.exec(line);
    if (value !== null && bank !== undefined) {
      values.add(bank, value[1] ?? '', (value[2] ?? '').toLowerCase());
      continue;
    }
    const name = BANK_LINE.exec(line)?.[1];
    if (name === undefined || !isBankName(name)) {
      throw new MalformedError('PCR values: neither what tpm2_quote nor what tpm2_pcrread writes, nor JSON');
    }
    bank = name;
  }
  if (bank === undefined) throw new MalformedError('PCR values: empty');
  return values.finish();
}

function isBankName(name: string): name is BankName {
  return Object.hasOwn(DIGEST_BYTES, name);
}
