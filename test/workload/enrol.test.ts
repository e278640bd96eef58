import { createHash, X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { canEnrol, enrol, type EnrolOptions } from '../../src/workload/enrol.js';
import {
  AttesterError,
  BrokerAnswerError,
  BrokerUnreachableError,
  ReleaseDeniedError,
} from '../../src/workload/errors.js';
import { ACTIVATION, certifiedMachine, enrollingBroker, OFFER, type EnrolmentLies } from './enrolling-broker.js';
import { answerOf } from './test-broker.js';

const DEPLOYMENT = 'llm-inference';

let machine: SimulatorAttester;
beforeAll(async () => {
  machine = await certifiedMachine('ecc256', 'rsa2048');
});

function ask(lies: EnrolmentLies = {}, options: Partial<EnrolOptions> = {}) {
  const broker = enrollingBroker(lies);
  return { broker, asked: enrol({ transport: broker, deployment: DEPLOYMENT, attester: machine, ...options }) };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('an enrolment', () => {
  test.each(['ecc256', 'rsa2048'] as const)('by an EK of %s tells what the broker now knows', async (ek) => {
    const { broker, asked } = ask({}, { ek });
    const enrolment = await asked;
    const leaf = machine.tpm.ekCertificates.get(ek)!;
    expect(enrolment).toEqual({
      deployment: DEPLOYMENT,
      akName: machine.ak.name.toString('hex'),
      akSpkiSha256: sha256(machine.ak.spki),
      ekSpkiSha256: sha256(new X509Certificate(leaf).publicKey.export({ type: 'spki', format: 'der' })),
      ekCertificates: [leaf],
      state: 'trusted',
    });
    expect(broker.offered).toEqual([
      {
        deployment: DEPLOYMENT,
        ek_certificates: [leaf.toString('base64url')],
        ek: (await machine.tpm.ek(ek)).tpm2bPublic.toString('base64url'),
        ak: machine.ak.tpm2bPublic.toString('base64url'),
      },
    ]);
    expect(Object.keys(broker.activated[0]!).sort()).toEqual(['enrolment', 'secret']);
  });

  test('without a named EK is by the first that has a certificate', async () => {
    const enrolment = await ask().asked;
    expect(enrolment.ekCertificates).toEqual([machine.tpm.ekCertificates.get('ecc256')]);
  });

  test('that leaves the AK pending says so', async () => {
    expect(await ask({ state: 'pending' }).asked).toMatchObject({ state: 'pending' });
  });

  test('of the same pair again is the same answer, with status 200', async () => {
    const broker = enrollingBroker();
    const options = { transport: broker, deployment: DEPLOYMENT, attester: machine };
    expect(await enrol(options)).toEqual(await enrol(options));
    expect(broker.activated).toHaveLength(2);
  });

  test('closes no transport of the caller', async () => {
    const { broker, asked } = ask();
    await asked;
    expect(broker.closed).toBe(false);
  });
});

describe('an answer is refused', () => {
  const blob = (bytes: Buffer) => bytes.toString('base64url');
  const sized = (size: number) => blob(Buffer.concat([Buffer.of(size >> 8, size & 0xff), Buffer.alloc(size, 1)]));

  test.each([
    ['no token', { enrolment: undefined }],
    ['an empty token', { enrolment: '' }],
    ['a token that is no text', { enrolment: 7 }],
    ['a token of 64 KiB and a byte', { enrolment: 'a'.repeat(64 * 1024 + 1) }],
    ['no expiry', { expires_at: undefined }],
    ['an expiry that is no time', { expires_at: 'soon' }],
    ['no credential', { credential_blob: undefined }],
    ['a credential in other base64', { credential_blob: 'AAFB+/==' }],
    ['a credential of no bytes', { credential_blob: blob(Buffer.of(0, 0)) }],
    ['a credential longer than any', { credential_blob: sized(133) }],
    ['a credential with a byte behind it', { credential_blob: blob(Buffer.of(0, 1, 2, 3)) }],
    ['a credential that is cut', { credential_blob: blob(Buffer.of(0, 2, 1)) }],
    ['no secret for the EK', { encrypted_secret: undefined }],
    ['a secret longer than any', { encrypted_secret: sized(513) }],
    ['a secret that is no text', { encrypted_secret: [] }],
  ])('with %s, before the TPM sees it', async (_what, change) => {
    const { broker, asked } = ask({ offer: (answer) => ({ ...answer, ...change }) });
    await expect(asked).rejects.toThrow(BrokerAnswerError);
    expect(broker.activated).toEqual([]);
  });

  test.each([132, 1])('for its contents alone, where the credential has %i bytes', async (size) => {
    const { asked } = ask({ offer: (answer) => ({ ...answer, credential_blob: sized(size) }) });
    await expect(asked).rejects.toThrow(AttesterError);
  });

  test.each([
    ['another AK Name', { ak_name: `000b${'22'.repeat(32)}` }, 'ak_name differs'],
    ['another key', { ak_spki_sha256: '33'.repeat(32) }, 'ak_spki_sha256 differs'],
    ['another trust', { trust: 'pinned' }, 'trust differs'],
    ['no AK Name', { ak_name: undefined }, 'ak_name'],
    ['an unknown state', { state: 'maybe' }, 'trusted'],
    ['no state', { state: undefined }, 'trusted'],
  ])('that tells of %s', async (_what, change, said) => {
    const { asked } = ask({ activation: ({ attester }) => ({ attester: { ...attester, ...change } }) });
    await expect(asked).rejects.toThrow(BrokerAnswerError);
    await expect(asked).rejects.toThrow(said);
  });

  test.each([[{ attester: 'trusted' }], [{}], [[]]])('that is %j', async (answer) => {
    await expect(ask({ activation: () => answer }).asked).rejects.toThrow(BrokerAnswerError);
  });

  test.each([
    [OFFER, 200],
    [ACTIVATION, 202],
  ])('of %s with status %i', async (path, status) => {
    const { asked } = ask({ refuse: { path, answer: answerOf(status, {}) } });
    await expect(asked).rejects.toThrow(BrokerAnswerError);
    await expect(asked).rejects.toThrow(`status ${String(status)}`);
  });
});

describe('what goes wrong is told', () => {
  test.each([
    [OFFER, 'ek.chain'],
    [OFFER, 'ek.revoked'],
    [ACTIVATION, 'enrolment.expired'],
    [ACTIVATION, 'attester.conflict'],
  ])('by the reason of the broker: %s %s', async (path, reason) => {
    const { asked } = ask({ refuse: { path, answer: answerOf(403, { reason, detail: 'why' }) } });
    await expect(asked).rejects.toThrow(ReleaseDeniedError);
    await expect(asked).rejects.toMatchObject({ status: 403, reason, detail: 'why' });
  });

  test('where the TPM has no certificate for an EK, nothing is asked', async () => {
    const bare = await certifiedMachine();
    const { broker, asked } = ask({}, { attester: bare });
    await expect(asked).rejects.toThrow('keeps no certificate for an EK');
    expect(broker.offered).toEqual([]);
  });

  test('where the certificate or the AK cannot be read, nothing is asked', async () => {
    const broken = await certifiedMachine();
    broken.tpm.storeEkCertificate('ecc256', Buffer.from('3003020101', 'hex'));
    const strange = Object.assign(await certifiedMachine('ecc256'), {
      readAkPublic: () => Promise.resolve(Buffer.of(0, 1)),
    });
    for (const attester of [broken, strange]) {
      const { broker, asked } = ask({}, { attester });
      await expect(asked).rejects.toThrow(AttesterError);
      expect(broker.offered).toEqual([]);
    }
  });

  test('where the credential is for another AK, and nothing is sent back', async () => {
    const other = await certifiedMachine('ecc256');
    let foreign: object = {};
    await ask({ offer: (answer) => (foreign = answer) }, { attester: other }).asked;
    const { broker, asked } = ask({ offer: ({ enrolment }) => ({ ...foreign, enrolment }) });
    await expect(asked).rejects.toThrow(AttesterError);
    expect(broker.activated).toEqual([]);
  });

  test('without the secret', async () => {
    const answers = [
      answerOf(403, { reason: 'enrolment.secret', detail: 'no' }),
      answerOf(500, {}),
      new BrokerUnreachableError('cannot reach the broker'),
    ];
    for (const answer of answers) {
      const { broker, asked } = ask({ refuse: { path: ACTIVATION, answer } });
      const error = await asked.then(
        () => undefined,
        (thrown: unknown) => thrown as Error,
      );
      expect(error).toBeInstanceOf(Error);
      const secret = Buffer.from(broker.secrets[0]!, 'hex');
      const told = `${error!.message} ${error!.stack ?? ''} ${JSON.stringify(error)}`;
      for (const encoding of ['hex', 'base64url', 'base64'] as const)
        expect(told).not.toContain(secret.toString(encoding));
    }
  });

  test('and the secret that the TPM gave is wiped, whatever the broker answers', async () => {
    for (const lies of [{}, { refuse: { path: ACTIVATION, answer: answerOf(500, {}) } }]) {
      let given: Buffer | undefined;
      const attester = await certifiedMachine('ecc256');
      const activate = attester.activateCredential.bind(attester);
      attester.activateCredential = async (...args) => (given = await activate(...args));
      await ask(lies, { attester }).asked.catch(() => undefined);
      expect(given).toEqual(Buffer.alloc(32));
    }
  });
});

describe('over HTTP', () => {
  async function serving(listener: Parameters<typeof createServer>[1], work: (url: string) => Promise<void>) {
    const server: Server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      await work(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }

  test('a URL is enough', async () => {
    const broker = enrollingBroker();
    const listener: Parameters<typeof createServer>[1] = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, string>;
        void broker.post(request.url ?? '', body).then((answer) => response.writeHead(answer.status).end(answer.body));
      });
    };
    await serving(listener, async (url) => {
      expect(await enrol({ url, deployment: DEPLOYMENT, attester: machine })).toMatchObject({ state: 'trusted' });
    });
  });

  test('no answer within the time is BrokerUnreachableError', async () => {
    await serving(
      () => undefined,
      async (url) => {
        const asked = enrol({ url, timeoutMs: 50, deployment: DEPLOYMENT, attester: machine });
        await expect(asked).rejects.toThrow(BrokerUnreachableError);
        await expect(asked).rejects.toThrow('within 50 ms');
      },
    );
  });
});

test('an attester that only makes evidence cannot be enrolled', async () => {
  const evidence = () => Promise.reject(new Error('unused'));
  expect(canEnrol({ describe: () => 'a quoter', evidence })).toBe(false);
  expect(canEnrol(new SimulatorAttester(new SimulatedTpm(), machine.ak))).toBe(true);
});
