import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const runProgram = promisify(execFile);

/** The program that this file is a part of. */
export const PROGRAM = fileURLToPath(new URL('../../main.js', import.meta.url));
const START_TIMEOUT_MS = 15_000;

/** A broker in a process of its own. */
export interface BrokerProcess {
  readonly url: string;
  close(): Promise<void>;
}

/** What `portcullis init` hands to the operator. */
export interface MadeBroker {
  readonly adminToken: string;
  /** A vkey: what receipts are verified with. */
  readonly logKey: string;
}

/** Runs `portcullis init` in the development profile. */
export async function makeBroker(dataDir: string): Promise<MadeBroker> {
  const args = [PROGRAM, 'init', '--data-dir', dataDir, '--profile', 'development', '--json'];
  const { stdout } = await runProgram(process.execPath, args);
  const { admin_token: adminToken, log_key: logKey } = JSON.parse(stdout) as { admin_token: string; log_key: string };
  return { adminToken, logKey };
}

/** Runs `portcullis serve` over a data directory of the development profile, on a free loopback port. */
export async function startBroker(dataDir: string): Promise<BrokerProcess> {
  const args = [
    PROGRAM,
    'serve',
    '--data-dir',
    dataDir,
    '--profile',
    'development',
    '--listen',
    '127.0.0.1:0',
    '--workers',
    '1',
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  process.once('exit', () => child.kill('SIGKILL'));
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-4096)));
  let output = '';
  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`the broker did not start within 15 s:\n${log}`)),
      START_TIMEOUT_MS,
    );
    child.once('exit', () => reject(new Error(`the broker ended instead of starting:\n${log}`)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /listening on (\S+)\n/.exec(output)?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
  });
  return {
    url,
    close: async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}
