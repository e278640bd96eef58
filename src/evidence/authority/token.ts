import { fromBase64url } from '../../bytes/base64url.js';
import { parseJson } from '../../bytes/json.js';
import { MalformedError } from '../../bytes/malformed-error.js';

/** Characters of one token. */
export const MAX_TOKEN_LENGTH = 65_536;
const MAX_HEADER_LENGTH = 16_384;
const MAX_SIGNATURE_LENGTH = 2_048;
const MAX_DEPTH = 16;
const MAX_KID_LENGTH = 512;
const MAX_ISSUER_LENGTH = 512;

/** A JSON object without a prototype. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A JWT in the compact form, taken apart; nothing of it is verified. */
export interface ParsedToken {
  /** As it was sent. */
  readonly text: string;
  /** Of the header; whatever it names is not known to be allowed. */
  readonly alg: string;
  readonly kid: string | undefined;
  /** Whether the header names extensions that must be understood. */
  readonly critical: boolean;
  readonly issuer: string;
  readonly claims: JsonObject;
}

/**
 * Takes a JWT apart (RFC 7519, JWS compact serialization of RFC 7515): three parts in canonical base64url, header and claims JSON
 * objects, nested at most 16 deep, no member twice. Of the header only `alg`, `kid` and the presence of `crit` are ever looked at:
 * keys and places of keys (`jwk`, `jku`, `x5c`, `x5u`) that a token names are nobody's word. NOT verified: anything. Throws
 * MalformedError.
 */
export function parseToken(text: string): ParsedToken {
  if (text.length > MAX_TOKEN_LENGTH)
    throw new MalformedError(`token: longer than ${String(MAX_TOKEN_LENGTH)} characters`);
  const parts = text.split('.', 4);
  const [head = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3) throw new MalformedError('token: not three parts');
  if (head.length > MAX_HEADER_LENGTH || signature.length > MAX_SIGNATURE_LENGTH) {
    throw new MalformedError('token: header or signature too long');
  }
  fromBase64url(signature, 'token: signature');
  const header = objectIn(head, 'token: header');
  const claims = objectIn(payload, 'token: claims');
  const { alg, kid } = header;
  const issuer = claims['iss'];
  if (typeof alg !== 'string') throw new MalformedError('token: alg is not a string');
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) {
    throw new MalformedError('token: kid is not a string, or too long');
  }
  if (typeof issuer !== 'string' || issuer.length > MAX_ISSUER_LENGTH) {
    throw new MalformedError('token: iss is not a string, or too long');
  }
  return { text, alg, kid, critical: header['crit'] !== undefined, issuer, claims };
}

function objectIn(part: string, name: string): JsonObject {
  const value = asObject(parseJson(fromBase64url(part, name), MAX_DEPTH));
  if (value === undefined) throw new MalformedError(`${name}: not an object`);
  return value;
}

/** A JSON object, so that its members are only its own; undefined for any other value. */
export function asObject(value: unknown): JsonObject | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.assign(Object.create(null) as Record<string, unknown>, value);
}
