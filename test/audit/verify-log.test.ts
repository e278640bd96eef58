import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from '@jest/globals';
import { directorySource } from '../../src/audit/directory-source.js';
import { httpSource } from '../../src/audit/http-source.js';
import { type LogSource, LogSourceError } from '../../src/audit/source.js';
import { StateFile } from '../../src/audit/state-file.js';
import { type LogReport, verifyLog, type VerifyLogOptions } from '../../src/audit/verify-log.js';
import type { Result } from '../../src/reason/reason.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { Cosigner } from '../../src/translog/cosignature.js';
import { composeEntry } from '../../src/translog/entry.js';
import { parseNote, parseVerifierKey } from '../../src/translog/note.js';
import { ReferenceTree } from '../helpers/rfc6962.js';
import {
  flipped,
  genuineEntries,
  genuineEntry,
  hex,
  LOG_KEY,
  logFiles,
  memorySource,
  ORIGIN,
  releaseBody,
  serveFiles,
  SIGNER,
  START_MS,
  withFile,
  writeFiles,
} from './sample-log.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-audit-'));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const fresh = (): string => join(root, String(made++));

type Options = Partial<VerifyLogOptions>;

function verify(source: LogSource, options: Options = {}): Promise<Result<LogReport>> {
  return verifyLog({ source, trust: { logKey: LOG_KEY }, now: () => 0, ...options });
}

async function reportOf(source: LogSource, options: Options = {}): Promise<LogReport> {
  const report = await verify(source, options);
  if (!report.ok) throw new Error(`${report.reason}: ${report.detail}`);
  return report.value;
}

const problemsOf = ({ findings }: LogReport) =>
  findings.kept.map(({ index, problem }) => `${String(index)}: ${problem}`);

/** Whether a reader is told that something is wrong, in whichever way. */
async function isFound(files: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
  try {
    const report = await verify(memorySource(files));
    return !report.ok || report.value.findings.count > 0;
  } catch (error) {
    return error instanceof LogSourceError && error.failure !== 'unreachable';
  }
}

const SMALL = logFiles(genuineEntries(7));
const MIDDLE_ENTRIES = genuineEntries(700);
const MIDDLE = logFiles(MIDDLE_ENTRIES);

describe('a log that is in order', () => {
  test.each([0, 1, 2, 5, 6, 255, 256, 257, 511, 512, 513, 700])('of %i entries has no findings', async (size) => {
    const directory = fresh();
    writeFiles(directory, logFiles(MIDDLE_ENTRIES.slice(0, size)));
    const report = await reportOf(directorySource(directory));
    expect(problemsOf(report)).toEqual([]);
    expect(report).toMatchObject({ first: 0, reached: size, before: undefined, conflict: undefined });
    expect(report.checkpoint.head.size).toBe(size);
  });

  test('is read over HTTP just the same', async () => {
    const served = await serveFiles(MIDDLE);
    const source = httpSource({ url: served.url });
    try {
      const report = await reportOf(source);
      expect(problemsOf(report)).toEqual([]);
      expect(report.reached).toBe(700);
      expect(new Set(served.requests).size).toBe(served.requests.length);
    } finally {
      await source.close();
      await served.close();
    }
  });

  test('may have dropped a partial tile once the full one is there', async () => {
    const grown = logFiles(MIDDLE_ENTRIES);
    const checkpoint = logFiles(MIDDLE_ENTRIES.slice(0, 300)).get('checkpoint')!;
    const report = await reportOf(memorySource(new Map([...grown, ['checkpoint', checkpoint]])));
    expect(report.findings.kept.map(({ problem }) => problem)).toEqual(
      [
        // The partial tiles of level 1 are another tree's, and there is no full one yet to fall back to.
        'tile/1/000.p/1 is missing',
      ].map((problem) => `tile/1/000.p/1: ${problem}`),
    );
    const full = new Map([
      ...grown,
      ['checkpoint', checkpoint],
      ['tile/1/000.p/1', grown.get('tile/1/000.p/2')!.subarray(0, 32)],
    ] as const);
    expect(problemsOf(await reportOf(memorySource(full)))).toEqual([]);
  });

  test('hands every entry to the visitor, in order', async () => {
    const seen: string[] = [];
    await reportOf(memorySource(SMALL), {
      visit: (index, members, text) => {
        expect(JSON.parse(text)).toEqual(members);
        seen.push(`${String(index)} ${members['type'] as string}`);
      },
    });
    expect(seen).toEqual([
      ...['0 broker.initialised', '1 deployment.applied', '2 policy.registered', '3 attester.trusted'],
      ...['4 key.created', '5 release', '6 release'],
    ]);
  });
});

