import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { httpTransport, type Transport } from '../../workload/transport.js';
import { makeBroker, PROGRAM, startBroker } from './broker-process.js';
import type { Stage } from './stage.js';

const runProgram = promisify(execFile);

/** What every demo plays on: a broker that runs, and an administrator's command line. */
export interface Scene {
  /** Temporary; the administrator's working directory. */
  readonly folder: string;
  /** A vkey, as init printed it. */
  readonly logKey: string;
  /** To the broker. */
  readonly transport: Transport;
  /** Shows a command and runs it. */
  readonly portcullis: (...argv: readonly string[]) => Promise<void>;
  /** Has something closed when the play is over, before what was there earlier. */
  readonly closeLater: (close: () => Promise<unknown>) => void;
}

/** The first step of a demo, then the play; whatever comes of it, everything is removed afterwards. */
export async function onScene<T>(stage: Stage, play: (scene: Scene) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-demo-'));
  const closing: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
  const closeLater = (close: () => Promise<unknown>) => void closing.unshift(close);
  try {
    stage.step('A broker is made and starts, with a data directory and a log of its own');
    const dataDir = join(folder, 'data');
    stage.command(`portcullis init --data-dir ${dataDir} --profile development`);
    const { adminToken, logKey } = await makeBroker(dataDir);
    stage.fact('log key', logKey);
    stage.command(`portcullis serve --data-dir ${dataDir}`);
    const broker = await startBroker(dataDir);
    closeLater(() => broker.close());
    stage.say(`listening on ${broker.url}`);
    const transport = httpTransport({ url: broker.url });
    closeLater(() => transport.close());
    const env = { ...process.env, PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: adminToken };
    const portcullis = async (...argv: readonly string[]): Promise<void> => {
      stage.command(`portcullis ${argv.join(' ')}`);
      await runProgram(process.execPath, [PROGRAM, ...argv], { env, cwd: folder });
    };
    return await play({ folder, logKey, transport, portcullis, closeLater });
  } finally {
    for (const close of closing) await close();
  }
}
