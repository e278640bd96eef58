import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { verifyCheckpoint } from '../../src/translog/checkpoint.js';
import { verifyCosignature } from '../../src/translog/cosignature.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { originHash } from '../../src/translog/witness.js';
import { CosignedLog, type CosignedLogOptions } from '../../src/witness/cosigned-log.js';
import type { GrowingLog } from '../../src/witness/growing-log.js';
import { sharedFile } from '../../src/witness/shared-note.js';
import { WitnessError } from '../../src/witness/witness-error.js';
import { Witnesses } from '../../src/witness/witnesses.js';
import { FakeWitness, respond } from '../helpers/fake-witness.js';
import { LocalWitness } from '../helpers/local-witness.js';
import { SignedLog } from '../helpers/signed-log.js';
import { noteSigner } from '../translog/note-signer.js';

const signedLog = new SignedLog('broker.example/0011223344556677');
const logKey = parseVerifierKey(signedLog.signer.vkey);

/** The broker's log, at a size that the test sets. */
class TestLog implements GrowingLog {
  size: number;
  fault: Error | undefined;
  of = signedLog;
  /** How often the head was read. */
  looks = 0;

  constructor(size: number) {
    this.size = size;
  }

  async head() {
    this.looks++;
    if (this.fault !== undefined) throw this.fault;
    return { size: this.size, checkpoint: this.of.checkpoint(this.size) };
  }

  async consistency(oldSize: number, size: number) {
    return this.of.proof(oldSize, size);
  }
}

const closing: { close(): Promise<void> }[] = [];
const closedAfter = <T extends { close(): Promise<void> }>(resource: T): T => {
  closing.unshift(resource);
  return resource;
};
const said: string[] = [];
const observer = {
  failed: (witness: string, why: string) => void said.push(`${witness} failed: ${why}`),
  recovered: (witness: string) => void said.push(`${witness} recovered`),
  contradicted: (witness: string, why: string) => void said.push(`${witness} contradicts: ${why}`),
};

let log: TestLog;
let served: LocalWitness[];
let scratch: string;
beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'portcullis-cosigned-'));
  said.length = 0;
  log = new TestLog(10);
  served = [];
  for (const name of ['w1', 'w2', 'w3']) served.push(await servedWitness(`witness.example/${name}`));
});
afterEach(async () => {
  for (const resource of closing.splice(0)) await resource.close();
  rmSync(scratch, { recursive: true });
});

const servedWitness = async (name: string, port?: number) => {
  const options = { name, logs: [signedLog.signer.vkey], ...(port === undefined ? {} : { port }) };
  return closedAfter(await LocalWitness.start(options));
};

interface Setting {
  readonly url: string;
  readonly key: string;
}

function cosigned(
  quorum: number,
  options: Partial<CosignedLogOptions> & { settings?: readonly Setting[]; requestMs?: number } = {},
): CosignedLog {
  const { settings = served, requestMs = 2_000, ...rest } = options;
  const witnesses = closedAfter(new Witnesses(settings, { timeoutMs: requestMs }));
  return closedAfter(new CosignedLog({ log, logKey, witnesses, quorum, observer, ...rest }));
}

/** The size of a checkpoint, and who has validly cosigned it. */
function read(checkpoint: string, settings: readonly Setting[] = served): { size: number; by: string[] } {
  const verified = verifyCheckpoint(checkpoint, logKey);
  if (!verified.ok) throw new Error(verified.detail);
  const keys = settings.map(({ key }) => parseVerifierKey(key));
  const by = keys.filter((key) => verifyCosignature(verified.value.note, key) !== undefined).map(({ name }) => name);
  return { size: verified.value.head.size, by };
}

/** Resolves when a checkpoint is read that all of these have cosigned. */
async function cosignedBy(cosignedLog: CosignedLog, names: readonly string[], settings?: readonly Setting[]) {
  for (;;) {
    const { by } = read(await cosignedLog.newest(), settings);
    if (names.every((name) => by.includes(name))) return;
    await tick();
  }
}