describe('every changed byte is found', () => {
  test.each([...SMALL.keys()])('in %s of a small log', async (path) => {
    const content = SMALL.get(path)!;
    for (let at = 0; at < content.length; at++) {
      const found = await isFound(withFile(SMALL, path, flipped(content, at)));
      if (!found) throw new Error(`byte ${String(at)} of ${path} was changed, and nobody noticed`);
    }
  });

  test.each([...SMALL.keys()])('and every byte that is missing at the end of %s, or too many', async (path) => {
    const content = SMALL.get(path)!;
    for (let length = 0; length < content.length; length++) {
      const found = await isFound(withFile(SMALL, path, content.subarray(0, length)));
      if (!found) throw new Error(`${path} was cut to ${String(length)} bytes, and nobody noticed`);
    }
    expect(await isFound(withFile(SMALL, path, Buffer.concat([content, Buffer.of(0)])))).toBe(true);
    expect(await isFound(withFile(SMALL, path, undefined))).toBe(true);
  });

  test.each([...MIDDLE.keys()].filter((path) => !path.includes('entries')))('in %s of a larger log', async (path) => {
    const content = MIDDLE.get(path)!;
    for (let at = 0; at < content.length; at += 251) {
      expect([at, await isFound(withFile(MIDDLE, path, flipped(content, at)))]).toEqual([at, true]);
    }
  });

  test('and named: a hash tile of any level, which is not the fault of its entries', async () => {
    for (const path of ['tile/0/001', 'tile/0/002.p/188', 'tile/1/000.p/2']) {
      const report = await reportOf(memorySource(withFile(MIDDLE, path, flipped(MIDDLE.get(path)!, 33))));
      expect(report.findings.kept).toHaveLength(1);
      expect(report.findings.kept[0]!.problem).toContain(path);
      expect(report.findings.kept[0]!.problem).toContain('1 of its');
      expect(report.findings.kept[0]!.advice).toContain('the entries were not');
    }
  });
});

/** The files with other entries, under hash tiles and checkpoint that are as they were. */
function withEntries(entries: readonly string[]): Map<string, Uint8Array> {
  const other = logFiles(entries);
  return new Map([...MIDDLE].map(([path, content]) => [path, path.includes('entries') ? other.get(path)! : content]));
}

