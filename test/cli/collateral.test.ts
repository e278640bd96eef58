import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { exportCollateral } from '../../src/cli/collateral/export.js';
import { fetchCollateral, type FetchOptions } from '../../src/cli/collateral/fetch.js';
import { importCollateral } from '../../src/cli/collateral/import.js';
import { status } from '../../src/cli/collateral/status.js';
import { CliContext } from '../../src/cli/context.js';
import type { Outcome } from '../../src/cli/outcome.js';
import { UsageError } from '../../src/cli/outcome.js';
import { printOutcome } from '../../src/cli/output.js';
import { revocationFault } from '../../src/endorsement/revocation.js';
import {
  crl,
  DAY_MS,
  DRIVER,
  everything,
  FMSPC,
  FORGERS,
  MAKERS,
  PCK_CHAIN,
  put,
  qeIdentity,
  rim,
  ROOTS,
  tcbInfo,
  TCB_CHAIN,
  VBIOS,
} from '../collateral/simulated.js';
import { type Answer, makersServer } from './collateral-makers.js';
import { fakeIo, NO_PARTS, NOW_MS, onlyJson, portcullis, type Ran, type RunOptions } from './harness.js';

let path: string;
let dir: string;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'portcullis-cli-collateral-'));
  dir = join(path, 'collateral');
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

/** Runs one handler as the program does, with the makers of the test. */
async function ran(
  handler: (context: CliContext) => Promise<Outcome>,
  { json = false, nowMs = NOW_MS, ...options }: RunOptions & { json?: boolean; nowMs?: number } = {},
): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const io = fakeIo(written, { cwd: path, ...options });
  const context = new CliContext(io, { ...NO_PARTS, now: () => nowMs }, { json });
  const code = await printOutcome(io, json, await handler(context));
  return { code, ...written };
}

const shownStatus = (options: Parameters<typeof status>[1] = { dir }, json = false, nowMs = NOW_MS) =>
  ran((context) => status(context, options, ROOTS), { json, nowMs });
const imported = (
  from: string,
  options: Parameters<typeof importCollateral>[2] = { dir },
  json = false,
  nowMs = NOW_MS,
) => ran((context) => importCollateral(context, from, options, ROOTS), { json, nowMs });
const filesIn = (folder: string): string[] => readdirSync(folder, { recursive: true }).map(String).toSorted();

describe('collateral status', () => {
  test('lists what there is, who vouches for it and until when', async () => {
    put(dir, everything());
    const { code, stdout, stderr } = await shownStatus();
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^kind +for +signer +issued +current until +days left +state +file\n/);
    expect(stdout).toMatch(
      /TCB info +TDX 50434C000001 +good +2026-11-21 +2026-12-21T00:00:00Z +29 +current +tcbInfo\.json\n/,
    );
    expect(stdout).toContain('All of it is current.');
  });

  test('is a JSON document with --json, and takes another time', async () => {
    put(dir, everything());
    const found = await shownStatus({ dir, at: '2027-01-01T00:00:00Z' }, true);
    expect(found.code).toBe(1);
    const json = onlyJson(found.stdout);
    expect(json).toMatchObject({ ok: false, dir, at: '2027-01-01T00:00:00Z', missing: [], unusable: [] });
    expect((json['items'] as unknown[])[0]).toEqual({
      file: 'amd/vcek-Milan.crl',
      kind: 'crl',
      for: 'ARK-Milan',
      signer: 'good',
      issued: '2026-11-21T00:00:00Z',
      current_until: '2026-12-21T00:00:00Z',
      days_left: -11,
      state: 'stale',
    });
  });

  test('marks what is stale, unverified, missing and unusable, and then fails', async () => {
    put(
      dir,
      new Map([
        ['tcbInfo.json', tcbInfo(FMSPC, { atMs: NOW_MS - 40 * DAY_MS })],
        ['tcbInfoIssuerChain.pem', TCB_CHAIN],
        ['rootCaCrl.der', crl(FORGERS.intel.root)],
        ['qeIdentity.json', Buffer.from('{}')],
        ['rim/x', Buffer.from('<SoftwareIdentity/>')],
      ]),
    );
    const { code, stdout, stderr } = await shownStatus();
    expect(code).toBe(1);
    expect(stdout).toMatch(/TCB info .* -11 +STALE +tcbInfo\.json/);
    expect(stdout).toMatch(/CRL .* NOT GOOD .* unverified +rootCaCrl\.der/);
    expect(stdout).toMatch(/RIM +NOT GOOD +unverified +rim\/x/);
    expect(stdout).toContain('collateral.unavailable');
    expect(stderr).toContain('rootCaCrl.der: it is not signed by its issuer\n');
    expect(stderr).toContain('the QE identity is missing: TDX quotes cannot be verified without\n');
    expect(stderr).toContain(`${join(dir, 'qeIdentity.json')}: neither TCB info nor QE identity`);
  });

  test('finds the directory by the data directory and by the environment', async () => {
    put(dir, everything());
    expect((await shownStatus({ dataDir: path })).code).toBe(0);
    const byEnvironment = (env: Record<string, string>) => ran((context) => status(context, {}, ROOTS), { env });
    expect((await byEnvironment({ PORTCULLIS_COLLATERAL_DIR: dir })).code).toBe(0);
    expect((await byEnvironment({ PORTCULLIS_DATA_DIR: path })).code).toBe(0);
    await expect(byEnvironment({})).rejects.toThrow('name the directory of the collateral with --dir D');
    await expect(shownStatus({ dir, dataDir: path })).rejects.toThrow('give one');
    await expect(shownStatus({ dataDir: join(path, 'none') })).rejects.toThrow('there is no data directory');
    await expect(shownStatus({ dir: join(path, 'none') })).rejects.toThrow(UsageError);
  });

  test('of the program believes no simulated makers', async () => {
    put(dir, everything());
    const { code, stdout } = await portcullis(['collateral', 'status', '--dir', dir, '--json']);
    expect(code).toBe(1);
    const { items } = onlyJson(stdout) as unknown as { items: readonly { state: string }[] };
    expect(items.map(({ state }) => state)).toEqual(Array(7).fill('unverified'));
  });
});

