import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toBase64url } from '../../src/bytes/base64url.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { Cosigner } from '../../src/translog/cosignature.js';
import { composeEntry } from '../../src/translog/entry.js';
import { Pseudonyms } from '../../src/translog/names.js';
import { parseNote } from '../../src/translog/note.js';
import {
  AK_SPKI,
  flipped,
  genuineEntries,
  genuineEntry,
  hex,
  logFiles,
  ORIGIN,
  POLICY,
  releaseBody,
  type ServedLog,
  serveFiles,
  SIGNER,
  START_MS,
  withFile,
  writeFiles,
} from '../audit/sample-log.js';
import { fakeBroker, nobody, onlyJson, portcullis, problem, type RunOptions } from './harness.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-log-'));
let made = 0;
const fresh = () => join(root, String(made++));
const VKEY = SIGNER.verifierKey;
const ENTRIES = genuineEntries(700);
const FILES = logFiles(ENTRIES);

let served: ServedLog;
let directory: string;
/** What the server shows; tests may put another log in place. */
let shown: ReadonlyMap<string, Uint8Array> = FILES;
beforeAll(async () => {
  served = await serveFiles(new Map(), (path, _request, response) => {
    const content = shown.get(path);
    if (content === undefined) return false;
    response.end(content);
    return true;
  });
  directory = fresh();
  writeFiles(directory, FILES);
  writeFileSync(join(root, 'log.vkey'), `${VKEY}\n`);
  writeFileSync(join(root, 'init.json'), JSON.stringify({ broker: 'broker-1', log_key: VKEY }));
});
afterAll(async () => {
  await served.close();
  rmSync(root, { recursive: true });
});

/** Runs with a state directory of its own unless the test names one. */
function run(line: readonly string[], options: RunOptions & { readonly home?: string } = {}) {
  const { home = fresh(), env, ...rest } = options;
  const url = served.url.href.replace(/\/log$/, '');
  return portcullis(line, { cwd: root, ...rest, env: { PORTCULLIS_URL: url, XDG_STATE_HOME: home, ...env } });
}

async function during<T>(files: ReadonlyMap<string, Uint8Array>, work: () => Promise<T>): Promise<T> {
  shown = files;
  try {
    return await work();
  } finally {
    shown = FILES;
  }
}

