import { execFile } from 'node:child_process';
import { createHash, createPublicKey } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createSimulatorCa, issueEkCertificate, type SimulatorCa } from '../../src/simulator/ca.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { startSwtpm, swtpmAvailable, type Swtpm } from '../helpers/swtpm.js';
import { createEk, type SwtpmEkAlg } from '../helpers/swtpm-ek.js';
import { deploymentDocument, POLICY } from '../helpers/test-broker.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/interop/enrol-with-tpm2-tools.sh', import.meta.url));
const folders = (process.env['PATH'] ?? '').split(delimiter);
const available =
  swtpmAvailable() &&
  ['curl', 'openssl', 'basenc', 'awk', 'python3', 'tpm2_activatecredential'].every((tool) =>
    folders.some((folder) => existsSync(join(folder, tool))),
  );

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

(available ? describe : describe.skip)('a machine made of tpm2-tools, curl and openssl', () => {
  let dir: string;
  let broker: ServedBroker;
  let tpm: Swtpm;
  /** The CA of the swtpm, and another maker, who certifies the EKs for which swtpm keeps no certificate. */
  let roots: { readonly issuer: string; readonly root: string };
  let maker: SimulatorCa;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'portcullis-interop-'));
    [broker, tpm, maker] = await Promise.all([ServedBroker.start(), startSwtpm(), createSimulatorCa()]);
    const read = (name: string) => readFileSync(join(tpm.caDir, name), 'utf8');
    roots = { issuer: read('issuercert.pem'), root: read('swtpm-localca-rootca-cert.pem') };
    await tpm.extend(8, 'sha256', createHash('sha256').update(POLICY).digest('hex'));
    writeFileSync(join(dir, 'log.vkey'), String((await broker.call('GET', '/log/key')).body['text']));
  }, 60_000);

  afterAll(async () => {
    await Promise.all([broker.close(), tpm.close()]);
    rmSync(dir, { recursive: true });
  });

  const zeros = { '4': ['00'.repeat(32)], '7': ['00'.repeat(32)] };

  /** A deployment, and a key of its name for it. */
  async function deploy(name: string, attesters: Readonly<Record<string, unknown>>): Promise<void> {
    const trust = { trust: ['ek-certificate'], ...attesters };
    await broker.admin(
      'POST',
      '/v1/deployments',
      deploymentDocument(name, { platform: { pcrs: zeros }, attesters: trust }),
    );
    await broker.admin('POST', '/v1/keys', { name, type: 'EC', curve: 'P-256', deployments: [name] });
  }

  /** The AK of each EK has a handle of its own. */
  function script(alg: SwtpmEkAlg, args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const handles = { rsa2048: '0x81010002', ecc256: '0x81010003', ecc384: '0x81010004', rsa3072: '0x81010005' };
    const env = { ...process.env, TPM2TOOLS_TCTI: tpm.tcti, EK_ALG: alg, AK_HANDLE: handles[alg], ...more };
    return new Promise((resolve) => {
      execFile('bash', [SCRIPT, broker.url, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
      });
    });
  }

  /** A certificate of the other maker, as a file for EK_CERTIFICATE. */
  async function certified(alg: SwtpmEkAlg): Promise<string> {
    const ek = await createEk(tpm, alg);
    const pem = tpm.file('ek.pem');
    await tpm.run('tpm2_readpublic', '-c', ek.context, '-f', 'pem', '-o', pem);
    const spki = createPublicKey(readFileSync(pem)).export({ type: 'spki', format: 'der' });
    const terms = { notBefore: new Date('2020-01-01'), notAfter: new Date('2049-01-01'), serial: Buffer.of(9) };
    return tpm.write('ek.der', issueEkCertificate(maker, spki, terms));
  }

  function told(stdout: string, what: string): string {
    return new RegExp(`^ +${what} +([0-9a-f]+)$`, 'm').exec(stdout)?.[1] ?? `the script told no ${what}`;
  }

  const jwk = (stdout: string) => JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as unknown;

  test.each([
    ['rsa2048', 'in NV memory'],
    ['ecc384', 'in NV memory'],
    ['ecc256', 'in a file'],
    ['rsa3072', 'in a file'],
  ] as const)(
    'enrols by its EK of %s, whose certificate is %s, waits for an administrator, and draws the key',
    async (alg, where) => {
      const file = where === 'in a file' ? { EK_CERTIFICATE: await certified(alg) } : {};
      const certificates = [roots.issuer, roots.root, maker.certificatePem];
      await deploy(`by-${alg}`, { roots: certificates });

      const waiting = await script(alg, [`by-${alg}`, `by-${alg}`], file);
      expect(waiting).toMatchObject({ code: 1, stderr: '' });
      expect(waiting.stdout).toContain('"state":"pending"');
      const hash = told(waiting.stdout, 'AK hash');
      expect(waiting.stdout).toContain(`portcullis attester trust ${hash} --deployment by-${alg}`);
      const ek = told(waiting.stdout, 'EK hash');
      const known = (await broker.admin('GET', `/v1/attesters/${hash}`)).body;
      expect(known).toMatchObject({ ak_name: told(waiting.stdout, 'AK Name'), ek: { spki_sha256: ek } });

      await broker.admin('POST', '/v1/attesters', { deployment: `by-${alg}`, spki_sha256: hash });
      const drawn = await script(alg, [`by-${alg}`, `by-${alg}`], { ...file, LOG_KEY: join(dir, 'log.vkey') });
      expect(drawn).toMatchObject({ code: 0, stderr: '' });
      expect(drawn.stdout).toContain('was there already');
      expect(told(drawn.stdout, 'AK hash')).toBe(hash);
      expect(jwk(drawn.stdout)).toMatchObject({ kty: 'EC', kid: expect.stringMatching(new RegExp(`^by-${alg}/`)) });

      await deploy(`for-${alg}`, { roots: certificates, allow: { ek: [ek] } });
      const allowed = await script(alg, [`for-${alg}`, `for-${alg}`], file);
      expect(allowed).toMatchObject({ code: 0, stderr: '' });
      expect(jwk(allowed.stdout)).toMatchObject({ kty: 'EC' });
    },
    60_000,
  );

  test('hands over what stands between its certificate and the root', async () => {
    await deploy('root-alone', { roots: [roots.root], anyFromRoots: true });
    const missing = await script('rsa2048', ['root-alone']);
    expect(missing.code).toBe(1);
    expect(missing.stdout).toContain('"reason":"ek.chain"');
    const chain = join(dir, 'chain.pem');
    writeFileSync(chain, roots.issuer);
    const whole = await script('rsa2048', ['root-alone'], { EK_CHAIN: chain });
    expect(whole).toMatchObject({ code: 0, stderr: '' });
    expect(whole.stdout).toContain('"state":"trusted"');
  });

  test('says what to do where the TPM keeps no certificate', async () => {
    const { code, stderr } = await script('ecc256', ['pinned-only']);
    expect(code).toBe(1);
    expect(stderr).toContain('keeps no certificate at 0x01c0000a');
    expect(stderr).toContain('EK_CERTIFICATE');
  });

  test('is refused with the reason of the broker', async () => {
    await deploy('pinned-only', { trust: ['pinned'] });
    const refused = await script('rsa2048', ['pinned-only']);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toMatch(/The broker refuses:\n.*"reason":"ak.untrusted"/);
  });
});