const ALL = ['w1', 'w2', 'w3'].map((name) => `witness.example/${name}`);
const tick = () => new Promise((resolve) => setImmediate(resolve));
const submissions = () => served.reduce((sum, witness) => sum + witness.submissions, 0);

/** A witness that does as it is told beside those that work. */
async function fakeWitness(): Promise<{ fake: FakeWitness; signer: ReturnType<typeof noteSigner>; setting: Setting }> {
  const fake = closedAfter(await FakeWitness.start());
  const signer = noteSigner('witness.example/fake', 4);
  return { fake, signer, setting: { url: fake.url, key: signer.vkey } };
}

describe('with a quorum', () => {
  test('a checkpoint comes that covers the entry, with as many valid cosignatures', async () => {
    for (const quorum of [1, 2, 3]) {
      const { size, by } = read(await cosigned(quorum).cover(9));
      expect(size).toBe(10);
      expect(by.length).toBeGreaterThanOrEqual(quorum);
    }
  });

  test('an entry that an earlier checkpoint covers asks nobody; one beyond it does', async () => {
    const cosignedLog = cosigned(3);
    await cosignedLog.cover(9);
    const before = submissions();
    log.size = 12;
    expect(read(await cosignedLog.cover(9)).size).toBe(10);
    expect(submissions()).toBe(before);
    expect(read(await cosignedLog.cover(10))).toMatchObject({
      size: 12,
      by: ALL,
    });
  });

  test('what is committed while a round is under way shares the next one', async () => {
    const cosignedLog = cosigned(3);
    await cosignedLog.cover(9);
    const before = submissions();
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    for (const witness of served) witness.gate = gate;
    const covers: Promise<string>[] = [];
    log.size = 11;
    covers.push(cosignedLog.cover(10));
    while (submissions() < before + 3) await tick();
    for (let index = 11; index < 60; index++) {
      log.size = index + 1;
      covers.push(cosignedLog.cover(index));
    }
    open();
    const sizes = (await Promise.all(covers)).map((checkpoint) => read(checkpoint).size);
    expect(sizes).toEqual([11, ...Array.from({ length: 49 }, () => 60)]);
    expect(submissions()).toBe(before + 6);
  });

  test('one witness that is dead, and one that hangs, delay nothing where the others suffice', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const dead = { url: 'http://127.0.0.1:9', key: noteSigner('witness.example/dead', 4).vkey };
    const cosignedLog = cosigned(3, { settings: [dead, setting, ...served], requestMs: 60_000 });
    for (; log.size < 40; log.size++) expect(read(await cosignedLog.cover(log.size - 1)).by).toHaveLength(3);
    expect(fake.asked).toHaveLength(1);
    expect(said).toEqual(['witness.example/dead failed: ECONNREFUSED']);
  });

  test('too few are a WitnessError that names what is wrong with whom; when they are back it goes on', async () => {
    const cosignedLog = cosigned(3, { timeoutMs: 300 });
    const [first, , third] = served;
    await third!.close();
    const error: unknown = await cosignedLog.cover(9).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(WitnessError);
    expect(String(error)).toContain('fewer than 3 of 3 witnesses cosigned within 300 ms (witness.example/w3: ');
    expect(said).toHaveLength(1);
    served[2] = await servedWitness('witness.example/w3', third!.port);
    closing.splice(closing.indexOf(third!), 1);
    for (let tries = 0; ; tries++) {
      const again = await cosignedLog.cover(9).catch(() => undefined);
      if (again === undefined && tries < 20) continue;
      expect(read(again!).by).toHaveLength(3);
      break;
    }
    expect(said.at(-1)).toBe('witness.example/w3 recovered');
    // Those who had cosigned this checkpoint were not asked for it again.
    expect(first!.submissions).toBe(1);
  });

  test('no lie counts: another’s cosignature, one of another checkpoint, one that was given before', async () => {
    const { fake, signer, setting } = await fakeWitness();
    const settings = [served[0]!, setting];
    const lies = [
      () => noteSigner(signer.name, 4).cosignatureLine(log.of.text(log.size), 5n),
      () => signer.cosignatureLine(log.of.text(log.size - 1), 5n),
      () => served[0]!.state.latest(originHash(signedLog.origin))?.cosignature ?? '',
      () => signer.line(log.of.text(log.size)),
    ];
    for (const lie of lies) {
      fake.answer = (_asked, response) => respond(response, 200, lie());
      const cosignedLog = cosigned(2, { settings, timeoutMs: 150 });
      await expect(cosignedLog.cover(log.size - 1)).rejects.toThrow('fewer than 2 of 2');
    }
    fake.answer = (_asked, response) => respond(response, 200, signer.cosignatureLine(log.of.text(log.size), 5n));
    expect(read(await cosigned(2, { settings }).cover(9), settings).by).toHaveLength(2);
  });

  test('a fork of what was cosigned is not', async () => {
    await cosigned(3).cover(9);
    log.of = signedLog.fork(4);
    log.size = 12;
    await expect(cosigned(1, { timeoutMs: 150 }).cover(11)).rejects.toThrow('another history');
    expect(said.map((each) => each.split(': ')[0]).sort()).toEqual(ALL.map((name) => `${name} contradicts`));
  });

  test('a witness that was down, and then holds another history, is told as that', async () => {
    const { fake, setting } = await fakeWitness();
    const cosignedLog = cosigned(1, { settings: [setting], timeoutMs: 300 });
    await expect(cosignedLog.cover(9)).rejects.toThrow('it answered 500');
    fake.answer = (_asked, response) => respond(response, 422, 'not from there\n');
    while (!said.some((each) => each.includes('contradicts'))) await cosignedLog.cover(9).catch(() => undefined);
    expect(said).toEqual([
      'witness.example/fake failed: it answered 500 (not prepared)',
      expect.stringMatching(/^witness\.example\/fake contradicts: it holds another history .*\(not from there\)$/),
    ]);
  });

  test.each([
    ['holds another history', 422, 'x\n', 'it holds another history'],
    ['holds more', 409, '500\n', 'it says it has cosigned a tree of 500 entries, and the log has 10'],
  ])('a witness that the quorum does not need and that %s is told all the same', async (_what, status, text, why) => {
    const { fake, setting } = await fakeWitness();
    fake.answer = (_asked, response) => respond(response, status, text);
    const cosignedLog = cosigned(2, { settings: [...served, setting] });
    await cosignedLog.cover(9);
    while (said.length === 0) await tick();
    expect(said).toEqual([expect.stringContaining(`witness.example/fake contradicts: ${why}`)]);
  });

  test('a witness that contradicts is told of again after a while, and not before', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = (_asked, response) => respond(response, 422, 'x\n');
    const options = { settings: [setting], timeoutMs: 800 };
    await cosigned(1, options)
      .cover(9)
      .catch(() => undefined);
    expect(said).toHaveLength(1);
    await cosigned(1, { ...options, tellAgainMs: 0 })
      .cover(9)
      .catch(() => undefined);
    expect(said.length).toBeGreaterThan(2);
  });

  test('one answer with a size out of the air does not put a witness out for good', async () => {
    const { fake, signer, setting } = await fakeWitness();
    fake.answer = (_asked, response) => {
      fake.answer = (_again, right) => respond(right, 200, signer.cosignatureLine(log.of.text(log.size), 5n));
      respond(response, 409, '9007199254740991\n');
    };
    expect(read(await cosigned(1, { settings: [setting] }).cover(9), [setting]).by).toHaveLength(1);
    expect(said).toEqual([
      'witness.example/fake contradicts: it says it has cosigned a tree of 9007199254740991 entries, and the log has 10',
      'witness.example/fake recovered',
    ]);
  });

  test('more than 4,096 do not wait: who comes then is told at once', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const cosignedLog = cosigned(1, { settings: [setting], requestMs: 60_000, timeoutMs: 60_000 });
    // Nor do those who read the checkpoint take their places.
    const readers = Array.from({ length: 5_000 }, () => cosignedLog.newest());
    const waiting = Array.from({ length: 4_096 }, () => cosignedLog.cover(9).catch((error: unknown) => String(error)));
    await expect(cosignedLog.cover(9)).rejects.toThrow('4096 wait for cosignatures already');
    await expect(cosignedLog.cover(9)).rejects.toBeInstanceOf(WitnessError);
    await cosignedLog.close();
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['WitnessError: the broker is stopping']));
    expect(new Set(await Promise.all(readers))).toEqual(new Set([signedLog.checkpoint(10)]));
  });

  test('a log that went back is told as that, once, and nothing is covered', async () => {
    await cosigned(3).cover(9);
    log.size = 8;
    await expect(cosigned(3, { timeoutMs: 500 }).cover(7)).rejects.toThrow(
      'has cosigned a tree of 10 entries, and the log has 8',
    );
    expect(said.length).toBeGreaterThan(0);
    expect(new Set(said).size).toBe(said.length);
    expect(said[0]).toMatch(/contradicts: .*10 entries, and the log has 8$/);
  });

  test('a log that cannot be read is its own error, not that of a witness', async () => {
    const cosignedLog = cosigned(2);
    log.fault = new Error('the store is gone');
    await expect(cosignedLog.cover(9)).rejects.toThrow('the store is gone');
    log.fault = undefined;
    expect(read(await cosignedLog.cover(9)).size).toBe(10);
  });

  test('who no longer waits gets a WitnessError, and so does everybody when it is closed', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const cosignedLog = cosigned(1, { settings: [setting] });
    const gone = new AbortController();
    const waiting = [
      cosignedLog.cover(9, gone.signal),
      cosignedLog.cover(9),
      cosignedLog.cover(9, AbortSignal.abort()),
    ];
    const outcomes = Promise.allSettled(waiting);
    gone.abort();
    await cosignedLog.close();
    expect(
      (await outcomes).map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'resolved')),
    ).toEqual([
      expect.stringContaining('nobody waits'),
      expect.stringContaining('stopping'),
      expect.stringContaining('nobody waits'),
    ]);
    await expect(cosignedLog.cover(9)).rejects.toBeInstanceOf(WitnessError);
  });

  test('needs as many witnesses', () => {
    expect(() => cosigned(4)).toThrow('larger than the number of witnesses');
  });

  test('of several processes over one log all get theirs, whoever is faster', async () => {
    const processes = Array.from({ length: 4 }, () =>
      cosigned(3, { timeoutMs: 20_000, shared: sharedFile(join(scratch, 'log.cosigned')) }),
    );
    const run = async (cosignedLog: CosignedLog) => {
      for (let release = 0; release < 15; release++) {
        const index = log.size++;
        const { size, by } = read(await cosignedLog.cover(index));
        expect(size).toBeGreaterThan(index);
        expect(by).toHaveLength(3);
      }
    };
    await Promise.all(processes.flatMap((each) => [run(each), run(each)]));
    expect(said).toEqual([]);
    const sizes = served.map(({ state }) => state.latest(originHash(signedLog.origin))?.head.size);
    expect(sizes).toEqual([130, 130, 130]);
  }, 60_000);
});

