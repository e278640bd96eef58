import { createHash } from 'node:crypto';
import { parseJson } from '../../../src/bytes/json.js';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { verifyReceiptOffline } from '../../../src/cli/receipt-verify.js';
import { isReasonCode } from '../../../src/reason/reason.js';
import { parseVerifierKey } from '../../../src/translog/note.js';
import { parseReceipt } from '../../../src/translog/receipt.js';
import { parseReleaseEntry } from '../../../src/translog/release-entry.js';
import { canonical, TestLog } from '../../helpers/test-log.js';
import type { FuzzTarget } from '../target.js';

const JWE = 'eyJhbGciOiJFQ0RILUVTK0EyNTZLVyJ9.AAAA.BBBB.CCCC.DDDD';
const KEY = { name: 'weights', version: '0123456789abcdef0123456789abcdef', kty: 'oct' };
const ENTRY = canonical({
  ...{ type: 'release', time: '2026-11-22T05:04:03.210Z', release_id: 'ab'.repeat(16), profile: 'production' },
  ...{ broker: 'broker', deployment: 'llm', key: KEY.name, version: KEY.version, policy_sha256: '11'.repeat(32) },
  ...{ recipient: 'A'.repeat(43), ak_name: `000b${'22'.repeat(32)}`, boot: 'pinned', state_generation: '17' },
  jwe_sha256: createHash('sha256').update(JWE).digest('hex'),
});
const log = new TestLog('broker/0123456789abcdef');
for (let at = 0; at < 5; at++) log.append(at === 2 ? ENTRY : canonical({ type: 'denial.summary', at }));
const logKey = parseVerifierKey(log.key.vkey);
const receipt = log.receipt(2);
const answer = { release_id: 'ab'.repeat(16), key: KEY, jwe: JWE, receipt };

export const targets: readonly FuzzTarget[] = [
  {
    name: 'translog/release-entry',
    seeds: [
      Buffer.from(ENTRY),
      Buffer.from(canonical({ ...(JSON.parse(ENTRY) as object), names: 'salted', more: [1] })),
    ],
    run: (input) => {
      try {
        parseReleaseEntry(input.toString('utf8'));
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    },
  },
  {
    name: 'translog/receipt',
    seeds: [
      Buffer.from(JSON.stringify(receipt)),
      Buffer.from(JSON.stringify(answer)),
      Buffer.from(JSON.stringify({ ...receipt, salts: { key: 'A'.repeat(22) } })),
    ],
    run: (input) => {
      const result = verifyReceiptOffline({ file: input, logKey });
      if (!result.ok) {
        if (!isReasonCode(result.reason)) throw new Error('refuses without a reason of the registry');
        return;
      }
      const value = parseJson(input) as { readonly receipt?: unknown };
      const { entry, index } = parseReceipt(value.receipt ?? value);
      if (entry !== ENTRY || index !== 2) throw new Error('accepts an entry that is not in the log at that index');
    },
  },
];
