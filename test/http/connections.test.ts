import { afterEach, describe, expect, test } from '@jest/globals';
import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { connect, createServer as createTcpServer, type AddressInfo, type Server, Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { Connections } from '../../src/http/connections.js';
import type { Shed } from '../../src/http/ports.js';
import { createAuthority } from './pki.js';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function subject(maxConnections: number) {
  const shed: Shed[] = [];
  const load = { shed: (what: Shed) => void shed.push(what), waited: () => undefined, level: () => undefined };
  return { connections: new Connections(maxConnections, load), shed };
}

/** A socket that nobody is connected to, as seen from an address. */
function from(address: string): Socket {
  return Object.defineProperty(new Socket(), 'remoteAddress', { value: address });
}

const request = (connections: Connections, socket: Socket): boolean =>
  connections.begin(socket, new ServerResponse(new IncomingMessage(socket)));

describe('where no connection is left', () => {
  test('whoever has the most idle-holding share makes room, though another one has more that are all busy', () => {
    const { connections, shed } = subject(5);
    const busy = Array.from({ length: 4 }, () => from('192.0.2.1'));
    const idle = from('192.0.2.2');
    for (const socket of [...busy, idle]) expect(connections.accept(socket, { tls: false })).toBe(true);
    for (const socket of busy) expect(request(connections, socket)).toBe(true);
    expect(connections.accept(from('192.0.2.3'), { tls: false })).toBe(true);
    expect([idle.destroyed, busy.some((each) => each.destroyed), shed]).toEqual([true, false, ['connection.idle']]);
  });

  test('and all are busy, the newcomer is refused', () => {
    const { connections, shed } = subject(5);
    for (const address of ['192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2']) {
      const socket = from(address);
      connections.accept(socket, { tls: false });
      request(connections, socket);
    }
    expect(connections.accept(from('192.0.2.3'), { tls: false })).toBe(false);
    expect(shed).toEqual(['connection.full']);
  });

  test('to a network, an idle one of a neighbour makes room, and none of anybody else', () => {
    const { connections, shed } = subject(170);
    const other = from('192.0.2.1');
    connections.accept(other, { tls: false });
    let subnet = 0;
    const neighbour = () => from(`2001:db8:1:${(subnet++).toString(16)}::1`);
    const neighbours: Socket[] = [];
    while (shed.length === 0) {
      const one = neighbour();
      expect(connections.accept(one, { tls: false })).toBe(true);
      neighbours.push(one);
    }
    expect(shed).toEqual(['connection.idle']);
    expect(neighbours).toHaveLength(161);
    expect(neighbours.filter((each) => each.destroyed)).toEqual([neighbours[0]]);
    expect(other.destroyed).toBe(false);
  });
});

describe('a client that an answer waits for', () => {
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) server.close();
  });

  const MIB = 1024 * 1024;

  /** A connection with an answer of 64 MiB, more than the operating system takes; `read` has the client take so much in all. */
  async function answering(tls: boolean) {
    const { connections, shed } = subject(10);
    const authority = createAuthority('Test CA');
    const server = tls ? createTlsServer(authority.issue('localhost')) : createTcpServer();
    servers.push(server);
    server.on('connection', (tcp: Socket) => connections.accept(tcp, { tls }));
    server.on('secureConnection', (socket: Socket) => connections.secured(socket));
    const accepted = once(server, tls ? 'secureConnection' : 'connection') as Promise<[Socket]>;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const client = tls ? connectTls({ port, ca: authority.cert, servername: 'localhost' }) : connect(port, '127.0.0.1');
    const [socket] = await accepted;
    sockets.push(client, socket);
    for (const each of [client, socket]) each.on('error', () => undefined);
    client.pause();
    socket.write(Buffer.alloc(64 * MIB));
    let got = 0;
    const read = async (bytes: number): Promise<void> => {
      const want = got + bytes;
      while (got < want) got += (client.read() as Buffer | null)?.length ?? (await turn(), 0);
    };
    return { connections, shed, read };
  }

  test.each([false, true])('is not cut off while it takes it, however slowly; over TLS: %s', async (tls) => {
    const { connections, shed, read } = await answering(tls);
    let nowMs = 1000;
    connections.closeStalled(nowMs, 100);
    // What the operating system keeps for it meanwhile is less than what is left.
    for (let part = 0; part < 4; part++) {
      await read(10 * MIB);
      nowMs += 100;
      connections.closeStalled(nowMs, 100);
      expect(shed).toEqual([]);
    }
    while (shed.length === 0) {
      await turn();
      nowMs += 50;
      connections.closeStalled(nowMs, 100);
    }
    expect(shed).toEqual(['connection.stalled']);
  });
});
