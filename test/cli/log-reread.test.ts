/** What `log verify` says of the entries that earlier runs verified, and of state files and directories that cannot be. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { genuineEntries, genuineEntry, logFiles, SIGNER, writeFiles } from '../audit/sample-log.js';
import { onlyJson, portcullis } from './harness.js';

const root = mkdtempSync(join(tmpdir(), 'portcullis-reread-'));
afterAll(() => rmSync(root, { recursive: true }));
const ENTRIES = genuineEntries(1100);
const FILES = logFiles(ENTRIES);

beforeAll(() => {
  writeFiles(join(root, 'old'), logFiles(ENTRIES.slice(0, 700)));
  writeFiles(join(root, 'new'), FILES);
  const others = [...ENTRIES];
  others[300] = genuineEntry(9000);
  writeFiles(join(root, 'changed'), FILES);
  writeFileSync(join(root, 'changed/tile/entries/001'), logFiles(others).get('tile/entries/001')!);
});

let made = 0;

function verify(directory: string, state: string, ...more: readonly string[]) {
  const line = ['log', 'verify', '--dir', directory, '--log-key', SIGNER.verifierKey, '--state', state, ...more];
  return portcullis(line, { cwd: root });
}

/** The name of a state file after a run over the first 700 entries. */
async function after700(): Promise<string> {
  const state = `${String(made++)}.json`;
  expect((await verify('old', state)).code).toBe(0);
  return state;
}

/** The lines below a heading. */
const below = (stdout: string, heading: string) => stdout.split(`\n${heading}:\n`)[1]?.split('\n\n')[0] ?? '';

describe('a resumed log verify', () => {
  test('reads all of a short log again, and says so', async () => {
    const { code, stdout } = await verify('new', await after700());
    expect(code).toBe(0);
    expect(stdout).toContain('1,100 entries; 400 entries recomputed, 700 older ones read again in ');
    expect(below(stdout, 'Proved')).toContain('- all of the 700 entries of earlier runs were read again');
    expect(below(stdout, 'Not proved')).not.toContain('--from-start');
  });

  test('reads as many bundles of a longer one as it is told, and says what it did not, and how likely it finds a change', async () => {
    const state = await after700();
    await verify('new', state);
    const { code, stdout } = await verify('new', state, '--reread', '2');
    expect(code).toBe(0);
    expect(stdout).toMatch(/nothing has come since the last run, (512|332) older ones read again\./);
    expect(below(stdout, 'Proved')).toMatch(/- (512|332) of the 1,100 entries of earlier runs were read again/);
    expect(below(stdout, 'Not proved')).toMatch(
      /that the other (588|768) of the first 1,100 entries are still served as they were verified: a run reads 2 of 5 bundles again, .* with a probability of 40 %; --from-start/,
    );
    const json = onlyJson((await verify('new', state, '--reread', '5', '--json')).stdout);
    expect(json).toMatchObject({ ok: true, reread: { entries: 1100, bundles: 5, of_bundles: 5 } });
  });

  test('reads none with --reread 0, and says that', async () => {
    const { stdout } = await verify('new', await after700(), '--reread', '0');
    expect(stdout).toContain('1,100 entries; 400 entries recomputed in ');
    expect(below(stdout, 'Proved')).not.toContain('read again');
    expect(below(stdout, 'Not proved')).toContain(
      'that the first 700 entries are still served as they were verified: --from-start reads them again',
    );
    const json = onlyJson((await verify('new', await after700(), '--reread', '0', '--json')).stdout);
    expect(json).toMatchObject({ reread: { entries: 0, bundles: 0, of_bundles: 3 } });
  });

  test('finds an old entry that was changed since, exit code 1, and again in the next run', async () => {
    const state = await after700();
    expect((await verify('changed', state, '--reread', '0')).code).toBe(0);
    const found = await verify('changed', state);
    expect(found.code).toBe(1);
    expect(found.stdout).toContain('is NOT in order');
    expect(found.stdout).toMatch(/\n300 +the entry is not the one .*; earlier runs had found it right\n/);
    const again = onlyJson((await verify('changed', state, '--reread', '0', '--json')).stdout);
    expect(again).toMatchObject({ ok: false, first: 0 });
  });

  test('has nothing to read again in a first run', async () => {
    const { stdout } = await verify('new', `${String(made++)}.json`, '--json');
    expect(onlyJson(stdout)).not.toHaveProperty('reread');
  });

  test.each(['-1', '1.5', 'x', '100001'])('takes no --reread %s', async (count) => {
    expect((await verify('new', 'none.json', '--reread', count)).code).toBe(2);
  });
});

/** Takes no directories, says that the one above is missing, and has files whose length is 0 and whose content is not. */
const procTest = existsSync('/proc/version') ? test : test.skip;

describe('a place that cannot be', () => {
  procTest('for a state file is an error, exit code 2', async () => {
    const { code, stderr } = await verify('new', '/proc/x/y');
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(
        /^portcullis: the state file \/proc\/x\/y cannot be written \(ENOENT\); check its directory/,
      ),
    ]);
  });

  procTest('and so is a file of /proc, of which no more is read than it is long', async () => {
    const { code, stderr } = await verify('new', '/proc/version');
    expect([code, stderr]).toEqual([2, expect.stringContaining('/proc/version is damaged')]);
  });

  procTest('for an exported log is one too', async () => {
    const line = ['log', 'export', '--url', 'http://127.0.0.1:9', '--log-key', SIGNER.verifierKey, '--out'];
    for (const [out, why] of [
      ['/proc/x/y', 'ENOENT'],
      [join(root, 'new/checkpoint'), 'EEXIST'],
    ] as const) {
      const { code, stderr } = await portcullis([...line, out], { cwd: root });
      expect([code, stderr]).toEqual([2, expect.stringContaining(`${out} cannot be made (${why}); name another`)]);
    }
  });
});

describe('log query --dir', () => {
  const query = (type: string, ...more: readonly string[]) =>
    portcullis(['log', 'query', '--dir', 'old', '--log-key', SIGNER.verifierKey, '--type', type, ...more], {
      cwd: root,
    });

  test.each(['relase', '', 'RELEASE', 'toString'])(
    'refuses the type %j, and lists those that there are',
    async (type) => {
      const { code, stdout, stderr } = await query(type);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(/is not a type of entry; there are: .*broker\.initialised, .*release, denial/);
      expect(onlyJson((await query(type, '--json')).stdout)).toMatchObject({ ok: false, reason: 'usage' });
    },
  );

  test('takes those that there are, also where the log has none of them', async () => {
    expect(onlyJson((await query('token.revoked', '--json')).stdout)).toEqual({ items: [] });
    const { items } = onlyJson((await query('key.created', '--json')).stdout) as { items: unknown[] };
    expect(items).toHaveLength(1);
  });
});
