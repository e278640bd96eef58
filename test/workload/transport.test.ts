import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import forge from 'node-forge';
import type { Json } from '../../src/bytes/canonical-json.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { BrokerAnswerError, BrokerUnreachableError, ReleaseDeniedError } from '../../src/workload/errors.js';
import { ReleaseClient } from '../../src/workload/release-client.js';
import { httpTransport, MAX_ANSWER_BYTES, type HttpTransportOptions } from '../../src/workload/transport.js';
import { NEWEST, testBroker } from './test-broker.js';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

async function serve(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${String(await listen(createServer(listener)))}`;
}

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function post(options: HttpTransportOptions, body: Json = {}, path = '/v1/challenges') {
  const transport = httpTransport(options);
  try {
    return await transport.post(path, body);
  } finally {
    await transport.close();
  }
}

async function get(options: HttpTransportOptions, path = '/log/key') {
  const transport = httpTransport(options);
  try {
    return await transport.get(path);
  } finally {
    await transport.close();
  }
}

const broker = testBroker();
/** The test broker over HTTP. */
const overHttp: RequestListener = (request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const sent = Buffer.concat(parts).toString('utf8');
    const path = request.url ?? '';
    const answering = request.method === 'GET' ? broker.get(path) : broker.post(path, JSON.parse(sent) as Json);
    void answering.then((answer) => response.writeHead(answer.status).end(answer.body));
  });
};

async function release(options: HttpTransportOptions) {
  const tpm = new SimulatedTpm();
  const attester = new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256' }));
  const client = new ReleaseClient({ ...options, attester });
  try {
    return await client.release({ deployment: 'llm-inference', key: 'weights' });
  } finally {
    await client.close();
  }
}

describe('over HTTP', () => {
  test('a key is released', async () => {
    expect((await release({ url: await serve(overHttp) })).version).toBe(NEWEST);
  });

  test('what is public is fetched by GET, under the path of the URL', async () => {
    const url = await serve((request, response) => {
      const { method, url: path, headers } = request;
      response.end(`${String(method)} ${String(path)} ${String(headers['content-type'])}`);
    });
    const { status, body } = await get({ url: `${url}/prefix/` });
    expect([status, body.toString()]).toEqual([200, 'GET /prefix/log/key undefined']);
  });

  test('a request is JSON by POST, under the path of the URL', async () => {
    let seen: unknown;
    const url = await serve((request, response) => {
      const { method, url: path, headers } = request;
      seen = { method, path, type: headers['content-type'], encoding: headers['accept-encoding'] };
      response.end('{}');
    });
    await post({ url: `${url}/prefix/` });
    expect(seen).toEqual({
      method: 'POST',
      path: '/prefix/v1/challenges',
      type: 'application/json',
      encoding: undefined,
    });
  });

  test('a redirection is not followed', async () => {
    let requests = 0;
    const url = await serve((_request, response) => {
      requests++;
      response.writeHead(307, { location: '/elsewhere' }).end();
    });
    expect((await post({ url })).status).toBe(307);
    expect((await get({ url })).status).toBe(307);
    expect(requests).toBe(2);
  });

  test('Retry-After is handed on in seconds, and a date is not', async () => {
    const url = await serve((request, response) => {
      const value = request.url === '/a' ? '7' : 'Sun, 22 Nov 2026 12:00:00 GMT';
      response.writeHead(429, { 'retry-after': value }).end('{}');
    });
    expect((await post({ url }, {}, '/a')).retryAfterSeconds).toBe(7);
    expect((await post({ url }, {}, '/b')).retryAfterSeconds).toBeUndefined();
  });

  test('an answer of a mebibyte is read, one byte more is not, with or without its length', async () => {
    const url = await serve((request, response) => {
      const body = Buffer.alloc(MAX_ANSWER_BYTES + (request.url === '/fits' ? 0 : 1), 0x20);
      if (request.url === '/chunked') response.write(body.subarray(0, 1000));
      response.end(request.url === '/chunked' ? body.subarray(1000) : body);
    });
    expect((await post({ url }, {}, '/fits')).body.length).toBe(MAX_ANSWER_BYTES);
    await expect(post({ url }, {}, '/sized')).rejects.toThrow(BrokerAnswerError);
    await expect(post({ url }, {}, '/chunked')).rejects.toThrow(BrokerAnswerError);
    await expect(get({ url })).rejects.toThrow(BrokerAnswerError);
  });

  test.each([
    ['cut short', '{"nonce":"AAAA'],
    ['empty', ''],
    ['no JSON', '<html></html>'],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['with a member twice', '{"key":"weights","key":"weights"}'],
    ['too deep', '['.repeat(33) + ']'.repeat(33)],
  ])('a challenge that is %s is a wrong answer', async (_what, body) => {
    const url = await serve((_request, response) => response.writeHead(201).end(body));
    await expect(release({ url })).rejects.toThrow(BrokerAnswerError);
  });

  test('a problem document is a refusal', async () => {
    const problem = { reason: 'deployment.unknown', detail: 'no such deployment', request_id: 'r-9' };
    const url = await serve((_request, response) => response.writeHead(404).end(JSON.stringify(problem)));
    const refused = release({ url });
    await expect(refused).rejects.toThrow(ReleaseDeniedError);
    await expect(refused).rejects.toMatchObject({ status: 404, reason: 'deployment.unknown', requestId: 'r-9' });
  });
});

describe('a broker that cannot be reached', () => {
  test('because nobody listens', async () => {
    const url = await serve(overHttp);
    const server = servers.pop()!;
    server.close();
    await once(server, 'close');
    await expect(post({ url })).rejects.toThrow(BrokerUnreachableError);
    await expect(post({ url })).rejects.toThrow('ECONNREFUSED');
  });

  test.each([
    ['before', (): void => undefined],
    ['in the middle of', (response: Parameters<RequestListener>[1]): void => void response.writeHead(201).write('{')],
  ])('because the time is up %s the answer', async (_when, start) => {
    const url = await serve((_request, response) => {
      start(response);
    });
    await expect(post({ url, timeoutMs: 100 })).rejects.toThrow(BrokerUnreachableError);
    await expect(post({ url, timeoutMs: 100 })).rejects.toThrow('no answer within 100 ms');
  });

  test('because the connection breaks in the middle of the answer', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(201, { 'content-length': '100' }).write('{', () => response.destroy());
    });
    await expect(post({ url })).rejects.toThrow(BrokerUnreachableError);
  });
});

describe('over TLS', () => {
  const root = certificate('test root');
  const server = certificate('broker', root);
  const client = certificate('workload', root);

  async function serveTls(options: object = {}): Promise<string> {
    const tls = { cert: server.pem, key: server.privateKeyPem, ...options };
    return `https://127.0.0.1:${String(await listen(createTlsServer(tls, overHttp)))}`;
  }

  test('a key is released under the root that was named', async () => {
    expect((await release({ url: await serveTls(), ca: root.pem })).version).toBe(NEWEST);
  });

  test('a broker under any other root is not reached', async () => {
    const url = await serveTls();
    await expect(release({ url })).rejects.toThrow(BrokerUnreachableError);
    await expect(release({ url, ca: certificate('other root').pem })).rejects.toThrow(BrokerUnreachableError);
  });

  test('a broker with a certificate for another name is not reached', async () => {
    const url = (await serveTls()).replace('127.0.0.1', 'localhost');
    await expect(post({ url, ca: root.pem })).rejects.toThrow('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('a broker that asks for a client certificate gets it, and is not reached without', async () => {
    const url = await serveTls({ requestCert: true, rejectUnauthorized: true, ca: root.pem });
    const clientCertificate = { certificate: client.pem, privateKey: client.privateKeyPem };
    expect((await release({ url, ca: root.pem, clientCertificate })).version).toBe(NEWEST);
    await expect(release({ url, ca: root.pem })).rejects.toThrow(BrokerUnreachableError);
  });
});

