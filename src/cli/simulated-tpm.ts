import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, open, unlink, type FileHandle } from 'node:fs/promises';
import { MalformedError } from '../bytes/malformed-error.js';
import { MAX_SAVED_BYTES, makeSavedTpm, restoreTpm, type KeptTpm } from '../simulator/saved-tpm.js';
import type { EkAlgorithm } from '../simulator/ek.js';
import { errorCode } from './error-code.js';
import { UsageError } from './outcome.js';
import { whyUnreadable } from './read-input.js';

const OWNER_ONLY = 0o600;
const DEFAULT_EK = 'ecc256';

/**
 * The simulated TPM whose keys are in a file of mode 0600, made where there is none: of two processes that make it at the same
 * time, one does, and both have its TPM. Throws UsageError for a file that cannot be read or written, is open to others, or
 * holds no such TPM, or one with another EK than is wanted.
 */
export async function keptTpm(path: string, ek: EkAlgorithm | undefined, nowMs: number): Promise<KeptTpm> {
  const before = await readPrivate(path);
  const text = before ?? (await makeFile(path, await makeSavedTpm('rsassa', ek ?? DEFAULT_EK, nowMs)));
  try {
    const kept = await restoreTpm(text, nowMs);
    if (ek === undefined || ek === kept.ek) return kept;
    throw new UsageError(`the simulated TPM in ${path} has an EK of ${kept.ek}, not ${ek}; name another file`);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new UsageError(
      `${path} holds no simulated TPM (${error.message}); name another file, or remove it for a new TPM`,
    );
  } finally {
    text.fill(0);
  }
}

/** undefined where there is no such file. */
async function readPrivate(path: string): Promise<Buffer | undefined> {
  let file: FileHandle;
  try {
    // A FIFO would be waited for.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new UsageError(`cannot read ${path}: ${whyUnreadable(error)}`);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > MAX_SAVED_BYTES) throw new UsageError(`${path} holds no simulated TPM`);
    if ((stat.mode & 0o077) !== 0) {
      throw new UsageError(`${path} can be read or written by others; run: chmod 600 ${path}`);
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** What is in the file after it was made, by this process or by another one. */
async function makeFile(path: string, text: string): Promise<Buffer> {
  const draft = `${path}.${randomUUID()}.new`;
  try {
    const file = await open(draft, 'wx', OWNER_ONLY);
    try {
      await file.chmod(OWNER_ONLY);
      await file.writeFile(text);
      await file.sync();
      await link(draft, path).catch((error: unknown) => {
        if (errorCode(error) !== 'EEXIST') throw error;
      });
    } finally {
      await file.close();
      await unlink(draft);
    }
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${whyUnreadable(error)}`);
  }
  const made = await readPrivate(path);
  if (made === undefined) throw new UsageError(`${path} was removed while it was made; try again`);
  return made;
}
