import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createKekFile, openKekFile } from '../../keystore/file-kek.js';
import { accept, type Result } from '../../reason/reason.js';
import { initialiseStore } from '../../release/initialise.js';
import type { Profile } from '../../release/records.js';
import { createSimulatorCa } from '../../simulator/ca.js';
import { openSqliteStore } from '../../store/sqlite/open.js';
import { createDataDir } from './data-dir.js';
import type { Initialised } from './ports.js';

/** Makes a data directory: KEK, store with the broker's identity and first admin token, and in development a simulator CA of its own. */
export async function initialise(options: {
  readonly dataDir: string;
  readonly profile: Profile;
}): Promise<Result<Initialised>> {
  const created = createDataDir(options.dataDir);
  if (!created.ok) return created;
  const paths = created.value;
  await createKekFile(paths.kek);
  const keks = await openKekFile(paths.kek);
  if (options.profile === 'development') {
    const ca = await createSimulatorCa();
    writePrivateFile(paths.simulatorKey, ca.privateKeyPem);
    writePrivateFile(paths.simulatorCa, ca.certificatePem);
  }
  const clock = () => Date.now();
  const store = await openSqliteStore(paths.database, { create: true, clock });
  try {
    return accept(await initialiseStore(store, keks, { clock, random: randomBytes }, options.profile));
  } finally {
    await store.close();
  }
}

/** Writes a new file that its owner alone can read. */
export function writePrivateFile(path: string, content: string): void {
  writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
}
