import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parseVerifierKey } from '../../src/translog/note.js';
import { originHash } from '../../src/translog/witness.js';
import type { WitnessAnswer, WitnessClient } from '../../src/witness/witness-client.js';
import { Witnesses, type WitnessesOptions } from '../../src/witness/witnesses.js';
import { FakeWitness, respond } from '../helpers/fake-witness.js';
import { LocalWitness } from '../helpers/local-witness.js';
import { SignedLog } from '../helpers/signed-log.js';
import { createAuthority } from '../http/pki.js';
import { noteSigner } from '../translog/note-signer.js';

const log = new SignedLog('broker.example/0011223344556677');
const signer = noteSigner('witness.example/fake', 4);
const NEVER = new AbortController().signal;

const closing: { close(): Promise<void> }[] = [];
const closedAfter = <T extends { close(): Promise<void> }>(resource: T): T => {
  closing.unshift(resource);
  return resource;
};
let fake: FakeWitness;
beforeEach(async () => {
  fake = closedAfter(await FakeWitness.start());
});
afterEach(async () => {
  for (const resource of closing.splice(0)) await resource.close();
});

function clientOf(url: string, key: string, options: WitnessesOptions = {}): WitnessClient {
  return closedAfter(new Witnesses([{ url, key }], options)).clients[0]!;
}

const fakeClient = (options: WitnessesOptions = {}) => clientOf(fake.url, signer.vkey, options);

function ask(client: WitnessClient, size: number, of = log, abandoned = NEVER): Promise<WitnessAnswer> {
  const consistency = (oldSize: number) => Promise.resolve(of.proof(oldSize, size));
  return client.ask({ size, text: of.text(size), checkpoint: of.checkpoint(size), consistency }, abandoned);
}

const servedWitness = async (name: string) => closedAfter(await LocalWitness.start({ name, logs: [log.signer.vkey] }));

describe('a witness that works', () => {
  test('cosigns, and is asked for what it does not know yet with one request each', async () => {
    const witness = await servedWitness('witness.example/w1');
    const client = clientOf(`${witness.url}/`, witness.key);
    for (const [at, size] of [3, 3, 4, 100, 1000].entries()) {
      const answer = await ask(client, size);
      expect(answer).toEqual({ outcome: 'cosigned', line: witness.state.latest(originHash(log.origin))?.cosignature });
      expect(witness.submissions).toBe(at + 1);
    }
  });

  test('names what it holds to one who starts anew, and is asked again from there', async () => {
    const witness = await servedWitness('witness.example/w1');
    await ask(clientOf(witness.url, witness.key), 8);
    const client = clientOf(witness.url, witness.key);
    expect(await ask(client, 13)).toMatchObject({ outcome: 'cosigned' });
    expect(witness.submissions).toBe(3);
  });

  test('is ahead where it holds more, and is not asked for less again', async () => {
    const witness = await servedWitness('witness.example/w1');
    await ask(clientOf(witness.url, witness.key), 8);
    const client = clientOf(witness.url, witness.key);
    expect(await ask(client, 5)).toEqual({ outcome: 'ahead', size: 8 });
    expect(await ask(client, 7)).toEqual({ outcome: 'ahead', size: 8 });
    expect(witness.submissions).toBe(2);
    expect(client.restMs).toBe(0);
    expect(await ask(client, 9)).toMatchObject({ outcome: 'cosigned' });
  });

  test('does not cosign a fork: it disputes it, in words, and is left alone for a while', async () => {
    const witness = await servedWitness('witness.example/w1');
    const client = clientOf(witness.url, witness.key);
    await ask(client, 8);
    expect(await ask(client, 9, log.fork(4))).toMatchObject({
      outcome: 'disputed',
      why: expect.stringContaining('another history') as unknown,
    });
    expect(client.restMs).toBeGreaterThan(0);
    expect(await ask(client, 9)).toMatchObject({ outcome: 'resting' });
  });

  test('that does not know the log, or knows another key for it, is told apart', async () => {
    const witness = await servedWitness('witness.example/w1');
    const stranger = new SignedLog('stranger.example/log');
    const impostor = new SignedLog(log.origin);
    expect(await ask(clientOf(witness.url, witness.key), 3, stranger)).toMatchObject({
      why: expect.stringContaining('does not know this log') as unknown,
    });
    expect(await ask(clientOf(witness.url, witness.key), 3, impostor)).toMatchObject({
      why: expect.stringContaining('another key') as unknown,
    });
  });

  test('is not asked over TLS where its certificate is not trusted', async () => {
    const authority = createAuthority('test');
    const { cert, key } = authority.issue('localhost');
    const witness = closedAfter(await LocalWitness.start({ logs: [log.signer.vkey], tls: { cert, key } }));
    expect(await ask(clientOf(witness.url, witness.key), 3)).toMatchObject({
      outcome: 'failed',
      why: expect.stringMatching(/CERT|SIGNED|ISSUER|VERIFY/) as unknown,
    });
    expect(witness.submissions).toBe(0);
  });
});

