/** TPM structures written from the specification, for tests: the mirror of the parsers, sharing no code with them but Writer. */
import { Writer } from '../../../src/bytes/writer.js';
import * as C from '../../../src/evidence/tpm/constants.js';
import type {
  PcrSelection,
  PublicArea,
  QuoteAttest,
  SchemeWithHash,
  TpmSignature,
} from '../../../src/evidence/tpm/structures.js';

export interface Header {
  readonly magic?: number;
  readonly type?: number;
}

/** TPMS_ATTEST of a quote. */
export function encodeAttest(quote: QuoteAttest, { magic, type }: Header = {}): Buffer {
  const { clock, resetCount, restartCount, safe } = quote.clockInfo;
  return new Writer()
    .u32be(magic ?? C.TPM_GENERATED_VALUE)
    .u16be(type ?? C.TPM_ST_ATTEST_QUOTE)
    .sized16(quote.qualifiedSigner)
    .sized16(quote.extraData)
    .u64be(clock)
    .u32be(resetCount)
    .u32be(restartCount)
    .u8(safe ? 1 : 0)
    .u64be(quote.firmwareVersion)
    .bytes(encodeSelections(quote.pcrSelect))
    .sized16(quote.pcrDigest)
    .finish();
}

/** TPML_PCR_SELECTION. */
export function encodeSelections(selections: readonly PcrSelection[]): Buffer {
  const w = new Writer().u32be(selections.length);
  for (const { hashAlg, pcrs } of selections) w.u16be(hashAlg).u8(3).bytes(selectBits(pcrs));
  return w.finish();
}

/** Three bytes; PCR n is bit n mod 8 of byte n div 8. */
export function selectBits(pcrs: readonly number[]): Buffer {
  const bits = [0, 0, 0];
  for (const pcr of pcrs) bits[Math.floor(pcr / 8)]! |= 1 << (pcr % 8);
  return Buffer.from(bits);
}

/** TPMT_SIGNATURE. */
export function encodeSignature(signature: TpmSignature): Buffer {
  const w = new Writer().u16be(signature.sigAlg);
  if (signature.kind === 'rsa') w.u16be(signature.hash).sized16(signature.sig);
  if (signature.kind === 'ecdsa') w.u16be(signature.hash).sized16(signature.r).sized16(signature.s);
  return w.finish();
}

/** TPMT_PUBLIC. */
export function encodePublicArea(area: PublicArea): Buffer {
  const { key, symmetric } = area;
  const w = new Writer()
    .u16be(key.kind === 'rsa' ? C.TPM_ALG_RSA : C.TPM_ALG_ECC)
    .u16be(area.nameAlg)
    .u32be(area.objectAttributes)
    .sized16(area.authPolicy);
  if (symmetric === undefined) w.u16be(C.TPM_ALG_NULL);
  else w.u16be(symmetric.algorithm).u16be(symmetric.keyBits).u16be(symmetric.mode);
  writeScheme(w, area.scheme);
  if (key.kind === 'rsa') return w.u16be(key.keyBits).u32be(key.exponent).sized16(key.n).finish();
  w.u16be(key.curve);
  writeScheme(w, key.kdf);
  return w.sized16(key.x).sized16(key.y).finish();
}

function writeScheme(w: Writer, scheme: SchemeWithHash | undefined): void {
  w.u16be(scheme?.scheme ?? C.TPM_ALG_NULL);
  if (scheme?.hash !== undefined) w.u16be(scheme.hash);
}

/** TPM2B_PUBLIC of a TPMT_PUBLIC. */
export function sizedPublic(publicArea: Buffer): Buffer {
  return new Writer().sized16(publicArea).finish();
}

/** What `tpm2_quote -o` writes: C structs, little-endian, up to 8 digests in a list. */
export function encodeStructs(selections: readonly PcrSelection[], digests: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(4 + 16 * 8 + 4);
  head.writeUInt32LE(selections.length, 0);
  selections.forEach(({ hashAlg, pcrs }, i) => {
    head.writeUInt16LE(hashAlg, 4 + 8 * i);
    head.writeUInt8(3, 6 + 8 * i);
    selectBits(pcrs).copy(head, 7 + 8 * i);
  });
  const lists: Buffer[] = [];
  for (let first = 0; first < digests.length; first += 8) {
    const list = Buffer.alloc(4 + 8 * 66);
    const some = digests.slice(first, first + 8);
    list.writeUInt32LE(some.length, 0);
    some.forEach((digest, i) => {
      list.writeUInt16LE(digest.length, 4 + 66 * i);
      digest.copy(list, 6 + 66 * i);
    });
    lists.push(list);
  }
  head.writeUInt32LE(lists.length, head.length - 4);
  return Buffer.concat([head, ...lists]);
}
