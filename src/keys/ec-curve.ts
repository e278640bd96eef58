/** A NIST curve: its name in OpenSSL and its field length in bytes. */
export interface EcCurve {
  readonly openssl: string;
  readonly fieldBytes: number;
}

/** By JWK `crv`. Released keys may be on any of them; recipients on the first two. */
export const EC_CURVES = {
  'P-256': { openssl: 'prime256v1', fieldBytes: 32 },
  'P-384': { openssl: 'secp384r1', fieldBytes: 48 },
  'P-521': { openssl: 'secp521r1', fieldBytes: 66 },
} as const satisfies Readonly<Record<string, EcCurve>>;

/** The curve of this name, if it is one of `names`. */
export function ecCurve(crv: string, names: readonly (keyof typeof EC_CURVES)[]): EcCurve | undefined {
  const name = names.find((each) => each === crv);
  return name === undefined ? undefined : EC_CURVES[name];
}

/** SEC 1 uncompressed form: 04, x, y, both of full field length. */
export function uncompressedPoint(x: Buffer, y: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x04]), x, y]);
}
