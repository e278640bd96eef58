import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AttesterError } from '../errors.js';

/** One of the tpm2-tools; without a shell, and never with a secret among its arguments. */
export type Tpm2Tool =
  | 'tpm2_activatecredential'
  | 'tpm2_createak'
  | 'tpm2_createek'
  | 'tpm2_evictcontrol'
  | 'tpm2_flushcontext'
  | 'tpm2_getcap'
  | 'tpm2_nvread'
  | 'tpm2_pcrextend'
  | 'tpm2_policysecret'
  | 'tpm2_quote'
  | 'tpm2_readpublic'
  | 'tpm2_startauthsession';

/** Runs a tool in the private directory and returns its standard output. Throws AttesterError with what the tool said. */
export type RunTool = (tool: Tpm2Tool, args: readonly string[]) => Promise<string>;

const TCTI = /^(?:swtpm:host=[0-9A-Za-z.:[\]-]{1,253},port=\d{1,5}|device:\/[0-9A-Za-z._/-]{1,255})$/;
const TOOL_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 256 * 1024;

/** Checks how a TPM is named: `swtpm:host=H,port=P` or `device:PATH`. Throws AttesterError. */
export function assertTcti(tcti: string): void {
  if (!TCTI.test(tcti)) throw new AttesterError('a TPM is named swtpm:host=H,port=P or device:/dev/tpmrm0');
}

/**
 * Runs `work` with a temporary directory (0700) that is gone when it ends, whatever the outcome. Transient objects are
 * flushed after the tools that leave them, since a TPM without a resource manager has room for three.
 */
export async function withTpm<T>(tcti: string, work: (run: RunTool, dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), `portcullis-tpm-${String(process.pid)}-`));
  try {
    return await work(async (tool, args) => {
      const flush = () => (LOADS_OBJECTS.has(tool) ? runTool(tcti, dir, 'tpm2_flushcontext', ['-t']) : undefined);
      try {
        const output = await runTool(tcti, dir, tool, args);
        await flush();
        return output;
      } catch (error) {
        await flush()?.catch(() => undefined); // what went wrong first is what counts
        throw error;
      }
    }, dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Tools that leave the transient objects that they load in the TPM. */
const LOADS_OBJECTS: ReadonlySet<Tpm2Tool> = new Set([
  'tpm2_activatecredential',
  'tpm2_createek',
  'tpm2_createak',
  'tpm2_evictcontrol',
]);

function runTool(tcti: string, dir: string, tool: Tpm2Tool, args: readonly string[]): Promise<string> {
  const options = {
    cwd: dir,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TPM2TOOLS_TCTI: tcti },
    timeout: TOOL_TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    encoding: 'utf8' as const,
  };
  return new Promise((resolve, rejectWith) => {
    execFile(tool, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else rejectWith(toolError(tcti, tool, error, stderr));
    });
  });
}

function toolError(
  tcti: string,
  tool: string,
  cause: Error & { code?: unknown; killed?: boolean },
  stderr: string,
): Error {
  if (cause.code === 'ENOENT') {
    return new AttesterError(`${tool} is not installed; on Debian and Ubuntu: apt-get install tpm2-tools`, { cause });
  }
  if (cause.killed === true) return new AttesterError(`${tool} did not end within 60 s on ${tcti}`, { cause });
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const said = lines.slice(0, 3).join('; ').slice(0, 500);
  return new AttesterError(`${tool} failed on ${tcti}: ${said === '' ? 'no message' : said}`, { cause });
}
