import { createHash, createHmac } from 'node:crypto';
import { Writer } from '../../bytes/writer.js';
import { DIGEST_BYTES, type HashName } from '../../crypto/digest.js';

/** In both functions a label ends in one zero byte. */
const LABEL_END = Buffer.of(0);

/**
 * KDFa (TPM 2.0 Library part 1): counter mode with HMAC. Each block is HMAC(key, u32 counter from 1 || label || 00 ||
 * contextU || contextV || u32 bits). `bits` is a multiple of 8. The caller zeroises what it gets.
 */
export function kdfa(
  hash: HashName,
  key: Uint8Array,
  label: string,
  contextU: Uint8Array,
  contextV: Uint8Array,
  bits: number,
): Buffer {
  const fixed = new Writer().bytes(labelBytes(label)).bytes(contextU).bytes(contextV).u32be(bits).finish();
  return blocks(hash, bits, (counter) => createHmac(hash, key).update(counter).update(fixed).digest());
}

/**
 * KDFe (TPM 2.0 Library part 1): the key derivation of ECDH. Each block is H(u32 counter from 1 || z || label || 00 ||
 * partyUInfo || partyVInfo); all three are x-coordinates, of full field length. `bits` is a multiple of 8. The caller
 * zeroises `z` and what it gets.
 */
export function kdfe(
  hash: HashName,
  z: Uint8Array,
  label: string,
  partyUInfo: Uint8Array,
  partyVInfo: Uint8Array,
  bits: number,
): Buffer {
  const fixed = new Writer().bytes(labelBytes(label)).bytes(partyUInfo).bytes(partyVInfo).finish();
  return blocks(hash, bits, (counter) => createHash(hash).update(counter).update(z).update(fixed).digest());
}

/** The label as both functions, and OAEP in a TPM, take it: ASCII with its terminating zero. */
export function labelBytes(label: string): Buffer {
  return Buffer.concat([Buffer.from(label, 'ascii'), LABEL_END]);
}

/** Counted blocks of the length of the digest, cut to `bits`. */
function blocks(hash: HashName, bits: number, block: (counter: Buffer) => Buffer): Buffer {
  if (bits <= 0 || bits % 8 !== 0) throw new RangeError('a TPM derives whole bytes here');
  const out = Buffer.alloc(bits / 8);
  const blockBytes = DIGEST_BYTES[hash];
  for (let at = 0; at < out.length; at += blockBytes) {
    const made = block(new Writer().u32be(at / blockBytes + 1).finish());
    made.copy(out, at);
    made.fill(0);
  }
  return out;
}
