import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { digest } from '../../src/crypto/digest.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { onlyJson, portcullis } from './harness.js';

const POLICY = '{"allow":["serve"]}\n';
const EXTRA = 'c0ffee';

let dir: string;
let pcr8: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-quote-'));
  const tpm = new SimulatedTpm();
  tpm.extend('sha256', 8, digest('sha256', Buffer.from(POLICY)));
  const ak = await tpm.createAk({ scheme: 'ecdsa-p256' });
  const quote = tpm.quote(ak, Buffer.from(EXTRA, 'hex'), [{ bank: 'sha256', pcrs: [0, 8] }]);
  pcr8 = quote.pcrs.sha256!['8']!;
  writeFileSync(join(dir, 'quoted'), quote.quoted);
  writeFileSync(join(dir, 'signature'), quote.signature);
  writeFileSync(join(dir, 'ak'), ak.tpm2bPublic);
  writeFileSync(join(dir, 'pcrs'), JSON.stringify(quote.pcrs));
  writeFileSync(join(dir, 'policy'), POLICY);
  writeFileSync(join(dir, 'other'), 'another policy');
  writeFileSync(join(dir, 'empty'), '');
  writeFileSync(join(dir, 'large'), Buffer.alloc(1024 * 1024 + 1));
});
afterAll(() => {
  rmSync(dir, { recursive: true });
});

const FILES = { '--quoted': 'quoted', '--signature': 'signature', '--ak': 'ak', '--pcrs': 'pcrs' };

function verify(more: readonly string[] = [], files: Partial<typeof FILES> = {}) {
  const named = Object.entries({ ...FILES, ...files }).flat();
  // No broker is asked: none is there.
  return portcullis(['quote', 'verify', ...named, ...more], {
    cwd: dir,
    env: { PORTCULLIS_URL: 'http://127.0.0.1:1' },
  });
}

describe('a genuine quote', () => {
  test('is accepted with its claims', async () => {
    const { code, stdout, stderr } = await verify();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^The quote is accepted\.\nclaim +value\n/);
    expect(stdout).toMatch(new RegExp(`\\ntpm\\.pcrs\\.sha256\\.8 +${pcr8}\\n`));
  });

  test('--json is exactly ok and claims', async () => {
    const document = onlyJson((await verify(['--json'])).stdout);
    expect(Object.keys(document)).toEqual(['ok', 'claims']);
    expect(document).toMatchObject({ ok: true, claims: { tpm: { pcrs: { sha256: { '8': pcr8 } } } } });
  });

  test('meets conditions that are true, in hex of either case', async () => {
    const conditions = ['--extra-data', EXTRA.toUpperCase(), '--pcr', `sha256:8=${pcr8.toUpperCase()}`];
    expect(await verify([...conditions, '--policy', 'policy'])).toMatchObject({ code: 0 });
    expect(await verify([...conditions, '--policy', 'policy', '--policy-pcr', '8'])).toMatchObject({ code: 0 });
  });
});