describe('collateral import', () => {
  test('takes a directory, piece by piece, and says what it did', async () => {
    put(join(path, 'new'), everything());
    const { code, stdout, stderr } = await imported('new');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/written +tcb-info +TDX 50434C000001 +2026-12-21T00:00:00Z +tcbInfo-50434C000001\.json\n/);
    expect((await shownStatus()).code).toBe(0);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, 'rootCaCrl.der')).mode & 0o777).toBe(0o600);
    const again = onlyJson((await imported('new', { dir }, true)).stdout);
    expect((again['items'] as { result: string }[]).map(({ result }) => result)).toEqual(Array(7).fill('unchanged'));
  });

  test('leaves what is there alone where the new one is forged, stale or older', async () => {
    put(dir, everything());
    const before = new Map(
      filesIn(dir)
        .filter((name) => name.includes('.'))
        .map((name) => [name, readFileSync(join(dir, name))]),
    );
    const incoming = new Map([
      ['tcbInfo.json', tcbInfo(FMSPC, { number: 17 })],
      ['qeIdentity.json', qeIdentity({ makers: FORGERS, number: 19 })],
      ['rootCaCrl.der', crl(MAKERS.intel.root, { number: 9, atMs: NOW_MS - 40 * DAY_MS })],
      ['tcbInfoIssuerChain.pem', TCB_CHAIN],
    ]);
    put(join(path, 'new'), incoming);
    const { code, stdout, stderr } = await imported('new');
    expect(code).toBe(1);
    expect(stdout).toMatch(/older +tcb-info/);
    expect(stderr).toContain('tcbInfo.json: tcbInfo.json is newer; --allow-older takes it all the same\n');
    expect(stderr).toContain('qeIdentity.json: it is not signed by its signer\n');
    expect(stderr).toContain('rootCaCrl.der: it was good until');
    for (const [name, content] of before) expect(readFileSync(join(dir, name))).toEqual(content);
    const allowed = await imported('new', { dir, allowOlder: true }, true);
    const { items } = onlyJson(allowed.stdout) as unknown as { items: { kind: string; result: string }[] };
    expect(Object.fromEntries(items.map(({ kind, result }) => [kind, result]))).toEqual({
      'tcb-info': 'written',
      'qe-identity': 'refused',
      crl: 'refused',
    });
  });

  test('takes no manifest that contradicts one that is there, but with --replace-manifest', async () => {
    put(dir, everything());
    const other = rim('driver', MAKERS, Buffer.alloc(48, 2));
    put(path, new Map([['x.xml', other]]));
    const { code, stderr } = await imported('x.xml');
    expect(code).toBe(1);
    expect(stderr).toContain(`wants other measurements of ${DRIVER}; --replace-manifest takes it all the same\n`);
    expect((await imported('x.xml', { dir, replaceManifest: true })).code).toBe(0);
    expect(readFileSync(join(dir, `rim/${DRIVER}.xml`))).toEqual(other);
    const { stdout } = await portcullis(['collateral', 'import', '--help']);
    expect(stdout).toContain('--replace-manifest');
  });

  test('takes one file alone, also from stdin', async () => {
    put(dir, everything());
    put(path, new Map([['x.bin', crl(MAKERS.intel.pckCa, { number: 6 })]]));
    expect((await imported('x.bin')).stdout).toMatch(/written +crl +Intel SGX PCK Platform CA .* pckCrl\.der\n/);
    const stdin = crl(MAKERS.intel.root, { number: 6 });
    const { code } = await ran((context) => importCollateral(context, '-', { dir }, ROOTS), { stdin });
    expect(code).toBe(0);
    expect(readFileSync(join(dir, 'rootCaCrl.der'))).toEqual(stdin);
  });

  test('of what is no collateral is refused: request.malformed', async () => {
    put(path, new Map([['x', Buffer.from('nothing')]]));
    const { code, stdout, stderr } = await imported('x', { dir }, true);
    expect([code, onlyJson(stdout)]).toEqual([
      1,
      { ok: false, reason: 'request.malformed', detail: 'x: neither JSON, XML, DER nor PEM' },
    ]);
    expect(stderr).toContain('request.malformed');
    await expect(imported('none')).rejects.toThrow(UsageError);
    put(join(path, 'empty'), new Map([['README', Buffer.from('')]]));
    const nothing = await imported('empty');
    expect([nothing.code, nothing.stdout]).toEqual([1, 'There was nothing to take.\n']);
    expect(existsSync(dir)).toBe(false);
  });

  test('says of a document that was written anew why it is not good', async () => {
    const { tcbInfo: info, signature } = JSON.parse(tcbInfo().toString()) as Record<string, unknown>;
    const why = 'Intel signs the exact bytes, so keep it as it was served';
    for (const text of [
      JSON.stringify({ signature, tcbInfo: info }),
      JSON.stringify({ tcbInfo: info, signature }, null, 2),
    ]) {
      put(path, new Map([['new/tcbInfo.json', Buffer.from(text)]]));
      put(path, new Map([['new/tcbInfoIssuerChain.pem', TCB_CHAIN]]));
      const { code, stderr } = await imported('new');
      expect([code, stderr]).toEqual([1, expect.stringContaining(why)]);
    }
    put(path, new Map([['new/tcbInfo.json', Buffer.concat([Buffer.from('\n'), tcbInfo()])]]));
    expect((await imported('new')).code).toBe(0);
  });

  test('says of certificates alone why they are not taken', async () => {
    const { ark, ask } = MAKERS.amd.Milan;
    put(path, new Map([['ask.der', ask.certificate]]));
    const alone = await imported('ask.der');
    expect([alone.code, alone.stdout]).toEqual([1, 'There was nothing to take.\n']);
    expect(alone.stderr).toContain(
      'ask.der: left out: certificates are no collateral, since evidence brings its own chain',
    );
    // Beside something else they do no harm.
    put(join(path, 'new'), new Map([...everything(), ['amd/ask.der', ask.certificate], ['amd/ark.crl', crl(ark)]]));
    const { code, stderr, stdout } = await imported('new', { dir }, true);
    expect([code, onlyJson(stdout)['left_out']]).toEqual([0, ['amd/ask.der']]);
    expect(stderr.match(/left out/g)).toHaveLength(1);
  });

  test('into a directory that cannot be written is wrong usage, and says what to do', async () => {
    put(join(path, 'new'), everything());
    // A file where a folder must be, since root may write everywhere else.
    put(dir, new Map([['rim', Buffer.from('')]]));
    const failing = imported('new');
    await expect(failing).rejects.toThrow(UsageError);
    await expect(failing).rejects.toThrow(
      `cannot write into ${dir}: it exists already; run it as the user that the broker runs as, or name another directory with --dir`,
    );
  });

  test('leaves no draft behind', async () => {
    put(join(path, 'new'), everything());
    await imported('new');
    expect(filesIn(dir).filter((name) => /(?:^|\/)\.|\.new$/.test(name))).toEqual([]);
  });
});

