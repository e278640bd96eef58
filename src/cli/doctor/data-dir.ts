import { readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { dataDir } from '../compose/data-dir.js';
import { whyUnreadable } from '../read-input.js';
import { fail, ok, warn, type Finding } from './finding.js';

const LOW_BYTES = 1024 ** 3;
const OUT_BYTES = 64 * 1024 ** 2;

/** The directory of a broker, what lies in it, and the disk below it; its database is store.ts's. */
export async function dataDirFindings(path: string): Promise<readonly Finding[]> {
  let names: readonly string[];
  try {
    names = readdirSync(path);
  } catch (error) {
    return [
      fail(
        'data directory',
        `cannot open ${path}: ${whyUnreadable(error)}`,
        `make it with: portcullis init --data-dir ${path}`,
      ),
    ];
  }
  if (names.length === 0) {
    return [fail('data directory', `${path} is empty`, `fill it with: portcullis init --data-dir ${path}`)];
  }
  return [accessFinding(path), filesFinding(path, names), await kekFinding(dataDir(path).kek), diskFinding(path)];
}

function accessFinding(path: string): Finding {
  const { mode, uid } = statSync(path);
  const user = process.geteuid?.() ?? uid;
  if (uid !== user) {
    return fail(
      'data directory',
      `${path} belongs to user ${String(uid)}, this is user ${String(user)}`,
      'run this, and the broker, as its owner',
    );
  }
  if ((mode & 0o077) !== 0) {
    return fail(
      'data directory',
      `${path} is open to others (mode ${(mode & 0o777).toString(8)})`,
      `run: chmod 700 ${path}`,
    );
  }
  return ok('data directory', `${path}, mode 700, owned by this user`);
}

function filesFinding(path: string, names: readonly string[]): Finding {
  const open = names.filter((name) => {
    const stat = statSync(join(path, name), { throwIfNoEntry: false });
    return stat !== undefined && (stat.mode & 0o077) !== 0;
  });
  if (open.length === 0) return ok('files', 'readable by their owner alone');
  return fail(
    'files',
    `open to others: ${open.join(', ')}`,
    `run: chmod go= ${open.map((name) => join(path, name)).join(' ')}`,
  );
}

async function kekFinding(path: string): Promise<Finding> {
  const { openKekFile } = await import('../../keystore/file-kek.js');
  try {
    const keks = await openKekFile(path);
    return ok('KEK', `${path}, active KEK ${keks.activeId()}`);
  } catch (error) {
    return fail(
      'KEK',
      error instanceof Error ? error.message : 'cannot be opened',
      'without its KEK a broker releases nothing: restore the file',
    );
  }
}

function diskFinding(path: string): Finding {
  const { bavail, bsize } = statfsSync(path);
  const free = bavail * bsize;
  const said = `${String(Math.floor(free / 1024 ** 2))} MiB free`;
  if (free < OUT_BYTES) return fail('disk', said, 'make room: a broker that cannot record releases nothing');
  if (free < LOW_BYTES) return warn('disk', said, 'make room soon: a broker that cannot record releases nothing');
  return ok('disk', said);
}
