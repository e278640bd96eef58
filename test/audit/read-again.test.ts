import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { chooseBundles, type RereadOptions } from '../../src/audit/read-again.js';
import { type LogSource, LogSourceError } from '../../src/audit/source.js';
import { StateFile } from '../../src/audit/state-file.js';
import { type LogReport, verifyLog, type VerifyLogOptions } from '../../src/audit/verify-log.js';
import { flipped, genuineEntries, genuineEntry, LOG_KEY, logFiles, memorySource, withFile } from './sample-log.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-again-'));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const fresh = (): string => join(root, String(made++));

const ENTRIES = genuineEntries(1100);
const at = (size: number) => logFiles(ENTRIES.slice(0, size));
const OLD = at(700);
const NEW = at(1100);

type Files = ReadonlyMap<string, Uint8Array>;

const ALL: RereadOptions = { bundles: 1000, random: () => 0 };
const NONE: RereadOptions = { bundles: 0, random: () => 0 };
/** One bundle: this one. */
const only = (index: number): RereadOptions => ({ bundles: 1, random: () => index });

async function look(path: string, source: Files | LogSource, options: Partial<VerifyLogOptions>): Promise<LogReport> {
  const memory = await StateFile.open(path, LOG_KEY);
  const from = 'tile' in source ? source : memorySource(source);
  const report = await verifyLog({ source: from, trust: { logKey: LOG_KEY }, now: () => 0, memory, ...options });
  if (!report.ok) throw new Error(`${report.reason}: ${report.detail}`);
  return report.value;
}

/** A state file after a run over the first 700 entries: three bundles, the last one partial. */
async function after700(): Promise<string> {
  const path = fresh();
  expect((await look(path, OLD, { reread: ALL })).findings.count).toBe(0);
  return path;
}

const problemsOf = ({ findings }: LogReport) =>
  findings.kept.map(({ index, problem }) => `${String(index)}: ${problem}`);

/** The files of `NEW` with the entries of a bundle changed at one place, beneath the signed hash tiles. */
function changedEntry(index: number, files = NEW, entries = ENTRIES): Files {
  const others = [...entries];
  others[index] = genuineEntry(9000 + index);
  const path = [...files.keys()].find((each) => each.startsWith(`tile/entries/00${String(Math.floor(index / 256))}`))!;
  return withFile(files, path, logFiles(others).get(path));
}

describe('what earlier runs verified', () => {
  test('is read again where that is asked for, all of it if need be', async () => {
    const path = await after700();
    const report = await look(path, NEW, { reread: ALL });
    expect(report).toMatchObject({ first: 700, reached: 1100, reread: { bundles: 3, of: 3, entries: 700 } });
    expect(report.findings.count).toBe(0);
    expect((await look(path, NEW, { reread: ALL })).reread).toEqual({ bundles: 5, of: 5, entries: 1100 });
    expect((await look(path, NEW, { reread: only(1) })).reread).toEqual({ bundles: 1, of: 5, entries: 256 });
    expect((await look(path, NEW, { reread: only(4) })).reread).toEqual({ bundles: 1, of: 5, entries: 76 });
    expect((await look(path, NEW, { reread: NONE })).reread).toEqual({ bundles: 0, of: 5, entries: 0 });
  });

  test('is nothing in a first run and in one from the start, nor where nothing was asked for', async () => {
    const path = fresh();
    expect((await look(path, OLD, { reread: ALL })).reread).toBeUndefined();
    expect((await look(path, OLD, { reread: ALL, fromStart: true })).reread).toBeUndefined();
    expect((await look(path, OLD, {})).reread).toBeUndefined();
  });

  test.each([0, 255, 256, 511, 512, 699])('and was changed since, entry %i, is found', async (index) => {
    const path = await after700();
    const report = await look(path, changedEntry(index), { reread: ALL });
    expect(problemsOf(report)).toEqual([
      `${String(index)}: the entry is not the one whose hash stands in the signed tree; earlier runs had found it right`,
    ]);
    expect(report.findings.kept[0]!.advice).toContain('the copy that was read was altered');
  });

  test('is found too where nothing has come since', async () => {
    const path = await after700();
    const report = await look(path, changedEntry(600, OLD, ENTRIES.slice(0, 700)), { reread: ALL });
    expect(problemsOf(report)[0]).toMatch(/^600: the entry is not the one/);
  });

  test.each([
    ['a bundle is gone', 'tile/entries/001', 256, /tile\/entries\/001 is missing; earlier runs/, /or the database/],
    ['a hash tile is gone', 'tile/0/001', 256, /tile\/0\/001 is missing; earlier runs/, /hash tiles/],
  ])('and %s: found, with advice', async (_what, file, index, problem, advice) => {
    const report = await look(await after700(), withFile(NEW, file, undefined), { reread: ALL });
    expect(report.findings.kept).toEqual([
      {
        index,
        problem: expect.stringMatching(problem) as unknown,
        advice: expect.stringMatching(advice) as unknown,
      },
    ]);
  });

  test('is found where entries and their hash tile were changed together', async () => {
    const others = [...ENTRIES];
    others[10] = genuineEntry(9010);
    const forged = logFiles(others);
    const files = new Map<string, Uint8Array>(NEW);
    for (const path of ['tile/entries/000', 'tile/0/000']) files.set(path, forged.get(path)!);
    const report = await look(await after700(), files, { reread: ALL });
    expect(problemsOf(report)).toEqual([
      '0: tile/0/000 is not the hash tile of the signed tree; earlier runs had found it right',
    ]);
  });

  test('is found where the last hash tile was changed, which a run without new entries does not compare', async () => {
    const path = await after700();
    const files = withFile(OLD, 'tile/0/002.p/188', flipped(OLD.get('tile/0/002.p/188')!, 5));
    expect((await look(path, files, { reread: NONE })).findings.count).toBe(0);
    const report = await look(path, files, { reread: ALL });
    expect(problemsOf(report)).toEqual([
      expect.stringMatching(/hash tiles at the end of the log do not give the root/),
    ]);
    expect(report.reread).toEqual({ bundles: 0, of: 3, entries: 0 });
  });

  test('is a finding for each bundle that is wrong', async () => {
    const files = changedEntry(300, changedEntry(3) as typeof NEW);
    expect((await look(await after700(), files, { reread: ALL })).findings.kept.map(({ index }) => index)).toEqual([
      3, 300,
    ]);
  });

  test('is not looked at in a log that is at fault elsewhere', async () => {
    const report = await look(await after700(), changedEntry(800, changedEntry(3) as typeof NEW), { reread: ALL });
    expect(report.reread).toBeUndefined();
    const found = report.findings.kept.map(({ index }) => index);
    expect(found).toContain(800);
    expect(found).not.toContain(3);
  });
});