describe('without a quorum', () => {
  test('nothing waits: the newest checkpoint comes at once, whatever the witnesses do', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const cosignedLog = cosigned(0, { settings: [setting] });
    cosignedLog.start();
    expect(await cosignedLog.cover(9)).toBe(signedLog.checkpoint(10));
    expect(await cosigned(0, { settings: [] }).cover(9)).toBe(signedLog.checkpoint(10));
  });

  test('the log is cosigned in the background when it has grown, and then not again', async () => {
    const cosignedLog = cosigned(0, { intervalMs: 10 });
    cosignedLog.start();
    cosignedLog.start();
    while (submissions() < 3) await tick();
    await cosignedBy(cosignedLog, ALL);
    const before = submissions();
    const looks = log.looks;
    while (log.looks < looks + 5) await tick();
    expect(submissions()).toBe(before);
    log.size = 12;
    while (submissions() < before + 3) await tick();
    await cosignedBy(cosignedLog, ALL);
    expect(read(await cosignedLog.newest())).toEqual({ size: 12, by: ALL });
  });

  test('at most one round comes in an interval, however often the checkpoint is asked for', async () => {
    const cosignedLog = cosigned(0, { intervalMs: 200 });
    const startMs = performance.now();
    while (performance.now() - startMs < 1_000) {
      log.size++;
      await cosignedLog.newest();
      await tick();
    }
    expect(served[0]!.submissions).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - startMs) / 200));
    expect(served[0]!.submissions).toBeGreaterThan(1);
  });

  test('a witness that comes late cosigns what the others have cosigned already', async () => {
    const { fake, signer, setting } = await fakeWitness();
    const settings = [...served, setting];
    const cosignedLog = cosigned(0, { settings, intervalMs: 20 });
    cosignedLog.start();
    while (fake.asked.length < 2) await tick();
    fake.answer = (_asked, response) => respond(response, 200, signer.cosignatureLine(signedLog.text(10), 5n));
    while (read(await cosignedLog.newest(), settings).by.length < 4) await tick();
    expect(submissions()).toBe(3);
    expect(said.at(-1)).toBe('witness.example/fake recovered');
  });
});

