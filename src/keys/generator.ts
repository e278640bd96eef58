import { accept, reject, type Result } from '../reason/reason.js';
import type { KeyMaterial } from './material.js';

/** What to generate. `parseKeySpec` fills every member of its type. */
export type KeySpec =
  | { readonly kty: 'oct'; readonly sizeBits?: number }
  | { readonly kty: 'RSA'; readonly sizeBits?: number }
  | { readonly kty: 'EC'; readonly curve?: string }
  | { readonly kty: 'OKP'; readonly curve?: string };

/** Makes key material that nobody has seen. The caller zeroises its `jwk`. Throws RangeError for a spec that `parseKeySpec` does not make. */
export type KeyGenerator = (spec: KeySpec) => Promise<KeyMaterial>;

/** Sizes of generated keys, in bits, and the curves; the first one is the default. */
export const KEY_SPECS = {
  oct: { defaultBits: 256, minBits: 128, maxBits: 4096 },
  RSA: [3072, 2048, 4096],
  EC: ['P-256', 'P-384', 'P-521'],
  OKP: ['Ed25519', 'X25519'],
} as const;

/**
 * Completes and checks what a person asks for. oct: 128 to 4096 bits in whole bytes, default 256. RSA: 2048, 3072
 * (default), 4096. EC: P-256 (default), P-384, P-521. OKP: Ed25519 (default), X25519. A size for a curve, or a curve for
 * a size, is refused. Refusal: request.malformed.
 */
export function parseKeySpec(request: {
  readonly type: string;
  readonly size?: number;
  readonly curve?: string;
}): Result<KeySpec> {
  const { type, size, curve } = request;
  switch (type) {
    case 'oct':
      if (curve !== undefined) return reject('request.malformed', 'curve: a key of type oct has none');
      return octSpec(size ?? KEY_SPECS.oct.defaultBits);
    case 'RSA':
      if (curve !== undefined) return reject('request.malformed', 'curve: a key of type RSA has none');
      return oneOf('size', KEY_SPECS.RSA, size, (sizeBits) => ({ kty: 'RSA', sizeBits }));
    case 'EC':
      if (size !== undefined) return reject('request.malformed', 'size: a key of type EC is chosen by its curve');
      return oneOf('curve', KEY_SPECS.EC, curve, (named) => ({ kty: 'EC', curve: named }));
    case 'OKP':
      if (size !== undefined) return reject('request.malformed', 'size: a key of type OKP is chosen by its curve');
      return oneOf('curve', KEY_SPECS.OKP, curve, (named) => ({ kty: 'OKP', curve: named }));
    default:
      return reject('request.malformed', 'type: one of oct, RSA, EC, OKP');
  }
}

function octSpec(sizeBits: number): Result<KeySpec> {
  const { minBits, maxBits } = KEY_SPECS.oct;
  if (!Number.isInteger(sizeBits) || sizeBits % 8 !== 0 || sizeBits < minBits || sizeBits > maxBits) {
    return reject('request.malformed', `size: ${String(minBits)} to ${String(maxBits)} bits in whole bytes`);
  }
  return accept({ kty: 'oct', sizeBits });
}

function oneOf<T extends string | number>(
  member: string,
  allowed: readonly [T, ...T[]],
  asked: T | undefined,
  spec: (value: T) => KeySpec,
): Result<KeySpec> {
  const value = asked ?? allowed[0];
  if (!allowed.includes(value)) return reject('request.malformed', `${member}: one of ${allowed.join(', ')}`);
  return accept(spec(value));
}
