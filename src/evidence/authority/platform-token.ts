import { sha256Hex } from '../../crypto/digest.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { isSameNonce } from './nonce.js';
import type { SignedToken } from './signed-token.js';
import { asObject } from './token.js';

/** `sub` of the token that NVIDIA's Remote Attestation Service makes over all devices of a request. */
const PLATFORM_SUBJECT = 'NVIDIA-PLATFORM-ATTESTATION';
const DEVICE_PREFIXES: readonly string[] = ['x-nvidia-gpu-', 'x-nvidia-switch-'];
const SUBMODULE_NAME = /^[A-Za-z0-9_-]{1,64}$/;
const SHA256_HEX = /^[0-9a-f]{64}$/;
const MAX_SUBMODULES = 16;

/** A device that NVIDIA's service has verified. */
export interface DeviceToken {
  /** As the platform token names it: `GPU-0`. */
  readonly submodule: string;
  readonly kind: 'gpu' | 'switch';
  /** The serial number of the device's certificate, decimal, as NVIDIA's service writes it. */
  readonly ueid: string;
  readonly token: SignedToken;
}

/** A platform token with the tokens of all its devices: a detached EAT bundle of NVIDIA's service. */
export interface PlatformToken {
  readonly token: SignedToken;
  readonly devices: readonly DeviceToken[];
}

export function isPlatformToken({ claims }: SignedToken): boolean {
  return claims['sub'] === PLATFORM_SUBJECT;
}

/** Whether a token is about one device, so that it counts only where a platform token names it. */
export function isDeviceToken({ claims }: SignedToken): boolean {
  return 'measres' in claims || Object.keys(claims).some((name) => DEVICE_PREFIXES.some((p) => name.startsWith(p)));
}

/**
 * Puts a platform token together with the device tokens that it names by SHA-256 of their bytes, all signed already.
 * evidence.unbound: a named token answers another nonce than the platform token. token.invalid: the overall result is not true;
 * submods other than `["DIGEST", ["SHA-256", hex]]`, none, or more than 16; a named token is not among `others`, is of another
 * authority or is named twice; a device token without `ueid`, whose `measres` is not `success`, or with any of these, at any depth:
 * a known check that is not true, any other boolean that is not, `dbgstat` other than `disabled`, a certificate that is not valid
 * and good, a reason for a revocation, a warning. What a device token does not say is not asked for, `measres` and `ueid` excepted:
 * that is for release policies.
 */
export function joinPlatform(token: SignedToken, others: readonly SignedToken[]): Result<PlatformToken> {
  if (token.claims['x-nvidia-overall-att-result'] !== true) {
    return reject('token.invalid', 'the platform token says that the attestation failed');
  }
  const submods = Object.entries(asObject(token.claims['submods']) ?? {});
  if (submods.length === 0 || submods.length > MAX_SUBMODULES) {
    return reject('token.invalid', `the platform token names no devices, or more than ${String(MAX_SUBMODULES)}`);
  }
  const byDigest = new Map(others.map((other) => [sha256Hex(other.text), other]));
  const devices: DeviceToken[] = [];
  for (const [submodule, value] of submods) {
    const digest = digestIn(value);
    if (digest === undefined || !SUBMODULE_NAME.test(submodule)) {
      return reject('token.invalid', 'the platform token names a device otherwise than by a SHA-256 digest');
    }
    const named = byDigest.get(digest);
    if (named === undefined) return reject('token.invalid', `the token of ${submodule} is missing, or is another one`);
    byDigest.delete(digest);
    if (!isSameNonce(named.claims['eat_nonce'], token.claims['eat_nonce'])) {
      return reject('evidence.unbound', `the token of ${submodule} answers another nonce than its platform token`);
    }
    if (named.authority !== token.authority) return reject('token.invalid', `${submodule} is of another authority`);
    const device = checkDevice(submodule, named);
    if (!device.ok) return device;
    devices.push(device.value);
  }
  return accept({ token, devices });
}

/** `["DIGEST", ["SHA-256", "<lower-case hex>"]]`: a detached submodule digest (RFC 9711) as NVIDIA's service writes it. */
function digestIn(value: unknown): string | undefined {
  if (!Array.isArray(value) || value.length !== 2 || value[0] !== 'DIGEST') return undefined;
  const digest: unknown = value[1];
  if (!Array.isArray(digest) || digest.length !== 2 || digest[0] !== 'SHA-256') return undefined;
  const hex: unknown = digest[1];
  return typeof hex === 'string' && SHA256_HEX.test(hex) ? hex : undefined;
}

function checkDevice(submodule: string, token: SignedToken): Result<DeviceToken> {
  const { claims } = token;
  const { ueid, measres } = claims;
  if (typeof ueid !== 'string' || ueid === '') return reject('token.invalid', `the token of ${submodule} has no ueid`);
  if (measres !== 'success')
    return reject('token.invalid', `the measurements of ${submodule} are not as they should be`);
  const failed = failedCheck(claims);
  if (failed !== undefined) return reject('token.invalid', `${submodule} has not passed the check ${failed}`);
  const isSwitch = Object.keys(claims).some((name) => name.startsWith('x-nvidia-switch-'));
  return accept({ submodule, kind: isSwitch ? 'switch' : 'gpu', ueid, token });
}

/**
 * What the claim must be where it is there, before any general rule. NVIDIA puts certificates on hold and its service accepts them
 * where a header of the request says so: whoever asks for the token chooses that. The status is good then, and the hold stands in
 * the warning alone, a text in genuine tokens, true in others (NVIDIA's claims guide).
 */
const ALLOWED: Readonly<Record<string, readonly unknown[]>> = {
  secboot: [true],
  dbgstat: ['disabled'],
  'x-nvidia-cert-status': ['valid'],
  'x-nvidia-cert-ocsp-status': ['good'],
  'x-nvidia-cert-revocation-reason': [null],
  'x-nvidia-attestation-warning': [null, false],
};
/** How NVIDIA's names of checks end, those of all versions of its claims; one that came to no result (null) is not passed. */
const CHECK = /^x-nvidia-(?:gpu|switch)-.*-(?:check|parsed|match|verified|fetched|validated|available|no-conflict)$/;
const PASSED: readonly unknown[] = [true];

/** The name of the first check that was not passed; the depth was bounded when the token was parsed. */
function failedCheck(claims: object): string | undefined {
  for (const [name, value] of Object.entries(claims) as [string, unknown][]) {
    const allowed = Object.hasOwn(ALLOWED, name) ? ALLOWED[name] : CHECK.test(name) ? PASSED : undefined;
    if (allowed === undefined ? value === false : !allowed.includes(value)) return name;
    const failed = typeof value === 'object' && value !== null ? failedCheck(value) : undefined;
    if (failed !== undefined) return failed;
  }
  return undefined;
}