describe('entries that are not those that were signed', () => {
  const edits: readonly (readonly [string, number, (entries: string[]) => void])[] = [
    ['one is changed', 300, (entries) => void (entries[300] = genuineEntry(9000))],
    ['two change places', 40, (entries) => void ([entries[40], entries[41]] = [entries[41]!, entries[40]!])],
    ['one is removed, and another added at the end', 10, (entries) => void entries.push(...entries.splice(10, 1))],
    [
      'one is inserted, and the last dropped',
      520,
      (entries) => void (entries.splice(520, 0, genuineEntry(9001)), entries.pop()),
    ],
  ];

  test.each(edits)('%s: found at its index', async (_what, index, edit) => {
    const entries = [...MIDDLE_ENTRIES];
    edit(entries);
    const report = await reportOf(memorySource(withEntries(entries)));
    expect(report.findings.kept.map((finding) => finding.index)).toContain(index);
    expect(problemsOf(report)[0]).toMatch(/the entry is not the one whose hash stands in the signed tree/);
    expect(report.conflict).toBeUndefined();
  });

  test('found too where the hash tiles were made to fit', async () => {
    const entries = [...MIDDLE_ENTRIES];
    entries[300] = genuineEntry(9000);
    const fitting = new Map([...logFiles(entries), ['checkpoint', MIDDLE.get('checkpoint')!]]);
    const [problem] = problemsOf(await reportOf(memorySource(fitting)));
    expect(problem).toMatch(/^0: the 700 entries give another root than the signed checkpoint has/);
  });

  test('of which a bundle is missing end the reading there, and say so', async () => {
    const report = await reportOf(memorySource(withFile(MIDDLE, 'tile/entries/001', undefined)));
    expect(report.reached).toBe(256);
    expect(problemsOf(report)).toEqual(['256: its entry bundle cannot be used: tile/entries/001 is missing']);
    const cut = withFile(MIDDLE, 'tile/entries/001', MIDDLE.get('tile/entries/001')!.subarray(0, 10_000));
    expect(problemsOf(await reportOf(memorySource(cut)))[0]).toMatch(/^26\d: its entry bundle cannot be read/);
  });

  test('or are more than a hundred findings: the first ones, and how many', async () => {
    // Every release under a policy that nobody registered: signed, so the tree is right and the meaning is not.
    const entries = MIDDLE_ENTRIES.map((entry) => entry.replace(hex('policy'), hex('other')));
    entries.splice(2, 1, MIDDLE_ENTRIES[2]!);
    const { findings } = await reportOf(memorySource(logFiles(entries)));
    expect(findings.kept).toHaveLength(100);
    expect(findings.count).toBe(695);
    expect(findings.kept[0]!.index).toBe(5);
    expect(findings.kept.every(({ advice }) => advice !== '')).toBe(true);
  });

  test('that were signed, but are no entries of a log of ours, are findings at their index', async () => {
    const strange = ['{"a": 1}', 'not JSON', '{}', '"x"', ''];
    const report = await reportOf(memorySource(logFiles([...MIDDLE_ENTRIES.slice(0, 6), ...strange, genuineEntry(6)])));
    expect(report.findings.kept.map(({ index }) => index)).toEqual([6, 7, 8, 9, 10]);
    expect(problemsOf(report)[0]).toBe('6: log entry: not in canonical form');
  });

  test('that were signed, but are not UTF-8, are findings, though they read like something canonical', async () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.of(0xff), Buffer.from('"}')]);
    const report = await reportOf(memorySource(logFiles([...MIDDLE_ENTRIES.slice(0, 6), bytes])));
    expect(problemsOf(report)).toEqual(['6: log entry: not UTF-8']);
  });
});

describe('what the log says of itself', () => {
  test('is the name in its checkpoints', async () => {
    const other = genuineEntries(7).map((entry, index) =>
      index === 0 ? entry.replace(ORIGIN, `broker-1/${'f'.repeat(16)}`) : entry,
    );
    expect(problemsOf(await reportOf(memorySource(logFiles(other))))).toEqual([
      `6: the entries are those of the log broker-1/${'f'.repeat(16)}, and the checkpoint is that of ${ORIGIN}`,
    ]);
  });

  test('is, where it goes on with what another one had left, the root of what that was', async () => {
    const before = genuineEntries(7).map((entry, index) =>
      index === 0 ? entry.replace(ORIGIN, `broker-1/${'f'.repeat(16)}`) : entry,
    );
    const goneOnWith = (root: Buffer) => {
      const body = {
        ...{ log_origin: ORIGIN, previous_origin: `broker-1/${'f'.repeat(16)}`, previous_size: '7' },
        ...{ previous_root: root.toString('hex'), frozen_keys: 1, detail_sha256: hex('detail') },
      };
      const entry = composeEntry('log.rollback_accepted', body, { timeMs: START_MS + 7, generation: 6 }).text;
      return reportOf(memorySource(logFiles([...before, entry])));
    };
    const root = new ReferenceTree((index) => Buffer.from(before[index]!)).mth(0, 7);
    expect(problemsOf(await goneOnWith(root))).toEqual([]);
    expect(problemsOf(await goneOnWith(Buffer.alloc(32)))).toEqual([
      '7: the log that is gone on with had another root than the entries before give',
    ]);
  });
});

