import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { claimAt } from '../../../src/claims/claims.js';
import { TOKEN_ALGORITHMS } from '../../../src/evidence/authority/authority-keys.js';
import { joinPlatform } from '../../../src/evidence/authority/platform-token.js';
import { parseToken } from '../../../src/evidence/authority/token.js';
import { verifyTokens } from '../../../src/evidence/authority/verify.js';
import { AT_MS, authorities, device, digestOf, ISSUER, KEYS, NONCE, NRAS, platform, token } from './tokens.js';

const verify = (tokens: readonly string[]) => verifyTokens(tokens, authorities(), { nonce: NONCE, atMs: AT_MS });
async function reason(...tokens: readonly string[]): Promise<string> {
  const result = await verify(tokens);
  return result.ok ? 'accepted' : result.reason;
}
/** The reason for one device with these claims. */
const withDevice = (change: Record<string, unknown>) => {
  const one = device(change);
  return reason(platform([one]), one);
};
const first = device();
const second = device({ ueid: '2', 'x-nvidia-gpu-driver-version': '570.44' });

describe('a platform token', () => {
  test('with the tokens of its devices is one result, their claims below its submods', async () => {
    const result = await verify([first, platform([first, second]), second]);
    if (!result.ok) throw new Error(result.detail);
    const [only, ...others] = result.value.results;
    expect(others).toEqual([]);
    expect(only?.authority).toBe(NRAS);
    expect(claimAt(only!.claims, 'x-nvidia-overall-att-result')).toBe(true);
    expect(claimAt(only!.claims, 'submods.GPU-0.hwmodel')).toBe('GH100 A01 GSP BROM');
    expect(claimAt(only!.claims, 'submods.GPU-1.x-nvidia-gpu-driver-version')).toBe('570.44');
    expect(claimAt(only!.claims, 'submods.GPU-1.1.1')).toBeUndefined();
  });

  test('tells the devices', async () => {
    const one = device({ ueid: '3', 'x-nvidia-switch-arch-check': true });
    const result = await verify([platform([first, one]), first, one]);
    if (!result.ok) throw new Error(result.detail);
    expect(result.value.gpus).toMatchObject([
      { authority: NRAS, submodule: 'GPU-0', kind: 'gpu', ueid: '478176379286082186618948445787393647364802107249' },
      { authority: NRAS, submodule: 'GPU-1', kind: 'switch', ueid: '3' },
    ]);
    expect(claimAt(result.value.gpus[0]!.claims, 'measres')).toBe('success');
  });

  test('stands beside tokens of others', async () => {
    const result = await verify([token(), platform([first]), first]);
    expect(result.ok && result.value.results.map(({ authority }) => authority)).toEqual([ISSUER, NRAS]);
  });

  test.each([
    ['says that the attestation failed', { 'x-nvidia-overall-att-result': false }],
    ['does not say how the attestation went', { 'x-nvidia-overall-att-result': undefined }],
    ['says so in a text', { 'x-nvidia-overall-att-result': 'true' }],
    ['names no device', { submods: {} }],
    ['has no submods', { submods: undefined }],
    ['has a list of submods', { submods: [['DIGEST', ['SHA-256', digestOf(first)]]] }],
    ['names a device by another digest', { submods: { 'GPU-0': ['DIGEST', ['SHA-256', digestOf(second)]] } }],
    ['names a device by another hash', { submods: { 'GPU-0': ['DIGEST', ['SHA256', digestOf(first)]] } }],
    ['names a device in upper case', { submods: { 'GPU-0': ['DIGEST', ['SHA-256', digestOf(first).toUpperCase()]] } }],
    ['names a device by its token', { submods: { 'GPU-0': ['JWT', first] } }],
    ['names a device by a longer list', { submods: { 'GPU-0': ['DIGEST', ['SHA-256', digestOf(first)], 1] } }],
    ['names a device by claims', { submods: { 'GPU-0': { measres: 'success' } } }],
    ['names a device with a dot', { submods: { 'GPU.0': ['DIGEST', ['SHA-256', digestOf(first)]] } }],
    [
      'names the same device twice',
      {
        submods: {
          'GPU-0': ['DIGEST', ['SHA-256', digestOf(first)]],
          'GPU-1': ['DIGEST', ['SHA-256', digestOf(first)]],
        },
      },
    ],
  ])('that %s is not valid', async (_name, change) => {
    expect(await reason(platform([first], change), first)).toBe('token.invalid');
  });

  test('names at most 16 devices', async () => {
    const devices = [...Array(17).keys()].map((n) => device({ ueid: String(n) }));
    expect(await reason(platform(devices.slice(1)), ...devices.slice(1))).toBe('accepted');
    expect(await reason(platform(devices), ...devices)).toBe('token.invalid');
  });

  test('without the token of one of its devices is not valid', async () => {
    expect(await reason(platform([first, second]), first)).toBe('token.invalid');
    expect(await reason(platform([first]))).toBe('token.invalid');
  });

  test('with a device that has another certificate twice is not valid', async () => {
    const again = device({ jti: 'again' });
    expect(await reason(platform([first, again]), first, again)).toBe('token.invalid');
    expect(await reason(platform([first]), first, platform([again], { jti: 'x' }), again)).toBe('token.invalid');
  });

  test('cannot share a device with another one', async () => {
    expect(await reason(platform([first]), platform([first], { jti: 'x' }), first)).toBe('token.invalid');
  });

  test('with a device of another authority is not valid', async () => {
    expect(await withDevice({ iss: ISSUER })).toBe('token.invalid');
  });

  test('with a device token that somebody else signed is untrusted', async () => {
    const forged = device({}, KEYS.other);
    expect(await reason(platform([forged]), forged)).toBe('token.untrusted');
  });

  test('with a device that answers another nonce is unbound, also where no nonce is expected', async () => {
    const other = device({ eat_nonce: '00'.repeat(32) });
    expect(await reason(platform([other]), other)).toBe('evidence.unbound');
    const result = await verifyTokens([platform([other]), other], authorities(), { nonce: undefined, atMs: AT_MS });
    expect(result).toMatchObject({ reason: 'evidence.unbound' });
  });
});

