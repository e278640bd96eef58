import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ServedBroker } from '../helpers/served-broker.js';
import { startSwtpm, swtpmAvailable, type Swtpm } from '../helpers/swtpm.js';
import { onlyJson, portcullis, type Ran } from './harness.js';

const POLICY = '{"allow":["serve"]}\n';
const HEX = /^[0-9a-f]{64}$/;

let dir: string;
let broker: ServedBroker;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-enrol-'));
  broker = await ServedBroker.start();
  writeFileSync(join(dir, 'policy.json'), POLICY);
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

/** An administrator's command. */
function admin(line: string): Promise<Ran> {
  const words = line.split(' ');
  return portcullis(['--token-file', join(broker.dataDir, 'admin.token'), '--url', broker.url, ...words], { cwd: dir });
}

/** A workload's command: no token. */
function workload(line: string): Promise<Ran> {
  return portcullis(['workload', ...line.split(' ')], { cwd: dir, env: { PORTCULLIS_URL: broker.url } });
}

async function done(ran: Promise<Ran>): Promise<Ran> {
  const result = await ran;
  if (result.code !== 0) throw new Error(`exit code ${String(result.code)}: ${result.stderr}`);
  return result;
}

async function refused(ran: Promise<Ran>): Promise<Record<string, unknown>> {
  const { code, stdout } = await ran;
  expect(code).toBe(1);
  return onlyJson(stdout);
}

interface Enrolled {
  readonly attester: { readonly ak_name: string; readonly ak_spki_sha256: string; readonly state: string };
  readonly ek: { readonly algorithm: string; readonly spki_sha256: string; readonly manufacturer?: string };
}

async function enrolled(line: string): Promise<Enrolled> {
  return onlyJson((await done(workload(`enrol ${line} --json`))).stdout) as unknown as Enrolled;
}

/** A deployment that trusts EK certificates of the roots, and a key of its own for it. */
async function deploy(name: string, attesters: Readonly<Record<string, unknown>>, pcr = 8): Promise<void> {
  const zeros = '00'.repeat(32);
  const document = {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name },
    measurement: { pcr },
    policies: [{ file: 'policy.json' }],
    platform: { pcrs: { '4': [zeros], '7': [zeros] } },
    attesters: { trust: ['ek-certificate'], roots: ['roots.pem'], ...attesters },
  };
  writeFileSync(join(dir, `${name}.json`), JSON.stringify(document));
  await done(admin(`deployment apply ${name}.json`));
}

