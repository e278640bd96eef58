import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { verifyReceiptOffline } from '../../src/cli/receipt-verify.js';
import { isReasonCode } from '../../src/reason/reason.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { verifyPseudonym } from '../../src/translog/names.js';
import { canonical, TestLog, TestNoteKey, type WireReceipt } from '../helpers/test-log.js';
import { onlyJson, portcullis, type Ran, type RunOptions } from './harness.js';

const BROKER = 'b'.repeat(32);
const JWE = ['eyJhIjoxfQ', '', ...[12, 90, 16].map((n) => randomBytes(n).toString('base64url'))].join('.');
const VERSION = '0123456789abcdef0123456789abcdef';
const ENTRY = {
  ...{ type: 'release', time: '2026-11-22T05:04:03.210Z', release_id: 'ab'.repeat(16), profile: 'production' },
  ...{ broker: BROKER, deployment: 'llm-inference', key: 'weights', version: VERSION },
  ...{ policy_sha256: '11'.repeat(32), recipient: 'A'.repeat(43), ak_name: `000b${'22'.repeat(32)}`, boot: 'pinned' },
  ...{ state_generation: '17', jwe_sha256: hex(JWE), nonce_sha256: '00'.repeat(32) },
};
const log = new TestLog(`${BROKER}/0123456789abcdef`);
const index = [canonical({ type: 'denial.summary' }), canonical(ENTRY), canonical({ type: 'denial.summary' })].map(
  (entry) => log.append(entry),
)[1]!;
const receipt = log.receipt(index);
const answer = {
  release_id: ENTRY.release_id,
  key: { name: 'weights', version: VERSION, kty: 'oct' },
  jwe: JWE,
  receipt,
};

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-receipt-'));
  save('log.vkey', `${log.key.vkey}\n`);
  save('receipt.json', JSON.stringify(receipt));
  save('answer.json', JSON.stringify(answer, null, 2));
  save('weights.jwe', `${JWE}\n`);
});
afterAll(() => rmSync(dir, { recursive: true }));

function hex(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}

function save(name: string, content: string | Buffer): string {
  writeFileSync(join(dir, name), content);
  return name;
}

function verify(line: string, options: RunOptions = {}): Promise<Ran> {
  return portcullis(['receipt', 'verify', ...line.split(' ')], { cwd: dir, ...options });
}

/** Exit code and reason of a run with --json. */
async function outcome(line: string, options: RunOptions = {}): Promise<string> {
  const { code, stdout } = await verify(`${line} --json`, options);
  const { ok, reason } = onlyJson(stdout) as { ok: boolean; reason?: string };
  expect(ok).toBe(code === 0);
  return ok ? 'accepted' : `${String(code)} ${String(reason)}`;
}

/** The same entry with other members, in a log under the same key. */
function receiptFor(members: Readonly<Record<string, unknown>>, more: object = {}): string {
  const other = log.append(canonical({ ...ENTRY, ...members }));
  return save('other.json', JSON.stringify({ ...log.receipt(other), ...more }));
}

