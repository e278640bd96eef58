/** What the commands say of a log that goes on with what was left of another one, and of what hostile logs write. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { oneLine, plainJson } from '../../src/cli/output.js';
import { toBase64url } from '../../src/bytes/base64url.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { Cosigner } from '../../src/translog/cosignature.js';
import { composeEntry, type EntryBody } from '../../src/translog/entry.js';
import { Pseudonyms } from '../../src/translog/names.js';
import { parseNote } from '../../src/translog/note.js';
import {
  genuineEntries,
  genuineEntry,
  hex,
  logFiles,
  ORIGIN,
  serveFiles,
  SIGNER,
  START_MS,
  writeFiles,
} from '../audit/sample-log.js';
import { ReferenceTree } from '../helpers/rfc6962.js';
import { noteSigner } from '../translog/note-signer.js';
import { onlyJson, portcullis } from './harness.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-log-'));
afterAll(() => rmSync(root, { recursive: true }));
let made = 0;
const fresh = () => join(root, String(made++));

const NEXT = new CheckpointSigner('broker-1/fedcba9876543210', Buffer.alloc(32, 9));
const SURVIVED = 300;
const GENERATION = 6;

type Files = ReadonlyMap<string, Uint8Array>;

function rootOf(entries: readonly string[], size = entries.length): string {
  return new ReferenceTree((index) => Buffer.from(entries[index]!)).mth(0, size).toString('hex');
}

/** A log that goes on with these entries under another key. */
function goneOnWith(entries: readonly string[], known: EntryBody = {}): Files {
  const body = {
    ...{ log_origin: NEXT.origin, previous_origin: ORIGIN, previous_size: String(entries.length) },
    ...{ previous_root: rootOf(entries), frozen_keys: 1, detail_sha256: hex('detail'), ...known },
  };
  const at = { timeMs: START_MS + entries.length, generation: GENERATION };
  return logFiles([...entries, composeEntry('log.rollback_accepted', body, at).text], NEXT);
}

function directoryOf(files: Files): string {
  const directory = fresh();
  writeFiles(directory, files);
  return directory;
}

/** A home in which the former log was audited when it had this many entries. */
async function homeAfter(size: number): Promise<string> {
  const home = fresh();
  expect((await verify(logFiles(genuineEntries(size)), home, SIGNER.verifierKey)).code).toBe(0);
  return home;
}

async function verify(files: Files, home: string, key: string, ...more: readonly string[]) {
  const line = ['log', 'verify', '--dir', directoryOf(files), '--log-key', key, ...more];
  const { code, stdout } = await portcullis(line, { cwd: root, env: { XDG_STATE_HOME: home } });
  return { code, stdout };
}

async function verifyNext(files: Files, home: string) {
  const text = await verify(files, home, NEXT.verifierKey);
  const json = await verify(files, home, NEXT.verifierKey, '--json');
  expect(json.code).toBe(text.code);
  return { code: text.code, stdout: text.stdout, json: onlyJson(json.stdout) };
}

const KNOWN = { newest_known_size: '310', newest_known_root: hex('root') };

describe('an accepted rollback', () => {
  test('is shown, with when, what was lost and of which log, in a log that is in order; and by every later run', async () => {
    const { code, stdout, json } = await verifyNext(goneOnWith(genuineEntries(SURVIVED), KNOWN), fresh());
    expect(code).toBe(0);
    expect(stdout).toContain('is in order: 301 entries');
    expect(stdout).toMatch(/\nNOTICE: a rollback was accepted/);
    expect(stdout).toMatch(/\n300 +2026-11-22T00:00:00\.300Z +300 +10 or more +broker-1\/0123456789abcdef/);
    expect(stdout).toContain('this auditor remembers nothing of the former log');
    // The second run goes on from the state file of the first.
    expect(json).toMatchObject({ ok: true, first: 301, findings: [], rollback_count: 1 });
    expect(json['rollbacks']).toEqual([
      {
        ...{ index: 300, time: '2026-11-22T00:00:00.300Z', log_origin: NEXT.origin, previous_origin: ORIGIN },
        ...{ previous_size: '300', previous_root: rootOf(genuineEntries(SURVIVED)), ...KNOWN, lost: 10 },
        says: expect.stringContaining('remembers nothing'),
      },
    ]);
  });

  test('says so where no checkpoint showed the loss, and is absent where there was none', async () => {
    expect((await verifyNext(goneOnWith(genuineEntries(SURVIVED)), fresh())).stdout).toMatch(
      /\n300 .* not known +broker/,
    );
    const { stdout } = await verify(logFiles(genuineEntries(9)), fresh(), SIGNER.verifierKey, '--json');
    expect(onlyJson(stdout)).toMatchObject({ rollbacks: [], rollback_count: 0 });
  });

  test('is held against what was seen of the former log: more than survives', async () => {
    const { code, stdout, json } = await verifyNext(
      goneOnWith(genuineEntries(SURVIVED), KNOWN),
      await homeAfter(SURVIVED + 20),
    );
    expect(code).toBe(0);
    expect(stdout).toContain(
      'this auditor saw 320 of the former log, while the broker speaks of 310; 20 of them are lost',
    );
    expect(json['rollbacks']).toMatchObject([{ seen: { size: 320, verdict: 'more-seen' } }]);
  });

  test.each([SURVIVED, 257, 1])('is in order where the %i entries that were seen survive', async (size) => {
    const { code, stdout, json } = await verifyNext(goneOnWith(genuineEntries(SURVIVED)), await homeAfter(size));
    expect(code).toBe(0);
    expect(stdout).toContain(`the ${String(size)} entries of the former log that this auditor saw survive`);
    expect(json['rollbacks']).toMatchObject([{ seen: { size, verdict: 'survived' } }]);
  });

  test.each([SURVIVED, 257, 7])('is a finding where the %i entries that were seen were others', async (size) => {
    const entries = genuineEntries(SURVIVED);
    entries[6] = genuineEntry(6).replace('e11e', 'e11f');
    const { code, stdout, json } = await verifyNext(goneOnWith(entries), await homeAfter(size));
    expect(code).toBe(1);
    expect(stdout).toMatch(/\nNOTICE: [^]*\nOne finding:\n[^]*another history is gone on with than was seen/);
    expect(json).toMatchObject({ finding_count: 1, findings: [{ index: 300 }] });
    expect(json['rollbacks']).toMatchObject([{ seen: { size, verdict: 'another-history' } }]);
  });

  test('is not looked at with a damaged state file of the former log: that is an error', async () => {
    const home = await homeAfter(SURVIVED);
    const name = createHash('sha256').update(ORIGIN).digest('hex').slice(0, 16);
    writeFileSync(join(home, 'portcullis', 'log', `${name}.json`), '{}');
    const { code } = await verify(goneOnWith(genuineEntries(SURVIVED)), home, NEXT.verifierKey);
    expect(code).toBe(2);
  });
});

