import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { SimulatedTpm } from '../../../src/simulator/vtpm.js';
import { bootSimulatedMachine } from '../../../src/workload/attesters/simulated-boot.js';
import { SimulatorAttester } from '../../../src/workload/attesters/simulator.js';
import { AttesterError, BrokerAnswerError, ReleaseDeniedError } from '../../../src/workload/errors.js';
import type { Transport } from '../../../src/workload/transport.js';
import { answerOf } from '../test-broker.js';

const policy = Buffer.from('{"allow":["serve"]}');
const digest = createHash('sha256').update(policy).digest();
const machine = {
  ak_certificates: ['bGVhZg', 'Y2E'],
  pcrs: { sha256: { '4': '44'.repeat(32), '7': '77'.repeat(32) } },
  policy: { bank: 'sha256', pcr: 8, digest: digest.toString('hex') },
};

function broker(answer: unknown, status = 201): Transport & { readonly asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    asked,
    post: async (path, body) => {
      asked.push({ path, body });
      return answerOf(status, answer);
    },
    get: () => Promise.reject(new Error('nothing was to be fetched')),
    close: () => Promise.resolve(),
  };
}

describe('a simulated machine', () => {
  test('boots with the boot chain that the broker names and the policy in its PCR', async () => {
    const transport = broker(machine);
    const attester = await bootSimulatedMachine(transport, 'llm-inference');
    const { tpm, ak } = attester;
    expect(transport.asked).toEqual([
      {
        path: '/v1/simulator/machines',
        body: { deployment: 'llm-inference', ak: ak.tpm2bPublic.toString('base64url') },
      },
    ]);
    expect(tpm.pcr('sha256', 4)).toEqual(Buffer.alloc(32, 0x44));
    expect(tpm.pcr('sha256', 7)).toEqual(Buffer.alloc(32, 0x77));
    expect(tpm.pcr('sha256', 8)).toEqual(createHash('sha256').update(Buffer.alloc(32)).update(digest).digest());
    const evidence = await attester.evidence(Buffer.alloc(32), { sha256: [4, 7, 8] });
    expect(evidence.ak_certificates).toEqual(machine.ak_certificates);
    expect(evidence.pcrs).toEqual({
      sha256: { '4': '44'.repeat(32), '7': '77'.repeat(32), '8': tpm.pcr('sha256', 8).toString('hex') },
    });
  });

  test('measures the policy file that it is given, whatever the broker names, with the hash of the bank', async () => {
    const mine = Buffer.from('another policy');
    const to384 = { ...machine, policy: { bank: 'sha384', pcr: 12, digest: '00'.repeat(48) } };
    const { tpm } = await bootSimulatedMachine(broker(to384), 'd', { policy: mine, scheme: 'ecdsa-p384' });
    const measured = createHash('sha384').update(mine).digest();
    expect(tpm.pcr('sha384', 12)).toEqual(createHash('sha384').update(Buffer.alloc(48)).update(measured).digest());
    expect(tpm.pcr('sha256', 12)).toEqual(Buffer.alloc(32));
  });

  test('does not exist for a production broker', async () => {
    const booting = bootSimulatedMachine(broker({ reason: 'route.unknown', detail: 'no such route' }, 404), 'd');
    await expect(booting).rejects.toThrow(ReleaseDeniedError);
    await expect(booting).rejects.toMatchObject({ status: 404, reason: 'route.unknown' });
  });

  test.each([
    ['no policy', { ...machine, policy: undefined }, BrokerAnswerError],
    ['no policy PCR', { ...machine, policy: { ...machine.policy, pcr: '8' } }, BrokerAnswerError],
    ['no certificates', { ...machine, ak_certificates: undefined }, BrokerAnswerError],
    ['certificates that are no text', { ...machine, ak_certificates: [1] }, BrokerAnswerError],
    ['PCR values that are no text', { ...machine, pcrs: { sha256: { '4': 4 } } }, BrokerAnswerError],
    ['a PCR value of the wrong length', { ...machine, pcrs: { sha256: { '4': '44' } } }, AttesterError],
    ['a PCR that does not exist', { ...machine, pcrs: { sha256: { '24': '44'.repeat(32) } } }, AttesterError],
    ['an unknown bank', { ...machine, pcrs: { sm3: {} } }, AttesterError],
    ['a policy PCR out of reach', { ...machine, policy: { ...machine.policy, pcr: 17 } }, AttesterError],
    ['a digest that is none', { ...machine, policy: { ...machine.policy, digest: 'zz' } }, AttesterError],
  ])('does not boot on an answer with %s', async (_what, answer, error) => {
    await expect(bootSimulatedMachine(broker(answer), 'd', { scheme: 'ecdsa-p256' })).rejects.toThrow(error);
  });
});

test('evidence without certificates has no such member, and an unknown bank is no evidence', async () => {
  const tpm = new SimulatedTpm();
  const attester = new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256' }));
  expect(Object.keys(await attester.evidence(Buffer.alloc(32), { sha256: [8] })).sort()).toEqual([
    'ak',
    'pcrs',
    'quoted',
    'signature',
  ]);
  await expect(attester.evidence(Buffer.alloc(32), { sha512: [8] })).rejects.toThrow(AttesterError);
  expect(attester.describe()).toContain('development only');
});
