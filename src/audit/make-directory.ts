import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Makes a directory, and those above it that are missing. Each one is tried at most twice: mkdir with `recursive` tries for
 * ever where a file system takes none and says that the parent is missing, as /proc does. Throws the error of mkdir.
 */
export async function makeDirectory(path: string, mode = 0o777): Promise<void> {
  try {
    await mkdir(path, { mode });
  } catch (error) {
    const above = dirname(path);
    if (!isCode(error, 'ENOENT') || above === path) return unlessThere(error, path);
    await makeDirectory(above, mode);
    // Another process may have made it in the meantime.
    await mkdir(path, { mode }).catch((second: unknown) => unlessThere(second, path));
  }
}

async function unlessThere(error: unknown, path: string): Promise<void> {
  if (!isCode(error, 'EEXIST') || !(await stat(path)).isDirectory()) throw error;
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code;
}
