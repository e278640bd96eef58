import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { explainCollateral } from '../../src/cli/collateral/explain.js';
import { collateralOf, openCollateral } from '../../src/cli/compose/collateral.js';
import { collateralFindings, deploymentCollateralFindings } from '../../src/cli/doctor/collateral.js';
import { UsageError } from '../../src/cli/outcome.js';
import {
  DAY_MS,
  crl,
  everything,
  FMSPC,
  FORGERS,
  MAKERS,
  NOW_MS,
  put,
  rim,
  ROOTS,
  tcbInfo,
} from '../collateral/simulated.js';
import { portcullis } from './harness.js';

let dataDir: string;
let dir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'portcullis-collateral-config-'));
  dir = join(dataDir, 'collateral');
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const inDataDir = () => ({ dataDir, collateral: { dir: undefined } });
const named = (path: string) => ({ dataDir, collateral: { dir: path } });

describe('a broker', () => {
  test('uses the collateral in its data directory, once it is there', async () => {
    const troubles: string[] = [];
    const directory = await openCollateral(inDataDir(), (where, why) => void troubles.push(`${where}: ${why}`));
    const collateral = collateralOf(directory);
    const before = collateral();
    expect(before.crls).toEqual([]);
    expect(collateral()).toBe(before);
    put(dir, everything());
    await directory.refresh();
    expect(collateral().crls).toHaveLength(4);
    writeFileSync(join(dir, 'tcbInfo.json'), 'nothing');
    await directory.refresh();
    await directory.refresh();
    expect(collateral().tcbInfos).toHaveLength(1);
    expect(troubles).toEqual([`${join(dir, 'tcbInfo.json')}: neither JSON, XML, DER nor PEM`]);
  });

  test('starts without what cannot be used, and says so; a directory that is named must be there', async () => {
    const troubles: string[] = [];
    put(dir, new Map([...everything(), ['x.json', Buffer.from('{}')]]));
    const directory = await openCollateral(named(dir), (where) => void troubles.push(where));
    expect(directory.collateral.crls).toHaveLength(4);
    expect(troubles).toEqual([join(dir, 'x.json')]);
    await expect(openCollateral(named(join(dataDir, 'none')))).rejects.toThrow(UsageError);
    await expect(openCollateral(named(join(dataDir, 'none')))).rejects.toThrow('collateral.dir: ');
  });
});

describe('serve --check-config', () => {
  test('says of each piece what it is for and until when it is current', async () => {
    const files = everything();
    files.set('amd/vcek-Milan.crl', crl(FORGERS.amd.Milan.ark)).set('x.json', Buffer.from('{}'));
    files.delete('qeIdentity.json');
    put(dir, files);
    expect(await explainCollateral(inDataDir(), NOW_MS, ROOTS)).toEqual([
      `evidence of hardware is held against the collateral in ${dir}`,
      'CRL for ARK-Milan: it is not signed by its issuer',
      'CRL for ARK-Milan: current, current until 2026-12-21T00:00:00Z',
      'CRL for Intel SGX PCK Platform CA: current, current until 2026-12-21T00:00:00Z',
      'RIM for NV_GPU_DRIVER_GH100_550.144.03: current, current until 2099-01-01T00:00:00Z',
      'CRL for Intel SGX Root CA: current, current until 2026-12-21T00:00:00Z',
      `TCB info for TDX ${FMSPC}: current, current until 2026-12-21T00:00:00Z`,
      'the QE identity is missing: TDX quotes cannot be verified',
      `${join(dir, 'x.json')} cannot be used: neither TCB info nor QE identity, each with its signature, nor what a RIM service answers`,
    ]);
  });

  test('of the program names the directory', async () => {
    const { code, stdout } = await portcullis(['serve', '--data-dir', dataDir, '--check-config']);
    expect(code).toBe(0);
    expect(stdout).toContain(`there is no collateral for evidence of hardware in ${dir}\n`);
    const env = { PORTCULLIS_COLLATERAL_DIR: join(dataDir, 'none') };
    const refused = await portcullis(['serve', '--data-dir', dataDir, '--check-config'], { env });
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('collateral.dir: ');
  });
});