describe('a simulated TPM whose keys are kept', () => {
  const tpm = '--tpm simulator:tpm.json';
  let first: Enrolled;

  beforeAll(async () => {
    writeFileSync(join(dir, 'roots.pem'), readFileSync(join(broker.dataDir, 'simulator-ca.pem')));
    await deploy('hello', {});
    await done(admin('key create secret --deployment hello'));
    first = await enrolled(`--deployment hello ${tpm}`);
  });

  test('enrols, is pending, and its file is for its owner alone', async () => {
    expect(first).toMatchObject({
      ok: true,
      deployment: 'hello',
      attester: { ak_name: expect.stringMatching(/^000b/), trust: 'ek-certificate', state: 'pending' },
      ek: { algorithm: 'ecc256', manufacturer: 'id:53494D00', model: 'Portcullis simulator', version: 'id:00000001' },
    });
    expect(first.attester.ak_spki_sha256).toMatch(HEX);
    expect(statSync(join(dir, 'tpm.json')).mode & 0o777).toBe(0o600);
  });

  test('says to people what it is, and what an administrator has to do', async () => {
    const { stdout, stderr } = await done(workload(`enrol --deployment hello ${tpm}`));
    const { attester, ek } = first;
    for (const shown of ['SIM (id:53494D00)', 'pending', attester.ak_name, attester.ak_spki_sha256, ek.spki_sha256]) {
      expect(stdout).toContain(shown);
    }
    expect(stderr).toContain(`portcullis attester trust ${attester.ak_spki_sha256} --deployment hello`);
    expect(stderr).toContain(`${ek.spki_sha256} to attesters.allow.ek`);
  });

  test('draws nothing while it is pending, and the key once an administrator trusts its AK', async () => {
    const release = `release --deployment hello --key secret ${tpm} --json`;
    expect(await refused(workload(release))).toMatchObject({ reason: 'ak.pending' });
    await done(admin(`attester trust ${first.attester.ak_spki_sha256} --deployment hello`));
    const { stdout } = await done(workload(release));
    expect(onlyJson(stdout)).toMatchObject({ ok: true, enrolled: false, jwk: { kty: 'oct' } });
    expect((await enrolled(`--deployment hello ${tpm}`)).attester).toEqual({ ...first.attester, state: 'trusted' });
  });

  test('is let in by its EK hash, and enrols by itself for the release that needs it', async () => {
    await deploy('by-ek', { allow: { ek: [first.ek.spki_sha256] } });
    await done(admin('key create by-ek --deployment by-ek'));
    const release = `release --deployment by-ek --key by-ek ${tpm} --json`;
    expect(await refused(workload(`${release} --no-enrol`))).toMatchObject({ reason: 'ak.untrusted' });
    const ran = await done(workload(release));
    expect(onlyJson(ran.stdout)).toMatchObject({ ok: true, enrolled: true, jwk: { kty: 'oct' } });
    expect(ran.stderr).toContain('The AK is enrolled, and trusted by by-ek.');
    expect(onlyJson((await done(workload(release))).stdout)).toMatchObject({ ok: true, enrolled: false });
  });

  test('is refused from the next request on, once its EK was revoked', async () => {
    const { ek } = await enrolled(`--deployment by-ek --tpm simulator:revoked.json`);
    await deploy('by-ek', { allow: { ek: [ek.spki_sha256] } });
    const release = 'release --deployment by-ek --key by-ek --tpm simulator:revoked.json --json';
    await done(workload(release));
    await done(admin(`attester revoke ek/${ek.spki_sha256}`));
    expect(await refused(workload(release))).toMatchObject({ reason: 'ak.revoked' });
    const again = workload('enrol --deployment by-ek --tpm simulator:revoked.json --json');
    expect(await refused(again)).toMatchObject({ reason: 'ek.revoked' });
  });

  test.each([
    ['that holds something else', 'other.json', () => writeFileSync(join(dir, 'other.json'), '{}', { mode: 0o600 })],
    ['in a folder that is not there', 'none/tpm.json', () => undefined],
    ['that others may read', 'open.json', () => copy('open.json', 0o644)],
    ['that is a folder', 'folder', () => mkdirSync(join(dir, 'folder'))],
  ])('in a file %s is wrong usage', async (_what, file, make) => {
    make();
    const { code, stderr } = await workload(`enrol --deployment hello --tpm simulator:${file}`);
    expect(code).toBe(2);
    expect(stderr).toContain(file);
  });

  function copy(name: string, mode: number): void {
    writeFileSync(join(dir, name), readFileSync(join(dir, 'tpm.json')));
    chmodSync(join(dir, name), mode);
  }

  test('with another EK than is asked for is wrong usage', async () => {
    expect((await workload(`enrol --deployment hello ${tpm} --ek rsa2048`)).code).toBe(2);
    expect((await enrolled('--deployment hello --tpm simulator:rsa.json --ek rsa2048')).ek.algorithm).toBe('rsa2048');
  });

  test('that two processes make at the same time is one', async () => {
    const enrol = '--deployment hello --tpm simulator:race.json';
    const [one, other] = await Promise.all([enrolled(enrol), enrolled(enrol)]);
    expect(other.attester.ak_name).toBe(one.attester.ak_name);
    expect(existsSync(join(dir, 'race.json'))).toBe(true);
  });
});

describe('a simulated TPM that is made anew each time', () => {
  test('enrols, and says that it is gone', async () => {
    const { stderr } = await done(workload('enrol --deployment hello'));
    expect(stderr).toContain('simulator:FILE');
  });

  test('draws a key where every certificate under the roots is accepted', async () => {
    await deploy('any', { anyFromRoots: true });
    await done(admin('key create any --deployment any'));
    const { stdout } = await done(workload('release --deployment any --key any --json'));
    expect(onlyJson(stdout)).toMatchObject({ ok: true, enrolled: true });
  });

  test('is refused, with what to do, where the simulator CA is no root, or EK certificates are not trusted', async () => {
    const { TestCa } = await otherCa();
    writeFileSync(join(dir, 'other.pem'), TestCa);
    await deploy('strangers', { roots: ['other.pem'] });
    expect(await refused(workload('enrol --deployment strangers --json'))).toMatchObject({
      reason: 'resource.state',
      detail: expect.stringContaining('simulator-ca.pem'),
    });
    await deploy('simulated', { trust: ['simulator'], roots: [] });
    expect(await refused(workload('enrol --deployment simulated --json'))).toMatchObject({
      reason: 'attester',
      detail: expect.stringContaining('simulator-ca.pem'),
    });
  });

  test('takes no certificate files', async () => {
    expect((await workload('enrol --deployment hello --ek-certificate roots.pem')).code).toBe(2);
  });
});

