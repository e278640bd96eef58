import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const START_TIMEOUT_MS = 10_000;

/** A running swtpm of its own, in a temporary directory, on loopback. */
export interface RunningSwtpm {
  /** For tpm2-tools: `swtpm:host=127.0.0.1,port=P`. */
  readonly tcti: string;
  close(): Promise<void>;
}

/** Manufactures and starts a swtpm. Throws an Error that says what to install where it is missing. */
export async function startSwtpm(): Promise<RunningSwtpm> {
  const state = await mkdtemp(join(tmpdir(), 'portcullis-swtpm-'));
  const remove = () => rm(state, { recursive: true, force: true });
  try {
    await run('swtpm_setup', ['--tpm2', '--tpmstate', state, '--pcr-banks', 'sha1,sha256,sha384', '--overwrite']);
    const port = await freePortPair();
    const child = spawn(
      'swtpm',
      [
        ...['socket', '--tpm2', '--tpmstate', `dir=${state}`, '--flags', 'not-need-init,startup-clear'],
        ...[
          '--server',
          `type=tcp,port=${String(port)},bindaddr=127.0.0.1`,
          '--ctrl',
          `type=tcp,port=${String(port + 1)},bindaddr=127.0.0.1`,
        ],
      ],
      { stdio: 'ignore' },
    );
    const kill = () => child.kill('SIGKILL');
    process.once('exit', kill);
    await listening(port + 1);
    return {
      tcti: `swtpm:host=127.0.0.1,port=${String(port)}`,
      close: async () => {
        process.off('exit', kill);
        if (child.exitCode === null && child.signalCode === null) {
          const gone = once(child, 'exit');
          child.kill();
          await gone;
        }
        await remove();
      },
    };
  } catch (error) {
    await remove();
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error('swtpm is not installed; on Debian run: apt-get install swtpm swtpm-tools tpm2-tools', {
      cause: error,
    });
  }
}

/** A free loopback port whose successor, the control port, is free too. */
async function freePortPair(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = createServer().listen(0, '127.0.0.1');
    await once(first, 'listening');
    const { port } = first.address() as AddressInfo;
    const second = createServer().listen(port + 1, '127.0.0.1');
    const free = await once(second, 'listening').then(
      () => true,
      () => false,
    );
    first.close();
    second.close();
    if (free) return port;
  }
  throw new Error('no two free ports in a row were found on loopback');
}

async function listening(port: number): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < deadline) {
    await delay(50);
    const socket = connect(port, '127.0.0.1');
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (connected) return;
  }
  throw new Error('swtpm did not start to listen within 10 s');
}
