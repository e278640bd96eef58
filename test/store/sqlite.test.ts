import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite/open.js';
import { storeContract } from './contract.js';

storeContract('SQLite', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'portcullis-store-'));
  return {
    open: async (clock) => {
      const store = await openSqliteStore(join(directory, 'portcullis.db'), { create: true, clock });
      store.authenticate(Buffer.alloc(32, 7));
      return store;
    },
    destroy: async () => rmSync(directory, { recursive: true }),
  };
});
