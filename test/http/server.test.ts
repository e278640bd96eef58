import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { connect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { Lifecycle } from '../../src/http/lifecycle.js';
import { createServer, type ServerLimits } from '../../src/http/server.js';
import { accept } from '../../src/reason/reason.js';
import { challenge, fakeBroker, releaseRequest, TOKENS } from './fake-broker.js';
import { ask, raw, type Running, start } from './harness.js';
import { createAuthority, type TestAuthority, type TestCertificate } from './pki.js';

const running: Running[] = [];
const serve = async (...given: Parameters<typeof start>): Promise<Running> => {
  const one = await start(...given);
  running.push(one);
  return one;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
});

const body = JSON.stringify({ deployment: 'llm', key: 'weights' });

describe('listening', () => {
  test('is ready only when it listens', async () => {
    const lifecycle = new Lifecycle();
    const server = createServer(() => undefined, {
      host: '::1',
      port: 0,
      lifecycle,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    });
    expect(lifecycle.phase).toBe('starting');
    expect(await server.start()).toMatch(/^http:\/\/\[::1\]:[1-9]\d*$/);
    expect(lifecycle.phase).toBe('serving');
    await server.stop();
    expect(lifecycle.phase).toBe('draining');
    lifecycle.serve();
    expect(lifecycle.phase).toBe('draining');
  });

  test('fails where the port is taken', async () => {
    const { port } = await serve();
    await expect(start({ listen: { port } })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('/readyz is 503 while starting', async () => {
    const one = await serve({ native: { lifecycle: new Lifecycle() } });
    const answer = await ask(`${one.url}/readyz`);
    expect([answer.status, answer.json['reason'], answer.json['detail']]).toEqual([
      503,
      'store.unavailable',
      'the broker is starting',
    ]);
  });
});

describe('slow and many clients', () => {
  const LIMITS: Partial<ServerLimits> = {
    headersTimeoutMs: 150,
    requestTimeoutMs: 300,
    keepAliveTimeoutMs: 100,
    checkIntervalMs: 25,
  };

  test('a client that sends nothing, or its headers too slowly, is cut off with 408', async () => {
    const { port, log } = await serve({ listen: { limits: LIMITS } });
    for (const bytes of ['', 'GET /healthz HTTP/1.1\r\nhost: a\r\nx-slow: ']) {
      const text = await raw(port, bytes);
      expect(text).toMatch(/^HTTP\/1\.1 408 /);
      expect(text).toContain('content-type: application/problem+json');
      expect(text).toMatch(/x-request-id: [0-9a-f-]{36}/);
      expect(text).toContain('"reason":"request.malformed"');
    }
    expect(log.map(({ fields }) => fields['code'])).toContain('ERR_HTTP_REQUEST_TIMEOUT');
  });

  test('a client that trickles its headers is cut off all the same', async () => {
    const { port } = await serve({ listen: { limits: LIMITS } });
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n');
    const drip = setInterval(() => socket.write('x-drip: 1\r\n'), 20);
    socket.on('error', () => undefined).resume();
    await once(socket, 'close');
    clearInterval(drip);
    expect(socket.destroyed).toBe(true);
  });

  test('a client that sends its body too slowly is cut off, and reaches no use case', async () => {
    const { port, broker } = await serve({ listen: { limits: LIMITS } });
    const text = await raw(
      port,
      'POST /v1/challenges HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
    );
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
    expect(broker.calls).toEqual([]);
  });

  test('after a refusal too, the rest of a body must arrive in time; the answer is sent once', async () => {
    const { port } = await serve({ listen: { limits: LIMITS } });
    const text = await raw(port, 'POST /v1/keys HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{');
    expect(text.match(/HTTP\/1\.1 \d+/g)?.[0]).toBe('HTTP/1.1 401');
  });

  test('an idle connection is closed', async () => {
    const { port } = await serve({ listen: { limits: LIMITS } });
    const text = await raw(port, 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('many idle connections do not keep a request from being answered', async () => {
    const { port, url } = await serve();
    const idle = await Promise.all(
      Array.from({ length: 300 }, async () => {
        const socket = connect(port, '127.0.0.1');
        await once(socket, 'connect');
        return socket;
      }),
    );
    expect((await ask(`${url}/v1/challenges`, { method: 'POST', body })).status).toBe(201);
    for (const socket of idle) socket.destroy();
  });
});

describe('what is not a request', () => {
  test('a header section over 16 KiB is 431, as a problem document', async () => {
    const { port } = await serve();
    const text = await raw(port, `GET /healthz HTTP/1.1\r\nhost: a\r\nx-large: ${'a'.repeat(17 * 1024)}\r\n\r\n`);
    expect(text).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
    expect(text).toContain('"status":431');
  });

  test('65 header fields are refused, 64 are not', async () => {
    const { port } = await serve();
    const fields = (count: number) => Array.from({ length: count - 2 }, (_, i) => `x-${String(i)}: 1\r\n`).join('');
    const get = (count: number) =>
      raw(port, `GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${fields(count)}\r\n`);
    expect(await get(64)).toMatch(/^HTTP\/1\.1 200 /);
    const refused = await get(65);
    expect(refused).toMatch(/^HTTP\/1\.1 400 /);
    expect(refused).toContain('"reason":"request.malformed"');
  });

  test.each([
    ['garbage', '\x16\x03\x01\x02\x00\x01\r\n\r\n'],
    ['a bad method', 'BREW /healthz HTTP/1.1\r\nhost: a\r\n\r\n'],
    ['no host', 'GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n'],
    ['a space in the target', 'GET /health z HTTP/1.1\r\nhost: a\r\n\r\n'],
    ['a bare line feed in a header', 'GET /healthz HTTP/1.1\r\nhost: a\r\nx: a\nb\r\n\r\n'],
    ['a line folding', 'GET /healthz HTTP/1.1\r\nhost: a\r\nx: a\r\n b\r\nconnection: close\r\n\r\n'],
    ['two lengths', 'POST /v1/challenges HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}'],
    ['a negative length', 'POST /v1/challenges HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n{}'],
    ['HTTP/2 in the clear', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('%s is 400 with a request id', async (_what, bytes) => {
    const { port } = await serve({ listen: { limits: { keepAliveTimeoutMs: 50 } } });
    const text = await raw(port, bytes);
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(text).toMatch(/x-request-id: [0-9a-f-]{36}/);
  });

  test('a broken request behind a good one does not disturb the answer', async () => {
    const { port } = await serve();
    const text = await raw(port, 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n', '\x00\x01\x02\r\n\r\n');
    expect(text.match(/HTTP\/1\.1 \d+/g)?.filter((status) => status === 'HTTP/1.1 500')).toEqual([]);
  });
});

describe('stopping', () => {
  /** A broker whose challenges wait until they are let go. */
  function waitingBroker() {
    let letGo = (): void => undefined;
    let arrived = (): void => undefined;
    const gate = new Promise<void>((resolve) => (letGo = resolve));
    const reached = new Promise<void>((resolve) => (arrived = resolve));
    const broker = fakeBroker({
      issueChallenge: async () => {
        arrived();
        await gate;
        return accept(challenge);
      },
    });
    return { broker, reached, letGo: () => letGo() };
  }

  test('finishes the request in flight, accepts no new one, and closes the connection', async () => {
    const { broker, reached, letGo } = waitingBroker();
    const one = await start({ broker });
    const inFlight = ask(`${one.url}/v1/challenges`, { method: 'POST', body, headers: { connection: 'keep-alive' } });
    await reached;
    let stopped = false;
    const stopping = one.stop().then(() => (stopped = true));
    expect(one.lifecycle.phase).toBe('draining');
    await expect(ask(`${one.url}/healthz`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(stopped).toBe(false);
    letGo();
    const answer = await inFlight;
    expect([answer.status, answer.headers.connection]).toEqual([201, 'close']);
    await stopping;
  });

  test('/readyz is 503 at once for whoever is still connected, /healthz 200', async () => {
    const { broker, reached, letGo } = waitingBroker();
    const one = await start({ broker });
    // Two requests on one connection: the second is answered while draining, behind the first.
    const wanted = raw(
      one.port,
      `POST /v1/challenges HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}\r\n\r\n${body}`,
    );
    await reached;
    const other = connect(one.port, '127.0.0.1');
    await once(other, 'connect');
    // Half a request: this connection is busy, so that it outlives the stop.
    other.write('GET /readyz HTTP/1.1\r\nhost: a\r\n');
    while (other.bytesWritten === 0 || (await connections(one)) < 2)
      await new Promise((resolve) => setImmediate(resolve));
    await ask(`${one.url}/healthz`);
    const stopping = one.stop();
    other.write('\r\n');
    const chunks: Buffer[] = [];
    other.on('data', (chunk) => chunks.push(chunk));
    await once(other, 'close');
    const text = Buffer.concat(chunks).toString();
    expect(text).toMatch(/^HTTP\/1\.1 503 /);
    expect(text).toContain('the broker is draining');
    expect(text.toLowerCase()).toContain('connection: close');
    letGo();
    expect(await wanted).toMatch(/^HTTP\/1\.1 201 /);
    await stopping;
  });

  test('closes idle connections at once, whether they were ever used or not', async () => {
    const one = await start();
    const unused = connect(one.port, '127.0.0.1');
    await once(unused, 'connect');
    const used = raw(one.port, 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n');
    while (one.observed.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const closed = once(unused.resume(), 'close');
    await one.stop();
    expect(await used).toMatch(/^HTTP\/1\.1 200 /);
    await closed;
  });

  test('cuts off what is not done in time', async () => {
    const { broker, reached } = waitingBroker();
    const one = await start({ broker, listen: { limits: { drainTimeoutMs: 50 } } });
    const inFlight = ask(`${one.url}/v1/challenges`, { method: 'POST', body });
    const failed = expect(inFlight).rejects.toMatchObject({ code: 'ECONNRESET' });
    await reached;
    await one.stop();
    await failed;
  });

  test('may be asked for twice', async () => {
    const one = await start();
    await Promise.all([one.stop(), one.stop()]);
    await one.stop();
  });
});

function connections({ server }: Running): Promise<number> {
  return new Promise((resolve, fail) => {
    server.server.getConnections((error, count) => (error === null ? resolve(count) : fail(error)));
  });
}

describe('TLS', () => {
  let authority: TestAuthority;
  let stranger: TestAuthority;
  let server: TestCertificate;
  let client: TestCertificate;
  let strange: TestCertificate;
  beforeAll(() => {
    authority = createAuthority('Test CA');
    stranger = createAuthority('Another CA');
    server = authority.issue('localhost');
    client = authority.issue('client');
    strange = stranger.issue('client');
  });
  const trusting = (shown?: TestCertificate) => ({ ca: authority.cert, ...shown });

  test('serves over TLS, and says https', async () => {
    const { url } = await serve({ listen: { tls: server } });
    expect(url).toMatch(/^https:/);
    expect((await ask(`${url}/healthz`, { tls: trusting() })).status).toBe(200);
    await expect(ask(`${url}/healthz`)).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
  });

  test('speaks TLS 1.2 and 1.3, and nothing older', async () => {
    const { port } = await serve({ listen: { tls: server } });
    const speak = (version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') =>
      new Promise<string>((resolve, fail) => {
        // The lowest security level of OpenSSL, so that it is the server that refuses.
        const options = {
          ca: authority.cert,
          minVersion: version,
          maxVersion: version,
          ciphers: 'DEFAULT:@SECLEVEL=0',
        };
        const socket = tlsConnect(port, '127.0.0.1', options, () => {
          resolve(socket.getProtocol() ?? '');
          socket.destroy();
        });
        socket.on('error', fail);
      });
    expect(await speak('TLSv1.2')).toBe('TLSv1.2');
    expect(await speak('TLSv1.3')).toBe('TLSv1.3');
    await expect(speak('TLSv1.1')).rejects.toMatchObject({ code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
  });

  test('plain HTTP on the TLS port is no request', async () => {
    const { port, broker } = await serve({ listen: { tls: server } });
    expect(await raw(port, 'GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n')).not.toContain('200');
    expect(broker.calls).toEqual([]);
  });

  test('a handshake that stands still is cut off', async () => {
    const { port } = await serve({ listen: { tls: server, limits: { handshakeTimeoutMs: 100 } } });
    expect(await raw(port, '\x16\x03\x01')).toBe('');
  });

  test('tls.client_ca: every connection needs a certificate under it', async () => {
    const { url, broker } = await serve({ listen: { tls: { ...server, clientCa: authority.cert } } });
    expect((await ask(`${url}/healthz`, { tls: trusting(client) })).status).toBe(200);
    for (const tls of [trusting(), trusting(strange)]) {
      await expect(ask(`${url}/v1/challenges`, { method: 'POST', body, tls })).rejects.toMatchObject({
        code: expect.stringMatching(/^(ERR_SSL|ECONNRESET|EPIPE)/),
      });
    }
    expect(broker.calls).toEqual([]);
  });

  test('a client certificate is no admin token', async () => {
    const { url } = await serve({ listen: { tls: { ...server, clientCa: authority.cert } } });
    const answer = await ask(`${url}/v1/keys`, { tls: trusting(client) });
    expect([answer.status, answer.json['reason']]).toEqual([401, 'auth.missing']);
  });

  describe('challenge.client_ca', () => {
    const close = () =>
      serve({
        native: { challengeNeedsCertificate: true },
        listen: { tls: { ...server, challengeClientCa: authority.cert } },
      });

    test('closes the challenge to whoever shows no certificate under it', async () => {
      const { url, broker } = await close();
      const challenge = (tls: object) => ask(`${url}/v1/challenges`, { method: 'POST', body, tls });
      const missing = await challenge(trusting());
      expect([missing.status, missing.json['reason']]).toEqual([401, 'auth.missing']);
      expect(missing.headers).toHaveProperty('www-authenticate');
      const invalid = await challenge(trusting(strange));
      expect([invalid.status, invalid.json['reason']]).toEqual([401, 'auth.invalid']);
      expect(broker.calls).toEqual([]);
      expect((await challenge(trusting(client))).status).toBe(201);
    });

    describe.each(['TLSv1.2', 'TLSv1.3'] as const)('over a resumed session of %s', (version) => {
      /** One challenge on a connection of its own, and the session that the connection leaves behind. */
      const challenge = (port: number, shown: TestCertificate | undefined, session?: Buffer) =>
        new Promise<{ text: string; resumed: boolean; session: Buffer | undefined }>((resolve, fail) => {
          let text = '';
          let left: Buffer | undefined;
          let resumed = false;
          const versions = { minVersion: version, maxVersion: version };
          const socket = tlsConnect({ port, ...versions, ...trusting(shown), ...(session && { session }) }, () => {
            resumed = socket.isSessionReused();
            socket.write(
              `POST /v1/challenges HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}\r\n\r\n${body}`,
            );
          });
          socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          socket.on('session', (given) => (left = given));
          socket.on('error', fail);
          socket.on('close', () => resolve({ text, resumed, session: left }));
        });

      test.each([
        ['no certificate', () => undefined, 401, '"reason":"auth.missing"'],
        ['a strange certificate', () => strange, 401, '"reason":"auth.invalid"'],
        ['a certificate under it', () => client, 201, '"nonce":'],
      ])('%s counts as it did when the session was made', async (_what, shown, status, member) => {
        const { port } = await close();
        const first = await challenge(port, shown());
        const again = await challenge(port, undefined, first.session);
        expect([first.resumed, again.resumed]).toEqual([false, true]);
        for (const { text } of [first, again]) {
          expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${String(status)} `));
          expect(text).toContain(member);
        }
      });
    });

    test('leaves every other route as it is', async () => {
      const { url } = await close();
      const release = await ask(`${url}/v1/releases`, { method: 'POST', body: releaseRequest, tls: trusting() });
      const keys = await ask(`${url}/v1/keys`, { token: TOKENS.auditor, tls: trusting() });
      expect([release.status, keys.status]).toEqual([200, 200]);
    });

    test('is no admin token, and an admin token is no certificate', async () => {
      const { url } = await close();
      const keys = await ask(`${url}/v1/keys`, { tls: trusting(client) });
      const challenged = await ask(`${url}/v1/challenges`, {
        method: 'POST',
        body,
        token: TOKENS.admin,
        tls: trusting(),
      });
      expect([keys.status, challenged.status]).toEqual([401, 401]);
    });

    test('without TLS the route is closed to everybody', async () => {
      const { url } = await serve({ native: { challengeNeedsCertificate: true } });
      const answer = await ask(`${url}/v1/challenges`, { method: 'POST', body });
      expect([answer.status, answer.json['reason']]).toEqual([401, 'auth.missing']);
    });

    test('may be the same as tls.client_ca, and not another', async () => {
      const listen = (challengeClientCa: string) => ({
        tls: { ...server, clientCa: authority.cert, challengeClientCa },
      });
      const { url } = await serve({ native: { challengeNeedsCertificate: true }, listen: listen(authority.cert) });
      expect((await ask(`${url}/v1/challenges`, { method: 'POST', body, tls: trusting(client) })).status).toBe(201);
      await expect(start({ listen: listen(stranger.cert) })).rejects.toThrow('different authorities');
    });
  });

  test('a key that is not that of the certificate is refused at start', async () => {
    await expect(start({ listen: { tls: { cert: server.cert, key: client.key } } })).rejects.toThrow(
      /key values mismatch/,
    );
  });

  test('drains like plain HTTP', async () => {
    const one = await start({ listen: { tls: server } });
    expect((await ask(`${one.url}/healthz`, { tls: trusting() })).status).toBe(200);
    await one.stop();
    await expect(ask(`${one.url}/healthz`, { tls: trusting() })).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
