import { beforeAll, describe, expect, test } from '@jest/globals';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import type { Enrolment } from '../../src/workload/enrol.js';
import { BrokerUnreachableError, ReleaseDeniedError } from '../../src/workload/errors.js';
import { ReleaseClient, type EnrolmentOptions } from '../../src/workload/release-client.js';
import type { Transport, TransportAnswer } from '../../src/workload/transport.js';
import {
  ACTIVATION,
  certifiedMachine,
  enrollingBroker,
  OFFER,
  type EnrolmentLies,
  type EnrollingBroker,
} from './enrolling-broker.js';
import { answerOf, testBroker } from './test-broker.js';

const WEIGHTS = { deployment: 'llm-inference', key: 'weights' };
const UNTRUSTED = answerOf(403, { reason: 'ak.untrusted', detail: 'nothing vouches for the AK', request_id: 'req-9' });

let attester: SimulatorAttester;
beforeAll(async () => {
  attester = await certifiedMachine('ecc256', 'ecc384');
});

interface Both extends Transport {
  readonly enrolling: EnrollingBroker;
  /** How often a key was asked for. */
  asked: number;
}

/** A broker that refuses the first releases, and then gives the key. */
function broker(refusals: readonly TransportAnswer[], lies: EnrolmentLies = {}): Both {
  const releasing = testBroker();
  const enrolling = enrollingBroker(lies);
  const left = [...refusals];
  const both: Both = {
    enrolling,
    asked: 0,
    get: (path) => releasing.get(path),
    post(path, body) {
      if (path === OFFER || path === ACTIVATION) return enrolling.post(path, body);
      if (path === '/v1/releases') {
        both.asked++;
        const refusal = left.shift();
        if (refusal !== undefined) return Promise.resolve(refusal);
      }
      return releasing.post(path, body);
    },
    close: () => Promise.resolve(),
  };
  return both;
}

function draw(transport: Transport, enrol?: EnrolmentOptions['enrol']) {
  const options = enrol === undefined ? {} : { enrol };
  return new ReleaseClient({ transport, attester, ...options }).release(WEIGHTS);
}

async function failure(work: Promise<unknown>): Promise<ReleaseDeniedError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(ReleaseDeniedError);
  return error as ReleaseDeniedError;
}

describe('a release that is refused since nothing vouches for the AK', () => {
  test('enrols the AK, and is asked for once more with a nonce of its own', async () => {
    const transport = broker([UNTRUSTED]);
    const told: Enrolment[] = [];
    const { kid } = await draw(transport, { onEnrolled: (enrolment) => told.push(enrolment) });
    expect(kid).toMatch(/^weights\//);
    expect(transport.asked).toBe(2);
    expect(told).toMatchObject([
      { deployment: 'llm-inference', akName: attester.ak.name.toString('hex'), state: 'trusted' },
    ]);
  });

  test('enrols by the EK that is named', async () => {
    const transport = broker([UNTRUSTED]);
    await draw(transport, { ek: 'ecc384' });
    expect(transport.enrolling.offered[0]).toMatchObject({
      ek: (await attester.tpm.ek('ecc384')).tpm2bPublic.toString('base64url'),
    });
  });

  test('is asked for twice at most, and enrolled for once', async () => {
    const transport = broker([UNTRUSTED, UNTRUSTED, UNTRUSTED]);
    expect(await failure(draw(transport))).toMatchObject({
      reason: 'ak.untrusted',
      detail: 'nothing vouches for the AK',
    });
    expect(transport.asked).toBe(2);
    expect(transport.enrolling.activated).toHaveLength(1);
  });

  test('brings what the broker says the second time: the enrolled AK is pending', async () => {
    const pending = answerOf(403, { reason: 'ak.pending', detail: 'an administrator has to trust it' });
    const transport = broker([UNTRUSTED, pending], { state: 'pending' });
    expect(await failure(draw(transport))).toMatchObject({ reason: 'ak.pending' });
    expect(transport.enrolling.activated).toHaveLength(1);
  });

  test('stays refused, and says why, where the AK cannot be enrolled', async () => {
    const refuse = { path: OFFER, answer: answerOf(403, { reason: 'ek.chain', detail: 'no path to a root' }) };
    const transport = broker([UNTRUSTED], { refuse });
    const denial = await failure(draw(transport));
    expect(denial).toMatchObject({ status: 403, reason: 'ak.untrusted', requestId: 'req-9' });
    expect(denial.detail).toBe('nothing vouches for the AK; nor could the AK be enrolled: ek.chain: no path to a root');
    expect(denial.cause).toMatchObject({ reason: 'ek.chain' });
    expect(transport.asked).toBe(1);
  });

  test('stays refused where the TPM has no certificate, or the answer is none', async () => {
    const bare = await certifiedMachine();
    const client = new ReleaseClient({ transport: broker([UNTRUSTED]), attester: bare });
    expect((await failure(client.release(WEIGHTS))).detail).toContain('keeps no certificate');
    const lying = broker([UNTRUSTED], { activation: () => ({ attester: {} }) });
    expect((await failure(draw(lying))).detail).toContain('ak_name');
  });

  test('stays refused as it was, where the deployment believes no EK certificates', async () => {
    const none = answerOf(403, { reason: 'ak.untrusted', detail: 'the deployment believes no EK certificates' });
    const transport = broker([UNTRUSTED], { refuse: { path: OFFER, answer: none } });
    expect(await failure(draw(transport))).toMatchObject({ detail: 'nothing vouches for the AK', requestId: 'req-9' });
  });

  test('ends with the fault where the broker is gone', async () => {
    const refuse = { path: ACTIVATION, answer: new BrokerUnreachableError('cannot reach the broker') };
    await expect(draw(broker([UNTRUSTED], { refuse }))).rejects.toThrow(BrokerUnreachableError);
  });

  test('enrols nothing where that is forbidden, or the attester cannot', async () => {
    const forbidden = broker([UNTRUSTED]);
    expect(await failure(draw(forbidden, false))).toMatchObject({ detail: 'nothing vouches for the AK' });
    const incapable = broker([UNTRUSTED]);
    const quoter = {
      describe: () => 'a quoter',
      evidence: attester.evidence.bind(attester),
    };
    const client = new ReleaseClient({ transport: incapable, attester: quoter });
    expect(await failure(client.release(WEIGHTS))).toMatchObject({ detail: 'nothing vouches for the AK' });
    for (const { asked, enrolling } of [forbidden, incapable]) {
      expect({ asked, offered: enrolling.offered }).toEqual({ asked: 1, offered: [] });
    }
  });

  test('enrols again for the next release, where the broker has forgotten the AK', async () => {
    const transport = broker([UNTRUSTED]);
    const client = new ReleaseClient({ transport, attester });
    await client.release(WEIGHTS);
    expect(transport.enrolling.activated).toHaveLength(1);
    await client.release(WEIGHTS);
    expect(transport.enrolling.activated).toHaveLength(1);
    expect(transport.asked).toBe(3);
  });
});

test.each(['ak.pending', 'ak.revoked', 'ak.attributes', 'policy.hash', 'key.frozen'])(
  'a release that is refused with %s is not tried again, and nothing is enrolled',
  async (reason) => {
    const transport = broker([answerOf(403, { reason, detail: 'no' })]);
    expect(await failure(draw(transport))).toMatchObject({ reason });
    expect({ asked: transport.asked, offered: transport.enrolling.offered }).toEqual({ asked: 1, offered: [] });
  },
);
