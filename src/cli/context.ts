import { createPrivateKey, X509Certificate } from 'node:crypto';
import { reject, type ReasonCode, type Result } from '../reason/reason.js';
import type { ListView } from '../release/views.js';
import type { BrokerAddress, BrokerClient, ListRange, Method, Query, Reply } from './broker-client.js';
import { DEFAULT_URL, type GlobalOptions } from './globals.js';
import type { CliIo } from './io.js';
import { UsageError } from './outcome.js';
import type { CliParts } from './parts.js';
import { readInput, readSmallInput } from './read-input.js';

const MAX_TOKEN_BYTES = 4 * 1024;
const MAX_PEM_BYTES = 1024 * 1024;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/** One run of one command: what it may touch, and the global options it was given. */
export class CliContext {
  readonly io: CliIo;
  readonly parts: CliParts;
  readonly json: boolean;
  readonly #globals: GlobalOptions;
  #stdinTaken = false;
  #client: BrokerClient | undefined;

  constructor(io: CliIo, parts: CliParts, globals: GlobalOptions) {
    this.io = io;
    this.parts = parts;
    this.json = globals.json;
    this.#globals = globals;
  }

  /** The bytes of an input file (`-`: stdin). `tooLarge` where there are more than `maxBytes`; UsageError where it cannot be read. */
  async read(name: string, maxBytes: number, tooLarge: ReasonCode = 'request.too_large'): Promise<Result<Buffer>> {
    if (name === '-') this.#takeStdin();
    const bytes = await readInput(this.io, name, maxBytes);
    if (bytes === undefined) return reject(tooLarge, `${name} is larger than ${String(maxBytes)} bytes`);
    return { ok: true, value: bytes };
  }

  /** The broker that --url names, and how to speak TLS with it. Throws UsageError. */
  async address(): Promise<BrokerAddress> {
    const url = parseUrl(this.#globals.url ?? nonEmpty(this.io.env['PORTCULLIS_URL']) ?? DEFAULT_URL);
    const { ca, clientCert, clientKey } = this.#globals;
    if (url.protocol !== 'https:') {
      const given = Object.entries({ '--ca': ca, '--client-cert': clientCert, '--client-key': clientKey });
      const [option] = given.find(([, file]) => file !== undefined) ?? [];
      if (option === undefined) return { url };
      throw new UsageError(`${option} needs an https:// URL, and the broker is at ${url.href}`);
    }
    const { env } = this.io;
    const trusted = ca ?? nonEmpty(env['PORTCULLIS_CA']);
    const certificate = clientCert ?? nonEmpty(env['PORTCULLIS_CLIENT_CERT']);
    const privateKey = clientKey ?? nonEmpty(env['PORTCULLIS_CLIENT_KEY']);
    if ((certificate === undefined) !== (privateKey === undefined)) {
      throw new UsageError('--client-cert and --client-key go together; give both');
    }
    return {
      url,
      ...(trusted === undefined ? {} : { ca: await this.#readCertificates('--ca', trusted) }),
      ...(certificate === undefined || privateKey === undefined
        ? {}
        : {
            clientCertificate: {
              certificate: await this.#readCertificates('--client-cert', certificate),
              privateKey: await this.#readPrivateKey(privateKey),
            },
          }),
    };
  }

  /** The client of the broker, made at first use; `close` ends it. */
  async broker(): Promise<BrokerClient> {
    if (this.#client !== undefined) return this.#client;
    const address = await this.address();
    const token = await this.#token();
    if (token !== undefined && address.url.protocol === 'http:' && !LOOPBACK.test(address.url.hostname)) {
      this.io.stderr.write(`warning: the token goes to ${address.url.host} in the clear; use https\n`);
    }
    const { BrokerClient } = await import('./broker-client.js');
    this.#client = new BrokerClient(address, token);
    return this.#client;
  }

  /** One call of the broker; members of `body` and `query` that are undefined are left out. */
  async call<T>(method: Method, path: string, body?: unknown, query: Query = {}): Promise<Reply<T>> {
    return (await this.broker()).call<T>(method, path, body, query);
  }

  /** A list of the broker, all of its pages unless `range` says less. */
  async list<T>(path: string, range: ListRange, query: Query = {}): Promise<Reply<ListView<T>>> {
    return (await this.broker()).list<T>(path, range, query);
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }

  /** From --token-file, else PORTCULLIS_TOKEN, else the file that PORTCULLIS_TOKEN_FILE names. */
  async #token(): Promise<string | undefined> {
    const { env } = this.io;
    const inline = this.#globals.tokenFile === undefined ? nonEmpty(env['PORTCULLIS_TOKEN']) : undefined;
    if (inline !== undefined) return checkToken(inline, 'PORTCULLIS_TOKEN');
    const file = this.#globals.tokenFile ?? nonEmpty(env['PORTCULLIS_TOKEN_FILE']);
    if (file === undefined) return undefined;
    if (file === '-') this.#takeStdin();
    return checkToken((await readSmallInput(this.io, file, MAX_TOKEN_BYTES)).toString('utf8'), 'the token file');
  }

  async #readCertificates(option: string, name: string): Promise<string> {
    const pem = (await readSmallInput(this.io, name, MAX_PEM_BYTES)).toString('utf8');
    try {
      new X509Certificate(pem);
    } catch {
      throw new UsageError(`${option} ${name} holds no PEM certificate`);
    }
    return pem;
  }

  async #readPrivateKey(name: string): Promise<string> {
    const pem = (await readSmallInput(this.io, name, MAX_PEM_BYTES)).toString('utf8');
    try {
      createPrivateKey(pem);
    } catch {
      throw new UsageError(`--client-key ${name} holds no PEM private key without a passphrase`);
    }
    return pem;
  }

  #takeStdin(): void {
    if (this.#stdinTaken) throw new UsageError('stdin (-) can be read once only; put one of the inputs into a file');
    this.#stdinTaken = true;
  }
}

function checkToken(text: string, from: string): string {
  const token = text.trim();
  // Nothing that could end a header, or is more than one token.
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new UsageError(`${from} holds no token: one line of the form pc_… is expected`);
  return token;
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError('--url must be http://HOST:PORT or https://HOST:PORT');
  }
  if (url.username !== '' || url.password !== '')
    throw new UsageError('--url holds a password; tokens go into --token-file');
  if (url.search !== '' || url.hash !== '') throw new UsageError('--url must end after the path: no ? and no #');
  return url;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
