import { createHash, createPublicKey, verify } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { LocalWitness } from '../../helpers/local-witness.js';
import { SignedLog } from '../../helpers/signed-log.js';
import { noteSigner } from '../../translog/note-signer.js';

const TEXT = 'text/plain; charset=utf-8';
const log = new SignedLog('broker.example/0011223344556677');
const other = new SignedLog('broker.example/8899aabbccddeeff');
const hashOf = (origin: string) => createHash('sha256').update(origin).digest('hex');
const checkpointPath = `/${hashOf(log.origin)}/checkpoint`;

let witness: LocalWitness;
beforeEach(async () => {
  witness = await LocalWitness.start({ logs: [log.signer.vkey, other.signer.vkey] });
});
afterEach(() => witness.close());

/** The time of the cosignature, verified with node:crypto alone after C2SP tlog-cosignature; undefined where it does not verify. */
function timeOf(line: string, text: string): bigint | undefined {
  const [, name = '', encoded = ''] = /^— (\S+) (\S+)\n$/.exec(line) ?? [];
  const [, keyName, keyId, keyText = ''] = /^([^+]+)\+([^+]+)\+(.+)$/.exec(witness.key) ?? [];
  const bytes = Buffer.from(encoded, 'base64');
  const typed = Buffer.from(keyText, 'base64');
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
  expect([name, keyId, typed[0]]).toEqual([keyName, id.toString('hex'), 4]);
  expect(bytes.subarray(0, 4)).toEqual(id);
  expect(bytes).toHaveLength(4 + 8 + 64);
  const time = bytes.readBigUInt64BE(4);
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), typed.subarray(1)]);
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const message = Buffer.from(`cosignature/v1\ntime ${String(time)}\n${text}`);
  return verify(null, message, publicKey, bytes.subarray(12)) ? time : undefined;
}

