import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';

/** The members of a private RSA JWK (RFC 7518 section 6.3), two primes, each base64url. */
export const RSA_PRIVATE_MEMBERS = ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const;

type RsaPrivateJwk = Readonly<Record<(typeof RSA_PRIVATE_MEMBERS)[number], string>>;

const MIN_BITS = 2048;
const MAX_BITS = 4096;
const PROBE = Buffer.from('portcullis: does the private key fit the public one?');

/**
 * Checks that the numbers of a private RSA key belong together, and returns the modulus length in bits. e is 65537, n
 * has 2048 to 4096 bits and is p times q, neither prime longer than half of it, and d, dp, dq, qi follow from them: an
 * inconsistent CRT member is how a faulty signature gives the key away. A signature over a fixed text, verified under
 * n, is at the same time a Fermat test of both primes; a proof of primality it is not. Throws MalformedError.
 */
export function checkRsaPrivate(jwk: RsaPrivateJwk): number {
  if (jwk.e !== 'AQAB') throw new MalformedError('jwk.e: must be AQAB (65537)');
  const n = integer(jwk.n, MAX_BITS, 'n');
  const bits = bitLength(n);
  if (bits < MIN_BITS)
    throw new MalformedError(`jwk.n: ${String(bits)} bits; RSA keys have ${String(MIN_BITS)} to ${String(MAX_BITS)}`);
  const half = Math.ceil(bits / 2);
  const p = integer(jwk.p, half, 'p');
  const q = integer(jwk.q, half, 'q');
  const d = integer(jwk.d, bits, 'd');
  const dp = integer(jwk.dp, half, 'dp');
  const dq = integer(jwk.dq, half, 'dq');
  const qi = integer(jwk.qi, half, 'qi');
  const consistent =
    p * q === n &&
    p !== q &&
    d < n &&
    dp === d % (p - 1n) &&
    dq === d % (q - 1n) &&
    (65537n * dp) % (p - 1n) === 1n &&
    (65537n * dq) % (q - 1n) === 1n &&
    qi < p &&
    (qi * q) % p === 1n;
  if (!consistent || !signsAndVerifies(jwk))
    throw new MalformedError('jwk: the private and public numbers of this RSA key do not belong together');
  return bits;
}

function signsAndVerifies(jwk: RsaPrivateJwk): boolean {
  try {
    const { n, e } = jwk;
    const signature = sign('sha256', PROBE, createPrivateKey({ key: { kty: 'RSA', ...jwk }, format: 'jwk' }));
    return verify('sha256', PROBE, createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' }), signature);
  } catch {
    return false;
  }
}

/** A positive integer of at most `maxBits` without leading zero bytes. */
function integer(text: string, maxBits: number, member: string): bigint {
  const maxBytes = Math.ceil(maxBits / 8);
  if (text.length > Math.ceil((maxBytes * 4) / 3)) throw tooLong(member, maxBits);
  const bytes = fromBase64url(text, `jwk.${member}`);
  if (bytes.length === 0 || bytes[0] === 0)
    throw new MalformedError(`jwk.${member}: empty, zero, or with leading zero bytes`);
  const value = BigInt(`0x${bytes.toString('hex')}`);
  bytes.fill(0);
  if (bitLength(value) > maxBits) throw tooLong(member, maxBits);
  return value;
}

function tooLong(member: string, maxBits: number): MalformedError {
  return new MalformedError(`jwk.${member}: longer than ${String(maxBits)} bits`);
}

function bitLength(value: bigint): number {
  return value.toString(2).length;
}