describe('collateral export', () => {
  test('writes a bundle that is taken on another machine', async () => {
    put(dir, everything());
    const { code, stdout, stderr } = await ran((context) => exportCollateral(context, 'b.json', { dir }, ROOTS));
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('9 files are in b.json.');
    expect(stdout).toMatch(/SHA-256 +[0-9a-f]{64}\n/);
    const other = join(path, 'other');
    const taken = await imported('b.json', { dir: other });
    expect(taken.code).toBe(0);
    expect((await shownStatus({ dir: other })).code).toBe(0);
  });

  test('leaves out what is none, and says what will be refused', async () => {
    put(dir, new Map([...everything({ atMs: NOW_MS - 40 * DAY_MS }), ['x.json', Buffer.from('{}')]]));
    const { stderr } = await ran((context) => exportCollateral(context, 'b.json', { dir }, ROOTS));
    expect(stderr).toContain(`left out: ${join(dir, 'x.json')}: neither TCB info`);
    expect(stderr).toContain('rootCaCrl.der is stale: collateral import will refuse it\n');
    await expect(ran((context) => exportCollateral(context, 'b.json', { dir: path }, ROOTS))).rejects.toThrow(
      'there is no collateral',
    );
  });

  test.each([false, true])('writes to stdout for -, and nothing else (--json: %s)', async (json) => {
    put(dir, everything());
    await ran((context) => exportCollateral(context, 'b.json', { dir }, ROOTS));
    const { code, stdout, stderr } = await ran((context) => exportCollateral(context, '-', { dir }, ROOTS), { json });
    expect([code, stdout, stderr]).toEqual([0, readFileSync(join(path, 'b.json'), 'utf8'), '']);
    expect(existsSync(join(path, '-'))).toBe(false);
  });
});