describe('a refusal is exit 1 with its reason, as exactly ok, reason and detail', () => {
  test.each([
    ['extraData differs', ['--extra-data', 'c0ffef'], {}, 'quote.binding'],
    ['extraData must be empty', ['--extra-data', ''], {}, 'quote.binding'],
    ['a PCR differs', ['--pcr', `sha256:8=${'00'.repeat(32)}`], {}, 'policy.pcr'],
    [
      'the second --pcr counts too',
      ['--pcr', `sha256:0=${'00'.repeat(32)}`, '--pcr', `sha256:8=${'00'.repeat(32)}`],
      {},
      'policy.pcr',
    ],
    ['a PCR is not quoted', ['--pcr', `sha256:7=${'00'.repeat(32)}`], {}, 'quote.pcr_selection'],
    ['a bank is not quoted', ['--pcr', `sha384:8=${'00'.repeat(48)}`], {}, 'quote.pcr_selection'],
    ['another policy was measured', ['--policy', 'other'], {}, 'policy.hash'],
    ['the policy is in another PCR', ['--policy', 'policy', '--policy-pcr', '0'], {}, 'policy.hash'],
    ['the quote is empty', [], { '--quoted': 'empty' }, 'evidence.malformed'],
    ['the signature is empty', [], { '--signature': 'empty' }, 'evidence.malformed'],
    ['the AK is empty', [], { '--ak': 'empty' }, 'evidence.malformed'],
    ['the PCR values are empty', [], { '--pcrs': 'empty' }, 'evidence.malformed'],
    ['a file is larger than any quote', [], { '--quoted': 'large' }, 'evidence.malformed'],
    ['a file never ends', [], { '--pcrs': '/dev/zero' }, 'evidence.malformed'],
  ] as const)('%s', async (_what, more, files, reason) => {
    const json = await verify([...more, '--json'], files);
    expect(json.code).toBe(1);
    const document = onlyJson(json.stdout);
    expect(Object.keys(document)).toEqual(['ok', 'reason', 'detail']);
    expect(document).toMatchObject({ ok: false, reason });
    const people = await verify(more, files);
    expect(people.code).toBe(1);
    expect(people.stderr).toMatch(new RegExp(`^portcullis: ${reason.replace('.', '\\.')}: [^\\n]+\\n$`));
  });

  test('people see what was expected and what was found', async () => {
    const { stdout } = await verify(['--pcr', `sha256:8=${'ab'.repeat(32)}`]);
    expect(stdout).toContain('Not met:');
    expect(stdout).toContain('ab'.repeat(32));
    expect(stdout).toContain(pcr8);
  });
});

describe('wrong usage is exit 2', () => {
  test.each([
    ['a file is missing', [], { '--quoted': 'none' }],
    ['a file is a directory', [], { '--ak': '.' }],
    ['the policy file is missing', ['--policy', 'none'], {}],
    ['--policy-pcr without --policy', ['--policy-pcr', '8'], {}],
    ['--policy-pcr is no PCR', ['--policy', 'policy', '--policy-pcr', '24'], {}],
    ['--extra-data is no hex', ['--extra-data', 'xyz'], {}],
    ['--extra-data is half a byte', ['--extra-data', 'abc'], {}],
    ['--pcr without a value', ['--pcr', 'sha256:8'], {}],
    ['--pcr of an unknown bank', ['--pcr', `sm3:8=${'00'.repeat(32)}`], {}],
    ['--pcr of an inherited name', ['--pcr', 'constructor:8='], {}],
    ['--pcr with a value of another length', ['--pcr', `sha256:8=${'00'.repeat(20)}`], {}],
    ['--pcr of no PCR', ['--pcr', `sha256:24=${'00'.repeat(32)}`], {}],
    ['--pcr with a leading zero', ['--pcr', `sha256:08=${'00'.repeat(32)}`], {}],
  ] as const)('%s', async (_what, more, files) => {
    expect(await verify(more, files)).toMatchObject({ code: 2, stdout: '' });
  });
});

describe('policy hash', () => {
  test('--json is exactly the hashes and the expected PCR values', async () => {
    const { code, stdout } = await portcullis(['policy', 'hash', 'policy', '--json'], { cwd: dir });
    expect(code).toBe(0);
    const hash = (bank: 'sha256' | 'sha384') => digest(bank, Buffer.from(POLICY));
    const pcr = (bank: 'sha256' | 'sha384', length: number) =>
      digest(bank, Buffer.alloc(length), hash(bank)).toString('hex');
    expect(onlyJson(stdout)).toEqual({
      sha256: hash('sha256').toString('hex'),
      sha384: hash('sha384').toString('hex'),
      pcr: { sha256: pcr('sha256', 32), sha384: pcr('sha384', 48) },
    });
    expect(pcr('sha256', 32)).toBe(pcr8);
  });

  test('takes an empty file, and stdin', async () => {
    const empty = await portcullis(['policy', 'hash', 'empty', '--json'], { cwd: dir });
    expect(onlyJson(empty.stdout)['sha256']).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    const stdin = await portcullis(['policy', 'hash', '-'], { stdin: POLICY });
    expect(stdin.stdout).toContain(pcr8);
  });
});