describe('the checkpoint to publish', () => {
  const dead = { url: 'http://127.0.0.1:9', key: noteSigner('witness.example/dead', 4).vkey };

  test('is the newest one, cosigned by the quorum where there is one', async () => {
    const settings = [dead, ...served];
    const { size, by } = read(await cosigned(2, { settings, intervalMs: 10 }).newest());
    expect(size).toBe(log.size);
    expect(by.length).toBeGreaterThanOrEqual(2);
    expect(await cosigned(0, { settings: [] }).newest()).toBe(signedLog.checkpoint(10));
  });

  test('without a quorum waits for nobody, and the cosignatures come to it later', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const settings = [setting, ...served];
    const cosignedLog = cosigned(0, { settings, requestMs: 600_000, intervalMs: 10 });
    for (let round = 0; round < 3; round++) {
      log.size++;
      let open = (): void => undefined;
      const gate = new Promise<void>((resolve) => (open = resolve));
      for (const witness of served) witness.gate = gate;
      // Nobody can have answered.
      expect(read(await cosignedLog.newest(), settings)).toEqual({ size: log.size, by: [] });
      open();
      await cosignedBy(cosignedLog, ALL, settings);
      expect(read(await cosignedLog.newest(), settings).size).toBe(log.size);
    }
    expect(fake.asked).toHaveLength(1);
  });

  test('with a quorum waits for that alone, whoever hangs beside it', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const settings = [setting, ...served];
    const cosignedLog = cosigned(3, { settings, requestMs: 600_000 });
    const beganMs = performance.now();
    for (; log.size < 20; log.size++) {
      expect(read(await cosignedLog.newest(), settings)).toEqual({ size: log.size, by: ALL });
    }
    // Less than one wait that was in vain.
    expect(performance.now() - beganMs).toBeLessThan(2_500);
    expect(fake.asked).toHaveLength(1);
  });

  test('with a quorum that is out of reach waits for nobody who hangs', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const settings = [setting, dead];
    const cosignedLog = cosigned(2, { settings, requestMs: 600_000 });
    const beganMs = performance.now();
    expect(await cosignedLog.newest()).toBe(signedLog.checkpoint(10));
    expect(performance.now() - beganMs).toBeLessThan(2_000);
  });

  test('is there without cosignatures where no witness answers, and has those of fewer than the quorum', async () => {
    expect(await cosigned(0, { settings: [dead] }).newest()).toBe(signedLog.checkpoint(10));
    expect(await cosigned(1, { settings: [dead] }).newest()).toBe(signedLog.checkpoint(10));
    const settings = [served[0]!, dead];
    await cosignedBy(cosigned(2, { settings }), ['witness.example/w1'], settings);
  });

  test('never shrinks, from whichever process it is read, while the log grows', async () => {
    const processes = Array.from({ length: 3 }, () => cosigned(2, { timeoutMs: 20_000 }));
    let last = 0;
    for (let round = 0; round < 30; round++) {
      const each = processes[round % processes.length]!;
      const index = log.size++;
      if (round % 4 === 0) void each.cover(index).catch(() => undefined);
      const { size } = read(await processes[(round + 1) % processes.length]!.newest());
      expect(size).toBeGreaterThanOrEqual(last);
      expect(size).toBeGreaterThan(index);
      last = size;
    }
  });
});

