import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sha256 } from '../../src/crypto/digest.js';
import { SimulatedSnp } from '../../src/simulator/snp.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { startSwtpm, swtpmAvailable, type Swtpm } from '../helpers/swtpm.js';
import { TestNoteKey } from '../helpers/test-log.js';
import { onlyJson, portcullis, type Ran } from './harness.js';

const POLICY = '{"allow":["serve"]}\n';

let dir: string;
let broker: ServedBroker;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-workload-'));
  broker = await ServedBroker.start();
  writeFileSync(join(dir, 'policy.json'), POLICY);
});
afterAll(async () => {
  await broker.close();
  rmSync(dir, { recursive: true });
});

/** An administrator's command. */
function admin(line: string): Promise<Ran> {
  return portcullis(['--token-file', join(broker.dataDir, 'admin.token'), '--url', broker.url, ...line.split(' ')], {
    cwd: dir,
  });
}

/** A workload's command: no token. */
function workload(line: string): Promise<Ran> {
  return portcullis(['workload', ...line.split(' ')], { cwd: dir, env: { PORTCULLIS_URL: broker.url } });
}

async function done(ran: Promise<Ran>): Promise<Ran> {
  const result = await ran;
  expect(result).toMatchObject({ code: 0 });
  return result;
}

async function deploy(
  name: string,
  trust: string,
  pcrs: Readonly<Record<string, string>>,
  policyPcr = 8,
): Promise<void> {
  const platform = { pcrs: Object.fromEntries(Object.entries(pcrs).map(([pcr, value]) => [pcr, [value]])) };
  const document = {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name },
    measurement: { pcr: policyPcr },
    policies: [{ file: 'policy.json' }],
    platform,
    attesters: { trust: [trust] },
  };
  writeFileSync(join(dir, `${name}.json`), JSON.stringify(document));
  await done(admin(`deployment apply ${name}.json`));
}

