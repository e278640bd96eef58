import { afterAll, beforeAll, describe, test } from '@jest/globals';
import { testLogIdentity } from '../helpers/log-identity.js';
import { postgresAvailable } from '../helpers/postgres.js';
import { storeContract, type TestDatabase } from './contract.js';
import { aloneContract } from './alone-contract.js';
import { logContract } from './log-contract.js';
import { PostgresFixture } from './postgres-fixture.js';
import { restartContract } from './restart-contract.js';
import { sightingsContract } from './sightings-contract.js';

let fixture: PostgresFixture;

async function makeDatabase(): Promise<TestDatabase> {
  await fixture.wipe();
  return {
    open: async (clock, log = testLogIdentity()) => {
      const store = fixture.store({ clock, log });
      try {
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
    fixture = await PostgresFixture.start();
  }, 60_000);
  afterAll(() => fixture.close());
  aloneContract('PostgreSQL', makeDatabase);
  storeContract('PostgreSQL', makeDatabase);
  logContract('PostgreSQL', makeDatabase);
  restartContract('PostgreSQL', makeDatabase);
  sightingsContract('PostgreSQL', makeDatabase);
} else {
  describe('PostgreSQL', () => {
    test.skip('is not installed here (Debian package postgresql)', () => undefined);
  });
}
