/** An authority over real HTTPS, whose answers a test chooses. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RequestListener } from 'node:http';
import { createPublicKey } from 'node:crypto';
import type { TestKey } from '../helpers/pki.js';
import { createAuthority } from '../http/pki.js';

const tls = createAuthority('Test root');
const leaf = tls.issue('localhost');

export const DISCOVERY = '/.well-known/openid-configuration';
export const CERTS = '/certs';

export class AuthorityServer {
  readonly origin: string;
  /** PEM file with the root that the server's certificate hangs on. */
  readonly caFile: string;
  readonly scratch: string;
  /** Paths, in the order of requests. */
  readonly requests: string[] = [];
  /** By path; a text is answered with 200. */
  answers: Record<string, string | RequestListener> = {};
  readonly #server: Server;

  private constructor(server: Server, scratch: string, caFile: string) {
    this.#server = server;
    this.scratch = scratch;
    this.caFile = caFile;
    this.origin = `https://localhost:${String((server.address() as AddressInfo).port)}`;
    server.on('request', (request, response) => {
      this.requests.push(request.url ?? '');
      const answer = this.answers[request.url ?? ''];
      if (typeof answer === 'function') answer(request, response);
      else response.writeHead(answer === undefined ? 404 : 200).end(answer);
    });
  }

  static async start(): Promise<AuthorityServer> {
    const server = createServer({ cert: leaf.cert, key: leaf.key });
    server.listen(0, 'localhost');
    await once(server, 'listening');
    const scratch = mkdtempSync(join(tmpdir(), 'authority-'));
    const caFile = join(scratch, 'root.pem');
    writeFileSync(caFile, tls.cert);
    return new AuthorityServer(server, scratch, caFile);
  }

  /** Answers discovery and keys as a good authority does. */
  serve(keys: readonly object[]): void {
    this.answers = {
      [DISCOVERY]: JSON.stringify({ issuer: this.origin, jwks_uri: `${this.origin}${CERTS}` }),
      [CERTS]: JSON.stringify({ keys }),
    };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
    rmSync(this.scratch, { recursive: true });
  }
}

/** A public key as an entry of a key set. */
export function jwkOf({ spki }: TestKey, members: object = {}): object {
  return { ...createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' }), ...members };
}