describe('receipt verify', () => {
  test('of an answer says what it proved and what it did not', async () => {
    const { code, stdout, stderr } = await verify('answer.json --log-key log.vkey --json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const { ok, proved, not_proved } = onlyJson(stdout) as { ok: boolean; proved: object; not_proved: string[] };
    expect(ok).toBe(true);
    expect(proved).toEqual({
      release_id: ENTRY.release_id,
      deployment: 'llm-inference',
      key: 'weights',
      version: VERSION,
      policy_sha256: ENTRY.policy_sha256,
      ak_name: ENTRY.ak_name,
      recipient: ENTRY.recipient,
      boot: 'pinned',
      profile: 'production',
      time: ENTRY.time,
      broker: BROKER,
      log: log.key.name,
      index,
      size: 3,
      jwe: true,
      witnesses: [],
    });
    expect(not_proved.join('\n')).toMatch(/everybody is shown the same log.*\n.*policy.*\n.*time/);
    expect(not_proved.join('\n')).not.toMatch(/--jwe|salted|boot chain|simulators/);
  });

  test('for people prints the same, each on a line of its own', async () => {
    const { code, stdout } = await verify('receipt.json --log-key log.vkey');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^The receipt is valid\./);
    expect(stdout).toMatch(/\npolicy hash +1{64}\n/);
    expect(stdout).toMatch(/\nwitnesses +none\n/);
    expect(stdout).toMatch(/\nNot proved:\n {2}- that everybody .*\n {2}- that a wrapped key at hand .*--jwe\n/);
  });

  test.each([
    ['the receipt alone', 'receipt.json --log-key log.vkey'],
    ['the wrapped key beside it', 'receipt.json --log-key log.vkey --jwe weights.jwe'],
    ['the answer and the wrapped key', 'answer.json --log-key log.vkey --jwe weights.jwe'],
    ['the names that are known', 'receipt.json --log-key log.vkey --deployment llm-inference --key weights'],
    ['the log key on the command line', `receipt.json --log-key ${log.key.vkey}`],
  ])('takes %s', async (_what, line) => {
    expect(await outcome(line)).toBe('accepted');
  });

  test('takes whole numbers beside the receipt, and texts that look like numbers', async () => {
    const more = { took: 12, offset: -3, none: 0, note: '\\"1.0 "', list: [7, '-0', 'a"b 2.5'] };
    save('more.json', JSON.stringify({ ...more, ...answer }));
    expect(await outcome('more.json --log-key log.vkey')).toBe('accepted');
  });

  test('takes what init printed for a log key', async () => {
    save('init.json', JSON.stringify({ broker: BROKER, admin_token: 'pc_1_2', log_key: log.key.vkey }));
    expect(await outcome('receipt.json --log-key init.json')).toBe('accepted');
  });

  test('takes the file, the log key or the wrapped key from stdin, one of them', async () => {
    expect(await outcome('- --log-key log.vkey', { stdin: JSON.stringify(answer) })).toBe('accepted');
    expect(await outcome('receipt.json --log-key -', { stdin: log.key.vkey })).toBe('accepted');
    expect(await outcome('receipt.json --log-key log.vkey --jwe -', { stdin: JWE })).toBe('accepted');
    expect(await outcome('- --log-key -', { stdin: log.key.vkey })).toBe('2 usage');
  });

  test.each([
    ['boot', { boot: 'unmeasured' }, /pins no boot chain/],
    ['profile', { profile: 'development' }, /believe simulators/],
  ])('warns of what the %s takes away', async (_what, members, warning) => {
    const { code, stdout } = await verify(`${receiptFor(members)} --log-key log.vkey`);
    expect(code).toBe(0);
    expect(stdout).toMatch(warning);
  });
});