describe('log verify', () => {
  test('says of a log in order what is proved and what is not', async () => {
    const { code, stdout, stderr } = await run(['log', 'verify', '--log-key', 'log.vkey']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`The log ${ORIGIN} is in order: 700 entries; 700 entries recomputed`);
    expect(stdout).toMatch(/\nProved:\n {2}- the log key signed a tree of 700 entries, and the entries give its root/);
    expect(stdout).toMatch(/\nNot proved:\n {2}- that the broker shows everybody the same log/);
    expect(stdout).toContain('this is the first look');
  });

  test('prints the same as one document', async () => {
    const { code, stdout, stderr } = await run(['log', 'verify', '--log-key', VKEY, '--json']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(onlyJson(stdout)).toMatchObject({
      ...{ ok: true, log: ORIGIN, size: 700, first: 0, reached: 700, findings: [], finding_count: 0, witnesses: [] },
      checkpoint: FILES.get('checkpoint')!.toString(),
      proved: expect.any(Array),
      not_proved: expect.any(Array),
    });
  });

  test('reads a directory, a URL with the prefix, and a log key in whatever form', async () => {
    for (const key of ['log.vkey', 'init.json', VKEY]) {
      expect((await run(['log', 'verify', '--dir', directory, '--log-key', key])).code).toBe(0);
    }
    expect((await run(['log', 'verify', '--url', served.url.href, '--log-key', VKEY])).code).toBe(0);
    expect((await run(['log', 'verify', '--url', `${served.url.href}/`, '--log-key', VKEY])).code).toBe(0);
  });

  test('remembers, below XDG_STATE_HOME, and goes on from there', async () => {
    const home = fresh();
    await during(logFiles(ENTRIES.slice(0, 300)), () => run(['log', 'verify', '--log-key', VKEY], { home }));
    expect(readdirSync(join(home, 'portcullis', 'log'))).toEqual([`${hex(ORIGIN).slice(0, 16)}.json`]);
    const again = await run(['log', 'verify', '--log-key', VKEY], { home });
    expect(again.stdout).toContain('700 entries; 400 entries recomputed');
    expect(again.stdout).toContain('those before 300 were recomputed by earlier runs');
    expect(again.stdout).toContain('all of the 300 entries of earlier runs were read again');
    expect(again.stdout).toContain('it starts with the 300 entries of the checkpoint that was seen before');
    const all = await run(['log', 'verify', '--log-key', VKEY, '--from-start', '--json'], { home });
    expect(onlyJson(all.stdout)).toMatchObject({ ok: true, first: 0, reached: 700, before: { size: 700 } });
  });

  test('falls back to ~/.local/state, and takes --state', async () => {
    const home = fresh();
    await run(['log', 'verify', '--log-key', VKEY], { env: { HOME: home, XDG_STATE_HOME: 'relative' } });
    expect(existsSync(join(home, '.local/state/portcullis/log'))).toBe(true);
    await run(['log', 'verify', '--log-key', VKEY, '--state', 'named.json']);
    expect(existsSync(join(root, 'named.json'))).toBe(true);
  });

  test('exits 1 with findings, each with its entry and what to do', async () => {
    const path = 'tile/entries/001';
    const files = withFile(FILES, path, flipped(FILES.get(path)!, 500));
    const { code, stdout } = await during(files, () => run(['log', 'verify', '--log-key', VKEY]));
    expect(code).toBe(1);
    expect(stdout).toContain('is NOT in order');
    expect(stdout).toMatch(/\nOne finding:\n|\n\d findings:\n/);
    expect(stdout).toMatch(/\n256 +the entry is not the one whose hash stands in the signed tree/);
    expect(stdout).toMatch(/\nWhat to do:\n {2}- the copy that was read was altered/);
    const asJson = await during(files, () => run(['log', 'verify', '--log-key', VKEY, '--json']));
    expect(asJson.code).toBe(1);
    const document = onlyJson(asJson.stdout);
    expect(document).toMatchObject({
      ok: false,
      findings: expect.arrayContaining([expect.objectContaining({ index: 256 })]),
    });
    expect(document).not.toHaveProperty('proved');
  });

  test('prints both checkpoints where the log shrank: they are the proof', async () => {
    const home = fresh();
    await run(['log', 'verify', '--log-key', VKEY], { home });
    const small = logFiles(ENTRIES.slice(0, 10));
    const verify = (...more: string[]) =>
      during(small, () => run(['log', 'verify', '--log-key', VKEY, ...more], { home }));
    const { code, stdout } = await verify();
    expect(code).toBe(1);
    expect(stdout).toContain('the log shrank');
    for (const files of [FILES, small]) {
      const lines = files.get('checkpoint')!.toString().trim();
      expect(stdout).toContain(lines.replace(/^(?=.)/gm, '    '));
    }
    expect(onlyJson((await verify('--json')).stdout)).toMatchObject({
      ok: false,
      conflict: { before: FILES.get('checkpoint')!.toString(), now: small.get('checkpoint')!.toString() },
    });
  });

  test('exits 3 where there is no answer', async () => {
    const url = await nobody();
    const { code, stdout, stderr } = await run(['log', 'verify', '--log-key', VKEY, '--url', url, '--json']);
    expect(code).toBe(3);
    expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'unreachable' });
    expect(stderr).toBe(`portcullis: cannot reach the broker at ${url}/log: connection refused; check --url\n`);
  });

  test('exits 2 where it is used wrongly', async () => {
    const usage = async (...line: string[]) => {
      const { code, stderr } = await run(['log', 'verify', ...line]);
      expect(code).toBe(2);
      return stderr;
    };
    expect(await usage()).toContain('--log-key');
    expect(await usage('--log-key', VKEY, '--dir', 'nowhere')).toContain('cannot read nowhere: there is no such file');
    expect(await usage('--log-key', VKEY, '--dir', 'log.vkey')).toContain('is not a directory');
    expect(await usage('--log-key', VKEY, '--quorum', '1')).toContain('--quorum 1 needs as many --witness');
    writeFileSync(join(root, 'bad.json'), '{}');
    expect(await usage('--log-key', VKEY, '--state', 'bad.json')).toMatch(/the state file .*bad\.json is damaged/);
    await run(['log', 'verify', '--log-key', VKEY, '--state', 'of-one.json']);
    const other = new CheckpointSigner('broker-2/0123456789abcdef', Buffer.alloc(32, 1)).verifierKey;
    expect(await usage('--log-key', other, '--state', 'of-one.json')).toContain('is of another log');
  });

  test('exits 1 with a reason where checkpoint or key are not what they should be', async () => {
    const reason = async (...line: string[]) => {
      const { code, stdout } = await run(['log', 'verify', '--json', ...line]);
      expect(code).toBe(1);
      return onlyJson(stdout)['reason'];
    };
    writeFileSync(join(root, 'no.vkey'), 'hello');
    expect(await reason('--log-key', 'no.vkey')).toBe('checkpoint.signature');
    const stranger = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 1)).verifierKey;
    expect(await reason('--log-key', stranger)).toBe('checkpoint.signature');
    const empty = fresh();
    writeFiles(empty, new Map([['x', Buffer.alloc(0)]]));
    expect(await reason('--log-key', VKEY, '--dir', empty)).toBe('checkpoint.malformed');
    const broker = await fakeBroker();
    broker.answer(problem(503, 'store.integrity'));
    expect(await reason('--log-key', VKEY, '--url', broker.url)).toBe('store.integrity');
    await broker.close();
  });

  test('demands the witnesses that are named', async () => {
    const witness = new Cosigner('w.example/1', Buffer.alloc(32, 3));
    const plain = FILES.get('checkpoint')!.toString();
    const text = plain + witness.cosign(parseNote(plain).text, 1_800_000_000);
    const line = ['log', 'verify', '--log-key', VKEY, '--witness', witness.verifierKey, '--json'];
    expect(onlyJson((await run(line)).stdout)).toMatchObject({ ok: false, reason: 'checkpoint.cosignature' });
    const cosigned = withFile(FILES, 'checkpoint', Buffer.from(text));
    const { stdout } = await during(cosigned, () => run(line));
    expect(onlyJson(stdout)).toMatchObject({
      ok: true,
      witnesses: [{ name: 'w.example/1', time: '2027-01-15T08:00:00.000Z' }],
    });
  });

  test('shows how far it is: a bar on a terminal, lines elsewhere, nothing with --json', async () => {
    const clock = (step: number) => {
      let now = 0;
      return { now: () => (now += step) };
    };
    const line = ['log', 'verify', '--dir', directory, '--log-key', VKEY];
    const bar = await run(line, { isTerminal: true, parts: clock(1000) });
    // eslint-disable-next-line no-control-regex -- it is what is drawn
    expect(bar.stderr).toMatch(/\r\u001b\[K\[#+\.+\] 256 of 700 entries, \d+\/s/);
    expect(bar.stderr.endsWith('\r\u001b[K')).toBe(true);
    expect((await run(line, { parts: clock(6000) })).stderr).toMatch(/^256 of 700 entries, \d+\/s\n/);
    expect((await run(line, { parts: clock(1) })).stderr).toBe('');
    expect((await run([...line, '--json'], { isTerminal: true, parts: clock(6000) })).stderr).toBe('');
  });
});

describe('log tail', () => {
  test('prints the newest entries, verified, and says whose word the key is', async () => {
    const { code, stdout, stderr } = await run(['log', 'tail', '-n', '3']);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toHaveLength(5);
    expect(stdout).toMatch(/^index +time +type +about\n697 .*\n698 .*\n699 +\S+Z +release +deployment=llm key=weights/);
    expect(stderr).toMatch(
      /^note: the log key is the one that http:\/\/.* names; give the one you know with --log-key\n$/,
    );
    const known = await run(['log', 'tail', '--lines', '2', '--log-key', VKEY, '--json']);
    expect(known.stderr).toBe('');
    const items = [698, 699].map((index) => ({ index, entry: JSON.parse(ENTRIES[index]!) as unknown }));
    expect(onlyJson(known.stdout)).toEqual({ ok: true, log: ORIGIN, size: 700, items });
  });

  test('prints nothing of a log that is not the signed one', async () => {
    const path = 'tile/entries/002.p/188';
    const files = withFile(FILES, path, flipped(FILES.get(path)!, 1000));
    const { code, stdout } = await during(files, () => run(['log', 'tail', '--log-key', VKEY, '-n', '200', '--json']));
    expect(code).toBe(1);
    expect(onlyJson(stdout)).toMatchObject({ ok: false, findings: [{ index: 513 }] });
  });

  test('follows: prints what comes, one document a line, until the log contradicts itself', async () => {
    const grown = logFiles(ENTRIES);
    const seen: string[] = [];
    let polls = 0;
    const growing = await serveFiles(grown, (path, _request, response) => {
      if (path !== 'checkpoint') {
        const size = polls <= 2 ? 698 : 700;
        const content = logFiles(ENTRIES.slice(0, size)).get(path);
        if (content === undefined) return false;
        response.end(content);
        return true;
      }
      polls++;
      // 698 entries, then nobody, then 700, then again 698.
      if (polls === 2) response.destroy();
      else response.end(logFiles(ENTRIES.slice(0, polls === 3 ? 700 : 698)).get('checkpoint'));
      return true;
    });
    const line = ['log', 'tail', '--follow', '--interval', '1', '-n', '1', '--log-key', VKEY, '--json'];
    const { code, stdout, stderr } = await run([...line, '--url', growing.url.href]);
    await growing.close();
    expect(code).toBe(1);
    for (const each of stdout.trim().split('\n'))
      seen.push(JSON.stringify((JSON.parse(each) as { index?: number }).index ?? 'end'));
    expect(seen).toEqual(['697', '698', '699', '"end"']);
    expect(stdout).toContain('the log shrank');
    expect(stderr).toMatch(/still following/);
  });
});

describe('log query', () => {
  test('asks the broker with every selection, and shows plain names', async () => {
    const broker = await fakeBroker();
    const entry = { type: 'release', time: '2026-11-22T00:00:00.000Z', deployment: hex('salted'), names: 'salted' };
    broker.answer({
      status: 200,
      body: { items: [{ index: 7, type: 'release', entry, names: { deployment: 'llm' } }] },
    });
    const selection = [
      '--type',
      'release',
      '--deployment',
      'llm',
      '--key',
      'weights',
      '--policy',
      POLICY.toUpperCase(),
    ];
    const times = ['--ak', AK_SPKI, '--since', '2026-11-01T00:00:00Z', '--until', '2026-12-01T00:00:00+01:00'];
    const { code, stdout } = await run(['log', 'query', ...selection, ...times, '--limit', '5', '--url', broker.url], {
      env: { PORTCULLIS_TOKEN: 'pc_0123456789abcdef_x' },
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/\n7 .* release +deployment=llm\n/);
    const { searchParams } = new URL(broker.only().url, broker.url);
    expect(Object.fromEntries(searchParams)).toEqual({
      ...{ type: 'release', deployment: 'llm', key: 'weights', policy: POLICY, ak: AK_SPKI, limit: '5' },
      ...{ since: '2026-11-01T00:00:00Z', until: '2026-12-01T00:00:00+01:00' },
    });
    await broker.close();
  });

  test('finds entries of an exported log, newest first, page by page', async () => {
    const query = async (...line: string[]) => {
      const ran = await run(['log', 'query', '--dir', directory, '--log-key', VKEY, '--json', ...line]);
      expect(ran.code).toBe(0);
      const { items, next_cursor: next } = onlyJson(ran.stdout) as { items: { index: number }[]; next_cursor?: string };
      return { indexes: items.map(({ index }) => index), next };
    };
    expect(await query('--type', 'key.created')).toEqual({ indexes: [4], next: undefined });
    expect(await query('--policy', POLICY, '--limit', '3')).toEqual({ indexes: [699, 698, 697], next: '697' });
    expect(await query('--policy', POLICY, '--limit', '2', '--cursor', '7')).toEqual({ indexes: [6, 5], next: '5' });
    expect(await query('--policy', POLICY, '--limit', '2', '--cursor', '5')).toEqual({ indexes: [2], next: undefined });
    expect(await query('--key', 'WEIGHTS', '--until', new Date(START_MS + 6).toISOString())).toMatchObject({
      indexes: [5, 4],
    });
    expect(await query('--since', new Date(START_MS + 699).toISOString())).toMatchObject({ indexes: [699] });
    expect(await query('--ak', hex('nobody'))).toMatchObject({ indexes: [] });
    expect((await query('--ak', AK_SPKI, '--limit', '1000')).indexes).toHaveLength(696);
  });

  test('shows nothing of a log that is not in order', async () => {
    const broken = fresh();
    writeFiles(broken, withFile(FILES, 'tile/0/001', flipped(FILES.get('tile/0/001')!, 1)));
    const { code, stdout } = await run(['log', 'query', '--dir', broken, '--log-key', VKEY]);
    expect(code).toBe(1);
    expect(stdout).toContain('NOT in order, so nothing of it is shown');
    expect(stdout).not.toContain('deployment=llm');
  });

  test('finds salted names by their salts', async () => {
    const pseudonyms = new Pseudonyms(Buffer.alloc(32, 5));
    const salted = composeEntry('release', releaseBody(700), { timeMs: START_MS + 700, generation: 5 }, pseudonyms);
    const where = fresh();
    // A release to a deployment that the log does not know by this pseudonym is a finding of its own: this log is salted whole.
    const bodies = ENTRIES.slice(0, 5).map((text) => {
      const { type, time, state_generation: generation, ...body } = JSON.parse(text) as Record<string, string>;
      return composeEntry(type!, body, { timeMs: Date.parse(time!), generation: Number(generation) }, pseudonyms).text;
    });
    writeFiles(where, logFiles([...bodies, salted.text]));
    const salts = {
      llm: toBase64url(pseudonyms.salt('deployment', 'llm')),
      weights: [toBase64url(pseudonyms.salt('key', 'weights'))],
    };
    writeFileSync(join(root, 'names.json'), JSON.stringify(salts));
    const line = ['log', 'query', '--dir', where, '--log-key', VKEY, '--type', 'release', '--key', 'weights'];
    expect((await run(line)).stdout).not.toContain('release');
    const found = await run([...line, '--names', 'names.json']);
    expect(found).toMatchObject({ code: 0, stdout: expect.stringContaining('deployment=llm key=weights') });
    writeFileSync(join(root, 'names.json'), '{"llm":"short"}');
    expect((await run([...line, '--names', 'names.json'])).stderr).toContain('salt of llm');
  });

  test('takes what is for an exported log with --dir alone', async () => {
    const { code, stderr } = await run(['log', 'query', '--log-key', VKEY]);
    expect(code).toBe(2);
    expect(stderr).toContain('--log-key goes with --dir');
    expect((await run(['log', 'query', '--dir', directory, '--cursor', 'x', '--log-key', VKEY])).code).toBe(2);
    expect((await run(['log', 'query', '--ak', 'xyz'])).code).toBe(2);
  });
});

describe('log export', () => {
  test('makes a directory that verify, query and tail-less readers take without a broker', async () => {
    const out = fresh();
    const { code, stdout } = await run(['log', 'export', '--out', out, '--log-key', 'log.vkey']);
    expect(code).toBe(0);
    expect(stdout).toContain(`700 entries of the log ${ORIGIN} are in ${out}`);
    for (const [path, content] of FILES) expect(readFileSync(join(out, path)).equals(content)).toBe(true);
    expect(readFileSync(join(out, 'log-key'), 'utf8')).toBe(`${VKEY}\n`);
    expect((await run(['log', 'verify', '--dir', out, '--log-key', join(out, 'log-key')])).code).toBe(0);
    const query = await run(['log', 'query', '--dir', out, '--type', 'key.created', '--json']);
    expect(query.stderr).toContain('note: the log key is the one that');
    expect(onlyJson(query.stdout)).toMatchObject({ items: [{ index: 4 }] });
  });

  test('without a log key takes what the broker names, and says so', async () => {
    const out = fresh();
    const { code, stdout, stderr } = await run(['log', 'export', '--out', out, '--json']);
    expect(code).toBe(0);
    expect(onlyJson(stdout)).toMatchObject({ ok: true, log: ORIGIN, size: 700, first: 0 });
    expect(stderr).toContain('note: the log key is the one that');
  });

  test('exits 1 where the log is not the signed one, and 2 where the directory is not for it', async () => {
    const path = 'tile/0/000';
    const files = withFile(FILES, path, flipped(FILES.get(path)!, 0));
    const out = fresh();
    const { code, stdout } = await during(files, () =>
      run(['log', 'export', '--out', out, '--log-key', VKEY, '--json']),
    );
    expect(code).toBe(1);
    expect(onlyJson(stdout)).toMatchObject({ ok: false, findings: [{ problem: expect.stringContaining(path) }] });
    const other = await run(['log', 'export', '--out', root, '--log-key', VKEY]);
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('holds something else') });
  });
});

test('log schema prints a JSON Schema that the entries of a log are valid against', async () => {
  const { code, stdout } = await run(['log', 'schema', '--json']);
  expect(code).toBe(0);
  const ajv = new Ajv2020({ strict: true, strictRequired: false });
  ajv.addVocabulary(['x-name']);
  const validate = ajv.compile(onlyJson(stdout));
  for (const index of [0, 1, 2, 3, 4, 5])
    expect([validate(JSON.parse(genuineEntry(index))), validate.errors]).toEqual([true, null]);
  expect(validate({ type: 'release' })).toBe(false);
  expect(JSON.parse((await run(['log', 'schema'])).stdout)).toEqual(onlyJson(stdout));
});
