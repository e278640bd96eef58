import { beforeEach, describe, expect, test } from '@jest/globals';
import { reject, type ReasonCode } from '../../src/reason/reason.js';
import { DenialRecorder } from '../../src/release/denial-recorder.js';
import type { EntryBody, Store } from '../../src/release/store.js';

let appended: { type: string; body: EntryBody; detail: string | undefined }[];
let failing: boolean;
let nowMs: number;
let recorder: DenialRecorder;

beforeEach(() => {
  appended = [];
  failing = false;
  nowMs = 1_800_000_000_000;
  const store: Pick<Store, 'appendRecord'> = {
    appendRecord: async (type, body, detail) => {
      if (failing) throw new Error('disk');
      appended.push({ type, body, detail });
    },
  };
  recorder = new DenialRecorder(
    store as Store,
    () => nowMs,
    (bytes) => Buffer.alloc(bytes, 7),
  );
});

const context = (akSpkiSha256: string | undefined) => ({
  deployment: 'd',
  key: 'k',
  version: 'latest',
  akSpkiSha256,
  akName: 'n',
});
const deny = (reason: ReasonCode, ak: string | undefined) => recorder.record(reject(reason, ''), context(ak));
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('denials', () => {
  test('of a machine whose AK and signature were accepted are recorded with their decision', async () => {
    recorder.record({ ...reject('policy.hash', ''), decision: { met: false, conditions: [] } }, context('ak'));
    await settled();
    expect(appended).toEqual([
      expect.objectContaining({
        type: 'denial',
        body: expect.objectContaining({ reason: 'policy.hash', ak_spki_sha256: 'ak' }),
        detail: `{"met":false,"conditions":[],"salt":"${'07'.repeat(16)}"}`,
      }),
    ]);
  });

  test('that anyone can cause are counted alone, in one entry a minute', async () => {
    for (let i = 0; i < 1000; i++) deny('quote.signature', 'ak');
    for (let i = 0; i < 5; i++) deny('policy.hash', undefined);
    await settled();
    expect(appended).toEqual([]);
    await recorder.summarise();
    expect(appended).toEqual([
      expect.objectContaining({
        type: 'denial.summary',
        body: { counts: { 'quote.signature': 1000, 'policy.hash': 5 } },
      }),
    ]);
    await recorder.summarise();
    expect(appended).toHaveLength(1);
  });

  test('of one machine fill its own bucket, which refills, and hide nobody else', async () => {
    for (let i = 0; i < 100; i++) deny('policy.hash', 'flood');
    deny('policy.hash', 'quiet');
    await settled();
    const by = (ak: string) => appended.filter(({ body }) => body['ak_spki_sha256'] === ak).length;
    expect([by('flood'), by('quiet')]).toEqual([20, 1]);
    nowMs += 6_000;
    for (let i = 0; i < 100; i++) deny('policy.hash', 'flood');
    await settled();
    expect(by('flood')).toBe(22);
    nowMs -= 3_600_000;
    deny('policy.hash', 'flood');
    await settled();
    expect(by('flood')).toBe(22);
  });

  test('of a captured quote that anyone can present do not use up the bucket of its machine', async () => {
    for (let i = 0; i < 100; i++) deny('quote.binding', 'ak');
    deny('policy.hash', 'ak');
    await settled();
    expect(appended.filter(({ body }) => body['reason'] === 'policy.hash')).toHaveLength(1);
  });

  test('that cannot be written are counted, and counts that cannot be written are kept', async () => {
    failing = true;
    deny('policy.hash', 'ak');
    await settled();
    await recorder.summarise();
    expect(appended).toEqual([]);
    failing = false;
    await recorder.summarise();
    expect(appended).toEqual([expect.objectContaining({ body: { counts: { 'policy.hash': 1 } } })]);
  });
});
