import { beforeAll, describe, expect, test } from '@jest/globals';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import type { Attester } from '../../src/workload/attester.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { BrokerAnswerError, ReleaseDeniedError } from '../../src/workload/errors.js';
import type { LogOptions } from '../../src/workload/log-trust.js';
import { ReleaseClient } from '../../src/workload/release-client.js';
import { MAX_ANSWER_BYTES } from '../../src/workload/transport.js';
import { TestLog, TestNoteKey, type WireReceipt } from '../helpers/test-log.js';
import {
  answerOf,
  BROKER,
  type Lies,
  NEWEST,
  ORIGIN,
  POLICY_SHA256,
  type TestBroker,
  testBroker,
} from './test-broker.js';

const WEIGHTS = { deployment: 'llm-inference', key: 'weights' };

let attester: SimulatorAttester;
beforeAll(async () => {
  const tpm = new SimulatedTpm();
  attester = new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256' }));
});

/** A client that has pinned the log key of the broker, unless it says otherwise. */
function clientOf(broker: TestBroker, options: LogOptions = { logKey: broker.log.key.vkey }): ReleaseClient {
  return new ReleaseClient({ transport: broker, attester, ...options });
}

/** The reason code that an answer is refused with. */
async function refused(broker: TestBroker, options?: LogOptions): Promise<string> {
  const error: unknown = await clientOf(broker, options)
    .release(WEIGHTS)
    .then(
      () => new Error('a key came out'),
      (thrown: unknown) => thrown,
    );
  if (error instanceof BrokerAnswerError) return error.reason ?? 'no reason';
  throw error;
}

describe('a release', () => {
  test('comes with the receipt as received, and what it proved', async () => {
    const broker = testBroker();
    const released = await clientOf(broker).release(WEIGHTS);
    expect(released.receipt).toBe(released.answer['receipt']);
    expect(released.receipt).toMatchObject({ index: 1, checkpoint: expect.stringContaining(`${ORIGIN}\n3\n`) });
    expect(released.recorded).toEqual({
      origin: ORIGIN,
      index: 1,
      size: 3,
      time: '2026-11-22T12:00:00.000Z',
      profile: 'development',
      policySha256: POLICY_SHA256,
      boot: 'pinned',
      logKeyPinned: true,
      witnesses: [],
    });
    expect(broker.keyAsked).toBe(0);
  });

  test('without a pinned key believes the key that the broker names, asked for once, and says so', async () => {
    const broker = testBroker();
    const client = clientOf(broker, {});
    const all = await Promise.all([client.release(WEIGHTS), client.release(WEIGHTS)]);
    all.push(await client.release(WEIGHTS));
    expect(all.map(({ recorded }) => recorded.logKeyPinned)).toEqual([false, false, false]);
    expect(broker.keyAsked).toBe(1);
  });

  test('goes on believing that key: another log later is refused', async () => {
    const lies: { receipt?: Lies['receipt'] & object } = {};
    const client = clientOf(testBroker(lies), {});
    await client.release(WEIGHTS);
    lies.receipt = (receipt) => relogged(receipt, new TestLog(ORIGIN));
    await expect(client.release(WEIGHTS)).rejects.toThrow('checkpoint.signature');
  });

  test('asks for the key again where the broker did not tell it', async () => {
    let times = 0;
    const logKey = (vkey: string) => {
      times++;
      return times === 1 ? answerOf(503, { reason: 'store.unavailable' }) : { status: 200, body: Buffer.from(vkey) };
    };
    const client = clientOf(testBroker({ logKey }), {});
    await expect(client.release(WEIGHTS)).rejects.toThrow(ReleaseDeniedError);
    await expect(client.release(WEIGHTS)).resolves.toMatchObject({ version: NEWEST });
  });

  test.each<[string, (receipt: WireReceipt, log: TestLog) => unknown]>([
    ['with signature lines of keys that nobody knows', (r, log) => withLines(r, log, stranger.line('text\n'))],
    ['with an extension line that the log signed', (r, log) => withExtension(r, log, true)],
    ['at the size of its own entry', (r, log) => log.receipt(r.index, r.index + 1)],
  ])('is accepted %s', async (_what, receipt) => {
    await expect(clientOf(testBroker({ receipt })).release(WEIGHTS)).resolves.toMatchObject({ version: NEWEST });
  });
});

