import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { AK_SCHEMES, type AkScheme, type SimulatedAk } from './ak.js';
import { EK_ALGORITHMS, type EkAlgorithm } from './ek.js';
import { SimulatedTpm } from './vtpm.js';

/** A simulated TPM with what a real one keeps when the power is off: an AK and an EK. */
export interface KeptTpm {
  readonly tpm: SimulatedTpm;
  readonly ak: SimulatedAk;
  readonly ek: EkAlgorithm;
}

/** The largest text that is read. */
export const MAX_SAVED_BYTES = 16 * 1024;
const KIND = 'simulated TPM of Portcullis: for development only';
const MEMBERS = ['kind', 'born_at_ms', 'ak', 'ek'] as const;

/** Makes the keys of a simulated TPM, as JSON text that `restoreTpm` takes. The text holds its private keys. */
export async function makeSavedTpm(scheme: AkScheme, algorithm: EkAlgorithm, nowMs: number): Promise<string> {
  const tpm = new SimulatedTpm();
  const [ak, ek] = await Promise.all([tpm.createAk({ scheme }), tpm.ek(algorithm)]);
  const saved = {
    kind: KIND,
    born_at_ms: nowMs,
    ak: { scheme, pkcs8: toBase64url(ak.exportPkcs8()) },
    ek: { algorithm, pkcs8: toBase64url(ek.exportPkcs8()) },
  };
  return `${JSON.stringify(saved)}\n`;
}

/**
 * The TPM with these keys, just started. Its clock tells the milliseconds since it was made, so that of two processes that
 * share it none sees the clock go back. Throws MalformedError.
 */
export async function restoreTpm(text: Uint8Array, nowMs: number): Promise<KeptTpm> {
  const saved = membersOf(parseJson(text), 'saved TPM', MEMBERS);
  const { kind, born_at_ms: bornAtMs } = saved;
  if (kind !== KIND || typeof bornAtMs !== 'number' || !Number.isSafeInteger(bornAtMs)) {
    throw new MalformedError('saved TPM: not one of this version');
  }
  const ak = membersOf(saved.ak, 'ak', ['scheme', 'pkcs8']);
  const ek = membersOf(saved.ek, 'ek', ['algorithm', 'pkcs8']);
  const scheme = oneOf(AK_SCHEMES, ak.scheme, 'ak.scheme');
  const algorithm = oneOf(EK_ALGORITHMS, ek.algorithm, 'ek.algorithm');
  const tpm = new SimulatedTpm();
  tpm.setClockInfo({ clock: BigInt(Math.max(0, nowMs - bornAtMs)) });
  const pkcs8 = { ak: bytesOf(ak.pkcs8, 'ak.pkcs8'), ek: bytesOf(ek.pkcs8, 'ek.pkcs8') };
  try {
    await tpm.ek(algorithm, pkcs8.ek);
    return { tpm, ak: await tpm.createAk({ scheme, pkcs8: pkcs8.ak }), ek: algorithm };
  } catch {
    // What OpenSSL says of a key is not passed on.
    throw new MalformedError('saved TPM: a private key is not one of its kind');
  }
}

function membersOf<N extends string>(value: unknown, field: string, names: readonly N[]): Readonly<Record<N, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MalformedError(`${field}: no object`);
  const members = value as Record<N, unknown>;
  if (Object.keys(members).sort().join() !== [...names].sort().join())
    throw new MalformedError(`${field}: other members`);
  return members;
}

function oneOf<T extends string>(known: readonly T[], value: unknown, field: string): T {
  const found = known.find((each) => each === value);
  if (found === undefined) throw new MalformedError(`${field}: unknown`);
  return found;
}

function bytesOf(value: unknown, field: string): Buffer {
  if (typeof value !== 'string') throw new MalformedError(`${field}: no text`);
  return fromBase64url(value, field);
}
