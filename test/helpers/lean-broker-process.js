// A broker without HTTP, for tests that kill it often: the built program's use cases over a data directory. Each line of
// stdin is a call, {"id", "call", "args"}; each line of stdout is its answer, {"id", "value"} or {"id", "error"}.
import { createInterface } from 'node:readline';
import { openBroker } from '../../dist/cli/compose/open-broker.js';
import { storeUrl } from '../../dist/config/store-url.js';
import { recordStart } from '../../dist/release/record-start.js';

// The database that replicas share, where one is named: in the environment, since it has a password.
const named = process.env.PORTCULLIS_STORE_URL;
const ignore = () => undefined;
const { broker, context } = await openBroker({
  dataDir: process.argv[2],
  store: named === undefined ? undefined : storeUrl(named).value,
  profile: undefined,
  challengeTtlMs: 3_600_000,
  explain: 'full',
  logNames: 'plain',
  archiveEvidence: false,
  observer: { challenged: ignore, released: ignore, denied: ignore, committed: ignore },
});
await recordStart(context);

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const calls = { ...broker, checkpoint: async () => (await context.store.logHead()).checkpoint };

say({ id: 0 });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, call, args } = JSON.parse(line);
  calls[call](...args).then(
    (value) => say({ id, value }),
    (error) => say({ id, error: String(error) }),
  );
}