describe('an answer that is not what it should be fails', () => {
  const line = signer.cosignatureLine(log.text(9), 1_800_000_000n);
  test.each([
    ['nothing', 200, '', 'newline'],
    [
      'another key’s cosignature',
      200,
      noteSigner(signer.name, 4).cosignatureLine(log.text(9), 5n),
      'no valid cosignature',
    ],
    ['a cosignature of another checkpoint', 200, signer.cosignatureLine(log.text(8), 5n), 'no valid cosignature'],
    ['a plain signature over it', 200, signer.line(log.text(9)), 'no valid cosignature'],
    ['a page', 200, '<html>', 'newline'],
    ['more than 64 KiB', 200, line.repeat(700), 'UND_ERR_RES_EXCEEDED_MAX_SIZE'],
    ['a fault', 500, 'a\u001b[31m\nfault\n', 'it answered 500 (a [31m fault)'],
    ['a conflict that is none', 409, 'x\n', 'not a tree size'],
    ['a conflict each time', 409, '4\n', 'which tree it cosigned last'],
    ['204', 204, '', 'it answered 204'],
  ])('%s', async (_what, status, text, why) => {
    fake.answer = (_asked, response) => respond(response, status, text);
    expect(await ask(fakeClient(), 9)).toEqual({ outcome: 'failed', why: expect.stringContaining(why) as unknown });
    expect(fake.asked.length).toBeLessThanOrEqual(4);
  });

  test('the same line is taken when it is the right one: so it was the answer that was refused', async () => {
    fake.answer = (_asked, response) => respond(response, 200, line);
    expect(await ask(fakeClient(), 9)).toEqual({ outcome: 'cosigned', line });
  });

  test('a redirect, which is not followed', async () => {
    const elsewhere = closedAfter(await FakeWitness.start());
    for (const status of [301, 302, 307, 308]) {
      fake.answer = (_asked, response) =>
        respond(response, status, '', { location: `${elsewhere.url}/add-checkpoint` });
      expect(await ask(fakeClient(), 9)).toMatchObject({ why: `it answered ${String(status)}` });
    }
    expect(elsewhere.asked).toEqual([]);
  });

  test('none within the timeout: headers that do not come, a body that does not end', async () => {
    fake.answer = () => undefined;
    expect(await ask(fakeClient({ timeoutMs: 50 }), 9)).toEqual({ outcome: 'failed', why: 'no answer within 50 ms' });
    fake.answer = (_asked, response) => {
      response.writeHead(200);
      response.write(line);
    };
    expect(await ask(fakeClient({ timeoutMs: 50 }), 9)).toEqual({ outcome: 'failed', why: 'no answer within 50 ms' });
  });

  test('and a proof that cannot be made', async () => {
    const consistency = () => Promise.reject(new Error('the disk is gone'));
    const answer = await fakeClient().ask(
      { size: 9, text: log.text(9), checkpoint: log.checkpoint(9), consistency },
      NEVER,
    );
    expect(answer.outcome).toBe('failed');
    expect(fake.asked).toEqual([]);
  });
});

test('one that named a size out of the air is forgotten with it, once it was doubted', async () => {
  let nowMs = 0;
  const client = fakeClient({ monotonic: () => nowMs });
  fake.answer = (_asked, response) => respond(response, 409, '9007199254740991\n');
  for (const restMs of [100, 200]) {
    expect(await ask(client, 9)).toEqual({ outcome: 'ahead', size: Number.MAX_SAFE_INTEGER });
    client.doubt('the log has 9');
    expect(client.restMs).toBe(restMs);
    expect(await ask(client, 9)).toEqual({ outcome: 'resting', why: 'the log has 9' });
    nowMs += restMs;
  }
  fake.answer = (_asked, response) => respond(response, 200, signer.cosignatureLine(log.text(9), 5n));
  expect(await ask(client, 9)).toMatchObject({ outcome: 'cosigned' });
  expect(fake.asked.map(({ body }) => body.split('\n')[0])).toEqual(['old 0', 'old 0', 'old 0']);
});