describe('a device token', () => {
  test('that no platform token names is unbound', async () => {
    expect(await reason(first)).toBe('evidence.unbound');
    expect(await reason(platform([first]), first, second)).toBe('evidence.unbound');
    expect(await reason(token({ measres: 'success' }))).toBe('evidence.unbound');
    expect(await reason(token({ 'x-nvidia-switch-arch-check': true }))).toBe('evidence.unbound');
  });

  test.each([
    ['failed measurements', { measres: 'fail' }],
    ['no measurements', { measres: undefined }],
    ['true for measurements', { measres: true }],
    ['no ueid', { ueid: undefined }],
    ['an empty ueid', { ueid: '' }],
    ['no secure boot', { secboot: false }],
    ['unknown secure boot', { secboot: null }],
    ['debugging enabled', { dbgstat: 'enabled' }],
    ['unknown debugging', { dbgstat: null }],
    ['a failed check', { 'x-nvidia-gpu-attestation-report-nonce-match': false }],
    ['a failed check of tomorrow', { 'x-nvidia-gpu-of-tomorrow': false }],
    ['a failed check further down', { 'x-nvidia-gpu-parts': { deep: [{ check: false }] } }],
    ['a revoked certificate', { 'x-nvidia-gpu-driver-rim-cert-chain': { 'x-nvidia-cert-status': 'revoked' } }],
    ['a certificate of unknown standing', { chain: { 'x-nvidia-cert-ocsp-status': 'unknown' } }],
    ['a certificate nobody asked about', { chain: { 'x-nvidia-cert-ocsp-status': null } }],
  ])('with %s is not valid', async (_name, change) => {
    expect(await withDevice(change)).toBe('token.invalid');
  });

  test.each([
    ['its text', "THE CERTIFICATE X IS REVOKED WITH THE STATUS AS 'CERTIFICATE_HOLD'."],
    ['true', true],
    ['an empty text', ''],
    ['a list', []],
    ['0', 0],
  ])('with a warning, that is %s, is not valid', async (_name, warning) => {
    expect(await withDevice({ 'x-nvidia-attestation-warning': warning })).toBe('token.invalid');
    expect(await withDevice({ parts: [{ 'x-nvidia-attestation-warning': warning }] })).toBe('token.invalid');
  });

  test.each([null, false, undefined])('whose warning is %j is valid', async (warning) => {
    expect(await withDevice({ 'x-nvidia-attestation-warning': warning })).toBe('accepted');
  });

  test.each(['certificateHold', '', false, 6])(
    'with a reason %j for a revocation is not valid, whatever the status is',
    async (value) => {
      const chain = (reason: unknown) => ({
        'x-nvidia-gpu-attestation-report-cert-chain': {
          'x-nvidia-cert-status': 'valid',
          'x-nvidia-cert-ocsp-status': 'good',
          'x-nvidia-cert-revocation-reason': reason,
        },
      });
      expect(await withDevice(chain(value))).toBe('token.invalid');
      expect(await withDevice(chain(null))).toBe('accepted');
      expect(await withDevice(chain(undefined))).toBe('accepted');
    },
  );

  const CHECKS = [
    'x-nvidia-gpu-arch-check',
    'x-nvidia-gpu-attestation-report-parsed',
    'x-nvidia-gpu-attestation-report-signature-verified',
    'x-nvidia-gpu-attestation-report-cert-chain-fwid-match',
    'x-nvidia-gpu-attestation-report-cert-chain-validated',
    'x-nvidia-gpu-driver-rim-fetched',
    'x-nvidia-gpu-driver-rim-measurements-available',
    'x-nvidia-gpu-vbios-index-no-conflict',
    'x-nvidia-switch-bios-rim-version-match',
  ];
  test.each(CHECKS)('that says anything but true of %s is not valid; it may say nothing', async (name) => {
    for (const value of [null, 'false', 'true', 0, 1, [], {}]) {
      expect(await withDevice({ [name]: value })).toBe('token.invalid');
      expect(await withDevice({ deeper: { [name]: value } })).toBe('token.invalid');
    }
    expect(await withDevice({ [name]: true })).toBe('accepted');
    expect(await withDevice({ [name]: undefined })).toBe('accepted');
  });

  test('may spell the nonce otherwise than its platform token', async () => {
    for (const nonce of [NONCE.toString('hex').toUpperCase(), NONCE.toString('base64url')]) {
      expect(await withDevice({ eat_nonce: nonce })).toBe('accepted');
    }
  });

  test('need not have claims that are left to policies', async () => {
    expect(await withDevice({ secboot: undefined, dbgstat: undefined, hwmodel: undefined })).toBe('accepted');
  });
});

