/** The identity of a log for tests that open a store by themselves. */
import { canonicalJson } from '../../src/bytes/canonical-json.js';
import type { LogIdentity } from '../../src/release/store.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';

export const TEST_ORIGIN = 'test-broker/0123456789abcdef';

/** Always the same one, so that a store that is opened again knows its log. Entries are taken as they come, without a schema. */
export function testLogIdentity(): LogIdentity {
  return {
    signer: new CheckpointSigner(TEST_ORIGIN, Buffer.alloc(32, 9)),
    compose: (type, body, { timeMs, generation }) => {
      const entry = { ...body, type, time: new Date(timeMs).toISOString(), state_generation: String(generation) };
      const text = canonicalJson(entry).toString('utf8');
      if (text.length > 16_384) throw new RangeError('too long for an entry');
      return { text };
    },
  };
}
