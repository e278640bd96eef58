/**
 * A real PostgreSQL for tests: a cluster of its own in a temporary directory, on a free loopback port, with durable
 * commits as in earnest. Making one takes about two seconds: start one per test file, in `beforeAll`, and close it in
 * `afterAll`. It dies with the test process, however that ends. PostgreSQL refuses to run as root, so that root runs it
 * as the user postgres, whom the Debian package makes.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 60_000;
const DEBIAN = '/usr/lib/postgresql';

/** The password of the role that brokers connect as; it is looked for in what they say. */
export const STORE_PASSWORD = 'pw-canary-5f0a';

/** The folder of initdb and pg_ctl: the newest that Debian has installed, or a folder of PATH. */
function binaries(): string | undefined {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(DEBIAN, version, 'bin')),
    ...(process.env['PATH'] ?? '').split(delimiter),
  ];
  return folders.find((folder) => ['initdb', 'pg_ctl', 'postgres'].every((tool) => existsSync(join(folder, tool))));
}

/** Whether PostgreSQL is installed; tests that need it skip where it is not. */
export function postgresAvailable(): boolean {
  return binaries() !== undefined;
}

export interface PostgresOptions {
  /** Lines of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** PEM: the server then takes TLS connections too. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** A server that may be stopped, killed and started again on the same port. */
export class PostgresServer {
  readonly directory: string;
  readonly port: number;
  readonly #bin: string;
  readonly #supervisor: ChildProcess;
  #databases = 0;

  private constructor(directory: string, port: number, bin: string, supervisor: ChildProcess) {
    this.directory = directory;
    this.port = port;
    this.#bin = bin;
    this.#supervisor = supervisor;
  }

  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    for (let attempt = 1; ; attempt++) {
      const server = await PostgresServer.#make(options);
      try {
        await server.start();
        await server.sql(`CREATE ROLE portcullis LOGIN PASSWORD '${STORE_PASSWORD}'`);
        return server;
      } catch (error) {
        await server.close();
        // Another process may have taken the port between finding and using it.
        if (attempt === 3) throw error;
      }
    }
  }