describe('whether releases can be answered', () => {
  test('is not known before the quorum was reached once; without a quorum nothing speaks against it', async () => {
    const cosignedLog = cosigned(2);
    expect(cosignedLog.trouble()).toBe('whether 2 of 3 witnesses cosign has yet to be seen');
    await cosignedLog.cover(9);
    expect(cosignedLog.trouble()).toBeUndefined();
    expect(cosigned(0).trouble()).toBeUndefined();
  });

  test('is seen at once when it starts, though nothing is appended', async () => {
    const cosignedLog = cosigned(3, { intervalMs: 600_000 });
    cosignedLog.start();
    while (cosignedLog.trouble() !== undefined) await tick();
    expect(submissions()).toBe(3);
  });

  test('changes with the quorum while nothing is appended and nobody asks, and says who is missing', async () => {
    const { fake, signer, setting } = await fakeWitness();
    const cosign = () => {
      fake.answer = (_asked, response) => respond(response, 200, signer.cosignatureLine(signedLog.text(10), 5n));
    };
    cosign();
    const cosignedLog = cosigned(2, { settings: [served[0]!, setting], intervalMs: 10, refreshMs: 50 });
    cosignedLog.start();
    for (let round = 0; round < 2; round++) {
      while (cosignedLog.trouble() !== undefined) await tick();
      fake.answer = (_asked, response) => respond(response, 500, 'out of order\n');
      const why = 'fewer than 2 of 2 witnesses cosign (witness.example/fake: it answered 500 (out of order))';
      while (cosignedLog.trouble() !== why) await tick();
      cosign();
    }
    while (cosignedLog.trouble() !== undefined) await tick();
  });

  test('asks nobody, and does not change, where one that the quorum does not need is missing', async () => {
    const { fake, setting } = await fakeWitness();
    fake.answer = () => undefined;
    const cosignedLog = cosigned(3, { settings: [...served, setting], requestMs: 600_000 });
    await cosignedLog.cover(9);
    const before = submissions();
    for (let asked = 0; asked < 100; asked++) expect(cosignedLog.trouble()).toBeUndefined();
    await tick();
    expect(submissions()).toBe(before);
  });

  test('is not known any more when the witnesses hang for longer than an outcome counts', async () => {
    const cosignedLog = cosigned(1, { intervalMs: 10, refreshMs: 50, requestMs: 600_000, settings: [served[0]!] });
    cosignedLog.start();
    while (cosignedLog.trouble() !== undefined) await tick();
    let open = (): void => undefined;
    served[0]!.gate = new Promise<void>((resolve) => (open = resolve));
    while (cosignedLog.trouble() === undefined) await tick();
    expect(cosignedLog.trouble()).toBe('whether 1 of 1 witnesses cosign has yet to be seen');
    open();
    while (cosignedLog.trouble() !== undefined) await tick();
  });

  test('is known by what a sibling got after the last round here began, and not by what may be older', async () => {
    const shared = sharedFile(join(scratch, 'log.cosigned'));
    const settings = [served[0]!];
    const sibling = cosigned(1, { shared, settings });
    await sibling.cover(9);
    while ((await shared.read()) === undefined) await tick();
    // Of the time before it started: covers an entry, and says nothing of now.
    const { fake, setting } = await fakeWitness();
    const own = cosigned(1, { shared, settings: [{ ...setting, key: served[0]!.key }], timeoutMs: 10_000 });
    expect(read(await own.cover(9)).size).toBe(10);
    expect(own.trouble()).toBe('whether 1 of 1 witnesses cosign has yet to be seen');
    // It hears of a witness that is ahead of the tree that it came with, and finds what the sibling has of it.
    const overtake = async () => {
      log.size = 12;
      const checkpoint = await sibling.cover(11);
      while ((await shared.read()) !== checkpoint) await tick();
    };
    fake.answer = (_asked, response) => void overtake().then(() => respond(response, 409, '12\n'));
    log.size = 11;
    expect(read(await own.cover(10)).size).toBe(12);
    expect(own.trouble()).toBeUndefined();
  });
});
