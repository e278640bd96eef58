/** Two brokers over one PostgreSQL, each with a data directory of its own, as their clients and their operator see them. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredLog } from '../helpers/log-memory.js';
import type { PostgresServer } from '../helpers/postgres.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { provision } from '../helpers/wire-workload.js';

export class Replicas {
  readonly server: PostgresServer;
  readonly machine: Awaited<ReturnType<typeof provision>>;
  readonly logKey: string;
  readonly #url: string;
  readonly #folder: string;
  readonly #brokers: ServedBroker[];

  private constructor(
    server: PostgresServer,
    url: string,
    folder: string,
    brokers: ServedBroker[],
    made: Pick<Replicas, 'machine' | 'logKey'>,
  ) {
    this.server = server;
    this.#url = url;
    this.#folder = folder;
    this.#brokers = brokers;
    this.machine = made.machine;
    this.logKey = made.logKey;
  }

  /** The first one makes the broker; the second one gets a copy of its KEK file, as docs/OPERATIONS.md says. */
  static async start(server: PostgresServer): Promise<Replicas> {
    const url = await server.database();
    const folder = mkdtempSync(join(tmpdir(), 'portcullis-replicas-'));
    const [first, second] = [join(folder, 'first'), join(folder, 'second')];
    const args = ['--profile', 'development'];
    const env = { PORTCULLIS_STORE_URL: url };
    const brokers = [await ServedBroker.start({ dataDir: first, args, env })];
    mkdirSync(second, { mode: 0o700 });
    for (const name of ['kek.json', 'simulator-ca.pem', 'simulator-ca.key', 'admin.token']) {
      cpSync(join(first, name), join(second, name));
    }
    brokers.push(await ServedBroker.start({ dataDir: second, env }));
    const [origin] = brokers as [ServedBroker];
    const machine = await provision(origin);
    const { body } = await origin.admin('GET', '/v1/broker');
    return new Replicas(server, url, folder, brokers, { machine, logKey: String(body['log_key']) });
  }

  /** As it is now: a replica that was killed is another process afterwards. */
  at(replica: number): ServedBroker {
    return this.#brokers[replica % this.#brokers.length]!;
  }

  dataDir(replica: number): string {
    return this.at(replica).dataDir;
  }

  /** SIGKILL, and the same data directory in a new process. */
  async killAndRestart(replica: number): Promise<void> {
    await this.at(replica).kill('SIGKILL');
    await this.restart(replica);
  }

  async restart(replica: number): Promise<void> {
    const { dataDir } = this.at(replica);
    await this.at(replica).kill('SIGTERM');
    this.#brokers[replica] = await ServedBroker.start({ dataDir, env: { PORTCULLIS_STORE_URL: this.#url } });
  }

  /** Everything that they have written: a password would be found here. */
  get output(): string {
    return this.#brokers.map(({ output }) => output).join('\n');
  }

  /** The log as one transaction sees it. */
  async log(): Promise<StoredLog> {
    const [row] = await this.server.sql(
      `SELECT (SELECT json_agg(entry ORDER BY log_index) FROM portcullis.log_entries) AS entries,
         (SELECT json_agg(log_index ORDER BY log_index) FROM portcullis.log_entries) AS indexes,
         (SELECT checkpoint FROM portcullis.log_head) AS checkpoint,
         (SELECT json_agg(json_build_array(node_index, encode(hash, 'hex'))) FROM portcullis.log_nodes WHERE level = 8) AS nodes,
         (SELECT json_agg(encode(nonce, 'hex')) FROM portcullis.spent_nonces) AS nonces`,
      [],
      new URL(this.#url).pathname.slice(1),
    );
    const indexes = row!['indexes'] as number[];
    if (indexes.some((index, at) => index !== at)) throw new Error('the log has gaps');
    const nonces = (row!['nonces'] ?? []) as string[];
    return {
      entries: row!['entries'] as string[],
      checkpoint: String(row!['checkpoint']),
      nodes: ((row!['nodes'] ?? []) as [number, string][]).map(([at, hash]) => [at, Buffer.from(hash, 'hex')]),
      spent: nonces.map((nonce) => createHash('sha256').update(Buffer.from(nonce, 'hex')).digest('hex')).sort(),
    };
  }

  async close(): Promise<void> {
    for (const broker of this.#brokers) await broker.kill('SIGTERM');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
