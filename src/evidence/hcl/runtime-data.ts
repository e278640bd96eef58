import { fromBase64url } from '../../bytes/base64url.js';
import { parseJson } from '../../bytes/json.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { rsaSpki } from '../../crypto/signature.js';
import { AK_KID, EK_KID, USER_DATA_BYTES } from './constants.js';
import { type VmConfiguration, vmConfiguration } from './vm-configuration.js';

/** What the paravisor says of the virtual TPM and the machine. */
export interface RuntimeData {
  /** SubjectPublicKeyInfo (DER) of the AK; undefined: it names none. */
  readonly akSpki: Buffer | undefined;
  /** SubjectPublicKeyInfo (DER) of the EK; undefined: it names none. */
  readonly ekSpki: Buffer | undefined;
  /** Without claims where it says nothing. */
  readonly vmConfiguration: VmConfiguration;
  /** What the guest had written when the report was made, 64 bytes; undefined: left out, as old paravisors do. */
  readonly userData: Buffer | undefined;
}

const MAX_DEPTH = 8;
const MAX_KEYS = 8;
const RSA_BYTES: readonly number[] = [256, 384, 512];
/** The 64 bytes of the NV index, in either case. */
const USER_DATA = /^[0-9A-Fa-f]{128}$/;

/**
 * Parses the runtime data of an HCL report: JSON, UTF-8, no member twice. Of `keys`, each `kid` at most once; AK and EK are RSA
 * of 2048, 3072 or 4096 bits with e = 65537, n canonical and odd. Members that are not known are passed over, and settings of another
 * type than is known. The caller has bounded the size. NOT verified: that hardware vouches for it. Throws MalformedError.
 */
export function parseRuntimeData(bytes: Buffer): RuntimeData {
  const members = objectOf(parseJson(bytes, MAX_DEPTH), 'runtime data');
  const keys = keysById(members['keys']);
  return {
    akSpki: rsaKeyOf(keys, AK_KID),
    ekSpki: rsaKeyOf(keys, EK_KID),
    vmConfiguration: vmConfiguration(members['vm-configuration']),
    userData: userDataOf(members['user-data']),
  };
}

function keysById(value: unknown): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const byId = new Map<string, Readonly<Record<string, unknown>>>();
  if (value === undefined) return byId;
  if (!Array.isArray(value)) throw new MalformedError('keys: not a list');
  if (value.length > MAX_KEYS) throw new MalformedError(`keys: more than ${String(MAX_KEYS)}`);
  for (const item of value) {
    const key = objectOf(item, 'keys');
    const kid = key['kid'];
    if (typeof kid !== 'string') throw new MalformedError('keys: one without kid');
    if (byId.has(kid)) throw new MalformedError('keys: the same kid twice');
    byId.set(kid, key);
  }
  return byId;
}

function rsaKeyOf(keys: ReadonlyMap<string, Readonly<Record<string, unknown>>>, kid: string): Buffer | undefined {
  const key = keys.get(kid);
  if (key === undefined) return undefined;
  const { kty, e, n } = key;
  if (kty !== 'RSA' || e !== 'AQAB' || typeof n !== 'string') {
    throw new MalformedError(`${kid}: not an RSA key with exponent 65537`);
  }
  const modulus = fromBase64url(n, `${kid}.n`);
  const isWhole = ((modulus[0] ?? 0) & 0x80) !== 0 && ((modulus.at(-1) ?? 0) & 1) === 1;
  if (!RSA_BYTES.includes(modulus.length) || !isWhole) {
    throw new MalformedError(`${kid}: not a modulus of 2048, 3072 or 4096 bits`);
  }
  return rsaSpki(modulus);
}

function userDataOf(value: unknown): Buffer | undefined {
  if (value === undefined || value === '') return undefined;
  if (typeof value !== 'string' || !USER_DATA.test(value)) {
    throw new MalformedError(`user-data: not ${String(USER_DATA_BYTES)} bytes in hex`);
  }
  return Buffer.from(value, 'hex');
}

/** A JSON object, whose members are then only its own. */
function objectOf(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedError(`${name}: not an object`);
  }
  return Object.assign(Object.create(null) as Record<string, unknown>, value);
}
