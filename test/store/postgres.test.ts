import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { storeUrl } from '../../src/config/store-url.js';
import { openPostgresStore } from '../../src/store/postgres/open.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { postgresAvailable, PostgresServer } from '../helpers/postgres.js';
import { valueOf } from '../helpers/test-broker.js';
import { storeContract, type TestDatabase } from './contract.js';
import { logContract } from './log-contract.js';
import { restartContract } from './restart-contract.js';

let server: PostgresServer;
let url: string;

async function makeDatabase(): Promise<TestDatabase> {
  await server.wipe(url);
  const target = valueOf(storeUrl(url));
  return {
    open: async (clock, log = testLogIdentity()) => {
      const store = await openPostgresStore({ target, create: true, clock });
      try {
        store.authenticate(Buffer.alloc(32, 7), log);
        await store.verify();
      } catch (error) {
        await store.close();
        throw error;
      }
      return store;
    },
    destroy: async () => undefined,
  };
}

if (postgresAvailable()) {
  beforeAll(async () => {
    server = await PostgresServer.start();
    url = await server.database();
  }, 60_000);
  afterAll(() => server.close());
  storeContract('PostgreSQL', makeDatabase);
  logContract('PostgreSQL', makeDatabase);
  restartContract('PostgreSQL', makeDatabase);
} else {
  describe('PostgreSQL', () => {
    test.skip('is not installed here (Debian package postgresql)', () => undefined);
  });
}
