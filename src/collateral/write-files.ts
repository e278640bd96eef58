import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

const OWNER_ONLY = 0o600;
const OWNER_ONLY_FOLDER = 0o700;

/**
 * Writes files below a directory, which is made where it is not there: each is on disk, whole, before it takes the place of the one
 * that had its name. What was written before a fault stays.
 */
export async function writeFiles(directory: string, files: ReadonlyMap<string, Buffer>): Promise<void> {
  for (const [name, content] of files) await writeWhole(join(directory, name), content);
}

async function writeWhole(path: string, content: Buffer): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: OWNER_ONLY_FOLDER });
  // Names that begin with a dot are not read. Nobody can have put a link at a name that nobody knows, and none is followed.
  const draft = join(folder, `.${basename(path)}.${randomBytes(12).toString('hex')}.new`);
  const file = await open(draft, 'wx', OWNER_ONLY);
  try {
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await unlink(draft);
    throw error;
  }
  await syncFolder(folder);
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