test.each([
  '',
  'broker',
  'ftp://broker',
  'file:///etc/passwd',
  'http://a:b@broker',
  'http://broker/?x=1',
  'http://broker/#x',
])('%p is no URL of a broker', (url) => {
  expect(() => httpTransport({ url })).toThrow(TypeError);
});

interface Certificate {
  readonly pem: string;
  readonly privateKeyPem: string;
}

/** An RSA certificate for 127.0.0.1: signed by `issuer`, or a root. */
function certificate(name: string, issuer?: Certificate): Certificate {
  const { privateKey: privateKeyPem } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const made = forge.pki.createCertificate();
  const publicKeyPem = createPublicKey(privateKeyPem).export({ type: 'spki', format: 'pem' }).toString();
  made.publicKey = forge.pki.publicKeyFromPem(publicKeyPem);
  made.serialNumber = `0${String(name.length)}`;
  made.validity.notBefore = new Date(Date.now() - 3_600_000);
  made.validity.notAfter = new Date(Date.now() + 3_600_000);
  const subject = [{ name: 'commonName', value: name }];
  made.setSubject(subject);
  made.setIssuer(issuer === undefined ? subject : forge.pki.certificateFromPem(issuer.pem).subject.attributes);
  made.setExtensions([
    { name: 'basicConstraints', critical: true, cA: issuer === undefined },
    { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
  ]);
  made.sign(forge.pki.privateKeyFromPem(issuer?.privateKeyPem ?? privateKeyPem), forge.md.sha256.create());
  return { pem: forge.pki.certificateToPem(made), privateKeyPem };
}
