import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { jwkThumbprint, type EcPublicJwk, type OkpPublicJwk, type RsaPublicJwk } from '../crypto/jwk.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { ecCurve, isOnCurve } from './ec-curve.js';
import { isSoundX25519Point } from './x25519.js';

/** A public key that released keys are encrypted to. Comes from `parseRecipient` alone, so its point or modulus is checked. */
export type Recipient = AgreementRecipient | RsaRecipient;

export interface AgreementRecipient {
  /** RFC 7638, SHA-256, base64url: what the binding and the log name the recipient by. */
  readonly thumbprint: string;
  readonly alg: 'ECDH-ES+A256KW';
  /** P-256, P-384 or X25519. */
  readonly jwk: EcPublicJwk | OkpPublicJwk;
}

export interface RsaRecipient {
  readonly thumbprint: string;
  readonly alg: 'RSA-OAEP-256';
  readonly jwk: RsaPublicJwk;
}

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 4096;

/**
 * Checks a recipient JWK: EC P-256, EC P-384 or OKP X25519 with `ECDH-ES+A256KW`, RSA of 2048 to 4096 bits with
 * `RSA-OAEP-256`. Members are exactly kty, alg and crv, x (y) or n, e. Coordinates have full field length, EC points
 * lie on their curve, X25519 keys are canonical and not of low order, RSA moduli are minimal and odd, e is `AQAB`.
 * NOT verified: that anybody holds the private key, nor that an RSA modulus is a product of two primes; a bad modulus
 * harms only who sent it. Refusal: request.malformed.
 */
export function parseRecipient(jwk: Readonly<Record<string, unknown>>): Result<Recipient> {
  try {
    return accept(checkedRecipient(jwk));
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

function checkedRecipient(jwk: Readonly<Record<string, unknown>>): Recipient {
  switch (jwk['kty']) {
    case 'EC':
      return ecRecipient(jwk);
    case 'OKP':
      return x25519Recipient(jwk);
    case 'RSA':
      return rsaRecipient(jwk);
    default:
      throw new MalformedError('recipient.kty: one of EC, OKP, RSA');
  }
}

function ecRecipient(members: Readonly<Record<string, unknown>>): Recipient {
  const { crv, x, y } = strings(members, ['kty', 'alg', 'crv', 'x', 'y'], 'ECDH-ES+A256KW');
  const curve = ecCurve(crv, ['P-256', 'P-384']);
  if (curve === undefined) throw new MalformedError('recipient.crv: a key of type EC needs P-256 or P-384');
  const [pointX, pointY] = [
    coordinate(x, curve.fieldBytes, 'recipient.x'),
    coordinate(y, curve.fieldBytes, 'recipient.y'),
  ];
  if (!isOnCurve(curve, pointX, pointY)) throw new MalformedError('recipient: the point is not on the curve');
  const jwk: EcPublicJwk = { kty: 'EC', crv, x, y };
  return { thumbprint: jwkThumbprint(jwk), alg: 'ECDH-ES+A256KW', jwk };
}

function x25519Recipient(members: Readonly<Record<string, unknown>>): Recipient {
  const { crv, x } = strings(members, ['kty', 'alg', 'crv', 'x'], 'ECDH-ES+A256KW');
  if (crv !== 'X25519') throw new MalformedError('recipient.crv: a key of type OKP needs X25519');
  if (!isSoundX25519Point(coordinate(x, 32, 'recipient.x'))) {
    throw new MalformedError('recipient.x: not a canonical X25519 key, or one of low order');
  }
  const jwk: OkpPublicJwk = { kty: 'OKP', crv, x };
  return { thumbprint: jwkThumbprint(jwk), alg: 'ECDH-ES+A256KW', jwk };
}

function rsaRecipient(members: Readonly<Record<string, unknown>>): Recipient {
  const { n, e } = strings(members, ['kty', 'alg', 'n', 'e'], 'RSA-OAEP-256');
  if (e !== 'AQAB') throw new MalformedError('recipient.e: must be AQAB (65537)');
  const modulus = bounded(n, MAX_RSA_BITS / 8, 'recipient.n');
  const first = modulus[0] ?? 0;
  if (first === 0) throw new MalformedError('recipient.n: has leading zero bytes');
  const bits = modulus.length * 8 - (Math.clz32(first) - 24);
  if (bits < MIN_RSA_BITS) throw new MalformedError(`recipient.n: shorter than ${String(MIN_RSA_BITS)} bits`);
  if (((modulus.at(-1) ?? 0) & 1) === 0) throw new MalformedError('recipient.n: is even');
  const jwk: RsaPublicJwk = { kty: 'RSA', n, e };
  return { thumbprint: jwkThumbprint(jwk), alg: 'RSA-OAEP-256', jwk };
}

/** The named members, which must be strings and the only ones, with the one `alg` that fits the type. */
function strings<const N extends string>(
  members: Readonly<Record<string, unknown>>,
  names: readonly N[],
  alg: string,
): Record<N, string> {
  for (const name of names) {
    if (!Object.hasOwn(members, name) || typeof members[name] !== 'string') {
      throw new MalformedError(`recipient.${name}: missing, or not a string`);
    }
  }
  if (Object.keys(members).length !== names.length) {
    throw new MalformedError(`recipient: has other members than ${names.join(', ')}`);
  }
  if (members['alg'] !== alg) throw new MalformedError(`recipient.alg: must be ${alg} for this type of key`);
  return members as Record<N, string>;
}

function coordinate(text: string, fieldBytes: number, field: string): Buffer {
  const bytes = bounded(text, fieldBytes, field);
  if (bytes.length !== fieldBytes) throw new MalformedError(`${field}: must be ${String(fieldBytes)} bytes long`);
  return bytes;
}

/** Decodes canonical base64url of at most `maxBytes`; longer text is not decoded at all. */
function bounded(text: string, maxBytes: number, field: string): Buffer {
  if (text.length > Math.ceil((maxBytes * 4) / 3))
    throw new MalformedError(`${field}: longer than ${String(maxBytes)} bytes`);
  return fromBase64url(text, field);
}
