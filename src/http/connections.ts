import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { LoadObserver } from './ports.js';
import { Shares } from './shares.js';
import { networksOf, sourceOf } from './source.js';

/** Requests that a connection may have sent ahead of their answers. */
const MAX_PIPELINED = 16;
/** Idle connections of the largest holder that are closed at a time where all are taken, so that it need not be searched for each. */
const CLOSED_AT_ONCE = 16;
/** What a client has to take of an answer so that its patience begins anew, unless it takes the whole: a byte now and then keeps no memory for ever. */
const LEAST_TAKEN_BYTES = 16 * 1024;

interface Progress {
  /** In writes that have been taken whole. */
  readonly writtenBytes: number;
  /** What is left of the write under way. */
  readonly queuedBytes: number;
}

/** One connection of a client. */
export interface Connection {
  /** The TCP connection. */
  readonly tcp: Socket;
  /** What requests arrive on: the same, or TLS over it. */
  socket: Socket;
  readonly source: string;
  /** Requests that are not answered yet. */
  unanswered: number;
  /** The newest answer. */
  response: ServerResponse | undefined;
  /** Since when its client has taken nothing, ms, while an answer waits, and what it had taken by then; undefined: none waits. */
  stalled: { readonly sinceMs: number; readonly progress: Progress } | undefined;
  /** Called when an answer is over. One function for all of them. */
  readonly answered: () => void;
}

/**
 * The connections of a process: so many and no more, shared among sources. Whoever comes when his source has its share takes
 * the place of its longest idle connection; where no place is left at all, the largest holder's idle ones make room. A
 * connection with a request under way is never closed for another one: a newcomer is refused then.
 */
export class Connections {
  readonly #shares: Shares;
  readonly #load: LoadObserver | undefined;
  readonly #byTcp = new Map<Socket, Connection>();
  /** By the socket of their requests. */
  readonly #bySocket = new WeakMap<Socket, Connection>();
  /** TCP connections whose TLS is still being made, by the address and port of the client. */
  readonly #shaking = new Map<string, Connection>();
  /** Connections without request, by source, the longest idle first. */
  readonly #idle = new Map<string, Set<Connection>>();