describe('workload release with the simulator', () => {
  beforeAll(async () => {
    await deploy('simulated', 'simulator', { '4': 'aa'.repeat(32), '7': 'bb'.repeat(32) });
    await done(admin('key create weights --deployment simulated'));
  });

  test('prints the key alone on stdout', async () => {
    const { stdout, stderr } = await done(workload('release --deployment simulated --key weights'));
    const jwk = onlyJson(stdout);
    expect(jwk).toMatchObject({ kty: 'oct', kid: expect.stringMatching(/^weights\/[0-9a-f]{32}$/) });
    expect(Buffer.from(jwk['k'] as string, 'base64url')).toHaveLength(32);
    expect(stderr).not.toContain(jwk['k']);
  });

  test.each(['P-256', 'P-384', 'X25519', 'RSA'])('opens what is encrypted to a key of kind %s', async (kind) => {
    const { stdout } = await done(workload(`release --deployment simulated --key weights --recipient ${kind} --json`));
    expect(onlyJson(stdout)).toMatchObject({ ok: true, key: { name: 'weights', kty: 'oct' }, jwk: { kty: 'oct' } });
  });

  test('--out writes it to a file of the owner alone, over a former one, and stdout has no key', async () => {
    writeFileSync(join(dir, 'weights.jwk'), 'former', { mode: 0o644 });
    const { stdout } = await done(workload('release --deployment simulated --key weights --out weights.jwk --json'));
    const { k } = JSON.parse(readFileSync(join(dir, 'weights.jwk'), 'utf8')) as { k: string };
    expect(statSync(join(dir, 'weights.jwk')).mode & 0o777).toBe(0o600);
    expect(stdout).not.toContain(k);
    expect(onlyJson(stdout)).toMatchObject({ ok: true, file: 'weights.jwk' });
  });

  describe('as a confidential VM', () => {
    const MEASUREMENT = 'c5'.repeat(48);
    beforeAll(async () => {
      const document = (name: string, more: object) => ({
        apiVersion: 'portcullis/v1',
        kind: 'Deployment',
        metadata: { name },
        policies: [{ file: 'policy.json' }],
        attesters: { trust: ['cvm-report', 'simulator'], allow: { cvm: [{ measurement: MEASUREMENT }] } },
        ...more,
      });
      const documents = {
        'cvm.json': document('cvm', {
          platform: { pcrs: { '4': ['aa'.repeat(32)], '7': ['bb'.repeat(32)] }, gpus: { count: 1 } },
        }),
        'host-data.json': document('host-data', { measurement: { source: 'snp.host_data' } }),
      };
      for (const [file, content] of Object.entries(documents)) {
        writeFileSync(join(dir, file), JSON.stringify(content));
        await done(admin(`deployment apply ${file}`));
      }
      await done(admin('key create shards --deployment cvm --deployment host-data'));
    });

    test.each(['snp', 'tdx', 'hcl-snp', 'hcl-tdx'])('of kind %s with a GPU draws a key', async (kind) => {
      const { stdout } = await done(workload(`release --deployment cvm --key shards --cvm ${kind} --gpus 1 --json`));
      const { receipt } = onlyJson(stdout) as { receipt: { entry: string } };
      expect(JSON.parse(receipt.entry)).toMatchObject({
        ak_trust: 'cvm-report',
        cvm_measurement: MEASUREMENT,
        gpus: 1,
      });
    });

    test('without a TPM draws one where the policy is measured at launch', async () => {
      const { stdout, stderr } = await done(
        workload('release --deployment host-data --key shards --no-tpm --cvm snp --json'),
      );
      const { receipt } = onlyJson(stdout) as { receipt: { entry: string } };
      expect(JSON.parse(receipt.entry)).toMatchObject({ ak_name: 'none', cvm: 'snp' });
      expect(stderr).toContain('simulated SEV-SNP machine');
    });

    test('is refused without the GPU that the deployment asks for', async () => {
      const ran = await workload('release --deployment cvm --key shards --cvm hcl-snp --json');
      expect(ran.code).toBe(1);
      expect(onlyJson(ran.stdout)).toMatchObject({ ok: false, reason: 'gpu.count' });
    });

    test('is the same chip each time where its TPM is kept in a file', async () => {
      const draw = 'release --deployment cvm --key shards --cvm hcl-snp --gpus 1 --tpm simulator:cvm-tpm.json';
      await done(workload(draw));
      const { ak } = JSON.parse(readFileSync(join(dir, 'cvm-tpm.json'), 'utf8')) as { ak: { pkcs8: string } };
      const machine = sha256(Buffer.from('simulated machine'), Buffer.from(ak.pkcs8, 'base64url'));
      const seed = sha256(machine, Buffer.from('processor'));
      const { chipId } = new SimulatedSnp({ generation: 'Milan', seed }).fields;
      await done(admin(`attester revoke --chip ${chipId.toString('hex')}`));
      expect(await workload(draw)).toMatchObject({ code: 1, stderr: expect.stringContaining('ak.revoked') });
    });

    test.each([
      ['--no-tpm', '--cvm snp'],
      ['--no-tpm --cvm hcl-snp', '--cvm snp'],
      ['--no-tpm --gpus 1', '--cvm snp'],
      ['--cvm snp --tpm device:/dev/tpmrm0', '--tpm simulator'],
      ['--gpus 1 --tpm device:/dev/tpmrm0', '--tpm simulator'],
      ['--cvm sev', 'snp, tdx, hcl-snp, hcl-tdx'],
      ['--gpus 17', '16'],
    ])('is wrong usage with %s, and what to do is said', async (options, advice) => {
      const ran = await workload(`release --deployment cvm --key shards ${options}`);
      expect(ran).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(advice) });
    });
  });

  describe('verifies the receipt', () => {
    const release = 'release --deployment simulated --key weights --json';
    let logKey: string;
    beforeAll(async () => {
      logKey = String((await broker.call('GET', '/log/key')).body['text']).trim();
      writeFileSync(join(dir, 'log.vkey'), `${logKey}\n`);
    });

    test('with the pinned log key, and says where the release is recorded', async () => {
      const { stdout, stderr } = await done(workload(`${release} --log-key log.vkey`));
      const { log, receipt } = onlyJson(stdout) as { log: { index: number }; receipt: { index: number } };
      expect(log).toMatchObject({ origin: logKey.split('+')[0], index: receipt.index, pinned: true, witnesses: [] });
      expect(stderr).toContain('as the pinned log key signed');
    });

    test('without one on the word of the connection, and says so', async () => {
      const { stdout, stderr } = await done(workload(release));
      expect(onlyJson(stdout)).toMatchObject({ log: { pinned: false } });
      expect(stderr).toContain('pin the log key with --log-key');
    });

    test('and --receipt-out keeps it, for receipt verify', async () => {
      await done(workload('release --deployment simulated --key weights --out k.jwk --receipt-out receipt.json'));
      const verify = 'receipt verify receipt.json --log-key log.vkey --deployment simulated --key weights --json';
      const { stdout } = await done(portcullis(verify.split(' '), { cwd: dir }));
      expect(onlyJson(stdout)).toMatchObject({ ok: true, proved: { profile: 'development', deployment: 'simulated' } });
      expect(readFileSync(join(dir, 'receipt.json'), 'utf8')).not.toContain('jwe"');
    });

    test.each([
      ['another log key', () => new TestNoteKey(logKey.split('+')[0]!, 1).vkey, 'checkpoint.signature'],
      ['the log key of another broker', () => new TestNoteKey('other/0123456789abcdef', 1).vkey, 'checkpoint.origin'],
    ])('and with %s pinned, nothing comes out', async (_what, key, reason) => {
      const { code, stdout } = await workload(`${release} --log-key ${key()} --receipt-out none.json --out none.jwk`);
      expect(code).toBe(1);
      expect(onlyJson(stdout)).toMatchObject({ ok: false, reason });
      for (const file of ['none.json', 'none.jwk']) expect(() => statSync(join(dir, file))).toThrow('ENOENT');
    });

    test('and without the witnesses that are demanded, nothing comes out', async () => {
      const witness = new TestNoteKey('witness.example/w', 4).vkey;
      const { code, stdout } = await workload(`${release} --log-key log.vkey --witness ${witness}`);
      expect(code).toBe(1);
      expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'checkpoint.cosignature' });
    });
  });

  test('a denial leaves no file, and names the condition with what was expected and found', async () => {
    await done(admin('key freeze weights'));
    const { code, stdout, stderr } = await workload('release --deployment simulated --key weights --out none.jwk');
    expect(code).toBe(1);
    expect(stderr).toContain('key.frozen');
    expect(stdout).toMatch(/\nkey\.frozen +equals +false +true\n/);
    expect(() => statSync(join(dir, 'none.jwk'))).toThrow('ENOENT');
    await done(admin('key unfreeze weights'));
  });

  test('an --out that cannot be written is wrong usage, before anything is drawn', async () => {
    const before = await admin('entries --type release --json');
    expect(await workload('release --deployment simulated --key weights --out none/weights.jwk')).toMatchObject({
      code: 2,
    });
    expect(await admin('entries --type release --json')).toEqual(before);
  });
});