  static async #make({ settings = {}, tls }: PostgresOptions): Promise<PostgresServer> {
    const bin = binaries();
    if (bin === undefined) throw new Error('PostgreSQL is not installed');
    const directory = mkdtempSync(join(tmpdir(), 'portcullis-postgres-'));
    if (process.geteuid?.() === 0) await run('chown', ['postgres', directory]);
    const port = await freePort();
    const server = new PostgresServer(directory, port, bin, supervise(directory, bin));
    const how = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync'];
    await server.#command('initdb', ['-D', server.#data, ...how]);
    const all: Record<string, string> = {
      listen_addresses: `'127.0.0.1'`,
      port: String(port),
      unix_socket_directories: `'${directory}'`,
      shared_buffers: '32MB',
      max_connections: '60',
      ...(tls === undefined ? {} : { ssl: 'on' }),
      ...settings,
    };
    appendFileSync(
      join(server.#data, 'postgresql.conf'),
      Object.entries(all)
        .map(([name, value]) => `${name} = ${value}\n`)
        .join(''),
    );
    // The first line that fits counts: the role of the brokers shows its password.
    const hba = ['host all portcullis 127.0.0.1/32 scram-sha-256', 'host all postgres 127.0.0.1/32 trust'];
    writeFileSync(join(server.#data, 'pg_hba.conf'), [...hba, 'local all all trust', ''].join('\n'));
    if (tls !== undefined) {
      writeFileSync(join(server.#data, 'server.crt'), tls.cert);
      writeFileSync(join(server.#data, 'server.key'), tls.key);
      chmodSync(join(server.#data, 'server.key'), 0o600);
      const files = ['server.crt', 'server.key'].map((name) => join(server.#data, name));
      if (process.geteuid?.() === 0) await run('chown', ['postgres', ...files]);
    }
    return server;
  }

  get #data(): string {
    return join(this.directory, 'data');
  }

  /** A new, empty database of the brokers' role; its URL, with the password. */
  async database(): Promise<string> {
    const name = `test_${String(this.#databases++)}`;
    await this.sql(`CREATE DATABASE ${name} OWNER portcullis`);
    return this.url(name);
  }

  /** Empties the tables of a store, which stay: much faster than a new database. */
  async wipe(url: string): Promise<void> {
    const database = new URL(url).pathname.slice(1);
    const tables = await this.sql(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'portcullis'`,
      [],
      database,
    );
    const deletions = tables.map(({ name }) => `DELETE FROM portcullis.${String(name)};`);
    await this.sql(deletions.filter((text) => !text.includes('migrations')).join(' '), [], database);
  }

  url(database: string, host = '127.0.0.1'): string {
    return `postgres://portcullis:${STORE_PASSWORD}@${host}:${String(this.port)}/${database}`;
  }

  /** What the superuser asks, each time on a connection of its own: tampering, mostly. The rows of the last statement. */
  async sql(text: string, values: readonly unknown[] = [], database = 'postgres'): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user: 'postgres', database });
    await client.connect();
    try {
      const result = (await client.query(text, [...values])) as pg.QueryResult | pg.QueryResult[];
      return (Array.isArray(result) ? result.at(-1) : result)?.rows as Record<string, unknown>[];
    } finally {
      await client.end();
    }
  }

  /** Starts a server that was stopped or killed; fulfilled when it takes connections. */
  async start(): Promise<void> {
    // What a killed postmaster has left of its children holds the shared memory for a moment longer.
    for (let tries = 0; ; tries++) {
      try {
        await this.#command('pg_ctl', ['-D', this.#data, '-w', '-l', join(this.directory, 'log'), 'start']);
        return;
      } catch (error) {
        if (tries === 20) throw new Error(`PostgreSQL does not start: ${this.log.slice(-2000)}`, { cause: error });
        await pause(250);
      }
    }
  }

  /** `fast` ends sessions and shuts down; `immediate` is as a crash. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    await this.#command('pg_ctl', ['-D', this.#data, '-w', '-m', mode, 'stop']);
  }

  /** SIGKILL for the postmaster. */
  async kill(): Promise<void> {
    const [pid = ''] = readFileSync(join(this.#data, 'postmaster.pid'), 'utf8').split('\n');
    process.kill(Number(pid), 'SIGKILL');
    while (existsSync(`/proc/${pid}`)) await pause(5);
  }

  /** A standby's promotion, as brokers see it: another timeline. The server is stopped for it, and started again. */
  async promote(): Promise<void> {
    await this.stop();
    writeFileSync(join(this.#data, 'standby.signal'), '');
    await this.start();
    await this.#command('pg_ctl', ['-D', this.#data, '-w', 'promote']);
  }

  /** What the server has written to its log. */
  get log(): string {
    const path = join(this.directory, 'log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Stops the server, and removes it with everything that it held. */
  async close(): Promise<void> {
    if (this.#supervisor.exitCode !== null) return;
    const exited = once(this.#supervisor, 'exit');
    this.#supervisor.stdin?.end();
    await exited;
  }

  async #command(tool: string, args: readonly string[]): Promise<void> {
    const path = join(this.#bin, tool);
    const [command, all] =
      process.geteuid?.() === 0 ? ['runuser', ['-u', 'postgres', '--', path, ...args]] : [path, [...args]];
    await run(command, all, { timeout: COMMAND_TIMEOUT_MS, cwd: this.directory });
  }
}

/** The shell waits for the end of its stdin, which comes when we close it or die; then the server and its directory go. */
const SUPERVISE = `
dir=$1 bin=$2
while read -r _; do :; done
if [ "$(id -u)" = 0 ]; then as='runuser -u postgres --'; else as=; fi
cd "$dir" && $as "$bin/pg_ctl" -D "$dir/data" -m immediate stop
cd / && rm -rf "$dir"`;

function supervise(directory: string, bin: string): ChildProcess {
  return spawn('sh', ['-c', SUPERVISE, 'supervise', directory, bin], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
