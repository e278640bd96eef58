import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { SimulatedAk } from '../../../src/simulator/ak.js';
import { SimulatedTpm } from '../../../src/simulator/vtpm.js';
import {
  bootSimulatedMachine,
  bootSimulatedPlatform,
  type SimulatedBootOptions,
} from '../../../src/workload/attesters/simulated-boot.js';
import { SIMULATED_CVM_KINDS } from '../../../src/workload/attesters/simulated-cvm-kinds.js';
import { AttesterError, BrokerAnswerError } from '../../../src/workload/errors.js';
import type { Transport } from '../../../src/workload/transport.js';
import { answerOf } from '../test-broker.js';

const BASE = Buffer.alloc(32, 0xb5);
const DIGEST = createHash('sha256').update('policy').digest();
const cvm = { certificates: ['bGVhZg', 'Y2E'], measurement: 'aa'.repeat(48), vmpl: 0 };
const gpu = { certificates: ['YnJvbQ', 'cm9vdA'] };
const machine = {
  ak_certificates: [],
  pcrs: { sha256: { '4': '44'.repeat(32) } },
  policy: { source: 'tpm', bank: 'sha256', pcr: 8, digest: DIGEST.toString('hex') },
  cvm,
  gpus: [gpu, gpu],
};

/** Answers with this, and keeps what was asked. */
function broker(answer: unknown): Transport & { readonly asked: Record<string, unknown>[] } {
  const asked: Record<string, unknown>[] = [];
  return {
    asked,
    post: async (_path, body) => {
      asked.push(body as Record<string, unknown>);
      return answerOf(201, answer);
    },
    get: () => Promise.reject(new Error('nothing was to be fetched')),
    close: () => Promise.resolve(),
  };
}

let kept: { readonly tpm: SimulatedTpm; readonly ak: SimulatedAk };
beforeAll(async () => {
  const tpm = new SimulatedTpm();
  kept = { tpm, ak: await tpm.createAk({ scheme: 'rsassa' }) };
});

function boot(answer: unknown, options: SimulatedBootOptions = {}) {
  kept.tpm.powerCycle();
  return bootSimulatedMachine(broker(answer), 'd', { kept, ...options });
}

