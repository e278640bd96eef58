import { fromBase64url } from '../../bytes/base64url.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { rsaSpki } from '../../crypto/signature.js';
import { asObject, type JsonObject } from './token.js';

/** How Azure calls the AK among the keys of runtime data. */
const AK_KID = 'HCLAkPub';
const EXPONENT = 'AQAB';
const MAX_KEYS = 16;

/**
 * The AKs (SubjectPublicKeyInfo, DER) of the machines that a token of Azure's attestation service is about: those in its runtime
 * claims, and in those of its hardware report. Throws MalformedError for one that is no RSA key of 2048 bits or more with
 * exponent 65537: what it is about is then not known.
 */
export function namedAks(claims: JsonObject): readonly Buffer[] {
  const runtimes = [claims, asObject(claims['x-ms-isolation-tee'])].map((each) => asObject(each?.['x-ms-runtime']));
  return runtimes.flatMap((runtime) => {
    const keys = runtime?.['keys'];
    if (!Array.isArray(keys)) return [];
    if (keys.length > MAX_KEYS) throw new MalformedError('token: too many keys in runtime claims');
    return keys
      .map(asObject)
      .filter((key) => key?.['kid'] === AK_KID)
      .map(spkiOf);
  });
}

function spkiOf(key: JsonObject | undefined): Buffer {
  const { kty, n, e } = key ?? {};
  if (kty !== 'RSA' || typeof n !== 'string' || e !== EXPONENT)
    throw new MalformedError(`token: ${AK_KID} is no RSA key`);
  try {
    return rsaSpki(fromBase64url(n, `token: ${AK_KID}.n`));
  } catch (error) {
    if (error instanceof RangeError) throw new MalformedError(`token: ${AK_KID} is no RSA key of 2048 bits or more`);
    throw error;
  }
}
