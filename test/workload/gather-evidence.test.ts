import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import type { Attester, PlatformEvidence } from '../../src/workload/attester.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { AttesterError, ReleaseDeniedError } from '../../src/workload/errors.js';
import { gatherEvidence } from '../../src/workload/gather-evidence.js';
import { ReleaseClient } from '../../src/workload/release-client.js';
import { answerOf, testBroker } from './test-broker.js';

const BASE = Buffer.alloc(32, 0xb5);
const GPUS = ['first report', 'second report'].map((text) => ({
  report: Buffer.from(text).toString('base64url'),
  certificates: ['Y2VydA'],
}));
const sha256 = (...parts: readonly (Buffer | string)[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

let tpm: SimulatorAttester;
beforeAll(async () => {
  const simulated = new SimulatedTpm();
  tpm = new SimulatorAttester(simulated, await simulated.createAk({ scheme: 'ecdsa-p256' }));
});

/** The TPM with this beside its quote, and which base that was asked for. */
function withPlatform(evidence: PlatformEvidence): Attester & { readonly asked: Buffer[] } {
  const asked: Buffer[] = [];
  return {
    asked,
    describe: () => 'a machine',
    evidence: (extraData, pcrs) => tpm.evidence(extraData, pcrs),
    besideQuote: async (base) => {
      asked.push(base);
      return evidence;
    },
  };
}

function extraDataOf({ quoted }: { readonly quoted: string }): Buffer {
  const bytes = Buffer.from(quoted, 'base64url');
  const at = 8 + bytes.readUInt16BE(6);
  return bytes.subarray(at + 2, at + 2 + bytes.readUInt16BE(at));
}

describe('evidence of a machine', () => {
  test('with a TPM alone is a quote over the base', async () => {
    const { tpm: quote, ...beside } = await gatherEvidence(tpm, BASE, { sha256: [8] });
    expect(extraDataOf(quote!)).toEqual(BASE);
    expect(beside).toEqual({});
  });

  test('with devices has a quote over the base and their reports, in the order in which they are sent', async () => {
    const machine = withPlatform({ hcl: { report: 'aGNs' }, gpus: GPUS });
    const { tpm: quote, ...beside } = await gatherEvidence(machine, BASE, { sha256: [8] });
    expect(beside).toEqual({ hcl: { report: 'aGNs' }, gpus: GPUS });
    expect(machine.asked).toEqual([BASE]);
    expect(extraDataOf(quote!)).toEqual(sha256(BASE, sha256('first report'), sha256('second report')));
  });

  test('without a TPM is what answers the base, and no quote', async () => {
    const { besideQuote } = withPlatform({ snp: { report: 'c25w', certificates: [] } });
    const evidence = await gatherEvidence({ describe: () => '', besideQuote: besideQuote! }, BASE, {});
    expect(evidence).toEqual({ snp: { report: 'c25w', certificates: [] } });
  });

  test('has a quote of some PCR where none is asked for: an empty one is refused', async () => {
    const { tpm: quote } = await gatherEvidence(tpm, BASE, {});
    expect(Object.keys(quote!.pcrs['sha256']!)).toEqual(['0']);
  });

  test.each([
    ['more devices than one quote covers', Array.from({ length: 17 }, () => GPUS[0]!)],
    ['a report that is no base64url', [{ report: '=', certificates: [] }]],
  ])('cannot be made of %s', async (_what, gpus) => {
    await expect(gatherEvidence(withPlatform({ gpus }), BASE, { sha256: [8] })).rejects.toThrow(AttesterError);
  });
});

describe('the client', () => {
  const asked = { deployment: 'llm-inference', key: 'weights' };

  test('sends what the machine has beside its quote, each time for the request at hand', async () => {
    const broker = testBroker();
    const attester = withPlatform({ gpus: GPUS });
    const client = new ReleaseClient({ transport: broker, attester });
    await client.release(asked);
    await client.release(asked);
    expect(broker.releases.map(({ evidence }) => Object.keys(evidence).sort())).toEqual([
      ['gpus', 'tpm'],
      ['gpus', 'tpm'],
    ]);
    expect(attester.asked[0]).not.toEqual(attester.asked[1]);
    expect(attester.asked[0]).toHaveLength(32);
  });

  test('enrols no machine without a TPM', async () => {
    const paths: string[] = [];
    const transport = {
      ...testBroker(),
      post: async (path: string) => {
        paths.push(path);
        if (path !== '/v1/challenges') return answerOf(403, { reason: 'ak.untrusted', detail: 'no rule' });
        return testBroker().post(path, { ...asked, version: 'latest' });
      },
    };
    const { besideQuote } = withPlatform({ tdx: { quote: 'dGR4' } });
    const client = new ReleaseClient({ transport, attester: { describe: () => '', besideQuote: besideQuote! } });
    await expect(client.release(asked)).rejects.toThrow(ReleaseDeniedError);
    expect(paths).toEqual(['/v1/challenges', '/v1/releases']);
  });
});
