import { connect, type Socket } from 'node:net';

/** An answer of the broker. */
export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const MAX_HEAD_BYTES = 16 * 1024;
const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)\r\n/i;

/**
 * One HTTP/1.1 keep-alive connection, one request at a time, and no more of HTTP than the broker's answers need: a status, a
 * content-length, a body. The load shares the machine with the broker, and a client that does more would be what is
 * measured. Throws where the connection ends, or for an answer of another form.
 */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #host: string;
  #received: Buffer | undefined;
  #settle: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the broker closed the connection')));
  }

  /** Connected when it is fulfilled. `url` is http://HOST:PORT. */
  static open(url: string): Promise<HttpConnection> {
    const { hostname, port, host } = new URL(url);
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new HttpConnection(socket, host));
      });
    });
  }

  static openMany(url: string, count: number): Promise<HttpConnection[]> {
    return Promise.all(Array.from({ length: count }, () => HttpConnection.open(url)));
  }

  /** Posts JSON. `body` is ASCII, so that its length in bytes is its length. */
  post(path: string, body: string): Promise<Answer> {
    return this.#send(
      `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\ncontent-type: application/json\r\ncontent-length: ${String(body.length)}\r\n\r\n${body}`,
    );
  }

  get(path: string): Promise<Answer> {
    return this.#send(`GET ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n\r\n`);
  }

  close(): void {
    this.#socket.destroy();
  }

  #send(text: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#settle !== undefined || this.#socket.destroyed) {
        reject(new Error(this.#socket.destroyed ? 'the connection is closed' : 'a request is under way'));
        return;
      }
      this.#settle = { resolve, reject };
      this.#socket.write(text, 'latin1');
    });
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk]);
    this.#received = bytes;
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd < 0) {
      if (bytes.length > MAX_HEAD_BYTES) this.#fail(new Error('the head of an answer has no end'));
      return;
    }
    const head = bytes.toString('latin1', 0, headEnd + 2);
    const length = CONTENT_LENGTH.exec(head)?.[1];
    if (length === undefined || !head.startsWith('HTTP/1.1 ')) {
      this.#fail(new Error(`not an answer with a content-length: ${head}`));
      return;
    }
    const bodyStart = headEnd + HEAD_END.length;
    const end = bodyStart + Number(length);
    if (bytes.length < end) return;
    if (bytes.length > end) {
      this.#fail(new Error('more than one answer to a request'));
      return;
    }
    this.#received = undefined;
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.resolve({ status: Number(head.slice(9, 12)), body: bytes.subarray(bodyStart, end) });
  }

  #fail(error: Error): void {
    this.#socket.destroy();
    this.#settle?.reject(error);
    this.#settle = undefined;
  }
}