  constructor(maxConnections: number, load: LoadObserver | undefined) {
    this.#shares = new Shares(maxConnections);
    this.#load = load;
    load?.level('connections', () => this.#shares.held);
  }

  [Symbol.iterator](): IterableIterator<Connection> {
    return this.#byTcp.values();
  }

  /** A TCP connection was accepted: takes it on, or closes it at once and says false. */
  accept(tcp: Socket, options: { readonly tls: boolean }): boolean {
    const source = sourceOf(tcp);
    if (this.#shares.shortage(source) !== undefined) this.#makeRoom(source);
    const shortage = this.#shares.take(source);
    if (shortage !== undefined) {
      this.#load?.shed(`connection.${shortage}`);
      tcp.destroy();
      return false;
    }
    const connection: Connection = {
      tcp,
      socket: tcp,
      source,
      unanswered: 0,
      response: undefined,
      stalled: undefined,
      answered: () => {
        if (--connection.unanswered === 0 && !tcp.destroyed) this.#rest(connection);
      },
    };
    this.#byTcp.set(tcp, connection);
    this.#bySocket.set(tcp, connection);
    this.#rest(connection);
    const client = clientOf(tcp);
    if (options.tls) this.#shaking.set(client, connection);
    tcp.once('close', () => {
      this.#shaking.delete(client);
      this.#forget(connection);
    });
    return true;
  }

  /** TLS has been made over a connection. */
  secured(socket: Socket): void {
    const client = clientOf(socket);
    const connection = this.#shaking.get(client);
    if (connection === undefined) return;
    this.#shaking.delete(client);
    connection.socket = socket;
    this.#bySocket.set(socket, connection);
  }

  /** The newest answer on a socket. */
  answerOn(socket: Socket): ServerResponse | undefined {
    return this.#bySocket.get(socket)?.response;
  }

  /** A request begins. False where it is not to be answered: the connection has been closed, for asking too much ahead. */
  begin(socket: Socket, response: ServerResponse): boolean {
    const connection = this.#bySocket.get(socket);
    if (connection === undefined || connection.tcp.destroyed) {
      socket.destroy();
      return false;
    }
    if (connection.unanswered >= MAX_PIPELINED) {
      this.#close(connection, 'connection.pipelined');
      return false;
    }
    if (connection.unanswered++ === 0) this.#idle.get(connection.source)?.delete(connection);
    connection.response = response;
    response.on('close', connection.answered);
    return true;
  }

  /** Closes the connections whose client has taken nothing (less than 16 KiB, and no answer to its end) of what waits for it for `stallMs`. Called again and again. */
  closeStalled(nowMs: number, stallMs: number): void {
    for (const connection of this) {
      if (connection.socket.writableLength === 0) {
        connection.stalled = undefined;
        continue;
      }
      const { stalled } = connection;
      const progress = progressOf(connection);
      if (stalled === undefined || hasMoved(stalled.progress, progress)) {
        connection.stalled = { sinceMs: nowMs, progress };
      } else if (nowMs - stalled.sinceMs >= stallMs) this.#close(connection, 'connection.stalled');
    }
  }

  #rest(connection: Connection): void {
    const idle = this.#idle.get(connection.source);
    if (idle === undefined) this.#idle.set(connection.source, new Set([connection]));
    else idle.add(connection);
  }

  #forget(connection: Connection): void {
    const { tcp, source } = connection;
    if (!this.#byTcp.delete(tcp)) return;
    this.#shares.give(source);
    this.#idle.get(source)?.delete(connection);
    if (this.#shares.heldBy(source) === 0) this.#idle.delete(source);
  }

  #close(connection: Connection, why: 'connection.pipelined' | 'connection.stalled' | 'connection.idle'): void {
    this.#load?.shed(why);
    connection.socket.destroy();
    connection.tcp.destroy();
    // Its place is free now, and not when the operating system has said so.
    this.#forget(connection);
  }

  #makeRoom(source: string): void {
    if (this.#shares.shortage(source) === 'full') {
      this.#closeLargest(() => true);
      return;
    }
    this.#closeIdle(source, 1);
    // Where it is the share of a network that the source lies in, the others there make room.
    for (const network of networksOf(source)) {
      if (this.#shares.shortage(source) === undefined) return;
      this.#closeLargest((holder) => networksOf(holder).includes(network));
    }
  }

  /** Closes idle ones of whoever has the most connections, of those sources that have idle ones. */
  #closeLargest(among: (source: string) => boolean): void {
    let largest: string | undefined;
    let most = 0;
    for (const [holder, idle] of this.#idle) {
      const held = idle.size === 0 ? 0 : this.#shares.heldBy(holder);
      if (held > most && among(holder)) [largest, most] = [holder, held];
    }
    if (largest === undefined) return;
    this.#closeIdle(largest, Math.max(1, Math.min(CLOSED_AT_ONCE, Math.floor(most / 2))));
  }

  #closeIdle(source: string, count: number): void {
    let left = count;
    for (const connection of this.#idle.get(source) ?? []) {
      if (left-- === 0) return;
      this.#close(connection, 'connection.idle');
    }
  }
}

/** Names a TCP connection as seen from either of its sockets. */
function clientOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${String(socket.remotePort ?? '')}`;
}

/** What is known of how much a client has taken of what waits for it. */
function progressOf({ tcp, socket }: Connection): Progress {
  // Node does not document the handle. Without it only whole answers are seen to be taken.
  const { _handle: handle } = tcp as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return { writtenBytes: socket.bytesWritten - socket.writableLength, queuedBytes: handle?.writeQueueSize ?? 0 };
}

/** One write is under way at a time. Of TLS it queues piece by piece, so that more in the queue says that a piece was taken. */
function hasMoved(before: Progress, now: Progress): boolean {
  return now.writtenBytes > before.writtenBytes || Math.abs(now.queuedBytes - before.queuedBytes) >= LEAST_TAKEN_BYTES;
}
