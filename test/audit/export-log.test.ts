import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { directorySource } from '../../src/audit/directory-source.js';
import { exportLog } from '../../src/audit/export-log.js';
import { httpSource } from '../../src/audit/http-source.js';
import { LogFault, openLog, signedEntries } from '../../src/audit/signed-log.js';
import type { LogSource } from '../../src/audit/source.js';
import { verifyLog } from '../../src/audit/verify-log.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import {
  flipped,
  genuineEntries,
  genuineEntry,
  LOG_KEY,
  logFiles,
  memorySource,
  ORIGIN,
  serveFiles,
  SIGNER,
  withFile,
} from './sample-log.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-audit-'));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
let directory: string;
beforeEach(() => {
  directory = join(root, String(made++));
});

const ENTRIES = genuineEntries(700);
const logs = new Map<number, Map<string, Buffer>>();

function at(size: number): Map<string, Buffer> {
  const files = logs.get(size) ?? logFiles(ENTRIES.slice(0, size));
  logs.set(size, files);
  return files;
}
const trust = { logKey: LOG_KEY };

async function copy(source: LogSource, verifierKey = SIGNER.verifierKey) {
  const options = { source, directory, verifierKey, trust: { logKey: parseVerifierKey(verifierKey) } };
  const report = await exportLog(options);
  if (!report.ok) throw new Error(`${report.reason}: ${report.detail}`);
  return report.value;
}

/** Every file below the directory by its path, in base64: jest compares texts a thousand times faster than buffers. */
function filesIn(): Map<string, string> {
  const names = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  const paths = names.map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1));
  return new Map(paths.sort().map((path) => [path, readFileSync(join(directory, path), 'base64')]));
}

/** The same of what is exported, with the key beside it. */
function exported(files: ReadonlyMap<string, Buffer>): Map<string, string> {
  const all = [...files, ['log-key', Buffer.from(`${SIGNER.verifierKey}\n`)] as const];
  return new Map(all.sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, content]) => [path, content.toString('base64')]));
}

/** Counts what is fetched. */
function counting(source: LogSource): LogSource & { readonly fetched: string[] } {
  const fetched: string[] = [];
  const tile: LogSource['tile'] = (name) => {
    fetched.push(`${String(name.level)}/${String(name.index)}/${String(name.width)}`);
    return source.tile(name);
  };
  return { ...source, tile, fetched };
}

describe('an exported log', () => {
  test.each([0, 1, 255, 256, 257, 512, 700])(
    'of %i entries is the files of the log, and verifies without a broker',
    async (size) => {
      await copy(memorySource(at(size)));
      expect(filesIn()).toEqual(exported(at(size)));
      const report = await verifyLog({ source: directorySource(directory), trust, now: () => 0 });
      expect(report).toMatchObject({ ok: true, value: { reached: size } });
      expect(report.ok && report.value.findings.count).toBe(0);
    },
  );

  test('is brought up to date: full tiles are not fetched twice, partial ones of before are gone', async () => {
    for (const size of [3, 300, 301, 512, 700]) {
      await copy(memorySource(at(size)));
      expect(filesIn()).toEqual(exported(at(size)));
    }
    const source = counting(memorySource(at(700)));
    expect(await copy(source)).toMatchObject({ first: 512 });
    expect(source.fetched.filter((name) => name.endsWith('/256'))).toEqual([]);
  });

  test('that was interrupted goes on where it was, fetching no full tile twice', async () => {
    const first = counting(memorySource(at(700)));
    const breaking = {
      ...first,
      tile: (name: Parameters<LogSource['tile']>[0]) => {
        if (name.level === 'entries' && name.index === 2) throw new Error('the line is cut');
        return first.tile(name);
      },
    };
    await expect(copy(breaking)).rejects.toThrow('the line is cut');
    expect(filesIn().has('checkpoint')).toBe(false);
    const second = counting(memorySource(at(700)));
    expect(await copy(second)).toMatchObject({ first: 0 });
    const full = [...first.fetched, ...second.fetched].filter((name) => name.endsWith('/256'));
    expect(new Set(full).size).toBe(full.length);
    expect(filesIn()).toEqual(exported(at(700)));
  });

  test('mends full tiles that were damaged before the export was finished', async () => {
    await copy(memorySource(at(700)));
    for (const path of [
      'tile/0/001',
      'tile/entries/000',
      'tile/entries/001',
      'tile/entries/002.p/188',
      'tile/0/002.p/188',
    ]) {
      const whole = readFileSync(join(directory, path));
      for (const damaged of [flipped(whole, 70), whole.subarray(0, 50), Buffer.alloc(0)]) {
        writeFileSync(join(directory, path), damaged);
        rmSync(join(directory, 'checkpoint'));
        await copy(memorySource(at(700)));
        expect(filesIn()).toEqual(exported(at(700)));
      }
    }
  });

  test('takes in nothing that is not of the signed tree', async () => {
    for (const path of [...at(700).keys()].filter((each) => each !== 'checkpoint')) {
      directory = join(root, String(made++));
      const changed = withFile(at(700), path, flipped(at(700).get(path)!, 100 % at(700).get(path)!.length));
      await expect(copy(memorySource(changed))).rejects.toThrow(LogFault);
      const kept = filesIn();
      expect(kept.has('checkpoint')).toBe(false);
      for (const [name, content] of kept) expect(content).toEqual(exported(at(700)).get(name));
      await expect(copy(memorySource(withFile(at(700), path, undefined)))).rejects.toThrow(LogFault);
    }
  });

  test('stays as it is where the log shrank, forked, or was rewritten', async () => {
    await copy(memorySource(at(400)));
    const before = filesIn();
    const other = ENTRIES.map((entry, index) => (index === 7 ? genuineEntry(9000) : entry));
    await expect(copy(memorySource(at(300)))).rejects.toThrow('the log shrank');
    await expect(copy(memorySource(logFiles(other.slice(0, 400))))).rejects.toThrow('two checkpoints of 400 entries');
    const fault = await copy(memorySource(logFiles(other))).catch((error: unknown) => error);
    expect(fault).toMatchObject({ name: 'LogFault', message: expect.stringContaining('the log was rewritten') });
    expect((fault as LogFault).conflict?.before).toBe(at(400).get('checkpoint')!.toString());
    expect(filesIn()).toEqual(before);
  });

  test('goes into no directory that holds something else, or another log', async () => {
    mkdirSync(directory);
    writeFileSync(join(directory, 'thesis.tex'), '');
    await expect(copy(memorySource(at(7)))).rejects.toThrow('holds something else than an exported log');
    rmSync(join(directory, 'thesis.tex'));
    await copy(memorySource(at(7)));
    const stranger = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 8));
    await expect(copy(memorySource(logFiles(ENTRIES, stranger)), stranger.verifierKey)).rejects.toThrow(
      'holds another log',
    );
    writeFileSync(join(directory, 'checkpoint'), 'x');
    await expect(copy(memorySource(at(7)))).rejects.toThrow('its checkpoint is damaged');
  });

  test('is of a log whose checkpoint is not signed by the key: refused, with its reason', async () => {
    const stranger = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 8));
    await expect(copy(memorySource(logFiles(ENTRIES, stranger)))).rejects.toThrow('checkpoint.signature');
  });

  test('comes over HTTP as well', async () => {
    const served = await serveFiles(at(700));
    const source = httpSource({ url: served.url });
    await copy(source).finally(() => source.close());
    await served.close();
    expect(filesIn()).toEqual(exported(at(700)));
  });
});