describe('a changed bundle that one run has found', () => {
  test('is found by every later one, without luck, until it is put right', async () => {
    const path = await after700();
    const files = changedEntry(10);
    expect((await look(path, files, { reread: NONE })).findings.count).toBe(0);
    expect((await look(path, files, { reread: only(1) })).findings.count).toBe(0);
    expect((await look(path, files, { reread: only(0) })).findings.count).toBe(1);
    for (let run = 0; run < 2; run++) {
      const report = await look(path, files, { reread: NONE });
      expect([report.first, report.findings.kept[0]?.index]).toEqual([0, 10]);
    }
    expect(await look(path, NEW, { reread: NONE })).toMatchObject({ first: 0, reached: 1100, findings: { count: 0 } });
    expect(await look(path, NEW, { reread: NONE })).toMatchObject({ first: 1100, findings: { count: 0 } });
  });

  test('does not make the checkpoint forgotten that was seen', async () => {
    const path = await after700();
    await look(path, changedEntry(10), { reread: ALL });
    expect((await StateFile.open(path, LOG_KEY)).seen?.head.size).toBe(1100);
  });
});

test('a source that breaks off while old bundles are read is an error, and what is new is kept', async () => {
  const path = await after700();
  const source = memorySource(NEW);
  const breaking: LogSource = {
    ...source,
    tile: (name) => {
      if (name.level === 'entries' && name.index === 0) throw new LogSourceError('unreachable', 'the line is cut');
      return source.tile(name);
    },
  };
  await expect(look(path, breaking, { reread: ALL })).rejects.toThrow('the line is cut');
  expect((await StateFile.open(path, LOG_KEY)).progress()?.frontier.size).toBe(1100);
});

test('no more is read than was asked for', async () => {
  const path = await after700();
  await look(path, NEW, { reread: NONE });
  const source = memorySource(NEW);
  const read: string[] = [];
  const watching: LogSource = {
    ...source,
    tile: (name) => {
      if (name.level === 'entries') read.push(String(name.index));
      return source.tile(name);
    },
  };
  await look(path, watching, { reread: { bundles: 2, random: (below) => below - 1 } });
  expect(read).toEqual(['3', '4']);
});

describe('bundles', () => {
  /** Every way in which a fair source of randomness can answer. */
  function everySample(of: number, bundles: number): string[] {
    const samples: string[] = [];
    const draw = (answers: readonly number[]): void => {
      let asked = 0;
      let open = 0;
      const sample = chooseBundles(of, {
        bundles,
        random: (below) => {
          const answer = answers[asked++];
          if (answer === undefined && open === 0) open = below;
          return answer ?? 0;
        },
      });
      if (open === 0) samples.push(sample.join());
      else for (let next = 0; next < open; next++) draw([...answers, next]);
    };
    draw([]);
    return samples;
  }

  test.each([
    [5, 1, 5],
    [5, 2, 10],
    [6, 3, 20],
    [4, 4, 1],
  ])('of %i, %i are chosen in each of the %i ways equally often', (of, bundles, ways) => {
    const counts = new Map<string, number>();
    const samples = everySample(of, bundles);
    for (const sample of samples) counts.set(sample, (counts.get(sample) ?? 0) + 1);
    expect(counts.size).toBe(ways);
    expect(new Set(counts.values())).toEqual(new Set([samples.length / ways]));
  });

  test('so that a changed one is found with the probability that is stated, n of b', () => {
    const samples = everySample(6, 2).map((sample) => sample.split(','));
    for (const changed of ['0', '3', '5']) {
      expect(samples.filter((sample) => sample.includes(changed))).toHaveLength((samples.length * 2) / 6);
    }
  });

  test('are chosen once each, in order, and never more than there are', () => {
    const numbers = fc.array(fc.nat(), { minLength: 300, maxLength: 300 });
    fc.assert(
      fc.property(fc.nat(400), fc.nat(300), numbers, (of, bundles, values) => {
        let asked = 0;
        const chosen = chooseBundles(of, { bundles, random: (below) => (values[asked++ % 300] ?? 0) % below });
        expect(chosen).toHaveLength(Math.min(of, bundles));
        expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
        expect(chosen.every((index) => index >= 0 && index < of)).toBe(true);
      }),
    );
  });
});
