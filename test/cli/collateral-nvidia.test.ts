import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { fetchCollateral, type FetchOptions } from '../../src/cli/collateral/fetch.js';
import { importCollateral } from '../../src/cli/collateral/import.js';
import { status } from '../../src/cli/collateral/status.js';
import { CliContext } from '../../src/cli/context.js';
import type { Outcome } from '../../src/cli/outcome.js';
import { printOutcome } from '../../src/cli/output.js';
import { simulatedGpuReference } from '../../src/simulator/gpu-reference.js';
import { issueRim } from '../../src/simulator/rim.js';
import { pemBlock } from '../helpers/pki.js';
import { crl, DRIVER, FORGERS, MAKERS, put, rim, ROOTS, VBIOS } from '../collateral/simulated.js';
import { type Answer, makersServer } from './collateral-makers.js';
import { fakeIo, NO_PARTS, NOW_MS } from './harness.js';

let path: string;
let dir: string;
let servers: { close(): Promise<void> }[] = [];
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'portcullis-cli-nvidia-'));
  dir = join(path, 'collateral');
});
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  servers = [];
  rmSync(path, { recursive: true, force: true });
});

async function ran(handler: (context: CliContext) => Promise<Outcome>) {
  const written = { stdout: '', stderr: '' };
  const io = fakeIo(written, { cwd: path });
  const context = new CliContext(io, { ...NO_PARTS, now: () => NOW_MS }, { json: false });
  const code = await printOutcome(io, false, await handler(context));
  return { code, ...written };
}

async function fetched(answers: ReadonlyMap<string, Answer>, options: FetchOptions = {}) {
  const server = await makersServer(answers);
  servers.push(server);
  const result = await ran((context) => fetchCollateral(context, { dir, from: server.from, ...options }, ROOTS));
  return { ...result, asked: server.asked };
}

const imported = (from: string) => ran((context) => importCollateral(context, from, { dir }, ROOTS));
const shownStatus = () => ran((context) => status(context, { dir }, ROOTS));
const served = (xml: Buffer): Answer => ({ body: Buffer.from(JSON.stringify({ rim: xml.toString('base64') })) });
const rims = () => readdirSync(join(dir, 'rim')).toSorted();

describe('a manifest of a Blackwell driver', () => {
  const NAME = 'NV_GPU_CC_DRIVER_GB100_580.95.05';
  const reference = { chip: 'GB100', driverVersion: '580.95.05', vbiosVersion: '97.00.5e.00.01' } as const;
  const answers = () =>
    new Map([[`/v1/rim/${NAME}`, served(issueRim(MAKERS.nvidiaRims, simulatedGpuReference(reference)[0]!))]]);

  test('is fetched by the name under which NVIDIA serves it, and anew by the same', async () => {
    const first = await fetched(answers(), { rim: [NAME] });
    expect([first.code, first.asked]).toEqual([0, [`/v1/rim/${NAME}`]]);
    expect(rims()).toEqual([`${NAME}.swidtag`]);
    const again = await fetched(answers());
    expect([again.code, again.asked]).toEqual([0, [`/v1/rim/${NAME}`]]);
  });

  test('may be named as status shows it', async () => {
    const { code, asked } = await fetched(answers(), { rim: ['NV_GPU_DRIVER_GB100_580.95.05'] });
    expect([code, asked]).toEqual([0, [`/v1/rim/${NAME}`]]);
  });

  test('is refused where it is that of a Hopper driver', async () => {
    const { code, stderr } = await fetched(new Map([[`/v1/rim/${NAME}`, served(rim())]]), { rim: [NAME] });
    expect(code).toBe(1);
    expect(stderr).toContain(`it is about ${DRIVER}; the RIM ${NAME} was asked for`);
  });
});

