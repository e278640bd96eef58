/*
 * src/evidence/authority may assume that the configuration names the authorities whose tokens are believed and that their keys
 * come from where it says. Of a token it assumes nothing: not who issued it, nor when, nor for which request.
 */
import { MalformedError } from '../../bytes/malformed-error.js';
import { type AttestationResult, claimTree, type ClaimTree } from '../../claims/claims.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { MAX_TOKENS } from '../evidence.js';
import type { AuthorityKeys } from './authority-keys.js';
import { namedAks } from './named-aks.js';
import { checkNonce } from './nonce.js';
import { isDeviceToken, isPlatformToken, joinPlatform, type PlatformToken } from './platform-token.js';
import { type SignedToken, verifySigned } from './signed-token.js';
import { parseToken, type ParsedToken } from './token.js';
import { tokenClaims } from './token-claims.js';

export type { AuthorityKeys };

/** A device that an authority vouches for, as a platform token of NVIDIA's service names it. */
export interface AttestedDevice {
  readonly authority: string;
  /** `GPU-0`, `SWITCH-0`. */
  readonly submodule: string;
  readonly kind: 'gpu' | 'switch';
  /** The serial number of the device's certificate, decimal. */
  readonly ueid: string;
  readonly claims: ClaimTree;
}

export interface VerifiedTokens {
  /**
   * One per token, in the order sent, under the issuer as it is configured. Device tokens have none of their own: their claims
   * stand below `submods.<name>` of the platform token that names them, in the place of their digest.
   */
  readonly results: readonly AttestationResult[];
  /** Of all platform tokens. */
  readonly gpus: readonly AttestedDevice[];
  /** The AKs that tokens name as those of the machines they are about, SubjectPublicKeyInfo in DER: see `namedAks`. */
  readonly aks: readonly Buffer[];
}

export interface TokenExpectations {
  /** What every token must answer, 32 bytes; undefined: not checked. */
  readonly nonce: Buffer | undefined;
  /** The clock: ms since the Unix epoch. */
  readonly atMs: number;
}

/**
 * Verifies the attestation tokens of a request: all of them, or none counts. evidence.malformed: more than 24, the same twice, or
 * one that does not parse. token.untrusted, collateral.unavailable, token.invalid: see `verifySigned`. evidence.unbound: a nonce
 * other than the expected one, or none; a device token of NVIDIA's that no platform token names. token.invalid: see
 * `joinPlatform`; also the same device twice. NOT verified: what else a token says, which is for release policies.
 */
export async function verifyTokens(
  tokens: readonly string[],
  authorities: AuthorityKeys,
  expected: TokenExpectations,
): Promise<Result<VerifiedTokens>> {
  const parsed = parseAll(tokens);
  if (!parsed.ok) return parsed;
  const signed: SignedToken[] = [];
  for (const token of parsed.value) {
    // One after the other: the first that fails ends it, so that a request waits for few authorities.
    const one = await verifySigned(token, authorities, expected.atMs);
    if (!one.ok) return one;
    signed.push(one.value);
  }
  if (expected.nonce !== undefined) {
    for (const { claims } of signed) {
      const bound = checkNonce(claims, expected.nonce);
      if (!bound.ok) return bound;
    }
  }
  const platforms = joinAll(signed);
  return platforms.ok ? resultsOf(signed, platforms.value) : platforms;
}

function parseAll(tokens: readonly string[]): Result<readonly ParsedToken[]> {
  if (tokens.length > MAX_TOKENS) return reject('evidence.malformed', `more than ${String(MAX_TOKENS)} tokens`);
  if (new Set(tokens).size !== tokens.length) return reject('evidence.malformed', 'the same token twice');
  try {
    return accept(tokens.map(parseToken));
  } catch (error) {
    if (error instanceof MalformedError) return reject('evidence.malformed', error.message);
    throw error;
  }
}

/** Every platform token with its devices, each device of one platform token alone. */
function joinAll(signed: readonly SignedToken[]): Result<readonly PlatformToken[]> {
  const platforms: PlatformToken[] = [];
  const others = signed.filter((token) => !isPlatformToken(token));
  for (const token of signed.filter(isPlatformToken)) {
    const platform = joinPlatform(token, others);
    if (!platform.ok) return platform;
    platforms.push(platform.value);
  }
  const devices = platforms.flatMap((platform) => platform.devices);
  if (new Set(devices.map(({ ueid }) => ueid)).size !== devices.length) {
    return reject('token.invalid', 'two tokens are about the same device');
  }
  const named = new Set(devices.map(({ token }) => token));
  if (others.some((token) => !named.has(token) && isDeviceToken(token))) {
    return reject('evidence.unbound', 'a token about one device is named by no platform token');
  }
  return accept(platforms);
}

function resultsOf(signed: readonly SignedToken[], platforms: readonly PlatformToken[]): Result<VerifiedTokens> {
  try {
    const trees = new Map(signed.map((token) => [token, tokenClaims(token.claims)]));
    const treeOf = (token: SignedToken) => trees.get(token) ?? claimTree({});
    const devices = platforms.flatMap((platform) => platform.devices);
    const gpus = devices.map(({ submodule, kind, ueid, token }) => {
      return { authority: token.authority.issuer, submodule, kind, ueid, claims: treeOf(token) };
    });
    const named = new Set(devices.map(({ token }) => token));
    const results = signed
      .filter((token) => !named.has(token))
      .map((token) => {
        const platform = platforms.find((candidate) => candidate.token === token);
        const submods = platform?.devices.map((device) => [device.submodule, treeOf(device.token)] as const);
        const own = treeOf(token);
        const claims = submods === undefined ? own : { ...own, submods: claimTree(Object.fromEntries(submods)) };
        return { authority: token.authority.issuer, claims: claimTree(claims) };
      });
    return accept({ results, gpus, aks: signed.flatMap(({ claims }) => namedAks(claims)) });
  } catch (error) {
    if (error instanceof MalformedError) return reject('evidence.malformed', error.message);
    throw error;
  }
}