function published(draft: Parameters<typeof everything>[0] = {}): Map<string, Answer> {
  const { makers = MAKERS } = draft;
  const chain = (name: string, pem: Buffer) => ({ [name]: encodeURIComponent(pem.toString()) });
  const served = (id: string, xml: Buffer) => ({
    body: Buffer.from(JSON.stringify({ id, rim: xml.toString('base64') })),
  });
  return new Map<string, Answer>([
    [
      `/tdx/certification/v4/tcb?fmspc=${FMSPC}`,
      { body: tcbInfo(FMSPC, draft), headers: chain('TCB-Info-Issuer-Chain', TCB_CHAIN) },
    ],
    [
      '/tdx/certification/v4/qe/identity',
      { body: qeIdentity(draft), headers: chain('SGX-Enclave-Identity-Issuer-Chain', TCB_CHAIN) },
    ],
    [
      '/sgx/certification/v4/pckcrl?ca=platform&encoding=der',
      { body: crl(makers.intel.pckCa, draft), headers: chain('SGX-PCK-CRL-Issuer-Chain', PCK_CHAIN) },
    ],
    ['/IntelSGXRootCA.der', { body: crl(makers.intel.root, draft) }],
    ['/vcek/v1/Milan/crl', { body: crl(makers.amd.Milan.ark, draft) }],
    ['/vlek/v1/Milan/crl', { body: crl(makers.amd.Milan.ark, draft) }],
    [`/v1/rim/${DRIVER}`, served(DRIVER, rim('driver', makers))],
    [`/v1/rim/${VBIOS}`, served(VBIOS, rim('vbios', makers))],
  ]);
}