describe('a witness is asked', () => {
  test('one thing at a time, and what nobody waits for any more is not asked at all', async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    fake.answer = (asked, response) => {
      const size = Number(asked.body.split('\n\n')[1]?.split('\n')[1]);
      void gate.then(() => respond(response, 200, signer.cosignatureLine(log.text(size), 5n)));
    };
    const client = fakeClient();
    const abandoned = new AbortController();
    const first = ask(client, 3);
    const second = ask(client, 5, log, abandoned.signal);
    const third = ask(client, 9);
    abandoned.abort();
    release();
    expect((await Promise.all([first, second, third])).map(({ outcome }) => outcome)).toEqual([
      'cosigned',
      'resting',
      'cosigned',
    ]);
    expect([fake.mostAtOnce, fake.asked.length]).toEqual([1, 2]);
  });

  test('after a failure not for a while, which doubles up to 5 s, and is forgotten with the first success', async () => {
    let nowMs = 0;
    const client = fakeClient({ monotonic: () => nowMs });
    const rests: number[] = [];
    for (let failure = 1; failure <= 8; failure++) {
      expect(await ask(client, 9)).toMatchObject({ outcome: 'failed' });
      rests.push(client.restMs);
      nowMs += client.restMs - 1;
      expect(await ask(client, 9)).toEqual({ outcome: 'resting', why: 'it answered 500 (not prepared)' });
      nowMs += 1;
    }
    expect(rests).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    expect(fake.asked).toHaveLength(8);
    fake.answer = (_asked, response) => respond(response, 200, signer.cosignatureLine(log.text(9), 5n));
    expect(await ask(client, 9)).toMatchObject({ outcome: 'cosigned' });
    fake.answer = (_asked, response) => respond(response, 503, '');
    await ask(client, 10);
    expect(client.restMs).toBe(100);
  });

  test('no more once it was closed', async () => {
    fake.answer = () => undefined;
    const witnesses = new Witnesses([{ url: fake.url, key: signer.vkey }]);
    const [client] = witnesses.clients;
    const first = ask(client!, 9);
    while (fake.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await witnesses.close();
    expect(await first).toMatchObject({ outcome: 'failed' });
    expect(await ask(client!, 9)).toMatchObject({ outcome: 'resting' });
  });
});

describe('what the witnesses hold', () => {
  const logKey = parseVerifierKey(log.signer.vkey);

  test('is told for each, under the signature of the log', async () => {
    const [one, two] = [await servedWitness('witness.example/w1'), await servedWitness('witness.example/w2')];
    const witnesses = closedAfter(new Witnesses([one, two, { url: fake.url, key: signer.vkey }]));
    fake.answer = (asked, response) => {
      expect([asked.method, asked.url]).toEqual(['GET', `/${originHash(log.origin)}/checkpoint`]);
      respond(response, 500, '');
    };
    await ask(witnesses.clients[0]!, 8);
    expect(await witnesses.latest(logKey)).toEqual([
      {
        witness: 'witness.example/w1',
        seen: { size: 8, root: log.root(8), checkpoint: one.state.latest(originHash(log.origin))?.checkpoint },
      },
      { witness: 'witness.example/w2' },
      { witness: signer.name, problem: 'it answered 500' },
    ]);
  });

  test.each([
    ['that somebody else signed', new SignedLog(log.origin).checkpoint(3), 'not signed by the log key'],
    ['of another log', new SignedLog('other.example/log').checkpoint(3), 'another log'],
    ['that is none', 'hello', 'note'],
    ['that is too large', log.checkpoint(3).repeat(1000), 'UND_ERR_RES_EXCEEDED_MAX_SIZE'],
  ])('a checkpoint %s raises no alarm: anybody could make it', async (_what, text, problem) => {
    fake.answer = (_asked, response) => respond(response, 200, text);
    const witnesses = closedAfter(new Witnesses([{ url: fake.url, key: signer.vkey }]));
    expect(await witnesses.latest(logKey)).toEqual([
      { witness: signer.name, problem: expect.stringContaining(problem) as unknown },
    ]);
  });

  test('a witness that hangs is waited for no longer than the timeout', async () => {
    fake.answer = () => undefined;
    const witnesses = closedAfter(new Witnesses([{ url: fake.url, key: signer.vkey }], { timeoutMs: 50 }));
    expect(await witnesses.latest(logKey)).toMatchObject([{ problem: expect.any(String) as unknown }]);
  });
});

test('two witnesses of one key are refused, under two names as well, and so is the key of a log', () => {
  const url = 'http://127.0.0.1:1';
  const typed = Buffer.concat([Buffer.of(4), signer.publicKey]);
  const vkey = (name: string) => {
    const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4);
    return `${name}+${id.toString('hex')}+${typed.toString('base64')}`;
  };
  expect(vkey(signer.name)).toBe(signer.vkey);
  for (const key of [signer.vkey, vkey('witness.example/alias')]) {
    expect(
      () =>
        new Witnesses([
          { url, key: signer.vkey },
          { url: `${url}2`, key },
        ]),
    ).toThrow('one key');
  }
  expect(() => new Witnesses([{ url, key: log.signer.vkey }])).toThrow('not the key of a witness');
});