describe('add-checkpoint', () => {
  test('cosigns the first checkpoint, and each that has grown from the one before', async () => {
    let old = 0;
    for (const size of [0, 1, 2, 3, 3, 7, 8, 9, 64, 65, 1000]) {
      const { status, type, text } = await witness.post(log.body(old, size));
      expect([size, status, type]).toEqual([size, 200, TEXT]);
      expect(timeOf(text, log.text(size))).toBe(1_800_000_000n);
      old = size;
    }
  });

  test('cosigns extension lines as they are', async () => {
    const checkpoint = log.checkpoint(3, 'some extension\n');
    const { status, text } = await witness.post(log.body(0, 3, { checkpoint }));
    expect([status, timeOf(text, log.text(3, 'some extension\n'))]).toEqual([200, 1_800_000_000n]);
  });

  test('ignores signatures of unknown keys beside that of the log', async () => {
    const text = log.text(3);
    const strangers = noteSigner('somebody', 1).line(text) + noteSigner(log.origin, 1).line(text);
    const checkpoint = `${text}\n${strangers}${log.signer.line(text)}`;
    expect((await witness.post(log.body(0, 3, { checkpoint }))).status).toBe(200);
    expect((await witness.get(checkpointPath)).text).not.toContain('somebody');
  });

  test('404 for an origin that it does not know', async () => {
    const stranger = new SignedLog('stranger.example/log');
    expect(await witness.post(stranger.body(0, 3))).toMatchObject({ status: 404, type: TEXT });
  });

  test('403 without a valid signature of the known key', async () => {
    expect((await witness.post(new SignedLog(log.origin).body(0, 3))).status).toBe(403);
    const checkpoint = `${log.text(3)}\n${other.signer.line(log.text(3))}`;
    expect((await witness.post(log.body(0, 3, { checkpoint }))).status).toBe(403);
    const broken = `${log.checkpoint(3)}${log.signer.line(log.text(4))}`;
    expect((await witness.post(log.body(0, 3, { checkpoint: broken }))).status).toBe(403);
  });

  test('400 where the old size is larger than the checkpoint, and for what is no request', async () => {
    expect((await witness.post(log.body(4, 3))).status).toBe(400);
    for (const body of ['', 'old 0', 'old x\n\nx', '\n\n\n', Buffer.from([0xff, 0xfe]), `old 0\n\n${log.text(3)}`]) {
      const { status, type, text } = await witness.post(body);
      expect([status, type]).toEqual([400, TEXT]);
      expect(text).toMatch(/^.+\n$/);
    }
  });

  test('400 for a checkpoint without an origin, which is none, whoever signed it', async () => {
    const nameless = `\n3\n${log.root(3).toString('base64')}\n`;
    for (const line of [log.signer.line(nameless), noteSigner('stranger.example/log', 1).line(nameless)]) {
      const { status, type, text } = await witness.post(log.body(0, 3, { checkpoint: `${nameless}\n${line}` }));
      expect([status, type, text]).toEqual([400, TEXT, 'the origin line is empty\n']);
    }
    // What has one, and is of no known log, is that, whatever else is wrong with it.
    const unknown = `x\n\n${noteSigner('stranger.example/log', 1).line('x\n')}`;
    expect((await witness.post(log.body(0, 3, { checkpoint: unknown }))).status).toBe(404);
  });

  test('409 with the size cosigned last, in the type of the specification, where the old size is another', async () => {
    await witness.post(log.body(0, 3));
    await witness.post(log.body(3, 9));
    for (const body of [log.body(0, 9), log.body(3, 12), log.body(10, 12), log.body(0, 1)]) {
      expect(await witness.post(body)).toEqual({ status: 409, type: 'text/x.tlog.size', text: '9\n' });
    }
    expect(await witness.post(other.body(5, 6))).toEqual({ status: 409, type: 'text/x.tlog.size', text: '0\n' });
  });

  test('422 where the proof does not verify, is not empty from size 0, or the root differs at the same size', async () => {
    const noise = Buffer.alloc(32);
    const wrongEmpty = `${log.origin}\n0\n${noise.toString('base64')}\n`;
    const statuses = [
      await witness.post(log.body(0, 9, { proof: [noise] })),
      await witness.post(log.body(0, 0, { checkpoint: `${wrongEmpty}\n${log.signer.line(wrongEmpty)}` })),
    ];
    expect((await witness.post(log.body(0, 9))).status).toBe(200);
    statuses.push(
      await witness.post(log.body(9, 12, { proof: [] })),
      await witness.post(log.body(9, 12, { proof: [...log.proof(9, 12), noise] })),
      await witness.post(log.fork(4).body(9, 9)),
      await witness.post(log.fork(4).body(9, 12)),
      await witness.post(log.fork(4).body(9, 12, { proof: log.proof(9, 12) })),
    );
    expect(statuses.map(({ status, type }) => [status, type])).toEqual(statuses.map(() => [422, TEXT]));
    expect((await witness.post(log.body(9, 12))).status).toBe(200);
    // The log has signed two histories: that is worth a line to whoever runs the witness.
    expect(witness.lines).toContainEqual(
      expect.objectContaining({ level: 'warn', message: 'inconsistent checkpoint refused' }),
    );
  });

  test('the same checkpoint again is answered with the same cosignature for 10 s, then with a newer one', async () => {
    const first = await witness.post(log.body(0, 9));
    const again = await witness.post(log.body(9, 9));
    witness.nowMs += 9_999;
    expect([again.text, (await witness.post(log.body(9, 9))).text]).toEqual([first.text, first.text]);
    witness.nowMs += 1;
    const renewed = await witness.post(log.body(9, 9));
    expect(timeOf(renewed.text, log.text(9))).toBe(1_800_000_010n);
    expect((await witness.get(checkpointPath)).text).toBe(`${log.checkpoint(9)}${renewed.text}`);
    // Other extension lines are another text, and are cosigned for themselves.
    const extended = await witness.post(log.body(9, 9, { checkpoint: log.checkpoint(9, 'x\n') }));
    expect(timeOf(extended.text, log.text(9, 'x\n'))).toBe(1_800_000_010n);
  });

  test('the race of the specification: of A and B at once one is cosigned, and the other learns of it', async () => {
    await witness.post(log.body(0, 10));
    for (let round = 0, size = 10; round < 10; round++) {
      const [small, large] = [size + 1 + round, size + 40];
      const bodies =
        round % 2 === 0
          ? [log.body(size, small), log.body(size, large)]
          : [log.body(size, large), log.body(size, small)];
      const answers = await Promise.all(bodies.map((body) => witness.post(body)));
      const statuses = answers.map(({ status }) => status);
      expect(statuses.sort()).toEqual([200, 409]);
      const told = Number(answers.find((each) => each.status === 409)?.text);
      const held = Number((await witness.get(checkpointPath)).text.split('\n')[1]);
      expect([small, large]).toContain(held);
      expect(told).toBe(held);
      size = held;
    }
  });

  test('of eight forks at once one is cosigned, and from then on that one alone', async () => {
    await witness.post(log.body(0, 10));
    const branches = Array.from({ length: 8 }, (_, at) => log.fork(10, `branch ${String(at)}`));
    const answers = await Promise.all(branches.map((branch) => witness.post(branch.body(10, 11))));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 7 }, () => 409)]);
    const chosen = branches.find((_, at) => answers[at]?.status === 200);
    for (const branch of branches) {
      expect((await witness.post(branch.body(11, 11))).status).toBe(branch === chosen ? 200 : 422);
      if (branch !== chosen) expect((await witness.post(branch.body(11, 12))).status).toBe(422);
    }
    expect((await witness.post(chosen!.body(11, 12))).status).toBe(200);
  });

  test('logs do not wait for each other, nor learn of each other', async () => {
    const answers = await Promise.all([log.body(0, 3), other.body(0, 5)].map((body) => witness.post(body)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect((await witness.post(log.body(5, 6))).text).toBe('3\n');
    expect((await witness.post(other.body(3, 6))).text).toBe('5\n');
  });

  test('what cannot be kept is not cosigned: 500, without a signature, and the cause in the log', async () => {
    await witness.post(log.body(0, 3));
    rmSync(join(witness.scratch, 'w', 'checkpoints'), { recursive: true });
    const { status, text } = await witness.post(log.body(3, 4));
    expect(status).toBe(500);
    expect(text).not.toContain('—');
    expect(witness.lines).toContainEqual(expect.objectContaining({ level: 'error', message: 'request failed' }));
    expect((await witness.post(log.body(0, 1))).text).toBe('3\n');
  });

  test('413 for a body over 64 KiB, declared or not; 405 for another method', async () => {
    const body = `${log.body(0, 3)}${'x'.repeat(64 * 1024)}`;
    expect((await witness.post(body)).status).toBe(413);
    const chunks = Readable.from([body.slice(0, 40_000), body.slice(40_000)]);
    const chunked = await request(`${witness.url}/add-checkpoint`, { method: 'POST', body: chunks });
    await chunked.body.dump();
    expect(chunked.statusCode).toBe(413);
    const small = Buffer.from(log.body(0, 3));
    const largest = Buffer.concat([small, Buffer.alloc(64 * 1024 - small.length, 'x')]);
    expect((await witness.post(largest)).status).toBe(400);
    expect((await witness.get('/add-checkpoint')).status).toBe(405);
    expect((await fetch(`${witness.url}${checkpointPath}`, { method: 'POST' })).status).toBe(405);
  });

  test('a client that asks first is told to go on, and keeps its connection', async () => {
    const body = log.body(0, 3);
    const head = (more: string) =>
      `POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\n${more}\r\n`;
    const socket = connect(witness.port, '127.0.0.1');
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => (received += text));
    const until = async (pattern: RegExp) => {
      while (!pattern.test(received)) await new Promise((resolve) => setImmediate(resolve));
      received = '';
    };
    socket.write(head('expect: 100-continue\r\n'));
    await until(/^HTTP\/1\.1 100 Continue\r\n\r\n/);
    socket.write(body);
    await until(/^HTTP\/1\.1 200 OK[^]*\n$/);
    socket.write(`${head('')}${body}`);
    await until(/^HTTP\/1\.1 409 Conflict[^]*3\n$/);
    socket.destroy();
  });
});