async function otherCa(): Promise<{ TestCa: string }> {
  const { createSimulatorCa } = await import('../../src/simulator/ca.js');
  return { TestCa: (await createSimulatorCa()).certificatePem };
}

(swtpmAvailable() ? describe : describe.skip)('a machine with a TPM', () => {
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await startSwtpm();
    const roots = ['issuercert.pem', 'swtpm-localca-rootca-cert.pem'].map((name) =>
      readFileSync(join(tpm.caDir, name)),
    );
    writeFileSync(join(dir, 'roots.pem'), Buffer.concat(roots));
    writeFileSync(join(dir, 'root.pem'), roots[1]!);
    writeFileSync(join(dir, 'issuer.pem'), roots[0]!);
    const { sha256 } = onlyJson(
      (await done(portcullis(['policy', 'hash', 'policy.json', '--json'], { cwd: dir }))).stdout,
    );
    await tpm.run('tpm2_pcrextend', `12:sha256=${sha256 as string}`);
  }, 60_000);
  afterAll(() => tpm.close());

  // Of P-384 and RSA-2048 it has certificates in NV memory; each AK has one EK, so each has a handle of its own.
  test.each([
    ['rsa2048', '0x81010010'],
    ['ecc384', '0x81010011'],
  ])('enrols by its EK of %s against the CA of its maker, and draws a key', async (algorithm, handle) => {
    const name = `tpm-${algorithm}`;
    await deploy(name, {}, 12);
    await done(admin(`key create ${name} --deployment ${name}`));
    const machine = `--tpm ${tpm.tcti} --ak-handle ${handle} --ek ${algorithm}`;
    const { attester, ek } = await enrolled(`--deployment ${name} ${machine}`);
    expect(attester).toMatchObject({ state: 'pending' });
    expect(ek).toMatchObject({ algorithm, manufacturer: 'id:00001014', model: 'swtpm' });
    const release = `release --deployment ${name} --key ${name} ${machine} --json`;
    expect(await refused(workload(release))).toMatchObject({ reason: 'ak.pending' });
    await deploy(name, { allow: { ek: [ek.spki_sha256] } }, 12);
    expect(onlyJson((await done(workload(release))).stdout)).toMatchObject({ ok: true, enrolled: false });
  });

  test('whose AK is new enrols by itself, and draws the key: the deployment knows its EK', async () => {
    const release = `release --deployment tpm-rsa2048 --key tpm-rsa2048 --tpm ${tpm.tcti} --json`;
    const handle = '--ak-handle 0x81010012';
    expect(onlyJson((await done(workload(`${release} ${handle}`))).stdout)).toMatchObject({ ok: true, enrolled: true });
    await tpm.run('tpm2_evictcontrol', '-C', 'o', '-c', '0x81010012');
    expect(onlyJson((await done(workload(`${release} ${handle}`))).stdout)).toMatchObject({ ok: true, enrolled: true });
  });

  test('hands over what stands between its certificate and the root', async () => {
    await deploy('root-alone', { roots: ['root.pem'] }, 12);
    const enrol = `enrol --deployment root-alone --tpm ${tpm.tcti} --ak-handle 0x81010013`;
    const missing = await refused(workload(`${enrol} --json`));
    expect(missing).toMatchObject({ reason: 'ek.chain' });
    await tpm.run('tpm2_nvread', '0x1c00002', '-o', join(dir, 'ek.der'));
    const given = '--ek-certificate ek.der --ek-certificate issuer.pem';
    expect(onlyJson((await done(workload(`${enrol} ${given} --json`))).stdout)).toMatchObject({
      attester: { state: 'pending' },
      ek: { algorithm: 'rsa2048' },
    });
  });

  test('keeps its AK: another EK of the same TPM does not take it over', async () => {
    const enrol = `enrol --deployment tpm-rsa2048 --tpm ${tpm.tcti} --ak-handle 0x81010010 --ek ecc384 --json`;
    expect(await refused(workload(enrol))).toMatchObject({ reason: 'attester.conflict' });
  });

  test('a file that holds no certificate is wrong usage', async () => {
    const { code, stderr } = await workload(
      `enrol --deployment root-alone --tpm ${tpm.tcti} --ek-certificate policy.json`,
    );
    expect(code).toBe(2);
    expect(stderr).toContain('policy.json holds no DER or PEM certificate');
  });
});