describe('collateral fetch', () => {
  const PROCESSOR = '/sgx/certification/v4/pckcrl?ca=processor&encoding=der';
  let open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(open.map((server) => server.close()));
    open = [];
  });
  async function serving(answers: ReadonlyMap<string, Answer>) {
    const server = await makersServer(answers);
    open.push(server);
    return server;
  }
  const fetched = (options: FetchOptions, json = false, nowMs = NOW_MS) =>
    ran((context) => fetchCollateral(context, { dir, ...options }, ROOTS), { json, nowMs });

  test('fetches what is asked for, verifies it and says what it did', async () => {
    const server = await serving(published().set(PROCESSOR, { status: 404 }));
    const { code, stdout, stderr } = await fetched({
      from: server.from,
      fmspc: [FMSPC],
      amd: ['Milan'],
      rim: [DRIVER, VBIOS],
    });
    // Simulated makers have no CA for processors.
    expect(code).toBe(1);
    expect(stderr).toContain(`CRL of the PCK processor CA: it answered 404 (${server.url}${PROCESSOR})\n`);
    expect(stderr).toContain(`fetching TCB info of ${FMSPC} from 127.0.0.1:`);
    expect(stdout.match(/^written /gm)).toHaveLength(8);
    expect(server.asked).toHaveLength(9);
    expect((await shownStatus()).code).toBe(0);
    expect(filesIn(join(dir, 'rim'))).toEqual([`${DRIVER}.swidtag`, `${VBIOS}.swidtag`]);
    expect(filesIn(join(dir, 'amd'))).toEqual(['vcek-Milan.crl', 'vlek-Milan.crl']);
  });

  test('without anything named fetches anew what is there', async () => {
    const first = await serving(published());
    await fetched({ from: first.from, fmspc: [FMSPC], amd: ['Milan'], rim: [DRIVER, VBIOS] });
    const later = NOW_MS + 40 * DAY_MS;
    expect((await shownStatus({ dir }, false, later)).code).toBe(1);
    const second = await serving(published({ atMs: later, number: 19 }));
    await fetched({ from: second.from }, false, later);
    expect(second.asked.toSorted()).toEqual(first.asked.toSorted());
    expect((await shownStatus({ dir }, false, later)).code).toBe(0);
    await expect(fetched({ dir: join(path, 'none') })).rejects.toThrow(
      'say what is needed with --fmspc, --amd or --rim',
    );
  });

  test('writes nothing of what is forged, stale, older or something else', async () => {
    put(dir, everything());
    const before = readFileSync(join(dir, 'tcbInfo.json'));
    const answers = published({ makers: FORGERS, number: 19 });
    answers.set(`/v1/rim/${DRIVER}`, published().get(`/v1/rim/${VBIOS}`)!);
    answers.set('/IntelSGXRootCA.der', { body: crl(MAKERS.intel.root, { number: 1 }) });
    answers.set('/vcek/v1/Milan/crl', { body: crl(MAKERS.amd.Genoa.ark) });
    const server = await serving(answers);
    const { stdout, code } = await fetched({ from: server.from, fmspc: [FMSPC], amd: ['Milan'], rim: [DRIVER] }, true);
    expect(code).toBe(1);
    const { items } = onlyJson(stdout) as unknown as { items: { from: string; result: string; why?: string }[] };
    const about = Object.fromEntries(items.map(({ from, result, why }) => [from, `${result}: ${why ?? ''}`]));
    expect(about[`tcbInfo-${FMSPC}.json`]).toBe('refused: it is not signed by its signer');
    expect(about['rootCaCrl.der']).toBe('older: rootCaCrl.der is newer; --allow-older takes it all the same');
    expect(about['amd/vcek-Milan.crl']).toBe(
      'refused: it is about ARK-Genoa; the CRL of Milan, for VCEKs was asked for',
    );
    expect(about[`rim/${DRIVER}.swidtag`]).toMatch(/^refused: it is about NV_GPU_VBIOS_GH100_96005E0001/);
    expect(items.some(({ result }) => result === 'written')).toBe(false);
    expect(readFileSync(join(dir, 'tcbInfo.json'))).toEqual(before);
  });

  test.each<[string, Answer, string]>([
    ['without the chain', { body: tcbInfo() }, 'an answer without the header tcb-info-issuer-chain'],
    [
      'with a chain that is not encoded',
      { body: tcbInfo(), headers: { 'tcb-info-issuer-chain': '%zz' } },
      'not URL-encoded',
    ],
    [
      'that is something else',
      { body: Buffer.from('<html>'), headers: { 'tcb-info-issuer-chain': 'x' } },
      'neither JSON, XML',
    ],
    ['of an error', { status: 500 }, 'it answered 500'],
  ])('says of an answer %s that it is none, and takes the others', async (_, answer, why) => {
    const server = await serving(published().set(`/tdx/certification/v4/tcb?fmspc=${FMSPC}`, answer));
    const { stdout, stderr } = await fetched({ from: server.from, fmspc: [FMSPC] });
    expect(stderr).toContain(`TCB info of ${FMSPC}: `);
    expect(stderr).toContain(why);
    expect(stdout.match(/^written /gm)).toHaveLength(3);
  });

  test('says of a RIM service that does not answer with a RIM what is wrong', async () => {
    const answer = (body: string) => new Map([[`/v1/rim/${DRIVER}`, { body: Buffer.from(body) }]]);
    for (const [body, why] of [
      ['{}', 'without rim'],
      ['{"rim":"*"}', 'base64'],
      ['[', 'JSON'],
    ] as const) {
      const server = await serving(answer(body));
      const { code, stderr } = await fetched({ from: server.from, rim: [DRIVER] });
      expect(code).toBe(1);
      expect(stderr).toContain(why);
    }
  });

  test('what it fetched is what certificates are held against', async () => {
    const serial = 5n;
    const answers = published().set('/vcek/v1/Milan/crl', { body: crl(MAKERS.amd.Milan.ark, { number: 6 }, [serial]) });
    const server = await serving(answers);
    await fetched({ from: server.from, amd: ['Milan'] });
    const { readCollateral } = await import('../../src/cli/collateral/place.js');
    const { parseCertificate } = await import('../../src/crypto/x509.js');
    const { collateral } = await readCollateral(dir);
    const [ask, ark] = [MAKERS.amd.Milan.ask, MAKERS.amd.Milan.ark].map(({ certificate }) =>
      parseCertificate(certificate),
    );
    const revoked = { ...ask!, serial: '05' };
    expect(revocationFault(revoked, ark!, false, collateral.crls, 'required', NOW_MS)?.fault).toBe('revoked');
  });
});