describe('a checkpoint', () => {
  test('of another log, of another key, or without a signature is refused, with its reason', async () => {
    const elsewhere = new CheckpointSigner('broker-2/0123456789abcdef', Buffer.alloc(32, 7));
    const stranger = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 8));
    const entries = genuineEntries(7);
    const refused = async (files: ReadonlyMap<string, Uint8Array>) => {
      const report = await verify(memorySource(files));
      return report.ok ? 'accepted' : report.reason;
    };
    expect(await refused(logFiles(entries, elsewhere))).toBe('checkpoint.origin');
    expect(await refused(logFiles(entries, stranger))).toBe('checkpoint.signature');
    expect(await refused(withFile(SMALL, 'checkpoint', Buffer.from('')))).toBe('checkpoint.malformed');
  });

  test('must be cosigned by as many witnesses as are demanded', async () => {
    const [first, second] = [3, 4].map((seed) => new Cosigner(`w.example/${String(seed)}`, Buffer.alloc(32, seed)));
    const keys = [first!, second!].map(({ verifierKey }) => parseVerifierKey(verifierKey));
    const plain = SMALL.get('checkpoint')!.toString();
    const text = plain + first!.cosign(parseNote(plain).text, 1_800_000_000);
    const cosigned = memorySource(withFile(SMALL, 'checkpoint', Buffer.from(text)));
    const trust = (quorum: number) => ({ trust: { logKey: LOG_KEY, witnesses: { keys, quorum } } });
    const report = await reportOf(cosigned, trust(1));
    expect(report.checkpoint.cosigned).toEqual([{ name: 'w.example/3', timeSeconds: 1_800_000_000n }]);
    expect(await verify(cosigned, trust(2))).toMatchObject({ ok: false, reason: 'checkpoint.cosignature' });
    expect(await verify(memorySource(SMALL), trust(1))).toMatchObject({ ok: false, reason: 'checkpoint.cosignature' });
  });

  test('that claims a size that the files do not have is found', async () => {
    const { head } = (await reportOf(memorySource(SMALL))).checkpoint;
    for (const size of [6, 8, 256, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
      const lying = Buffer.from(SIGNER.sign(size, head.root));
      expect([size, await isFound(withFile(SMALL, 'checkpoint', lying))]).toEqual([size, true]);
    }
  });
});

