import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { HttpConnection } from '../../bench/http-connection.js';

/** Instead of a piece of an answer: the connection ends. */
const HANG_UP = 'hang up';

const open: { server: Server; sockets: Socket[] }[] = [];

afterEach(() => {
  for (const { server, sockets } of open.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

/** A connection to a server that answers each request with the next of `answers`, in the pieces given, and what it received. */
async function answering(...answers: readonly (readonly string[])[]) {
  const received: string[] = [];
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      received.push(chunk.toString());
      void (async () => {
        for (const piece of answers[received.length - 1] ?? []) {
          if (piece === HANG_UP) socket.destroy();
          else socket.write(piece);
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({ server, sockets });
  const { port } = server.address() as AddressInfo;
  const connection = await HttpConnection.open(`http://127.0.0.1:${String(port)}`);
  return { connection, received };
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}';

test('a request is posted with its length, and its answer read', async () => {
  const { connection, received } = await answering([OK]);
  const answer = await connection.post('/v1/x', '{}');
  expect({ status: answer.status, body: answer.body.toString() }).toEqual({ status: 200, body: '{"a":1}' });
  expect(received[0]).toMatch(/^POST \/v1\/x HTTP\/1\.1\r\nhost: [\d.:]+\r\n(?:.*\r\n)*content-length: 2\r\n\r\n\{\}$/);
  connection.close();
});

test('an answer may come in pieces, cut anywhere', async () => {
  const cuts = Array.from({ length: OK.length - 1 }, (_, at) => [OK.slice(0, at + 1), OK.slice(at + 1)]);
  const { connection } = await answering(...cuts);
  for (const { length } of cuts) {
    expect(length).toBe(2);
    expect((await connection.post('/', '{}')).body.toString()).toBe('{"a":1}');
  }
  connection.close();
});

test('one connection serves many requests, an empty answer among them', async () => {
  const { connection } = await answering([OK], ['HTTP/1.1 429 Too Many\r\ncontent-length:0\r\n\r\n'], [OK]);
  expect((await connection.post('/', '{}')).status).toBe(200);
  expect(await connection.get('/')).toMatchObject({ status: 429, body: Buffer.alloc(0) });
  expect((await connection.post('/', '{}')).status).toBe(200);
  connection.close();
});

test.each([
  ['without a length', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['longer than its length', `${OK} `],
  ['of another protocol', 'SSH-2.0\r\ncontent-length: 0\r\n\r\n'],
  ['whose head does not end', 'x'.repeat(20_000)],
])('an answer %s is an error', async (_, answer) => {
  const { connection } = await answering([answer]);
  await expect(connection.post('/', '{}')).rejects.toThrow();
  await expect(connection.post('/', '{}')).rejects.toThrow('closed');
});

test('a connection that ends is an error of the request under way', async () => {
  const { connection } = await answering(['HTTP/1.1 200 OK\r\n', HANG_UP]);
  await expect(connection.post('/', '{}')).rejects.toThrow('the broker closed the connection');
});

test('two requests at a time are refused', async () => {
  const { connection } = await answering([OK]);
  const first = connection.post('/', '{}');
  await expect(connection.post('/', '{}')).rejects.toThrow('under way');
  expect((await first).status).toBe(200);
  connection.close();
});
