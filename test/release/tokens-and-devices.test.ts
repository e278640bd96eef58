/** Tokens of NVIDIA's service beside the devices themselves: both are of one machine, or nothing is released. */
import { describe, expect, test } from '@jest/globals';
import type { Json } from '../../src/bytes/canonical-json.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { device, NRAS, platform, token } from '../evidence/authority/tokens.js';
import { ADMIN, bootedMachine, valueOf } from '../helpers/test-broker.js';
import { base64url, graphics, HardwareWorld, reasonOf } from './hardware-world.js';

/** The certificate of the device that `graphics` makes says which. */
const [leaf] = graphics(Buffer.alloc(32)).gpus[0]!.certificates;
const { serial } = parseCertificate(Buffer.from(leaf!, 'base64url'));
const UEID = BigInt(`0x${serial}`).toString();
const OTHER = '478176379286082186618948445787393647364802107249';
const IDENTITY = (ueid: string) => `chip/${BigInt(ueid).toString(16).padStart(40, '0')}`;

/** A platform token and the device token that it names, in answer to the base. */
function tokensOf(base: Buffer, ueid: string, change: Readonly<Record<string, unknown>> = {}): readonly string[] {
  const seconds = Math.floor(Date.now() / 1000);
  const fresh = { iat: seconds, nbf: seconds, exp: seconds + 60, eat_nonce: base.toString('hex') };
  const one = device({ ...fresh, ueid, ...change });
  return [platform([one], fresh), one];
}

type Evidence = (base: Buffer) => {
  readonly extraData?: Buffer;
  readonly gpus?: ReturnType<typeof graphics>['gpus'];
  readonly tokens?: readonly Json[];
};

/** What comes of a machine that sends this beside its quote; `revoked` is revoked before. */
async function outcomeOf(evidence: Evidence, change: Readonly<Record<string, unknown>> = {}, revoked?: string) {
  const world = await HardwareWorld.start();
  try {
    const machine = await bootedMachine();
    await world.prepare({ attesters: { trust: ['pinned'] }, ...change }, machine);
    if (revoked !== undefined) valueOf(await world.broker.revokeIdentity(ADMIN, revoked));
    return await world.release(async (base, pcrs) => {
      const { extraData = base, ...others } = evidence(base);
      return { tpm: await machine.evidence(extraData, pcrs), ...others };
    });
  } finally {
    await world.close();
  }
}

const alone =
  (ueid: string): Evidence =>
  (base) => ({ tokens: tokensOf(base, ueid) });
const beside =
  (ueid: string, change = {}): Evidence =>
  (base) => ({
    ...graphics(base),
    tokens: tokensOf(base, ueid, change),
  });

describe('a token about a device', () => {
  test('counts beside that device', async () => {
    expect(reasonOf(await outcomeOf(beside(UEID)))).toBe('released');
  });

  test('is unbound beside another device, also where nobody asks for it', async () => {
    expect(await outcomeOf(beside(OTHER))).toMatchObject({
      ok: false,
      reason: 'evidence.unbound',
      detail: `a token is about the gpu ${OTHER}, which is none of evidence.gpus`,
    });
  });

  test('about a switch counts beside a GPU, as no switch was sent', async () => {
    expect(reasonOf(await outcomeOf(beside(OTHER, { 'x-nvidia-switch-arch-check': true })))).toBe('released');
  });

  test('counts where no device was sent, but not as one of platform.gpus.count', async () => {
    const release = {
      version: '1.0.0',
      anyOf: [{ authority: NRAS, allOf: [{ claim: 'submods.GPU-0.measres', equals: 'success' }] }],
    };
    expect(reasonOf(await outcomeOf(alone(OTHER), { release }))).toBe('released');
    const counted = { release, platform: { unmeasuredBoot: true, gpus: { count: 1 } } };
    expect(await outcomeOf(alone(OTHER), counted)).toMatchObject({
      reason: 'gpu.count',
      detail: '0 GPUs answered; those that only tokens name are for the claims of these tokens',
    });
  });

  test('of which nothing but a warning tells that it is held is refused', async () => {
    const held = { 'x-nvidia-attestation-warning': "IS REVOKED WITH THE STATUS AS 'CERTIFICATE_HOLD'." };
    expect(reasonOf(await outcomeOf(beside(UEID, held)))).toBe('token.invalid');
  });

  test('that was revoked by its ueid is refused, whether a token names it or it was sent itself', async () => {
    expect(IDENTITY(UEID)).toBe(`chip/${serial}`);
    for (const [evidence, ueid] of [
      [alone(OTHER), OTHER],
      [(base: Buffer) => graphics(base), UEID],
    ] as const) {
      expect(await outcomeOf(evidence, {}, IDENTITY(ueid))).toMatchObject({
        reason: 'ak.revoked',
        detail: `what the evidence hangs on has been revoked: ${IDENTITY(ueid)}`,
      });
    }
    expect(reasonOf(await outcomeOf(alone(OTHER), {}, IDENTITY(UEID)))).toBe('released');
  });
});

test('a token about no device says nothing of devices', async () => {
  const seconds = Math.floor(Date.now() / 1000);
  const of = (base: Buffer) => token({ iat: seconds, nbf: seconds, exp: seconds + 60, eat_nonce: base64url(base) });
  expect(reasonOf(await outcomeOf((base) => ({ ...graphics(base), tokens: [of(base)] })))).toBe('released');
});