describe('what was seen before', () => {
  const at = (size: number) => logFiles(MIDDLE_ENTRIES.slice(0, size));
  const rewritten = MIDDLE_ENTRIES.map((entry, index) => (index === 299 ? genuineEntry(9000) : entry));

  async function look(path: string, files: ReadonlyMap<string, Uint8Array>, options: Options = {}): Promise<LogReport> {
    return reportOf(memorySource(files), { memory: await StateFile.open(path, LOG_KEY), ...options });
  }

  test('is not recomputed again, and the log must start with it', async () => {
    const path = fresh();
    expect((await look(path, at(300))).first).toBe(0);
    expect(await look(path, at(300))).toMatchObject({ first: 300, reached: 300, before: { size: 300 } });
    const grown = await look(path, at(700));
    expect(grown).toMatchObject({ first: 300, reached: 700, before: { size: 300 }, conflict: undefined });
    expect(problemsOf(grown)).toEqual([]);
    expect(await look(path, at(700), { fromStart: true })).toMatchObject({
      first: 0,
      reached: 700,
      before: { size: 700 },
    });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('gives, in steps, what it gives in one go', async () => {
    const inSteps = fresh();
    for (const size of [1, 5, 6, 255, 256, 300, 512, 513, 700]) {
      expect(problemsOf(await look(inSteps, at(size)))).toEqual([]);
    }
    const inOne = fresh();
    await look(inOne, at(700));
    const [stepped, whole] = [await StateFile.open(inSteps, LOG_KEY), await StateFile.open(inOne, LOG_KEY)];
    expect(stepped.seen).toEqual(whole.seen);
    expect(stepped.progress()!.history.toJSON()).toEqual(whole.progress()!.history.toJSON());
    expect(stepped.progress()!.frontier.partials()).toEqual(whole.progress()!.frontier.partials());
  });

  test('survives an interruption: findings made before it are reported after it', async () => {
    const bad = MIDDLE_ENTRIES.map((entry, index) =>
      index === 30 ? entry.replace(hex('policy'), hex('other')) : entry,
    );
    const files = logFiles(bad);
    const whole = await reportOf(memorySource(files));
    expect(whole.findings.count).toBe(1);
    const path = fresh();
    const breaking: LogSource = {
      ...memorySource(files),
      tile: (name) => {
        if (name.level === 'entries' && name.index === 2) throw new LogSourceError('unreachable', 'the line is cut');
        return memorySource(files).tile(name);
      },
    };
    const memory = await StateFile.open(path, LOG_KEY);
    await expect(reportOf(breaking, { memory })).rejects.toThrow('the line is cut');
    const resumed = await look(path, files);
    expect(resumed.first).toBe(512);
    expect(resumed.findings).toEqual(whole.findings);
    // And they are not forgotten by the runs that come later.
    expect((await look(path, files)).findings).toEqual(whole.findings);
  });

  test('is written now and then while it is read, and not past a tile that was never compared', async () => {
    const path = fresh();
    const sizes: number[] = [];
    let clock = 0;
    const source = memorySource(MIDDLE);
    const memory = await StateFile.open(path, LOG_KEY);
    const watching: LogSource = {
      ...source,
      // The read-ahead has asked for all of this log's bundles by then; its tile of level 1 comes last.
      tile: async (name) => {
        if (name.level !== 1) return source.tile(name);
        sizes.push((await StateFile.open(path, LOG_KEY)).progress()!.frontier.size);
        throw new LogSourceError('unreachable', 'the line is cut');
      },
    };
    const run = reportOf(watching, { memory, now: () => (clock += 20_000) });
    await expect(run).rejects.toThrow('the line is cut');
    expect(sizes).toEqual([700]);
    const tile = MIDDLE.get('tile/1/000.p/2')!;
    const report = await look(path, withFile(MIDDLE, 'tile/1/000.p/2', flipped(tile, 3)));
    expect(problemsOf(report)).toEqual([expect.stringContaining('tile/1/000.p/2')]);
  });

  test('is not built upon while it is not known whether the log starts with it', async () => {
    const path = fresh();
    await look(path, at(300));
    let clock = 0;
    // The right edge of the tiles is damaged, so that consistency shows at the end alone; before that the line is cut.
    const source = memorySource(withFile(MIDDLE, 'tile/1/000.p/2', flipped(MIDDLE.get('tile/1/000.p/2')!, 0)));
    const breaking: LogSource = {
      ...source,
      tile: (name) => {
        if (name.level === 'entries' && name.index === 2) throw new LogSourceError('unreachable', 'the line is cut');
        return source.tile(name);
      },
    };
    const memory = await StateFile.open(path, LOG_KEY);
    await expect(reportOf(breaking, { memory, now: () => (clock += 20_000) })).rejects.toThrow('the line is cut');
    expect(await look(path, at(700))).toMatchObject({ first: 300, before: { size: 300 }, findings: { count: 0 } });
  });

  test('is larger than the log is now: the log shrank, with both checkpoints as the proof', async () => {
    const path = fresh();
    await look(path, at(700));
    for (const options of [{}, { fromStart: true }]) {
      const report = await look(path, at(300), options);
      expect(problemsOf(report)[0]).toMatch(/^300: the log shrank: its checkpoint is of 300 entries, and one of 700/);
      expect(report.conflict).toEqual({
        before: at(700).get('checkpoint')!.toString(),
        now: at(300).get('checkpoint')!.toString(),
      });
    }
    // The larger one is still what is remembered.
    expect(problemsOf(await look(path, at(700)))).toEqual([]);
  });

  test('has another root at the same size: a fork', async () => {
    const path = fresh();
    await look(path, at(300));
    const report = await look(path, logFiles(rewritten.slice(0, 300)));
    expect(problemsOf(report)[0]).toContain('two checkpoints of 300 entries with different roots');
    expect(report.conflict).toBeDefined();
  });

  test.each([{}, { fromStart: true }])(
    'is not the start of a log that was rewritten and signed again %j',
    async (options) => {
      const path = fresh();
      await look(path, at(400));
      const report = await look(path, logFiles(rewritten), options);
      expect(problemsOf(report)[0]).toMatch(/^399: the log was rewritten: the tree of 700 entries/);
      expect(report.conflict?.now).toBe(logFiles(rewritten).get('checkpoint')!.toString());
      expect((await StateFile.open(path, LOG_KEY)).seen?.head.size).toBe(400);
    },
  );

  test('is found by the entries where the hash tiles cannot say it', async () => {
    const path = fresh();
    await look(path, at(400));
    const files = logFiles(rewritten);
    const damaged = withFile(files, 'tile/1/000.p/2', flipped(files.get('tile/1/000.p/2')!, 0));
    const report = await look(path, damaged, { fromStart: true });
    expect(problemsOf(report).join('\n')).toContain('the log was rewritten');
    expect(report.conflict).toBeDefined();
  });

  test('is remembered of a signed checkpoint even where the entries do not fit it', async () => {
    const path = fresh();
    await look(path, at(300));
    const broken = withFile(at(700), 'tile/entries/002.p/188', undefined);
    expect((await look(path, broken)).findings.count).toBe(1);
    expect((await StateFile.open(path, LOG_KEY)).seen?.head.size).toBe(700);
    expect(problemsOf(await look(path, at(600)))[0]).toContain('the log shrank');
    // What was wrong with the copy is forgotten once it is put right.
    expect(await look(path, at(700))).toMatchObject({ first: 300, reached: 700, findings: { count: 0 } });
  });
});

test('memory stays flat: five times the entries need no more of it', async () => {
  const small = await peakOf(20_000);
  const large = await peakOf(100_000);
  expect(small.findings + large.findings).toBe(0);
  expect(large.reached).toBe(100_000);
  // The larger log is some 75 MB more of files. What may differ is how late garbage is collected.
  expect(large.peakMb - small.peakMb).toBeLessThan(40);
}, 120_000);

interface Peak {
  readonly reached: number;
  readonly findings: number;
  readonly peakMb: number;
}

/** Verifies a log of this many entries in a process of its own, with the built program: its memory is nothing else's. */
async function peakOf(count: number): Promise<Peak> {
  const directory = fresh();
  writeFiles(directory, logFiles(genuineEntries(count)));
  const dist = (name: string) => new URL(`../../dist/${name}.js`, import.meta.url).href;
  const script = `
    const { directorySource } = await import('${dist('audit/directory-source')}');
    const { verifyLog } = await import('${dist('audit/verify-log')}');
    const { parseVerifierKey } = await import('${dist('translog/note')}');
    const trust = { logKey: parseVerifierKey('${SIGNER.verifierKey}') };
    let peakMb = 0;
    // Not resourceUsage: what it says at most is that of the process that this one was forked from.
    const onProgress = () => { peakMb = Math.max(peakMb, process.memoryUsage.rss() / 1024 / 1024); };
    const source = directorySource('${directory}');
    const { value } = await verifyLog({ source, trust, now: () => 0, onProgress });
    process.stdout.write(JSON.stringify({ reached: value.reached, findings: value.findings.count, peakMb }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  rmSync(directory, { recursive: true });
  return JSON.parse(stdout) as Peak;
}

test('the samples are entries as a broker composes them', () => {
  const composed = composeEntry('release', releaseBody(6), { timeMs: START_MS + 6, generation: 5 });
  expect(genuineEntry(6)).toBe(composed.text);
});
