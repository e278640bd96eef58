import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createKekFile, openKekFile } from '../../keystore/file-kek.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { initialiseStore } from '../../release/initialise.js';
import { createSimulatorCa } from '../../simulator/ca.js';
import { createDataDir, dataDir, isEmpty } from './data-dir.js';
import { openStore } from './open-store.js';
import type { Initialise, Initialised } from './ports.js';

/** Makes a data directory: KEK, store with the broker's identity and first admin token, and in development a simulator CA of its own. */
export async function initialise(options: Parameters<Initialise>[0]): Promise<Result<Initialised>> {
  const taken = options.store === undefined ? undefined : await takenBy(options);
  if (taken !== undefined) return reject('resource.exists', taken);
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
  const { store } = await openStore(paths, { url: options.store, create: true, clock });
  try {
    return accept(await initialiseStore(store, keks, { clock, random: randomBytes }, options.profile));
  } finally {
    await store.close();
  }
}

/** Why the database is not for a new broker, or undefined. A directory that holds anything is refused without asking it. */
async function takenBy({ dataDir: path, store: url }: Parameters<Initialise>[0]): Promise<string | undefined> {
  if (!isEmpty(path)) return undefined;
  const { store, where } = await openStore(dataDir(path), { url, create: true, clock: () => Date.now() });
  try {
    const found = await store.broker();
    if (found === undefined) return undefined;
    return `${where} holds the broker ${found.broker} already, and was left untouched; to add a replica of it, copy kek.json of the first one into ${path} (docs/OPERATIONS.md, "PostgreSQL and several replicas"), or name another database`;
  } finally {
    await store.close();
  }
}

/** Writes a new file that its owner alone can read. */
export function writePrivateFile(path: string, content: string): void {
  writeFileSync(path, content, { mode: 0o600, flag: 'wx' });
}
