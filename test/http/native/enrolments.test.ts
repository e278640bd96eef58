import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { accept } from '../../../src/reason/reason.js';
import { createNativeApp } from '../../../src/http/native/app.js';
import { Lifecycle } from '../../../src/http/lifecycle.js';
import { createServer, type BrokerServer } from '../../../src/http/server.js';
import { CertifiedMachine, TpmMaker } from '../../helpers/tpm-maker.js';
import { TestBroker } from '../../helpers/test-broker.js';
import { activation, fakeBroker, TOKENS } from '../fake-broker.js';
import { ask, start } from '../harness.js';

const ENROLMENTS = '/v1/attesters/enrolments';
const ACTIVATIONS = '/v1/attesters/enrolments/activations';
const post = (url: string, body: object | string) => ask(url, { method: 'POST', body });

describe('the routes of enrolment, over a real broker', () => {
  const maker = new TpmMaker();
  let broker: TestBroker;
  let machine: CertifiedMachine;
  let server: BrokerServer;
  let url: string;

  beforeAll(async () => {
    broker = await TestBroker.start();
    machine = await CertifiedMachine.make(maker);
    await broker.deploy('llm', { attesters: { trust: ['ek-certificate'], roots: [maker.rootPem] } });
    const lifecycle = new Lifecycle();
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const metrics = { requested: () => undefined, exposition: async () => ({ contentType: 'text/plain', text: '' }) };
    const native = createNativeApp({
      broker: broker.broker,
      version: '0.1.0',
      bodyBytes: 1024 * 1024,
      releasesPerSecond: 0,
      challengeNeedsCertificate: false,
      lifecycle,
      log,
      metrics,
    });
    server = createServer(native.listener, { host: '127.0.0.1', port: 0, lifecycle, log });
    url = await server.start();
  });
  afterAll(async () => {
    await server.stop();
    await broker.close();
  });

  test('answer as the contract says: 201, 201, and 200 with the same answer', async () => {
    const asked = await post(url + ENROLMENTS, machine.request('llm'));
    expect(asked.status).toBe(201);
    expect(Object.keys(asked.json).sort()).toEqual(['credential_blob', 'encrypted_secret', 'enrolment', 'expires_at']);
    const view = asked.json as Record<'enrolment' | 'credential_blob' | 'encrypted_secret' | 'expires_at', string>;
    for (const name of ['enrolment', 'credential_blob', 'encrypted_secret'] as const) {
      expect(view[name]).toMatch(/^[0-9A-Za-z_-]+$/);
    }
    expect(view.expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    const body = { enrolment: view.enrolment, secret: await machine.secretOf(view) };
    const first = await post(url + ACTIVATIONS, body);
    expect(first.status).toBe(201);
    expect(first.json).toEqual({
      attester: {
        ak_name: machine.attester.ak.name.toString('hex'),
        ak_spki_sha256: machine.akSpkiSha256,
        trust: 'ek-certificate',
        state: 'pending',
      },
    });
    const again = await post(url + ACTIVATIONS, body);
    expect([again.status, again.json]).toEqual([200, first.json]);
  });

  test('take as much as may be sent, and no more', async () => {
    const sized = (length: number) => Buffer.alloc(length, 1).toString('base64url');
    const status = async (change: object, path = ENROLMENTS) =>
      (await post(url + path, path === ENROLMENTS ? { ...machine.request('llm'), ...change } : change)).status;
    expect(await status({ ek_certificates: [sized(8192)] })).toBe(403);
    expect(await status({ ek_certificates: [sized(8193)] })).toBe(400);
    expect(await status({ ek_certificates: Array<string>(8).fill('AA') })).toBe(403);
    expect(await status({ ek_certificates: Array<string>(9).fill('AA') })).toBe(400);
    expect(await status({ ek_certificates: [] })).toBe(403);
    expect(await status({ ek_certificates: 'AA' })).toBe(400);
    expect(await status({ ak: sized(2049) })).toBe(400);
    expect(await status({ ek: sized(2049) })).toBe(400);
    expect(await status({ name: 'x' })).toBe(400);
    expect(await status({ deployment: 'a/b' })).toBe(400);
    expect(await status({ deployment: 'none' })).toBe(404);
    expect(await status({ enrolment: 'AA', secret: sized(64) }, ACTIVATIONS)).toBe(403);
    expect(await status({ enrolment: 'AA', secret: sized(65) }, ACTIVATIONS)).toBe(400);
    expect(await status({ enrolment: sized(40_000), secret: 'AA' }, ACTIVATIONS)).toBe(400);
    expect(await status({ enrolment: 'AA' }, ACTIVATIONS)).toBe(400);
    expect((await post(url + ENROLMENTS, '{')).status).toBe(400);
  });

  test('take the largest enrolment that the broker makes', async () => {
    const [leaf = Buffer.alloc(0)] = machine.certificates;
    // Valid, and of no use: what may stand between leaf and root is not asked to.
    const others = Array<Buffer>(7).fill(maker.ca);
    const request = { ek_certificates: [leaf, ...others].map((der) => der.toString('base64url')) };
    const asked = await post(url + ENROLMENTS, machine.request('llm', request));
    const view = asked.json as Record<'enrolment' | 'credential_blob' | 'encrypted_secret' | 'expires_at', string>;
    const body = { enrolment: view.enrolment, secret: await machine.secretOf(view) };
    expect([200, 201]).toContain((await post(url + ACTIVATIONS, body)).status);
  });
});

describe('the routes of enrolment', () => {
  test('have a rate of their own, each', async () => {
    const other = await start({ native: { enrolmentsPerSecond: 2, releasesPerSecond: 1 } });
    try {
      const enrol = () => post(other.url + ENROLMENTS, { deployment: 'llm', ek_certificates: ['AA'], ak: 'AA' });
      const activate = () => post(other.url + ACTIVATIONS, { enrolment: 'AA', secret: 'AA' });
      for (const send of [enrol, activate]) {
        const answers = await Promise.all([send(), send(), send(), send()]);
        const refused = answers.filter(({ status }) => status === 429);
        expect(answers.filter(({ status }) => status === 201)).toHaveLength(2);
        expect(refused).toHaveLength(2);
        expect(refused[0]?.json['reason']).toBe('request.rate_limited');
        expect(Number(refused[0]?.headers['retry-after'])).toBeGreaterThanOrEqual(1);
      }
      expect(other.broker.calls).toHaveLength(4);
      const { status } = await ask(`${other.url}/healthz`);
      expect(status).toBe(200);
    } finally {
      await other.stop();
    }
  });

  test('are closed to strangers where challenges are', async () => {
    const other = await start({ native: { challengeNeedsCertificate: true } });
    try {
      for (const path of [ENROLMENTS, ACTIVATIONS, '/v1/challenges']) {
        const answer = await post(other.url + path, {});
        expect([answer.status, answer.json['reason']]).toEqual([401, 'auth.missing']);
      }
      expect(other.broker.calls).toEqual([]);
    } finally {
      await other.stop();
    }
  });

  test.each([true, false])('need no token, and say whether something was created: %s', async (created) => {
    const broker = fakeBroker({ activateEnrolment: async () => accept({ created, answer: activation }) });
    const other = await start({ broker });
    try {
      const answer = await post(other.url + ACTIVATIONS, { enrolment: 'AA', secret: 'AA' });
      expect([answer.status, answer.json]).toEqual([created ? 201 : 200, activation]);
      expect(other.broker.calls.map(({ method }) => method)).toEqual(['activateEnrolment']);
    } finally {
      await other.stop();
    }
  });

  test('stand beside those of an attester, whatever it is called', async () => {
    const other = await start();
    try {
      const answer = await ask(other.url + ENROLMENTS, { token: TOKENS.admin });
      expect([answer.status, answer.headers.allow]).toEqual([404, 'POST']);
      expect((await ask(`${other.url}/v1/attesters/enrolment`, { token: TOKENS.admin })).status).toBe(200);
    } finally {
      await other.stop();
    }
  });
});
