/** Tokens that a test signs itself, with any single defect, and authorities whose keys it holds. */
import { constants, createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import {
  type Authority,
  type AuthorityKeys,
  TOKEN_ALGORITHMS,
  type TokenAlgorithm,
} from '../../../src/evidence/authority/authority-keys.js';
import { accept, reject, type Result } from '../../../src/reason/reason.js';
import { ecKey, rsaKey, type TestKey } from '../../helpers/pki.js';

export const AT_MS = Date.UTC(2026, 5, 1);
export const NONCE = Buffer.alloc(32, 0xa7);
export const ISSUER = 'https://authority.example';
export const NRAS = 'https://nras.example';

export const KEYS = { rsa: rsaKey(), p256: ecKey('P-256'), p384: ecKey('P-384'), other: ecKey('P-384') };

export const publicKeyOf = ({ spki }: TestKey): KeyObject =>
  createPublicKey({ key: spki, format: 'der', type: 'spki' });

const encode = (part: object | string) =>
  Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

/** Header and claims as they are handed in, strings as they are, and a right signature over them. */
export function jws(header: object | string, claims: object | string, key: TestKey, alg: TokenAlgorithm): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signatureOver(Buffer.from(input), key.privateKey, alg).toString('base64url')}`;
}

function signatureOver(data: Buffer, key: KeyObject, alg: TokenAlgorithm): Buffer {
  const hash = `sha${alg.slice(2)}`;
  switch (alg) {
    case 'RS256':
      return sign(hash, data, key);
    case 'PS256':
    case 'PS384': {
      const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
      return sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
    }
    case 'ES256':
    case 'ES384':
      return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
  }
}

type Claims = Readonly<Record<string, unknown>>;

export const DATES = { iat: AT_MS / 1000 - 10, nbf: AT_MS / 1000 - 10, exp: AT_MS / 1000 + 3600 };

/** The claims of a token of ISSUER that is good; undefined leaves one out. */
export const goodClaims = (change: Claims = {}): Claims => ({
  iss: ISSUER,
  ...DATES,
  eat_nonce: NONCE.toString('base64url'),
  ...change,
});

/** A token of ISSUER, signed with ES384 under kid `k`. */
export function token(change: Claims = {}, header: Claims = {}, key: TestKey = KEYS.p384): string {
  return jws({ alg: 'ES384', kid: 'k', typ: 'JWT', ...header }, goodClaims(change), key, 'ES384');
}

/** What NVIDIA's service says of a GPU that is as it should be. */
export const deviceClaims = (change: Claims = {}): Claims =>
  goodClaims({
    iss: NRAS,
    eat_nonce: NONCE.toString('hex'),
    ueid: '478176379286082186618948445787393647364802107249',
    measres: 'success',
    secboot: true,
    dbgstat: 'disabled',
    hwmodel: 'GH100 A01 GSP BROM',
    oemid: '5703',
    'x-nvidia-gpu-arch-check': true,
    'x-nvidia-gpu-attestation-report-nonce-match': true,
    'x-nvidia-gpu-driver-version': '550.90.07',
    'x-nvidia-attestation-warning': null,
    'x-nvidia-gpu-driver-rim-cert-chain': {
      'x-nvidia-cert-status': 'valid',
      'x-nvidia-cert-ocsp-status': 'good',
      'x-nvidia-cert-revocation-reason': null,
    },
    ...change,
  });

export const device = (change: Claims = {}, key = KEYS.p384): string =>
  jws({ alg: 'ES384', kid: 'k' }, deviceClaims(change), key, 'ES384');

export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The platform token over device tokens, which it names GPU-0, GPU-1 and so on. */
export function platform(devices: readonly string[], change: Claims = {}): string {
  const submods = Object.fromEntries(
    devices.map((text, n) => [`GPU-${String(n)}`, ['DIGEST', ['SHA-256', digestOf(text)]]]),
  );
  const claims = goodClaims({
    iss: NRAS,
    sub: 'NVIDIA-PLATFORM-ATTESTATION',
    eat_nonce: NONCE.toString('hex'),
    'x-nvidia-ver': '3.0',
    'x-nvidia-overall-att-result': true,
    submods,
    ...change,
  });
  return jws({ alg: 'ES384', kid: 'k' }, claims, KEYS.p384, 'ES384');
}

/** Authorities with keys by id. `fault` is what is answered instead. */
export function authorities(
  keysById: Readonly<Record<string, readonly KeyObject[]>> = { k: [publicKeyOf(KEYS.p384)] },
  options: {
    readonly algorithms?: readonly TokenAlgorithm[];
    readonly issuers?: readonly string[];
    readonly fault?: true;
  } = {},
): AuthorityKeys {
  const { algorithms = TOKEN_ALGORITHMS, issuers = [ISSUER, NRAS] } = options;
  const known = new Map<string, Authority>(issuers.map((issuer) => [issuer, { issuer, algorithms }]));
  const keys = (_authority: Authority, kid: string | undefined): Promise<Result<readonly KeyObject[]>> => {
    if (options.fault === true) return Promise.resolve(reject('collateral.unavailable', 'no keys'));
    return Promise.resolve(accept(kid === undefined ? Object.values(keysById).flat() : (keysById[kid] ?? [])));
  };
  const keysAtHand = (_authority: Authority, kid: string | undefined): readonly KeyObject[] =>
    kid === undefined ? Object.values(keysById).flat() : (keysById[kid] ?? []);
  return { authorityOf: (issuer) => known.get(issuer), keys, keysAtHand };
}