describe('the checkpoint of a log', () => {
  test('is the one cosigned last, with the signature of the log and that of the witness', async () => {
    expect((await witness.get(checkpointPath)).status).toBe(404);
    await witness.post(log.body(0, 3));
    const { text: line } = await witness.post(log.body(3, 8));
    expect(await witness.get(checkpointPath)).toEqual({ status: 200, type: TEXT, text: `${log.checkpoint(8)}${line}` });
    expect((await witness.get(`/${hashOf(other.origin)}/checkpoint`)).status).toBe(404);
    expect((await witness.get(checkpointPath.toUpperCase())).status).toBe(404);
  });

  test('that is damaged is 500, and stays so for submissions, across a restart', async () => {
    await witness.post(log.body(0, 3));
    await witness.post(other.body(0, 3));
    await witness.close('keep');
    writeFileSync(join(witness.scratch, 'w', 'checkpoints', hashOf(log.origin)), 'damaged');
    witness = await LocalWitness.start({ logs: [log.signer.vkey, other.signer.vkey], scratch: witness.scratch });
    expect((await witness.get(checkpointPath)).status).toBe(500);
    expect((await witness.post(log.body(0, 3))).status).toBe(500);
    expect((await witness.post(log.body(3, 4))).status).toBe(500);
    expect((await witness.post(other.body(3, 4))).status).toBe(200);
  });
});

test('a restart forgets nothing', async () => {
  await witness.post(log.body(0, 9));
  await witness.close('keep');
  witness = await LocalWitness.start({ logs: [log.signer.vkey], scratch: witness.scratch });
  expect((await witness.post(log.fork(4).body(0, 9))).status).toBe(409);
  expect((await witness.post(log.fork(4).body(9, 9))).status).toBe(422);
  expect((await witness.post(log.body(9, 10))).status).toBe(200);
  // A log that is no longer configured gets no more cosignatures, and its last one is still there to read.
  expect((await witness.post(other.body(0, 1))).status).toBe(404);
});

test('/healthz is ok, and another path says what there is', async () => {
  expect(await witness.get('/healthz')).toEqual({ status: 200, type: TEXT, text: 'ok\n' });
  for (const path of ['/', '/checkpoint', `${checkpointPath}/x`, '/sign-subtree']) {
    const { status, text } = await witness.get(path);
    expect([status, text]).toEqual([404, expect.stringContaining('POST /add-checkpoint')]);
  }
});