describe('the command line', () => {
  test.each([
    [['fetch', '--dir', 'd', '--fmspc', '50806f00000'], 'An FMSPC is 12 hex digits'],
    [['fetch', '--dir', 'd', '--amd', 'Milan,Rome'], 'Generations are Milan, Genoa and Turin'],
    [['fetch', '--dir', 'd', '--rim', '../x'], 'A RIM id looks like'],
    [['fetch', '--dir', 'd', '--from', 'https://x'], 'It must be MAKER=URL'],
    [['fetch', '--dir', 'd', '--from', 'intel=ftp://x'], 'It must be MAKER=URL'],
    [['fetch', '--dir', 'd', '--from', 'arm=https://x'], 'It must be MAKER=URL'],
    [['fetch', '--dir', 'd', '--from', 'intel=https://u:p@x'], 'It must be MAKER=URL'],
    [['fetch'], 'name the directory'],
    [['status', '--dir', 'none'], 'cannot read'],
    [['status', '--dir', 'none', '--at', 'noon'], 'Times are RFC 3339'],
    [['export', '--dir', 'd'], "missing required argument 'file'"],
    [['import', 'x'], 'name the directory'],
    [[], 'fetch it from the makers'],
  ])('%j is wrong usage', async (args, message) => {
    const { code, stderr, stdout } = await portcullis(['collateral', ...args], { cwd: path });
    expect(code).toBe(2);
    expect(stderr + stdout).toContain(message);
  });

  test('has no option by which others than the makers are believed', async () => {
    for (const command of ['status', 'import', 'export', 'fetch']) {
      const { stdout } = await portcullis(['collateral', command, '--help']);
      const ownOptions = stdout.split('Global options:')[0] ?? '';
      expect(ownOptions).toContain('--dir');
      expect(ownOptions).not.toMatch(/--(?:root|ca|trust|insecure|simulator)/);
    }
  });

  test('says that no proxy is heeded', async () => {
    const { stdout } = await portcullis(['collateral', 'fetch', '--help']);
    expect(stdout.replace(/\s+/g, ' ')).toContain('HTTPS_PROXY is not heeded');
    expect(stdout).toContain('--nvidia-crls');
  });

  test('fetches by a list of names', async () => {
    const server = await makersServer(new Map());
    const from = `amd=${server.url}/`;
    const args = ['collateral', 'fetch', '--dir', 'd', '--amd', 'milan,Genoa', '--amd', 'TURIN', '--from', from];
    const { code, stderr } = await portcullis(args, { cwd: path });
    await server.close();
    expect(code).toBe(1);
    expect(server.asked).toEqual(
      ['Milan', 'Genoa', 'Turin'].flatMap((name) => [`/vcek/v1/${name}/crl`, `/vlek/v1/${name}/crl`]),
    );
    expect(stderr).toContain('CRL of Turin, for VLEKs: it answered 404');
  });
});
