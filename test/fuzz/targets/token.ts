/**
 * Fuzz targets for attestation tokens: what is done before and after a signature is checked. `run` throws only on a finding: an
 * error that is no refusal, two readings of the same bytes, or devices that are believed against a failed check. Seeds need no key.
 */
import { createHash } from 'node:crypto';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseKeySet } from '../../../src/collateral/authority-key-set.js';
import { TOKEN_ALGORITHMS } from '../../../src/evidence/authority/authority-keys.js';
import { checkNonce } from '../../../src/evidence/authority/nonce.js';
import { joinPlatform } from '../../../src/evidence/authority/platform-token.js';
import { parseToken } from '../../../src/evidence/authority/token.js';
import { tokenClaims } from '../../../src/evidence/authority/token-claims.js';
import type { FuzzTarget } from '../target.js';

const NONCE = Buffer.alloc(32, 0xa7);
const authority = { issuer: 'https://nras.example', algorithms: TOKEN_ALGORITHMS };
const unsigned = (claims: object) =>
  [{ alg: 'ES384', kid: 'k' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.') + '.AAAA';

const DEVICE = {
  iss: authority.issuer,
  eat_nonce: NONCE.toString('hex'),
  ueid: '4781',
  measres: 'success',
  secboot: true,
  dbgstat: 'disabled',
  'x-nvidia-gpu-arch-check': true,
  'x-nvidia-gpu-driver-rim-cert-chain': { 'x-nvidia-cert-status': 'valid', 'x-nvidia-cert-ocsp-status': 'good' },
};
const PLATFORM = {
  iss: authority.issuer,
  sub: 'NVIDIA-PLATFORM-ATTESTATION',
  eat_nonce: NONCE.toString('hex'),
  'x-nvidia-overall-att-result': true,
};
const AZURE = { iss: authority.issuer, 'x-ms-runtime': { 'client-payload': { nonce: NONCE.toString('base64url') } } };

/** What the parser gives; undefined where it refuses. Anything else that is thrown is a finding. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function runToken(input: Buffer): void {
  const text = input.toString('latin1');
  const token = parsed(() => parseToken(text));
  if (token === undefined) return;
  const claims = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString('utf8')) as { iss?: unknown };
  if (claims.iss !== token.issuer) throw new Error('two readers see two issuers');
  parsed(() => tokenClaims(token.claims));
  if (checkNonce(token.claims, NONCE).ok && !JSON.stringify(claims).includes(NONCE.toString('base64url'))) {
    if (!JSON.stringify(claims).includes(NONCE.toString('hex')))
      throw new Error('another nonce is taken for the right one');
  }
}

/** The claims of a device, under a platform token that names it whatever it says. */
function runDevice(input: Buffer): void {
  const text = `${unsigned({}).split('.', 1)[0] ?? ''}.${input.toString('base64url')}.AAAA`;
  const device = parsed(() => parseToken(text));
  if (device === undefined) return;
  const digest = createHash('sha256').update(text).digest('hex');
  const platform = parseToken(unsigned({ ...PLATFORM, submods: { 'GPU-0': ['DIGEST', ['SHA-256', digest]] } }));
  const joined = joinPlatform({ ...platform, authority }, [{ ...device, authority }]);
  if (!joined.ok) return;
  const { measres, dbgstat = 'disabled' } = device.claims;
  if (measres !== 'success' || dbgstat !== 'disabled') throw new Error('a device is believed that is not good');
  if (/:\s*false/.test(JSON.stringify(device.claims).replace(/"(?:[^"\\]|\\.)*"/g, '""'))) {
    throw new Error('a device is believed against a failed check');
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'token/parse',
    seeds: [DEVICE, PLATFORM, AZURE].map((claims) => Buffer.from(unsigned(claims))),
    run: runToken,
  },
  {
    name: 'token/device',
    seeds: [DEVICE, { ...DEVICE, measres: 'fail' }, { ...DEVICE, x: [{ y: false }] }].map((claims) =>
      Buffer.from(JSON.stringify(claims)),
    ),
    run: runDevice,
  },
  {
    name: 'token/key-set',
    seeds: [
      Buffer.from(
        '{"keys":[{"kty":"EC","kid":"k","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}',
      ),
      Buffer.from('{"keys":[{"kty":"RSA","kid":"a+/=","x5c":["MAA="]}]}'),
    ],
    run: (input) => void parsed(() => parseKeySet(input).find('k')),
  },
];