describe('what is refused, with exit code 1 and its reason', () => {
  test.each<[string, string, () => string]>([
    ['another key asked for', 'receipt.mismatch', () => 'receipt.json --key other'],
    ['another deployment asked for', 'receipt.mismatch', () => 'receipt.json --deployment other'],
    ['a key that the answer does not name', 'receipt.mismatch', () => 'answer.json --key other'],
    ['another wrapped key', 'receipt.jwe', () => `receipt.json --jwe ${save('other.jwe', `${JWE}A`)}`],
    ['another wrapped key beside the answer', 'receipt.jwe', () => `answer.json --jwe ${save('other.jwe', `${JWE}A`)}`],
    ['an empty file for a wrapped key', 'receipt.jwe', () => `receipt.json --jwe ${save('empty', '')}`],
    [
      'a wrapped key over a mebibyte',
      'receipt.jwe',
      () => `receipt.json --jwe ${save('big', Buffer.alloc(1_048_577))}`,
    ],
    ['an answer with another wrapped key', 'receipt.jwe', () => changed({ ...answer, jwe: `${JWE}A` })],
    ['an answer with another release id', 'receipt.mismatch', () => changed({ ...answer, release_id: 'r' })],
    [
      'an answer with another key',
      'receipt.mismatch',
      () => changed({ ...answer, key: { ...answer.key, name: 'other' } }),
    ],
    [
      'an answer with another version',
      'receipt.mismatch',
      () => changed({ ...answer, key: { ...answer.key, version: 'f'.repeat(32) } }),
    ],
    ...['release_id', 'jwe', 'name', 'version'].map((member): [string, string, () => string] => [
      `an answer whose ${member} has another name`,
      'receipt.malformed',
      () => save('damaged.json', JSON.stringify(answer).replace(`"${member}":`, `"${member}x":`)),
    ]),
    ['an answer whose wrapped key is no text', 'receipt.malformed', () => changed({ ...answer, jwe: 5 })],
    ['an answer whose key is no object', 'receipt.malformed', () => changed({ ...answer, key: null })],
    ['an answer without a receipt', 'receipt.malformed', () => changed({ release_id: 'r', key: {}, jwe: JWE })],
    ['an answer whose receipt is none', 'receipt.malformed', () => changed({ ...answer, receipt: 1 })],
    ['a file that is not there twice', 'receipt.malformed', () => save('twice', '{"index":1,"index":1}')],
    ...['1.0', '1e0', '10e-1', '0.1E1', '-0', '01', '+1', '1.', '"1"'].map(
      (spelling): [string, string, () => string] => [
        `an index that is spelled ${spelling}`,
        'receipt.malformed',
        () => save('spelled.json', JSON.stringify(receipt).replace('"index":1', `"index":${spelling}`)),
      ],
    ),
    ...['1.0', '1E3', '-0', '0.5'].map((spelling): [string, string, () => string] => [
      `an answer with the number ${spelling} beside the receipt`,
      'receipt.malformed',
      () => save('spelled.json', JSON.stringify(answer).replace('{', `{"took":${spelling},`)),
    ]),
    ...['entry', 'index', 'proof', 'checkpoint', '\\u0069ndex'].map((member): [string, string, () => string] => [
      `a receipt that holds ${member} twice, with one value`,
      'receipt.malformed',
      () => {
        const value = JSON.stringify(receipt[JSON.parse(`"${member}"`) as 'index']);
        return save('double.json', JSON.stringify(receipt).replace('{', `{"${member}":${value},`));
      },
    ]),
    ['an empty file', 'receipt.malformed', () => save('empty', '')],
    ['a file that is not JSON', 'receipt.malformed', () => save('text', 'receipt')],
    ['a file that is not UTF-8', 'receipt.malformed', () => save('bytes', Buffer.of(0xff, 0xfe))],
    ['a file that is nested deeply', 'receipt.malformed', () => save('deep', '['.repeat(100_000))],
    ['a file over two mebibytes', 'receipt.malformed', () => save('huge', Buffer.alloc(2_097_153, 0x20))],
    [
      'an altered entry',
      'receipt.proof',
      () => changed({ ...receipt, entry: receipt.entry.replace('weights', 'Weights') }),
    ],
    ['another index', 'receipt.proof', () => changed({ ...receipt, index: 0 })],
    [
      'an altered checkpoint',
      'checkpoint.signature',
      () => changed({ ...receipt, checkpoint: receipt.checkpoint.replace('\n3\n', '\n4\n') }),
    ],
  ])('%s: %s', async (_what, reason, line) => {
    expect(await outcome(`${line()} --log-key log.vkey`)).toBe(`1 ${reason}`);
  });

  const other = new TestNoteKey(log.key.name, 1);
  test.each<[string, string, () => string]>([
    ['of another broker', 'checkpoint.origin', () => new TestNoteKey('other/0123456789abcdef', 1).vkey],
    ['of the same name', 'checkpoint.signature', () => other.vkey],
    ['of a witness', 'checkpoint.signature', () => new TestNoteKey(log.key.name, 4).vkey],
    ['that is empty', 'checkpoint.signature', () => save('none', '')],
    ['that is text', 'checkpoint.signature', () => save('none', 'none at all')],
    ['that is JSON without it', 'checkpoint.signature', () => save('none', '{"key":"x"}')],
    ['that is not JSON', 'checkpoint.signature', () => save('none', '{')],
    ['that is JSON with another value', 'checkpoint.signature', () => save('none', '{"log_key":7}')],
    ['that is bytes', 'checkpoint.signature', () => save('none', Buffer.of(0xff, 0x00))],
    ['over 64 KiB', 'checkpoint.signature', () => save('none', Buffer.alloc(65_537, 0x41))],
  ])('a log key %s: %s', async (_what, reason, key) => {
    expect(await outcome(`receipt.json --log-key ${key()}`)).toBe(`1 ${reason}`);
  });

  test('a file that cannot be read is wrong usage, and so is a line without a log key', async () => {
    expect(await outcome('none.json --log-key log.vkey')).toBe('2 usage');
    expect(await outcome('receipt.json --log-key none.vkey')).toBe('2 usage');
    expect(await outcome('receipt.json --log-key log.vkey --jwe none.jwe')).toBe('2 usage');
    expect(await outcome('receipt.json')).toBe('2 usage');
  });

  test('any other file, whatever it holds', () => {
    const logKey = parseVerifierKey(log.key.vkey);
    const mixed = fc.oneof(
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(text)),
      fc
        .record({ receipt: fc.jsonValue(), key: fc.jsonValue(), jwe: fc.jsonValue() }, { requiredKeys: [] })
        .map((v) => Buffer.from(JSON.stringify(v))),
    );
    fc.assert(
      fc.property(mixed, (file) => {
        const result = verifyReceiptOffline({ file, logKey });
        expect(!result.ok && isReasonCode(result.reason)).toBe(true);
      }),
    );
  });
});