describe('entries that are read one by one', () => {
  async function read(source: LogSource, first: number, end: number): Promise<string[]> {
    const log = await openLog(source, trust);
    if (!log.ok) throw new Error(log.reason);
    const texts: string[] = [];
    for await (const { index, text } of signedEntries(source, log.value.tiles, first, end)) {
      expect(text).toBe(ENTRIES[index]);
      texts.push(text);
    }
    return texts;
  }

  test.each([
    [0, 0],
    [0, 1],
    [250, 260],
    [256, 512],
    [699, 700],
    [0, 700],
  ])('from %i up to %i are those of the log', async (first, end) => {
    expect(await read(memorySource(at(700)), first, end)).toEqual(ENTRIES.slice(first, end));
  });

  test('are refused at the first that is not in the signed tree', async () => {
    const entries = [...ENTRIES];
    entries[300] = genuineEntry(9000);
    const files = new Map([...at(700), ['tile/entries/001', logFiles(entries).get('tile/entries/001')!]]);
    const fault = await read(memorySource(files), 250, 310).catch((error: unknown) => error);
    expect(fault).toMatchObject({ name: 'LogFault', finding: { index: 300 } });
    expect(await read(memorySource(files), 0, 256)).toHaveLength(256);
  });

  test('that are not canonical are shown for what they are: logged all the same', async () => {
    const source = memorySource(logFiles([...ENTRIES.slice(0, 3), '{"b":1,"a":2}', Buffer.of(0xff)]));
    const log = await openLog(source, trust);
    if (!log.ok) throw new Error(log.reason);
    const members: unknown[] = [];
    for await (const entry of signedEntries(source, log.value.tiles, 2, 5)) members.push(entry.members);
    expect(members).toEqual([expect.objectContaining({ type: 'policy.registered' }), undefined, undefined]);
  });

  test('come from a log that only grows: each checkpoint is held against the one before', async () => {
    const before = await openLog(memorySource(at(300)), trust);
    if (!before.ok) throw new Error(before.reason);
    const seen = before.value.checkpoint;
    expect((await openLog(memorySource(at(300)), trust, seen)).ok).toBe(true);
    expect((await openLog(memorySource(at(700)), trust, seen)).ok).toBe(true);
    await expect(openLog(memorySource(at(299)), trust, seen)).rejects.toThrow('the log shrank');
    const other = logFiles(ENTRIES.map((entry, index) => (index === 299 ? genuineEntry(9000) : entry)));
    await expect(openLog(memorySource(other), trust, seen)).rejects.toThrow('the log was rewritten');
  });
});