describe('a simulated confidential VM', () => {
  test.each(SIMULATED_CVM_KINDS)('of kind %s tells its maker which key and processor it is', async (kind) => {
    const transport = broker(machine);
    kept.tpm.powerCycle();
    await bootSimulatedMachine(transport, 'd', { kept, cvm: { kind } });
    const [{ cvm: wish, gpus }] = transport.asked as [{ cvm: Record<string, unknown>; gpus?: unknown }];
    const id = kind.endsWith('snp') ? { chip_id: expect.stringMatching(/^[0-9a-f]{128}$/), generation: 'Milan' } : {};
    const ppid = kind.endsWith('tdx') ? { ppid: expect.stringMatching(/^[0-9a-f]{32}$/) } : {};
    expect(wish).toMatchObject({ kind, key: expect.stringMatching(/^[0-9A-Za-z_-]+$/), ...id, ...ppid });
    expect(gpus).toBeUndefined();
  });

  test('is the same one for the same seed', async () => {
    const seen = [1, 1, 2].map(async (seed) => {
      const transport = broker(machine);
      await bootSimulatedMachine(transport, 'd', {
        scheme: 'ecdsa-p256',
        cvm: { kind: 'snp' },
        gpus: [{}, {}],
        seed: Buffer.alloc(32, seed),
      });
      const [{ cvm: told, gpus }] = transport.asked as [Record<string, unknown>];
      return JSON.stringify([told, gpus]);
    });
    const [a, b, c] = await Promise.all(seen);
    expect(a).toBe(b);
    expect(a).not.toBe(c);
  });

  test('has what its maker says beside its quote, and devices of which no two are the same', async () => {
    const attester = await boot(machine, { cvm: { kind: 'snp' }, gpus: [{}, {}] });
    const { snp, gpus, ...rest } = await attester.besideQuote(BASE);
    expect(rest).toEqual({});
    expect(snp!.certificates).toEqual(cvm.certificates);
    const report = Buffer.from(snp!.report, 'base64url');
    expect(report.subarray(0x90, 0xc0)).toEqual(Buffer.alloc(48, 0xaa));
    expect(report.subarray(0x50, 0x90)).toEqual(
      Buffer.concat([BASE, createHash('sha256').update(kept.ak.spki).digest()]),
    );
    expect(gpus!.map(({ certificates }) => certificates.slice(1))).toEqual([gpu.certificates, gpu.certificates]);
    expect(gpus![0]!.certificates[0]).not.toBe(gpus![1]!.certificates[0]);
    expect(gpus!.map((each) => Buffer.from(each.report, 'base64url').subarray(4, 36))).toEqual([BASE, BASE]);
    expect(attester.describe()).toContain('2 H100s');
  });

  test('is launched with the policy where that is measured, and its TPM measures nothing then', async () => {
    const policy = { ...machine.policy, source: 'snp.host_data' };
    const answer = { ...machine, policy, cvm: { ...cvm, host_data: DIGEST.toString('hex') } };
    const attester = await boot(answer, { cvm: { kind: 'snp' } });
    expect(attester.tpm.pcr('sha256', 8)).toEqual(Buffer.alloc(32));
    const { snp } = await attester.besideQuote(BASE);
    expect(Buffer.from(snp!.report, 'base64url').subarray(0xc0, 0xe0)).toEqual(DIGEST);
    const own = await boot(answer, { cvm: { kind: 'snp' }, policy: Buffer.from('mine') });
    const mine = createHash('sha256').update('mine').digest();
    const { report } = (await own.besideQuote(BASE)).snp!;
    expect(Buffer.from(report, 'base64url').subarray(0xc0, 0xe0)).toEqual(mine);
  });

  test('without a TPM sends no AK, and puts none into its report data', async () => {
    const transport = broker({ ...machine, policy: { ...machine.policy, source: 'tdx.mrconfigid' } });
    const platform = await bootSimulatedPlatform(transport, 'd', { cvm: { kind: 'snp' } });
    expect(Object.keys(transport.asked[0]!).sort()).toEqual(['cvm', 'deployment']);
    const { snp } = await platform.besideQuote(BASE);
    expect(Buffer.from(snp!.report, 'base64url').subarray(0x50, 0x90)).toEqual(Buffer.concat([BASE], 64));
    expect(platform.describe()).toContain('development only');
  });

  test('is none with a paravisor and no TPM, or an AK that no paravisor makes', async () => {
    for (const options of [{}, { cvm: { kind: 'hcl-snp' } }] as const) {
      await expect(bootSimulatedPlatform(broker(machine), 'd', options)).rejects.toThrow(AttesterError);
    }
    const boots = bootSimulatedMachine(broker(machine), 'd', { scheme: 'ecdsa-p256', cvm: { kind: 'hcl-tdx' } });
    await expect(boots).rejects.toThrow(AttesterError);
  });

  test.each([
    ['no VM', { ...machine, cvm: undefined }],
    ['no certificates for it', { ...machine, cvm: { ...cvm, certificates: undefined } }],
    ['certificates that are no base64url', { ...machine, cvm: { ...cvm, certificates: ['='] } }],
    ['a measurement of another length', { ...machine, cvm: { ...cvm, measurement: 'aa' } }],
    ['a measurement that is no hex', { ...machine, cvm: { ...cvm, measurement: 'zz'.repeat(48) } }],
    ['HOST_DATA that is too long', { ...machine, cvm: { ...cvm, host_data: 'aa'.repeat(48) } }],
    ['no privilege level', { ...machine, cvm: { ...cvm, vmpl: undefined } }],
    ['a privilege level that there is not', { ...machine, cvm: { ...cvm, vmpl: 4 } }],
    ['no GPUs', { ...machine, gpus: undefined }],
    ['too few GPUs', { ...machine, gpus: [gpu] }],
    ['a GPU without certificates', { ...machine, gpus: [gpu, {}] }],
  ])('does not start on an answer with %s', async (_what, answer) => {
    await expect(boot(answer, { cvm: { kind: 'snp' }, gpus: [{}, {}] })).rejects.toThrow(BrokerAnswerError);
  });
});