describe('what is not proved', () => {
  const lines = (stdout: string) => (onlyJson(stdout)['not_proved'] as string[]).join('\n');

  test('is that the log is as it stands now: the newest entry and cosignature are named', async () => {
    const files = new Map(logFiles(genuineEntries(9)));
    const plain = await verify(files, fresh(), SIGNER.verifierKey, '--json');
    expect(lines(plain.stdout)).toMatch(
      /an old checkpoint verifies for ever: its newest entry is of 2026-11-22T00:00:00\.008Z$/m,
    );
    expect(onlyJson(plain.stdout)).toMatchObject({ newest_entry_at: '2026-11-22T00:00:00.008Z' });
    const witness = new Cosigner('witness.example', Buffer.alloc(32, 3));
    const checkpoint = files.get('checkpoint')!.toString();
    const line = witness.cosign(parseNote(checkpoint).text, 1_795_000_000);
    files.set('checkpoint', Buffer.from(checkpoint + line));
    const cosigned = await verify(files, fresh(), SIGNER.verifierKey, '--json', '--witness', witness.verifierKey);
    expect(lines(cosigned.stdout)).toContain('.008Z, its newest cosignature of 2026-11-18T11:06:40.000Z');
  });

  test('is that a salted name has one pseudonym', async () => {
    const home = fresh();
    const { stdout } = await verify(logFiles(saltedSetUp()), home, SIGNER.verifierKey, '--json');
    expect(lines(stdout)).toContain('one pseudonym alone');
    const plain = await verify(logFiles(genuineEntries(9)), fresh(), SIGNER.verifierKey, '--json');
    expect(lines(plain.stdout)).not.toContain('pseudonym');
  });
});

const PSEUDONYMS = new Pseudonyms(Buffer.alloc(32, 5));

function saltedSetUp(): string[] {
  return genuineEntries(5).map((text) => {
    const { type, time, state_generation: generation, ...body } = JSON.parse(text) as Record<string, string>;
    return composeEntry(type!, body, { timeMs: Date.parse(time!), generation: Number(generation) }, PSEUDONYMS).text;
  });
}