describe('fetching manifests anew', () => {
  const ANSWERS = new Map([[`/v1/rim/${VBIOS}`, served(rim('vbios'))]]);

  test('says of each whose name at NVIDIA is not known that it was left out, and fails', async () => {
    put(dir, new Map([['rim/mine.xml', rim('vbios')]]));
    const { code, stderr, asked } = await fetched(ANSWERS);
    expect([code, asked]).toEqual([1, []]);
    expect(stderr).toContain(
      'RIM NV_GPU_VBIOS_GH100_96005E0001 (rim/mine.xml): not fetched anew, since nothing here says',
    );
  });

  test('is done of it too, once it was fetched by its name', async () => {
    put(dir, new Map([['rim/mine.xml', rim('vbios')]]));
    expect((await fetched(ANSWERS, { rim: [VBIOS] })).code).toBe(0);
    expect(rims()).toEqual([`${VBIOS}.swidtag`, 'mine.xml']);
    const { code, asked } = await fetched(ANSWERS);
    expect([code, asked]).toEqual([0, [`/v1/rim/${VBIOS}`]]);
  });

  test('takes the name from that of the file that NVIDIA shipped, imported alone or as it lies', async () => {
    put(path, new Map([['1010_0200_882_96005E0001_PROD.swidtag', rim('vbios')]]));
    expect((await imported('1010_0200_882_96005E0001_PROD.swidtag')).code).toBe(0);
    expect(rims()).toEqual([`${VBIOS}.swidtag`]);
    rmSync(dir, { recursive: true });
    put(dir, new Map([['rim/1010_0200_882_96005E0001_PROD.swidtag', rim('vbios')]]));
    const { code, asked } = await fetched(ANSWERS);
    expect([code, asked]).toEqual([0, [`/v1/rim/${VBIOS}`]]);
    expect(rims()).toEqual(['1010_0200_882_96005E0001_PROD.swidtag']);
  });
});

describe('CRLs of NVIDIA', () => {
  const { root, identity } = MAKERS.nvidiaDevices;
  const chain = Buffer.from([identity, root].map(({ certificate }) => pemBlock('CERTIFICATE', certificate)).join(''));
  const published = () =>
    new Map<string, Answer>([
      ['/crl/l1-root.crl', { body: crl(root) }],
      ['/crl-corim/l1-corim.crl', { body: crl(MAKERS.nvidiaRims.root) }],
      ['/crl/l2-gh100.crl', { body: crl(identity) }],
    ]);

  test('of the roots are good, and taken', async () => {
    put(path, new Map([['l1-root.crl', crl(root)]]));
    expect((await imported('l1-root.crl')).code).toBe(0);
    expect(readdirSync(dir)).toEqual(['nvidia-device-identity-ca.crl']);
    const { code, stdout } = await shownStatus();
    expect(code).toBe(0);
    expect(stdout).toMatch(/CRL +NVIDIA Device Identity CA +good/);
    put(path, new Map([['forged.crl', crl(FORGERS.nvidiaDevices.root)]]));
    expect((await imported('forged.crl')).stderr).toContain('forged.crl: it is not signed by its issuer');
  });

  test('of a CA need its chain, which is kept beside them', async () => {
    put(path, new Map([['l2.crl', crl(identity)]]));
    const alone = await imported('l2.crl');
    expect(alone.code).toBe(1);
    expect(alone.stderr).toContain("a CA below NVIDIA's roots, needs its *IssuerChain.pem");
    put(
      join(path, 'both'),
      new Map([
        ['l2.crl', crl(identity)],
        ['gpu.pem', chain],
      ]),
    );
    const { code, stderr } = await imported('both');
    expect([code, stderr]).toEqual([0, '']);
    expect(readdirSync(dir).toSorted()).toEqual(['nvidia-gh100-identity.crl', 'nvidia-gh100-identityIssuerChain.pem']);
    expect((await shownStatus()).code).toBe(0);
  });

  test('are fetched of the roots, and of the CAs that are known; anew of all that are there', async () => {
    const first = await fetched(published(), { nvidiaCrls: true });
    expect([first.code, first.asked]).toEqual([0, ['/crl/l1-root.crl', '/crl-corim/l1-corim.crl']]);
    put(dir, new Map([['gpu.pem', chain]]));
    const all = [...published().keys()];
    const second = await fetched(published(), { nvidiaCrls: true });
    expect([second.code, second.asked.toSorted()]).toEqual([0, all.toSorted()]);
    const anew = await fetched(published());
    expect([anew.code, anew.asked.toSorted()]).toEqual([0, all.toSorted()]);
    expect((await shownStatus()).code).toBe(0);
  });

  test('of which the address is not known are named when all is fetched anew', async () => {
    put(dir, new Map([['x.crl', crl(MAKERS.nvidiaRims.ca)]]));
    put(dir, new Map([['rim/driver.xml', rim()]]));
    const { code, stderr } = await fetched(new Map([[`/v1/rim/${DRIVER}`, served(rim())]]));
    expect(code).toBe(1);
    expect(stderr).toContain(
      'CRL of NVIDIA Reference Value Simulator CA: not fetched anew, since its address is not known',
    );
  });
});