describe('the doctor', () => {
  const findings = (atMs = NOW_MS) => collateralFindings(inDataDir(), atMs, ROOTS);

  test('says nothing where there is no collateral, and that all is in order where it is', async () => {
    expect(await findings()).toEqual([]);
    put(dir, everything());
    expect(await findings()).toEqual([
      { check: 'collateral', status: 'ok', detail: `7 pieces in ${dir}, all current until 2026-12-21T00:00:00Z` },
    ]);
  });

  test('warns of what ends within a week, and of what is stale', async () => {
    put(dir, new Map([['rootCaCrl.der', crl(MAKERS.intel.root)]]));
    const [ending] = await findings(NOW_MS + 23 * DAY_MS);
    expect(ending).toMatchObject({
      status: 'warn',
      detail: 'rootCaCrl.der is current until 2026-12-21T00:00:00Z only',
    });
    expect(ending?.advice).toContain(`portcullis collateral fetch --dir ${dir}`);
    const [stale] = await findings(NOW_MS + 30 * DAY_MS);
    expect(stale).toMatchObject({ status: 'warn', detail: 'rootCaCrl.der was current until 2026-12-21T00:00:00Z' });
    const [future] = await findings(NOW_MS - 30 * DAY_MS);
    expect(future?.detail).toBe('rootCaCrl.der is from the future: is the clock right?');
  });

  test('warns of what nobody vouches for, is missing or cannot be used', async () => {
    put(
      dir,
      new Map([...everything(), ['x.json', Buffer.from('{}')], ['tcbInfo.json', tcbInfo(FMSPC, { makers: FORGERS })]]),
    );
    rmSync(join(dir, 'qeIdentity.json'));
    const found = await findings();
    expect(found.map(({ status, detail }) => `${status} ${detail}`)).toEqual([
      'warn tcbInfo.json: it is not signed by its signer',
      'warn the QE identity is missing: TDX quotes cannot be verified without',
      expect.stringMatching(/^warn .*x\.json cannot be used: neither TCB info/),
    ]);
  });

  test('says to remove what nothing that is fetched takes the place of', async () => {
    put(dir, new Map([...everything(), ['x.json', Buffer.from('{}')], ['y.crl', crl(FORGERS.nvidiaDevices.identity)]]));
    const [unverified, unusable] = await findings();
    expect(unverified?.detail).toMatch(/^y\.crl: its issuer is neither/);
    expect(unverified?.advice).toMatch(/^remove it, or fetch it anew/);
    expect(unusable?.detail).toContain('x.json cannot be used');
    expect(unusable?.advice).toBe('remove it, or correct it: nothing that is fetched takes its place');
  });

  test('says what a deployment with GPUs or TDX needs and is not there', async () => {
    const wanting = async (platform: object, source: 'tpm' | 'tdx.mrconfigid' = 'tpm', nowMs = NOW_MS) => {
      const measurement = { source, bank: 'sha256', pcr: 16, allowResettable: false } as const;
      const deployment = { name: 'llm', measurement, platform: { pcrs: {}, unmeasuredBoot: false, ...platform } };
      const found = await deploymentCollateralFindings(inDataDir(), deployment, nowMs, ROOTS);
      return found.map(({ status, detail }) => `${status} ${detail.replace(/, and there is none.*/, '')}`);
    };
    const [driver, vbios, info] = [
      'warn deployment llm needs a manifest (RIM) of the driver of its GPUs',
      'warn deployment llm needs a manifest (RIM) of the VBIOS of its GPUs',
      'warn deployment llm needs the TCB info of its TDX platforms',
    ];
    expect(await wanting({})).toEqual([]);
    expect(await wanting({ gpus: { count: 0 } })).toEqual([]);
    expect(await wanting({ gpus: { count: 1 } })).toEqual([driver, vbios]);
    expect(await wanting({ tdx: {} })).toEqual([info]);
    expect(await wanting({}, 'tdx.mrconfigid')).toEqual([info]);
    put(dir, everything());
    expect(await wanting({ gpus: { count: 1 }, tdx: {} })).toEqual([vbios]);
    // What is stale is as good as missing.
    expect(await wanting({ tdx: {} }, 'tpm', NOW_MS + 60 * DAY_MS)).toEqual([info]);
    put(dir, new Map([['rim/vbios', rim('vbios')]]));
    expect(await wanting({ gpus: { count: 1 }, tdx: {} })).toEqual([]);
  });

  test('fails where the directory that is named is not there', async () => {
    expect(await collateralFindings(named(join(dataDir, 'none')), NOW_MS)).toEqual([
      expect.objectContaining({ check: 'collateral', status: 'fail' }),
    ]);
  });

  test('of the program looks into the data directory, or where it is configured', async () => {
    put(dir, everything());
    mkdirSync(join(dataDir, 'other'));
    const said = async (env: Record<string, string> = {}) =>
      (await portcullis(['doctor', '--offline', '--data-dir', dataDir], { env })).stdout;
    // The makers of these are not believed by the program.
    expect(await said()).toContain('warn  collateral: tcbInfo.json: its signer has no good path');
    expect(await said({ PORTCULLIS_COLLATERAL_DIR: join(dataDir, 'other') })).not.toContain('tcbInfo.json');
  });
});
