/** Something that listens where a witness should, and answers whatever a test wants. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly body: string;
}

export type Answer = (asked: Asked, response: ServerResponse) => void;

export class FakeWitness {
  readonly url: string;
  readonly asked: Asked[] = [];
  answer: Answer = (_asked, response) => respond(response, 500, 'not prepared\n');
  /** The most requests that were under way at once. */
  mostAtOnce = 0;
  #atOnce = 0;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
      response.once('close', () => this.#atOnce--);
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method = '', url = '' } = request;
        const asked = { method, url, body: Buffer.concat(chunks).toString('utf8') };
        this.asked.push(asked);
        this.answer(asked, response);
      });
    });
  }

  static async start(): Promise<FakeWitness> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeWitness(server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function respond(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'text/plain', ...headers });
  response.end(text);
}
