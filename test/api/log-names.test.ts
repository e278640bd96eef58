import { expect, test } from '@jest/globals';
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { ServedBroker } from '../helpers/served-broker.js';
import { deploymentDocument } from '../helpers/test-broker.js';

test.each([1, 2])(
  'a log keeps its kind of names for good, with %i workers',
  async (workers) => {
    const first = await ServedBroker.start({ workers });
    const { dataDir } = first;
    try {
      const salted = { PORTCULLIS_LOG_NAMES: 'salted' };
      await first.kill('SIGTERM');
      const second = await ServedBroker.start({ dataDir, env: salted, workers });
      await second.admin('POST', '/v1/deployments', deploymentDocument('llm'));
      await second.kill('SIGTERM');
      await expect(ServedBroker.start({ dataDir, workers })).rejects.toThrow(
        /ended with 2: .*log\.names: this log has salted names/s,
      );
      const third = await ServedBroker.start({ dataDir, env: salted, workers });
      await third.kill('SIGTERM');
    } finally {
      rmSync(dirname(dataDir), { recursive: true, force: true });
    }
  },
  60_000,
);
