import type { BrokerContext } from './context.js';

/** Records that the broker was started: once for each start, whatever the number of its processes. Throws the store's errors. */
export async function recordStart(context: BrokerContext): Promise<void> {
  const { broker, profile, version, keks } = context;
  await context.store.appendRecord('broker.started', { broker, profile, version, kek: keks.activeId() });
}
