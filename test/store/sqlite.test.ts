import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testLogIdentity } from '../helpers/log-identity.js';
import { openSqliteStore } from '../../src/store/sqlite/open.js';
import { aloneContract } from './alone-contract.js';
import { contentsContract } from './contents-contract.js';
import { storeContract, type TestDatabase } from './contract.js';
import { logContract } from './log-contract.js';
import { restartContract } from './restart-contract.js';
import { sightingsContract } from './sightings-contract.js';

async function makeDatabase(): Promise<TestDatabase> {
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-store-'));
  return {
    open: async (clock, log = testLogIdentity()) => {
      const store = await openSqliteStore(join(directory, 'portcullis.db'), { create: true, clock });
      try {
        store.authenticate(Buffer.alloc(32, 7), log);
      } catch (error) {
        await store.close();
        throw error;
      }
      return store;
    },
    destroy: async () => rmSync(directory, { recursive: true }),
  };
}

aloneContract('SQLite', makeDatabase);
storeContract('SQLite', makeDatabase);
contentsContract('SQLite', makeDatabase);
logContract('SQLite', makeDatabase);
restartContract('SQLite', makeDatabase);
sightingsContract('SQLite', makeDatabase);
