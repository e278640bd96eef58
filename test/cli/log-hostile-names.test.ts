/** What every command prints of names that an attacker chose: in a log that he signs and serves, or in the answers of a broker that is his. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  genuineEntries,
  genuineEntry,
  logFiles,
  ORIGIN,
  serveFiles,
  type ServedLog,
  writeFiles,
} from '../audit/sample-log.js';
import { noteSigner } from '../translog/note-signer.js';
import { fakeBroker, type FakeBroker, onlyJson, portcullis, problem, type Ran } from './harness.js';

/** C1 control sequence, DEL, marks, overrides and isolates of direction, line and paragraph separators. */
const TRICKS = '\u009b31m\u007f\u061c\u200e\u200f\u202a\u202e\u2066\u2069\u2028\u2029\u0085';
const NAME = `llm${TRICKS}mll`;
// eslint-disable-next-line no-control-regex -- the very characters that must not be there
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

const root = mkdtempSync(join(tmpdir(), 'portcullis-hostile-'));
const signer = noteSigner(ORIGIN, 1);
let served: ServedLog;
let broker: FakeBroker;

beforeAll(async () => {
  const release = genuineEntry(9).replace('"deployment":"llm"', `"deployment":"${NAME}"`);
  const files = new Map(logFiles([...genuineEntries(9), release]));
  const text = files.get('checkpoint')!.toString().split('\n\n')[0]!;
  files.set('checkpoint', Buffer.from(`${text}\n\n${signer.line(`${text}\n`)}`));
  served = await serveFiles(files);
  writeFiles(join(root, 'mirror'), files);
  broker = await fakeBroker();
});
afterAll(async () => {
  await served.close();
  await broker.close();
  rmSync(root, { recursive: true });
});

function run(...line: readonly string[]): Promise<Ran> {
  return portcullis(line, { cwd: root, env: { XDG_STATE_HOME: join(root, 'home'), PORTCULLIS_TOKEN: 'pc_a_b' } });
}

/** Nothing that a terminal obeys, in either form; the document says what the attacker said, letter by letter. */
async function isPlain(line: readonly string[], code: number): Promise<{ readonly text: Ran; readonly json: string }> {
  const text = await run(...line);
  const json = await run(...line, '--json');
  for (const { code: came, stdout, stderr } of [text, json]) {
    expect([line, came]).toEqual([line, code]);
    expect(stdout).not.toMatch(OBEYED);
    expect(stderr).not.toMatch(OBEYED);
  }
  expect(JSON.stringify(onlyJson(json.stdout))).toContain(JSON.stringify(NAME).slice(1, -1));
  return { text, json: json.stdout };
}

describe('a name with characters that terminals obey', () => {
  test('in a log that an attacker signs and serves is plain in log tail', async () => {
    const line = ['log', 'tail', '--url', served.url.href, '--log-key', signer.vkey, '-n', '1'];
    const { text, json } = await isPlain(line, 0);
    expect(text.stdout).toMatch(/\n9 .* deployment=llm\ufffd31m\ufffd+mll key=weights /);
    expect(json).toContain(
      '"deployment":"llm\\u009b31m\\u007f\\u061c\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069\\u2028',
    );
  });

  test('is a finding of log verify and log query, and not printed by them', async () => {
    const trust = ['--dir', 'mirror', '--log-key', signer.vkey];
    for (const verb of ['verify', 'query']) {
      for (const json of [[], ['--json']]) {
        const { code, stdout, stderr } = await run('log', verb, ...trust, ...json);
        expect([code, stdout]).toEqual([1, expect.stringMatching(/is NOT in order|"ok":false/)]);
        expect(stdout + stderr).not.toMatch(OBEYED);
      }
    }
  });

  const view = {
    ...{ name: NAME, state: NAME, id: NAME, role: NAME, kty: 'oct', sha256: NAME, size: 1, type: NAME },
    ...{ deployments: [NAME], policies: [], versions: [], ak_name: NAME, ak_spki_sha256: NAME, trust: NAME },
    ...{ created_at: NAME, updated_at: NAME, deployment: NAME, index: 3, entry: { type: 'release', key: NAME } },
  };

  test.each([
    ['entries'],
    ['log', 'query'],
    ['deployment', 'list'],
    ['key', 'list'],
    ['policy', 'list'],
    ['token', 'list'],
    ['attester', 'list'],
  ])('in the answer of a broker is plain in %s %s', async (...words) => {
    broker.answer({ status: 200, body: { items: [view] } });
    const { text } = await isPlain([...words.filter(Boolean), '--url', broker.url], 0);
    expect(text.stdout).toContain('llm\ufffd31m');
  });

  test('is plain in a refusal, its detail and its decision', async () => {
    const condition = { claim: NAME, operator: 'in', expected: [NAME], found: NAME, met: false, note: NAME };
    const decision = { met: false, conditions: [condition] };
    broker.answer(problem(403, 'policy.claims', { detail: NAME, decision, request_id: NAME }));
    const { text } = await isPlain(['key', 'list', '--url', broker.url], 1);
    expect(text.stderr).toContain('llm\ufffd31m');
  });
});

test('a name that somebody types comes back plain in the error', async () => {
  for (const json of [[], ['--json']]) {
    const { code, stdout, stderr } = await run('log', 'query', '--dir', 'mirror', '--type', NAME, ...json);
    expect([code, stdout + stderr]).toEqual([2, expect.not.stringMatching(OBEYED)]);
  }
});