describe('no key is accepted with', () => {
  const attacks: readonly [string, string, Lies][] = [
    ['no receipt', 'receipt.malformed', { receipt: () => undefined }],
    ['null for a receipt', 'receipt.malformed', { receipt: () => null }],
    ['an entry alone', 'receipt.malformed', { receipt: ({ entry }) => ({ entry }) }],
    ['a receipt that has a member more', 'receipt.malformed', { receipt: (r) => ({ ...r, valid: true }) }],
    ['an index off by one', 'receipt.proof', { receipt: (r) => ({ ...r, index: r.index + 1 }) }],
    ['a longer proof', 'receipt.proof', { receipt: (r) => ({ ...r, proof: [...r.proof, r.proof[0]] }) }],
    ['a shorter proof', 'receipt.proof', { receipt: (r) => ({ ...r, proof: r.proof.slice(1) }) }],
    [
      'a checkpoint from before its entry',
      'receipt.proof',
      { receipt: (r, log) => ({ ...r, proof: [], checkpoint: log.checkpoint(r.index) }) },
    ],
    [
      'an entry that was not logged',
      'receipt.proof',
      { receipt: (r) => ({ ...r, entry: r.entry.replace('development', 'production') }) },
    ],
    [
      'a checkpoint that nobody signed',
      'checkpoint.malformed',
      { receipt: (r, log) => ({ ...r, checkpoint: log.text() }) },
    ],
    [
      'a checkpoint that a stranger signed',
      'checkpoint.signature',
      { receipt: (r, log) => ({ ...r, checkpoint: `${log.text()}\n${stranger.line(log.text())}` }) },
    ],
    [
      'a log of its own under the same name',
      'checkpoint.signature',
      { receipt: (r) => relogged(r, new TestLog(ORIGIN)) },
    ],
    [
      'a log of its own under another name',
      'checkpoint.origin',
      { receipt: (r) => relogged(r, new TestLog(`${BROKER}/ffffffffffffffff`)) },
    ],
    [
      'an extension line that the log did not sign',
      'checkpoint.signature',
      { receipt: (r, log) => withExtension(r, log, false) },
    ],
    [
      'a second signature of the log that does not verify',
      'checkpoint.signature',
      { receipt: (r, log) => withLines(r, log, log.key.line('another text\n')) },
    ],
    ['the entry of a denial', 'receipt.malformed', { entry: (e) => ({ ...e, type: 'denial' }) }],
    ['the entry of another release', 'receipt.mismatch', { entry: (e) => ({ ...e, release_id: 'r-2' }) }],
    ['another nonce', 'receipt.mismatch', { entry: (e) => ({ ...e, nonce_sha256: '00'.repeat(32) }) }],
    ['no nonce', 'receipt.mismatch', { entry: (e) => ({ ...e, nonce_sha256: undefined }) }],
    ['another key', 'receipt.mismatch', { entry: (e) => ({ ...e, key: 'other' }) }],
    ['another deployment', 'receipt.mismatch', { entry: (e) => ({ ...e, deployment: 'other' }) }],
    ['another version', 'receipt.mismatch', { entry: (e) => ({ ...e, version: 'f'.repeat(32) }) }],
    ['another recipient', 'receipt.mismatch', { entry: (e) => ({ ...e, recipient: 'A'.repeat(43) }) }],
    ['another broker', 'receipt.mismatch', { entry: (e) => ({ ...e, broker: 'other' }) }],
    ['another wrapped key', 'receipt.jwe', { entry: (e) => ({ ...e, jwe_sha256: '00'.repeat(32) }) }],
    ['no wrapped key', 'receipt.jwe', { entry: (e) => ({ ...e, jwe_sha256: undefined }) }],
    ['salts beside plain names', 'receipt.malformed', { receipt: (r) => ({ ...r, salts: { key: 'A'.repeat(22) } }) }],
    ['names that are salted, and no salts', 'receipt.mismatch', { entry: (e) => ({ ...e, names: 'salted' }) }],
  ];

  test.each(attacks)('%s: %s', async (_what, reason, lies) => {
    expect(await refused(testBroker(lies))).toBe(reason);
    if (!reason.startsWith('checkpoint.')) expect(await refused(testBroker(lies), {})).toBe(reason);
  });

  test('the receipt of an earlier release', async () => {
    let first: WireReceipt | undefined;
    const broker = testBroker({ receipt: (receipt) => (first ??= receipt) });
    const client = clientOf(broker);
    await client.release(WEIGHTS);
    await expect(client.release(WEIGHTS)).rejects.toMatchObject({ reason: 'receipt.jwe' });
  });

  test("another broker's receipt and log key", async () => {
    const other = testBroker();
    await clientOf(other).release(WEIGHTS);
    const broker = testBroker({ receipt: () => other.log.receipt(1) });
    expect(await refused(broker)).toBe('checkpoint.signature');
    expect(await refused(broker, { logKey: other.log.key.vkey })).toBe('receipt.jwe');
  });
});