describe('a query of an exported log by deployment', () => {
  const types = async (files: Files, ...more: readonly string[]) => {
    const line = ['log', 'query', '--dir', directoryOf(files), '--log-key', SIGNER.verifierKey, '--json'];
    const { code, stdout } = await portcullis([...line, '--deployment', 'llm', ...more], { cwd: root });
    expect(code).toBe(0);
    return (onlyJson(stdout)['items'] as { entry: { type: string } }[]).map(({ entry }) => entry.type);
  };
  const linked = (index: number, generation: number, lists: object) =>
    composeEntry(
      'key.linked',
      { actor: '0123456789abcdef', key: 'weights', ...lists },
      {
        timeMs: START_MS + index,
        generation,
      },
    ).text;

  test('finds entries that list it', async () => {
    const unlinked = linked(5, 6, { linked: [], unlinked: ['llm'] });
    const again = linked(6, 7, { linked: ['llm'], unlinked: [] });
    const files = logFiles([...genuineEntries(5), unlinked, again]);
    const before = ['key.created', 'attester.trusted', 'policy.registered', 'deployment.applied'];
    expect(await types(files)).toEqual(['key.linked', 'key.linked', ...before]);
    expect(await types(files, '--key', 'weights')).toEqual(['key.linked', 'key.linked', 'key.created']);
    expect(await types(files, '--key', 'other')).toEqual([]);
  });

  test('finds them by their salts', async () => {
    writeFileSync(join(root, 'names.json'), JSON.stringify({ llm: toBase64url(PSEUDONYMS.salt('deployment', 'llm')) }));
    const files = logFiles(saltedSetUp());
    expect(await types(files, '--type', 'key.created')).toEqual([]);
    expect(await types(files, '--type', 'key.created', '--names', 'names.json')).toEqual(['key.created']);
  });

  test('over a broker does not, and --help says so', async () => {
    const { stdout } = await portcullis(['log', 'query', '--help']);
    expect(stdout.replace(/\s+/g, ' ')).toContain('a broker does not look at lists');
  });
});

describe('a hostile log', () => {
  const FORGED = 'The log broker-1/0123456789abcdef is in order.';
  const TURNED = `\u009b31m\u202e\u2066${FORGED}`;

  const signer = noteSigner(ORIGIN, 1);
  const stranger = noteSigner('stranger', 1);

  /** A checkpoint of the log key with lines of its own choice, and a signature line of a stranger. */
  function hostile(size: number): Files {
    const files = new Map(logFiles(genuineEntries(size)));
    const text = `${parseNote(files.get('checkpoint')!.toString()).text}${FORGED}\n${TURNED}\n`;
    files.set('checkpoint', Buffer.from(`${text}\n${signer.line(text)}${stranger.line(text)}`));
    return files;
  }

  test('puts no line of its own among those of ours', async () => {
    const home = fresh();
    expect((await verify(hostile(300), home, signer.vkey)).code).toBe(0);
    const { code, stdout } = await verify(hostile(10), home, signer.vkey);
    expect(code).toBe(1);
    expect(stdout).toContain('the log shrank');
    expect(stdout).not.toContain(FORGED);
    expect(stdout).not.toContain('— stranger');
    const shown = stdout.slice(stdout.indexOf('The checkpoint that was seen before')).trimEnd().split('\n');
    expect(shown.filter((line) => /^\S/.test(line))).toEqual([
      'The checkpoint that was seen before:',
      'The checkpoint of now:',
    ]);
    expect(shown.filter((line) => line.startsWith(`    — ${ORIGIN} `))).toHaveLength(2);
    expect(shown.filter((line) => line.startsWith('    (and 3 more lines, not shown'))).toHaveLength(2);
  });

  test('writes nothing into JSON that a terminal obeys, and the JSON says the same', async () => {
    const { stdout } = await verify(hostile(10), fresh(), signer.vkey, '--json');
    expect(stdout).not.toMatch(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    expect(stdout).toContain('\\u009b31m\\u202e\\u2066');
    expect(onlyJson(stdout)['checkpoint']).toContain(TURNED);
  });

  test('puts no line and no control character into log tail, nor into what it follows', async () => {
    const forged = `${FORGED}\n0  2026-11-22T00:00:00.000Z  release\n${TURNED}`;
    let polls = 0;
    const long = logFiles([...genuineEntries(9), forged]);
    const served = await serveFiles(long, (path, _request, response) => {
      // What is followed ends with a log that shrinks.
      if (path !== 'checkpoint' || polls++ % 2 === 0) return false;
      response.end(logFiles(genuineEntries(5)).get('checkpoint'));
      return true;
    });
    const line = ['log', 'tail', '--url', served.url.href, '--log-key', SIGNER.verifierKey, '-n', '1'];
    const follow = await portcullis([...line, '--follow', '--interval', '1']);
    polls = 0;
    const followed = await portcullis([...line, '--follow', '--interval', '1', '--json']);
    polls = 0;
    const { stdout } = await portcullis([...line, '--json']);
    await served.close();
    expect(follow.stdout).toMatch(/^9 +\(not canonical\) .*\nOne finding:\n/);
    expect(onlyJson(stdout)['items']).toEqual([{ index: 9, text: forged }]);
    expect(JSON.parse(followed.stdout.split('\n')[0]!)).toEqual({ index: 9, text: forged });
    for (const each of [follow, followed, { stdout }]) {
      expect(each.stdout).not.toMatch(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    }
  });

  test.each([
    ['\u009b', '\\u009b'],
    ['\u007f', '\\u007f'],
    ['\u202e', '\\u202e'],
    ['\u2069', '\\u2069'],
    ['\u200f', '\\u200f'],
  ])('has %j escaped as %s', (character, escaped) => {
    expect(plainJson({ [character]: character })).toBe(`{"${escaped}":"${escaped}"}`);
    expect(JSON.parse(plainJson([character]))).toEqual([character]);
    expect(oneLine(`a\n${character}b`)).toBe('a \ufffdb');
  });
});