const HELD = ['gpu', 'switch'].map((kind) => [
  kind,
  join(import.meta.dirname, `../../../../shared/vectors/gpu/claims/${kind}/detached_granular_claims_remote.json`),
]);
(HELD.every(([, file]) => existsSync(file!)) ? describe : describe.skip)(
  "NVIDIA's sample of a held certificate",
  () => {
    test.each(HELD)(
      'of a %s, in which all checks are true, is not valid for its warning alone',
      async (_kind, file) => {
        const sample = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
        expect(sample['x-nvidia-attestation-warning']).toMatch(/CERTIFICATE_HOLD/);
        const of = (warning: unknown) => {
          const { iss, iat, nbf, exp, eat_nonce } = parseToken(first).claims;
          return device({ ...sample, iss, iat, nbf, exp, eat_nonce, 'x-nvidia-attestation-warning': warning });
        };
        const held = of(sample['x-nvidia-attestation-warning']);
        const result = await verify([platform([held]), held]);
        expect(result).toMatchObject({
          reason: 'token.invalid',
          detail: 'GPU-0 has not passed the check x-nvidia-attestation-warning',
        });
        const unheld = of(null);
        expect(await reason(platform([unheld]), unheld)).toBe('accepted');
      },
    );
  },
);

const SAMPLES = join(import.meta.dirname, '../../../../shared/vectors/gpu/nvat/testdata/sample_attestation_data');
const present = existsSync(SAMPLES);
(present ? describe : describe.skip)('a detached EAT of the real service', () => {
  const cases = [
    ['hopperClaimsv3_detached_eat.json', 'GPU-0', 'gpu', '478176379286082186618948445787393647364802107249'],
    ['switch_detached_eat.json', 'SWITCH-0', 'switch', '694931143880983876767046803400974855445978836716'],
  ] as const;
  const bundle = (name: string) => {
    const text = readFileSync(join(SAMPLES, name), 'utf8');
    const [[, overall], devices] = JSON.parse(text) as [[string, string], Record<string, string>];
    return [overall, ...Object.values(devices)];
  };

  // Its keys are not at hand, so the tokens count as signed here: what is verified are digests and checks.
  test.each(cases)('%s: platform and device belong together', (name, submodule, kind, ueid) => {
    const authority = { issuer: NRAS, algorithms: TOKEN_ALGORITHMS };
    const [overall, ...devices] = bundle(name).map((text) => ({ ...parseToken(text), authority }));
    const joined = joinPlatform(overall!, devices);
    expect(joined).toMatchObject({ ok: true, value: { devices: [{ submodule, kind, ueid }] } });
    expect(joinPlatform(overall!, [])).toMatchObject({ reason: 'token.invalid' });
  });

  test.each(cases.map(([name]) => name))(
    '%s is of a service that nobody configured, or whose keys are others',
    async (name) => {
      const texts = bundle(name);
      const { issuer, claims } = parseToken(texts[0]!);
      const nonce = Buffer.from(String(claims['eat_nonce']), 'hex');
      const atMs = Number(claims['iat']) * 1000;
      const verified = (issuers: readonly string[]) =>
        verifyTokens(texts, authorities(undefined, { issuers }), { nonce, atMs });
      expect(await verified([ISSUER])).toMatchObject({ reason: 'token.untrusted' });
      expect(await verified([issuer])).toMatchObject({ reason: 'token.untrusted' });
    },
  );
});