describe('the broker is the one whose log is pinned', () => {
  test('or no evidence is made for it', async () => {
    let quotes = 0;
    const counting: Attester = {
      describe: () => 'counting',
      evidence: (extraData, pcrs) => {
        quotes++;
        return attester.evidence(extraData, pcrs);
      },
    };
    const broker = testBroker({ challenge: (answer) => ({ ...answer, broker: 'other' }) });
    const client = new ReleaseClient({ transport: broker, attester: counting, logKey: broker.log.key.vkey });
    await expect(client.release(WEIGHTS)).rejects.toMatchObject({
      name: 'BrokerAnswerError',
      reason: 'checkpoint.origin',
    });
    expect([quotes, broker.releases.length]).toEqual([0, 0]);
  });

  test.each([
    ['another log key is told', (vkey: string) => vkey.replace(BROKER, 'other')],
    ['the key of a witness is told', () => new TestNoteKey(ORIGIN, 4).vkey],
    ['no key is told', () => 'no key'],
    ['nothing is told', () => ''],
    ['two keys are told', (vkey: string) => `${vkey}\n${vkey}`],
    ['more is told than a key', (vkey: string) => vkey.padEnd(1_025, ' ')],
  ])('and where %s, no key is drawn', async (_what, tell) => {
    const broker = testBroker({ logKey: (vkey) => ({ status: 200, body: Buffer.from(tell(vkey)) }) });
    expect(await refused(broker, {})).toBe('no reason');
    expect(broker.challenges).toEqual([]);
  });

  test.each([
    ['a redirection', 302, ''],
    ['no content', 204, ''],
    ['an error without a reason', 500, 'oops'],
    ['an endless error', 500, ' '.repeat(MAX_ANSWER_BYTES + 1)],
  ])('and where the key is answered with %s, no key is drawn', async (_what, status, body) => {
    expect(await refused(testBroker({ logKey: () => ({ status, body: Buffer.from(body) }) }), {})).toBe('no reason');
  });

  test('a broker that has no log is refused with its own words', async () => {
    const broker = testBroker({ logKey: () => answerOf(404, { reason: 'route.unknown', detail: 'none' }) });
    await expect(clientOf(broker, {}).release(WEIGHTS)).rejects.toMatchObject({ reason: 'route.unknown' });
  });
});

describe('witnesses', () => {
  const [first, second] = [new TestNoteKey('witness.example/1', 4), new TestNoteKey('witness.example/2', 4)];
  const keys = [first.vkey, second.vkey];
  const cosigning = (...by: readonly TestNoteKey[]) =>
    testBroker({
      receipt: (r, log) =>
        withLines(r, log, by.map((witness) => witness.cosignature(log.text(), 1_800_000_000)).join('')),
    });
  const trusting = (broker: TestBroker, quorum?: number): LogOptions => ({
    logKey: broker.log.key.vkey,
    witnesses: { keys, ...(quorum === undefined ? {} : { quorum }) },
  });

  test('must all have cosigned, unless a quorum is named', async () => {
    const both = cosigning(first, second);
    const { recorded } = await clientOf(both, trusting(both)).release(WEIGHTS);
    expect(recorded.witnesses).toEqual([first.name, second.name]);
    expect(await refused(cosigning(first), { witnesses: { keys } })).toBe('checkpoint.cosignature');
    const one = cosigning(second);
    expect((await clientOf(one, trusting(one, 1)).release(WEIGHTS)).recorded.witnesses).toEqual([second.name]);
    const none = cosigning();
    expect(await refused(none, trusting(none, 1))).toBe('checkpoint.cosignature');
  });
});

describe('a client is not made with', () => {
  const witness = new TestNoteKey('witness.example/1', 4).vkey;
  const log = new TestNoteKey(ORIGIN, 1).vkey;

  test.each<[string, LogOptions]>([
    ['a log key that is none', { logKey: 'key' }],
    ['a log key of another id', { logKey: log.replace(/\+[0-9a-f]{8}\+/, '+00000000+') }],
    ['the key of a witness for a log key', { logKey: witness }],
    ['the key of a log for a witness key', { witnesses: { keys: [log] } }],
    ['no witnesses', { witnesses: { keys: [] } }],
    ['a quorum of 0', { witnesses: { keys: [witness], quorum: 0 } }],
    ['a quorum over the witnesses', { witnesses: { keys: [witness], quorum: 2 } }],
    ['half a witness', { witnesses: { keys: [witness], quorum: 0.5 } }],
  ])('%s', (_what, options) => {
    expect(() => clientOf(testBroker(), options)).toThrow(/logKey|witness/);
  });
});

const stranger = new TestNoteKey('stranger.example/log', 1);

function withLines(receipt: WireReceipt, log: TestLog, lines: string): WireReceipt {
  return { ...receipt, checkpoint: log.checkpoint(log.size, lines) };
}

function withExtension(receipt: WireReceipt, log: TestLog, signed: boolean): WireReceipt {
  const text = log.text(log.size, 'extension\n');
  return { ...receipt, checkpoint: `${text}\n${log.key.line(signed ? text : log.text())}` };
}

/** The same entry, in another log. */
function relogged(receipt: WireReceipt, log: TestLog): WireReceipt {
  return log.receipt(log.append(receipt.entry));
}