(swtpmAvailable() ? describe : describe.skip)('a machine with a TPM', () => {
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await startSwtpm();
  });
  afterAll(() => tpm.close());

  test('is pinned, draws the key, and is refused once it is revoked', async () => {
    const ak = onlyJson((await done(workload(`ak --tpm ${tpm.tcti} --out ak.pub --json`))).stdout);
    expect(ak).toMatchObject({ created: true, file: 'ak.pub' });
    const zeros = '00'.repeat(32);
    await deploy('on-tpm', 'pinned', { '4': zeros, '7': zeros }, 12);
    await done(admin('key create sealed --deployment on-tpm'));
    const release = `release --deployment on-tpm --key sealed --tpm ${tpm.tcti} --json`;

    expect(onlyJson((await workload(release)).stdout)).toMatchObject({ reason: 'ak.untrusted' });
    await done(admin('attester trust ak.pub --deployment on-tpm --name node-1'));
    const unmeasured = await workload(release);
    expect(onlyJson(unmeasured.stdout)).toMatchObject({ reason: 'policy.hash', decision: { met: false } });

    const { sha256 } = onlyJson(
      (await done(portcullis(['policy', 'hash', 'policy.json', '--json'], { cwd: dir }))).stdout,
    );
    await tpm.run('tpm2_pcrextend', `12:sha256=${sha256 as string}`);
    expect(onlyJson((await done(workload(release))).stdout)).toMatchObject({ ok: true, jwk: { kty: 'oct' } });

    expect((await done(admin('attester show node-1'))).stdout).toContain(ak['ak_name']);
    await done(admin('attester revoke node-1'));
    expect(onlyJson((await workload(release)).stdout)).toMatchObject({ reason: 'ak.revoked' });
  });

  test('without a TPM there is no evidence: exit 1', async () => {
    const { code, stdout } = await workload('ak --tpm swtpm:host=127.0.0.1,port=9 --json');
    expect(code).toBe(1);
    expect(onlyJson(stdout)).toMatchObject({ ok: false, reason: 'attester' });
  });
});
