import { toHex } from '../bytes/hex.js';

/** A NIST curve y² = x³ - 3x + b over the field of p: its name in OpenSSL, its field length in bytes, and p and b (SP 800-186 section 3.2.1). */
export interface EcCurve {
  readonly openssl: string;
  readonly fieldBytes: number;
  readonly p: bigint;
  readonly b: bigint;
}

/** By JWK `crv`. Released keys may be on any of them; recipients on the first two. */
export const EC_CURVES = {
  'P-256': {
    openssl: 'prime256v1',
    fieldBytes: 32,
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  },
  'P-384': {
    openssl: 'secp384r1',
    fieldBytes: 48,
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  },
  'P-521': {
    openssl: 'secp521r1',
    fieldBytes: 66,
    p: 2n ** 521n - 1n,
    b: 0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
  },
} as const satisfies Readonly<Record<string, EcCurve>>;

/** The curve of this name, if it is one of `names`. */
export function ecCurve(crv: string, names: readonly (keyof typeof EC_CURVES)[]): EcCurve | undefined {
  const name = names.find((each) => each === crv);
  return name === undefined ? undefined : EC_CURVES[name];
}

/**
 * Whether the coordinates, big-endian, are below p and satisfy the equation of the curve. All three curves have cofactor 1,
 * so every such point is in the group. Takes a time that depends on the point: for public keys. In an agreement OpenSSL asks
 * the same, but at the cost of building the curve anew, which is several times this.
 */
export function isOnCurve({ p, b }: EcCurve, x: Uint8Array, y: Uint8Array): boolean {
  const [xs, ys] = [BigInt(`0x${toHex(x)}`), BigInt(`0x${toHex(y)}`)];
  return xs < p && ys < p && (ys * ys - (xs * xs - 3n) * xs - b) % p === 0n;
}

/** SEC 1 uncompressed form: 04, x, y, both of full field length. */
export function uncompressedPoint(x: Buffer, y: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x04]), x, y]);
}
