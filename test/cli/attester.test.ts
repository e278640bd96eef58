/** `portcullis attester`: what it asks of the broker, what people see of the answers, and what files mean for a revocation. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { parseCertificate } from '../../src/crypto/x509.js';
import { authorityIdentity, certificateIdentity } from '../../src/endorsement/identity.js';
import type { AttesterView } from '../../src/release/views.js';
import type { SimulatedEk } from '../../src/simulator/ek.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { ecKey, pem } from '../helpers/pki.js';
import { TestAuthority } from '../helpers/test-authority.js';
import { fakeBroker, type FakeBroker, onlyJson, portcullis, problem } from './harness.js';

const AT = '2026-11-22T08:00:00.000Z';
const SPKI = '9f'.repeat(32);
const EK = 'ab'.repeat(32);
const ENROLLED: AttesterView = {
  name: 'ak-9f9f9f9f9f9f9f9f',
  ak_name: `000b${'1c'.repeat(32)}`,
  ak_spki_sha256: SPKI,
  pem: '-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n',
  trust: 'ek-certificate',
  state: 'pending',
  deployments: [],
  created_at: AT,
  enrolled_for: ['llm'],
  ek: {
    spki_sha256: EK,
    certificate_sha256: 'cd'.repeat(32),
    serial: '0a1b',
    issuer: 'CN=Maker CA, O=Maker',
    manufacturer: 'id:53544D20',
    model: 'ST33',
    version: 'id:00010102',
  },
  instance: { projectId: 'project-1' },
  vouched_by: [`ek/${EK}`, `ca/${'ef'.repeat(32)}`],
  first_seen: AT,
  last_seen: AT,
  last_deployment: 'llm',
  reset_count: 7,
  restart_count: 8,
  clock_ms: '12345',
  firmware_version: '66051',
  regressions: 0,
};

let dir: string;
let broker: FakeBroker;
let authority: TestAuthority;
let ek: SimulatedEk;
let ekChain: readonly Buffer[];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-attester-'));
  broker = await fakeBroker();
  authority = new TestAuthority('Maker', Date.now());
  ek = await new SimulatedTpm().ek('ecc256');
  ekChain = authority.ek(ek.spki);
  const files = {
    'ek.crt': ekChain[0]!,
    'ek.pem': `Certificate of the TPM\n${pem(ekChain[0]!)}`,
    'ek.pub': ek.tpm2bPublic,
    'ca.pem': pem(authority.ca),
    'ca.der': authority.ca,
    'two.pem': pem(ekChain[0]!, authority.ca),
    'key.pem': '-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n',
    empty: '',
    noise: Buffer.alloc(4000, 0x30),
    large: Buffer.alloc(33 * 1024, 0x30),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

const run = (line: string) =>
  portcullis(line.split(' '), { cwd: dir, env: { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: 'pc_1_secret' } });

const sent = () => {
  const { method, url, body } = broker.only();
  return { call: `${method} ${url}`, body };
};

describe('attester list and show', () => {
  test('say in a table what vouches for each, how it stands, and where it asked without being let in', async () => {
    const pinned = { ...ENROLLED, name: 'node-1', trust: 'pinned', state: 'trusted', deployments: ['llm', 'tune'] };
    const seen = { ...ENROLLED, trust: 'ak-certificate', enrolled_for: undefined };
    broker.answer({ status: 200, body: { items: [ENROLLED, pinned, seen] } });
    const { stdout, code } = await run('attester list');
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'name                 trust           state    deployments  last seen                 SPKI hash',
        `ak-9f9f9f9f9f9f9f9f  ek-certificate  pending  llm          2026-11-22T08:00:00.000Z  ${SPKI}`,
        `node-1               pinned          trusted  llm, tune    2026-11-22T08:00:00.000Z  ${SPKI}`,
        `ak-9f9f9f9f9f9f9f9f  ak-certificate  pending  (llm)        2026-11-22T08:00:00.000Z  ${SPKI}`,
        '',
      ].join('\n'),
    );
  });

  test('show everything that is known, and what can be revoked', async () => {
    broker.answer({ status: 200, body: { ...ENROLLED, quarantined_at: AT, revoked_by: `ek/${EK}` } });
    const { stdout } = await run(`attester show ${SPKI}`);
    for (const part of [
      /^trusted for/m,
      /^enrolled for +llm$/m,
      /^issued by +CN=Maker CA, O=Maker$/m,
      /^TPM +id:53544D20 ST33 id:00010102$/m,
      /^instance projectId +project-1$/m,
      /^resets +7$/m,
      /^clock went back +0$/m,
      /^in quarantine since +2026/m,
      new RegExp(`^revoked by +ek/${EK}$`, 'm'),
      new RegExp(`^  ek/${EK}$`, 'm'),
    ]) {
      if (part.source.startsWith('^trusted for')) expect(stdout).not.toMatch(part);
      else expect(stdout).toMatch(part);
    }
    expect(stdout.trimEnd()).toMatch(/-----END PUBLIC KEY-----$/);
  });

  test.each([
    { items: [{ name: 'node-1' }] },
    { items: [{ name: 'node-1', ak_name: '000b', trust: 'pinned', state: 'trusted', deployments: ['llm'] }] },
    { items: [{}] },
  ])('of a broker that answers less (%j) show what there is, as text and as JSON', async (body) => {
    broker.answer({ status: 200, body });
    expect(await run('attester list')).toMatchObject({ code: 0, stderr: '' });
    broker.answer({ status: 200, body });
    const { code, stdout } = await run('attester list --json');
    expect({ code, json: onlyJson(stdout) }).toEqual({ code: 0, json: body });
    for (const line of ['attester show n', 'attester show n --json', 'attester quarantine n', 'attester revoke n']) {
      broker.answer({ status: 200, body: body.items[0] });
      expect(await run(line)).toMatchObject({ code: 0, stderr: '' });
    }
  });

  test('take nothing that the broker says for a line of their own', async () => {
    broker.answer({
      status: 200,
      body: { ...ENROLLED, ek: { ...ENROLLED.ek, issuer: 'CN=\u001b[2J\nstate  trusted' } },
    });
    const { stdout } = await run('attester show x');
    expect(stdout).not.toContain('\u001b');
    expect(stdout.match(/^state /gm)).toHaveLength(1);
  });
});

describe('attester quarantine', () => {
  test('begins and ends one', async () => {
    broker.answer({ status: 200, body: { ...ENROLLED, state: 'quarantined' } });
    expect(await run('attester quarantine node-1')).toEqual({
      code: 0,
      stdout: 'Attester ak-9f9f9f9f9f9f9f9f is in quarantine.\n',
      stderr: '',
    });
    expect(sent()).toEqual({ call: 'POST /v1/attesters/node-1/quarantine', body: {} });
    broker.answer({ status: 200, body: ENROLLED });
    expect((await run('attester quarantine node-1 --end')).stdout).toBe(
      'Attester ak-9f9f9f9f9f9f9f9f is out of quarantine, and pending.\n',
    );
    expect(sent()).toEqual({ call: 'POST /v1/attesters/node-1/unquarantine', body: {} });
  });

  test('is not lifted by trust, and trust says so', async () => {
    broker.answer({ status: 201, body: { ...ENROLLED, state: 'quarantined', deployments: ['llm'] } });
    const { stdout } = await run(`attester trust ${SPKI} --deployment llm`);
    expect(stdout).toContain('Deployment llm trusts attester ak-9f9f9f9f9f9f9f9f.\nIt is in quarantine');
    expect(sent()).toEqual({ call: 'POST /v1/attesters', body: { deployment: 'llm', spki_sha256: SPKI } });
  });
});

describe('attester revoke', () => {
  const hash = 'AB'.repeat(32);
  /** The identity that each line revokes, made of the certificates by the verifier's own rules. */
  const cases = (): readonly (readonly [line: string, identity: string])[] => {
    const [leaf, ca] = [parseCertificate(ekChain[0]!), parseCertificate(authority.ca)];
    return [
      ['--ek ek.crt', `ek/${sha256Hex(ek.spki)}`],
      ['--ek ek.pem', `ek/${sha256Hex(ek.spki)}`],
      ['--ek ek.pub', `ek/${sha256Hex(ek.spki)}`],
      [`--ek ${hash}`, `ek/${hash.toLowerCase()}`],
      ['--certificate ek.crt', certificateIdentity(leaf)],
      ['--certificate ek.pem', certificateIdentity(leaf)],
      ['--certificate ca.pem', certificateIdentity(ca)],
      ['--authority ca.pem', authorityIdentity(ca)],
      ['--authority ca.der', authorityIdentity(ca)],
      [`--authority ${hash}`, `ca/${hash.toLowerCase()}`],
      [`--chip ${'AB'.repeat(64)}`, `chip/${'ab'.repeat(64)}`],
      [`ek/${hash.toLowerCase()}`, `ek/${hash.toLowerCase()}`],
      [certificateIdentity(leaf), certificateIdentity(leaf)],
    ];
  };

  test('makes of a file or a hash what the verifier calls it', async () => {
    for (const [line, identity] of cases()) {
      const kind = identity.slice(0, identity.indexOf('/'));
      broker.answer({ status: 201, body: { identity, kind } });
      const { code, stdout, stderr } = await run(`attester revoke ${line}`);
      expect([line, code, stderr]).toEqual([line, 0, '']);
      expect([line, sent()]).toEqual([line, { call: 'POST /v1/revocations', body: { identity } }]);
      expect(stdout).toContain(`(${identity})`);
    }
  });

  test('says what was revoked, and which AKs that ends', async () => {
    const identity = `ek/${sha256Hex(ek.spki)}`;
    broker.answer({ status: 201, body: { identity, kind: 'ek', attesters: ['ak-1', 'node-2'] } });
    const { stdout } = await run('attester revoke --ek ek.crt');
    expect(stdout).toBe(
      `Revoked: EK ${sha256Hex(ek.spki)}, of the certificate of ${nameOfLeaf()} (${identity}).\n` +
        'AKs that were enrolled by it: ak-1, node-2.\n',
    );
    broker.answer({ status: 200, body: { identity, kind: 'ek', attesters: [] } });
    expect((await run('attester revoke --ek ek.crt')).stdout).toContain('No AK was enrolled by it.');
  });
  const nameOfLeaf = () => `number ${parseCertificate(ekChain[0]!).serial} by Maker CA`;

  test('of an AK says its hash', async () => {
    broker.answer({ status: 200, body: { ...ENROLLED, state: 'revoked' } });
    expect((await run('attester revoke node-1')).stdout).toBe(`Attester node-1 is revoked (SPKI hash ${SPKI}).\n`);
    expect(sent()).toEqual({ call: 'POST /v1/attesters/node-1/revoke', body: {} });
  });

  test.each([
    ['', 'name one thing to revoke'],
    [' node-1 --ek ek.crt', 'name one thing to revoke'],
    [' --ek ek.crt --authority ca.pem', 'name one thing to revoke'],
    [' --ek ca.pem', '--authority revokes one'],
    [' --ek two.pem', 'neither one certificate'],
    [' --ek empty', 'neither one certificate'],
    [' --ek noise', 'neither one certificate'],
    [' --ek key.pem', 'neither one certificate'],
    [' --ek large', 'larger than'],
    [' --ek none.crt', 'there is no such file'],
    [' --authority ek.crt', 'not the certificate of a CA'],
    [' --authority two.pem', 'does not hold one certificate'],
    [' --authority ek.pub', 'does not hold one certificate'],
    [' --certificate two.pem', 'does not hold one certificate'],
    [' --certificate key.pem', 'does not hold one certificate'],
    [` --certificate ${'ab'.repeat(32)}`, 'there is no such file'],
    [' --chip ab', '16 to 128 hex digits'],
    [' --chip 0g0g0g0g0g0g0g0g', '16 to 128 hex digits'],
    [' ek/ab', 'what has a slash'],
    [` maker/${'ab'.repeat(32)}`, 'what has a slash'],
  ])('`attester revoke%s` is wrong usage: %s', async (line, why) => {
    broker.answer({ status: 500, body: {} });
    const { code, stdout, stderr } = await run(`attester revoke${line}`);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(why);
    expect(stderr).not.toContain('MC4CAQAw');
    expect(broker.received).toHaveLength(0);
  });

  test('with --ca, which is of TLS, revokes the attester that is named', async () => {
    broker.answer({ status: 200, body: ENROLLED });
    const { code, stderr } = await run('attester revoke node-1 --ca ca.pem');
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('--ca needs an https:// URL') });
    expect(broker.received).toHaveLength(0);
  });

  test('passes on why the broker refuses', async () => {
    broker.answer(problem(403, 'auth.role'));
    expect(await run('attester revoke --ek ek.crt')).toMatchObject({ code: 1 });
  });

  test('takes the key of an EK certificate as it is, and no key of a kind that certificates here do not have', async () => {
    const p521 = authority.ek(ecKey('P-521').spki)[0]!;
    writeFileSync(join(dir, 'p521.crt'), p521);
    broker.answer({ status: 201, body: { identity: '', kind: 'ek' } });
    // P-521 is a key that certificates may have: its hash is taken as it is.
    expect((await run('attester revoke --ek p521.crt')).code).toBe(0);
    expect(sent().body).toEqual({ identity: `ek/${sha256Hex(parseCertificate(p521).spki)}` });
    const ed25519 = Buffer.from('302a300506032b6570032100'.padEnd(88, '0'), 'hex');
    writeFileSync(join(dir, 'ed25519.crt'), authority.ek(ed25519)[0]!);
    expect(await run('attester revoke --ek ed25519.crt')).toMatchObject({ code: 2 });
  });
});

test('attester revocations lists what was revoked', async () => {
  broker.answer({
    status: 200,
    body: {
      items: [
        { identity: SPKI, kind: 'ak' },
        { identity: `ek/${EK}`, kind: 'ek' },
      ],
    },
  });
  const { stdout } = await run('attester revocations');
  expect(stdout).toBe(`kind  identity\nak    ${SPKI}\nek    ek/${EK}\n`);
  expect(sent().call).toBe('GET /v1/revocations?limit=1000');
});