describe('salted names', () => {
  const salts = { deployment: randomBytes(16), key: randomBytes(16) };
  const pseudonyms = {
    deployment: hex(Buffer.concat([salts.deployment, Buffer.from('llm-inference')])),
    key: hex(Buffer.concat([salts.key, Buffer.from('weights')])),
    names: 'salted',
  };
  const told = { salts: { deployment: salts.deployment.toString('base64url'), key: salts.key.toString('base64url') } };

  test('are shown as they are named, or said to be unknown', async () => {
    expect(verifyPseudonym(pseudonyms.key, 'weights', salts.key)).toBe(true);
    const file = receiptFor(pseudonyms, told);
    const unnamed = onlyJson((await verify(`${file} --log-key log.vkey --json`)).stdout);
    expect(unnamed).toMatchObject({ ok: true, proved: { key: pseudonyms.key, deployment: pseudonyms.deployment } });
    expect(String(unnamed['not_proved'])).toContain('salted names');
    const named = onlyJson(
      (await verify(`${file} --log-key log.vkey --deployment llm-inference --key weights --json`)).stdout,
    );
    expect(named).toMatchObject({ ok: true, proved: { key: 'weights', deployment: 'llm-inference' } });
    expect(String(named['not_proved'])).not.toContain('salted names');
    expect(await outcome(`${file} --log-key log.vkey --key other`)).toBe('1 receipt.mismatch');
  });
});

describe('witnesses', () => {
  const [first, second] = [new TestNoteKey('witness.example/1', 4), new TestNoteKey('witness.example/2', 4)];
  const TIME = Date.UTC(2026, 10, 22) / 1000;

  function cosigned(...by: readonly TestNoteKey[]): string {
    const lines = by.map((witness) => witness.cosignature(log.text(3), TIME)).join('');
    const wire: WireReceipt = { ...receipt, checkpoint: log.checkpoint(3, lines) };
    return save('cosigned.json', JSON.stringify(wire));
  }

  test('that cosigned are named with their time', async () => {
    save('w1', `${first.vkey}\n`);
    const line = `${cosigned(first, second)} --log-key log.vkey --witness w1 --witness ${second.vkey} --json`;
    const { proved, not_proved } = onlyJson((await verify(line)).stdout) as { proved: object; not_proved: string[] };
    const time = '2026-11-22T00:00:00.000Z';
    expect(proved).toMatchObject({ witnesses: [first, second].map(({ name }) => ({ name, time })) });
    expect(not_proved.join()).not.toContain('everybody');
    expect((await verify(line.replace(' --json', ''))).stdout).toContain(`${first.name} at ${time}, ${second.name} at`);
  });

  test('must all have cosigned, unless a quorum is named', async () => {
    const both = `--log-key log.vkey --witness ${first.vkey} --witness ${second.vkey}`;
    expect(await outcome(`${cosigned(second)} ${both}`)).toBe('1 checkpoint.cosignature');
    expect(await outcome(`${cosigned(second)} ${both} --quorum 1`)).toBe('accepted');
    expect(await outcome(`${cosigned()} ${both} --quorum 1`)).toBe('1 checkpoint.cosignature');
    expect(await outcome(`${cosigned(second)} ${both} --quorum 3`)).toBe('2 usage');
    expect(await outcome(`${cosigned(second)} ${both} --quorum 0`)).toBe('2 usage');
  });

  test('are not logs', async () => {
    expect(await outcome(`receipt.json --log-key log.vkey --witness ${log.key.vkey}`)).toBe('1 checkpoint.cosignature');
    expect(await outcome(`receipt.json --log-key log.vkey --witness ${save('none', '')}`)).toBe(
      '1 checkpoint.cosignature',
    );
  });
});

function changed(value: object): string {
  return save('changed.json', JSON.stringify(value));
}
