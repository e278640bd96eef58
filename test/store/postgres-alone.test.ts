/** A release that is alone, on a server that stands still longer than it may take. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type CommitOutcome, StoreUnavailableError } from '../../src/release/store.js';
import { postgresAvailable } from '../helpers/postgres.js';
import { LogAudit } from './log-audit.js';
import { PostgresFixture } from './postgres-fixture.js';
import { commitFor, entriesOf, initialise, testClock } from './samples.js';

const STALL_MS = 1300;

(postgresAvailable() ? describe : describe.skip)('a release that has PostgreSQL alone', () => {
  let fixture: PostgresFixture;

  beforeAll(async () => {
    fixture = await PostgresFixture.start();
  }, 60_000);
  afterAll(() => fixture.close());
  beforeEach(() => fixture.wipe());

  /** Stops the process of the server that holds the lock, for a while. */
  async function stall(): Promise<void> {
    const [row] = await fixture.sql(`SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted LIMIT 1`);
    const pid = Number(row?.['pid']);
    process.kill(pid, 'SIGSTOP');
    setTimeout(() => process.kill(pid, 'SIGCONT'), STALL_MS);
  }

  test('leaves nothing behind where it is given up on, and is in nobody’s way', async () => {
    const clock = testClock();
    const [store, other] = [fixture.store({ clock }), fixture.store({ clock })];
    await initialise(store);
    const commit = await commitFor(store, 'a');
    let late: Promise<CommitOutcome> | undefined;
    let theirs: Promise<CommitOutcome> | undefined;
    const alone = store.releaseAlone(async (inside) => {
      await stall();
      theirs = commitFor(other, 'b').then((each) => other.commitRelease(each));
      return (late = inside.commitRelease(commit));
    });
    await expect(alone).rejects.toThrow(StoreUnavailableError);
    await expect(late).rejects.toThrow('the transaction of the release has ended');
    expect(await theirs).toMatchObject({ outcome: 'committed', logged: { index: 1 } });
    expect((await entriesOf(store)).map((each) => each['release_id'])).toEqual([undefined, 'b']);
    expect(await store.commitRelease(commit)).toMatchObject({ outcome: 'committed', logged: { index: 2 } });
    (await LogAudit.of(other)).expectHead(await other.logHead());
  });
});
