/** The built program, running as a witness in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { portcullis } from './portcullis.js';
import { PROGRAM } from './served-broker.js';

const alive = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class ServedWitness {
  /** vkey. */
  readonly key: string;
  readonly dataDir: string;
  readonly #logKey: string;
  #listen = '127.0.0.1:0';
  #child: ChildProcess | undefined;

  private constructor(dataDir: string, logKey: string, key: string) {
    this.dataDir = dataDir;
    this.#logKey = logKey;
    this.key = key;
  }

  /** A witness of the log that this is the vkey of, below `directory`. It does not run yet. */
  static async make(directory: string, logKey: string, name = 'witness.example/w1'): Promise<ServedWitness> {
    const dataDir = join(directory, name.replace('/', '-'));
    const made = await portcullis(['witness', 'init', '--data-dir', dataDir, '--name', name, '--json']);
    return new ServedWitness(dataDir, logKey, (JSON.parse(made.stdout) as { key: string }).key);
  }

  /** Where it listens: the same place each time, once it has run. */
  get url(): string {
    return `http://${this.#listen}`;
  }

  /** The value of PORTCULLIS_LOG_WITNESSES for a broker. */
  get setting(): string {
    return JSON.stringify([{ url: this.url, key: this.key }]);
  }

  async start(): Promise<void> {
    const options = ['--data-dir', this.dataDir, '--log', this.#logKey, '--listen', this.#listen];
    const child = spawn(process.execPath, [PROGRAM, 'witness', 'serve', ...options], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    alive.add(child);
    child.once('exit', () => alive.delete(child));
    this.#child = child;
    let said = '';
    for await (const text of child.stdout.setEncoding('utf8')) {
      said += String(text);
      const host = /listening on http:\/\/(\S+)\n/.exec(said)?.[1];
      if (host === undefined) continue;
      this.#listen = host;
      return;
    }
    throw new Error('the witness ended instead of listening');
  }

  /** Ends it with a signal and waits for it. It may be started again. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}
