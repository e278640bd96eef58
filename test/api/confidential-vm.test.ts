/** Simulated confidential VMs and GPUs against the program as its users run it, over HTTP. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SimulatedSnp } from '../../src/simulator/snp.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import type { PlatformEvidence } from '../../src/workload/attester.js';
import {
  bootSimulatedMachine,
  bootSimulatedPlatform,
  type SimulatedBootOptions,
  type SimulatedPlatformBootOptions,
} from '../../src/workload/attesters/simulated-boot.js';
import { SIMULATED_CVM_KINDS, type SimulatedCvmKind } from '../../src/workload/attesters/simulated-cvm-kinds.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ReleaseClient } from '../../src/workload/release-client.js';
import { httpTransport, type Transport } from '../../src/workload/transport.js';
import {
  beside,
  deployConfidential,
  draw,
  elsewhere,
  entryOf,
  flipped,
  KEY,
  MEASUREMENT,
  requestOf,
  send,
} from '../helpers/confidential-machine.js';
import { portcullis } from '../helpers/portcullis.js';
import { ServedBroker } from '../helpers/served-broker.js';

const ORDINARY = new SimulatedSnp({ generation: 'Milan' }).fields;
const DEBUG = 1n << 19n;
const OLD_TCB = { bootloader: 3, tee: 0, snp: 8, microcode: 115 };
const HARDWARE = 'hardware';
const HOST_DATA = 'host-data';
const CONFIG_ID = 'config-id';

let broker: ServedBroker;
let transport: Transport;
/** Made once, since RSA keys take long; each boot starts it anew. */
let kept: { readonly tpm: SimulatedTpm; readonly ak: Awaited<ReturnType<SimulatedTpm['createAk']>> };

beforeAll(async () => {
  // So that who has certified a machine is another process than who verifies it, now and then.
  broker = await ServedBroker.start({ workers: 2 });
  transport = httpTransport({ url: broker.url });
  const tpm = new SimulatedTpm();
  kept = { tpm, ak: await tpm.createAk({ scheme: 'rsassa' }) };
  const release = (...conditions: readonly object[]) => ({
    version: '1.0.0',
    allOf: [{ authority: 'portcullis', allOf: conditions }],
  });
  await deployConfidential(broker, HARDWARE);
  await deployConfidential(broker, 'two-gpus', { platform: { unmeasuredBoot: true, gpus: { count: 2 } } });
  await deployConfidential(broker, 'gpu-by-claim', {
    release: release({ claim: 'gpu.count', greaterOrEquals: 1 }),
  });
  await deployConfidential(broker, 'floor', {
    release: release({ claim: 'snp.tcb.reported.snp', greaterOrEquals: 24 }),
  });
  const platform = { unmeasuredBoot: true };
  await deployConfidential(broker, HOST_DATA, { measurement: { source: 'snp.host_data' }, platform });
  await deployConfidential(broker, CONFIG_ID, { measurement: { source: 'tdx.mrconfigid' }, platform });
  await deployConfidential(broker, 'config-id-384', {
    measurement: { source: 'tdx.mrconfigid', bank: 'sha384' },
    platform,
  });
  const deployments = [...[HARDWARE, 'two-gpus', 'gpu-by-claim', 'floor'], ...[HOST_DATA, CONFIG_ID, 'config-id-384']];
  await broker.admin('POST', '/v1/keys', { name: KEY, deployments, type: 'oct' });
}, 60_000);

afterAll(async () => {
  await transport.close();
  await broker.close();
});

async function boot(deployment: string, options: SimulatedBootOptions): Promise<SimulatorAttester> {
  kept.tpm.powerCycle();
  return bootSimulatedMachine(transport, deployment, { kept, ...options });
}

function bootWithoutTpm(deployment: string, options: SimulatedPlatformBootOptions) {
  return bootSimulatedPlatform(transport, deployment, options);
}

function firstGpu({ gpus = [] }: PlatformEvidence) {
  const [gpu] = gpus;
  if (gpu === undefined) throw new Error('a machine with a GPU');
  return gpu;
}

describe('a confidential VM', () => {
  test.each(SIMULATED_CVM_KINDS)('of kind %s, with TPM and two GPUs, draws a key by the SDK', async (kind) => {
    const attester = await boot(HARDWARE, { cvm: { kind }, gpus: [{}, {}] });
    const released = await new ReleaseClient({ transport, attester }).release({ deployment: HARDWARE, key: KEY });
    expect(released.key.kty).toBe('oct');
    expect(JSON.parse(released.receipt.entry)).toMatchObject({
      type: 'release',
      profile: 'development',
      ak_trust: 'cvm-report',
      ak_spki_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      cvm: kind.endsWith('snp') ? 'snp' : 'tdx',
      cvm_measurement: MEASUREMENT,
      gpus: 2,
    });
  });

  test('with paravisor need not send the AK that its report names', async () => {
    const { evidence, ...request } = await requestOf(
      broker,
      await boot(HARDWARE, { cvm: { kind: 'hcl-snp' } }),
      HARDWARE,
    );
    const { quoted, signature, pcrs } = evidence.tpm!;
    const tpm = { quoted, signature, pcrs };
    const answer = await broker.call('POST', '/v1/releases', { ...request, evidence: { ...evidence, tpm } });
    expect(entryOf(answer)).toMatchObject({ ak_trust: 'cvm-report', ak_name: 'unknown' });
  });

  const withField: readonly [SimulatedCvmKind, string][] = [
    ['snp', HOST_DATA],
    ['hcl-snp', HOST_DATA],
    ['tdx', CONFIG_ID],
    ['hcl-tdx', CONFIG_ID],
    ['tdx', 'config-id-384'],
  ];
  test.each(withField)(
    'of kind %s has its policy in the field that %s names, beside a TPM',
    async (kind, deployment) => {
      const entry = entryOf(await draw(broker, await boot(deployment, { cvm: { kind } }), deployment));
      // The deployment says so, for machines with HCL and trust domains.
      expect(entry).toMatchObject({ boot: 'unmeasured', ak_trust: 'cvm-report' });
    },
  );

  test.each([
    ['snp', HOST_DATA],
    ['tdx', CONFIG_ID],
    ['tdx', 'config-id-384'],
  ] as const)('of kind %s needs no TPM for %s, and binds its GPU all the same', async (kind, deployment) => {
    const attester = await bootWithoutTpm(deployment, { cvm: { kind }, gpus: [{}] });
    const released = await new ReleaseClient({ transport, attester }).release({ deployment, key: KEY });
    expect(JSON.parse(released.receipt.entry)).toMatchObject({ ak_name: 'none', ak_trust: 'cvm-report', gpus: 1 });
  });

  test('with another policy in HOST_DATA or MRCONFIGID is refused, and told what was found there', async () => {
    for (const [kind, deployment, claim] of [
      ['snp', HOST_DATA, 'snp.host_data'],
      ['tdx', CONFIG_ID, 'tdx.mrconfigid'],
    ] as const) {
      const machine = await bootWithoutTpm(deployment, { cvm: { kind }, policy: Buffer.from('another policy') });
      const { status, body } = await draw(broker, machine, deployment);
      expect([status, body['reason']]).toEqual([403, 'policy.hash']);
      expect(body['decision']).toMatchObject({
        met: false,
        conditions: expect.arrayContaining([
          expect.objectContaining({ claim, met: false, found: expect.stringMatching(/^[0-9a-f]{64,96}$/) }),
        ]),
      });
    }
  });

  test('that says nothing of the policy, being of the other kind, is refused', async () => {
    const machine = await bootWithoutTpm(HOST_DATA, { cvm: { kind: 'tdx' } });
    expect((await draw(broker, machine, HOST_DATA)).body).toMatchObject({ reason: 'policy.hash' });
  });

  const notLetIn: readonly [string, SimulatedBootOptions][] = [
    ['of another launch measurement', { cvm: { kind: 'hcl-snp', snp: { measurement: Buffer.alloc(48, 1) } } }],
    ['at another privilege level', { cvm: { kind: 'hcl-snp', snp: { vmpl: 1 } } }],
    ['that is another trust domain', { cvm: { kind: 'tdx', td: { mrTd: Buffer.alloc(48, 1) } } }],
  ];
  test.each(notLetIn)('%s is not let in, however genuine', async (_what, options) => {
    expect((await draw(broker, await boot(HARDWARE, options), HARDWARE)).body).toMatchObject({
      reason: 'ak.untrusted',
    });
  });

  test('that its host may debug is refused, and one with old firmware where the policy has a floor', async () => {
    const debugged = { kind: 'hcl-snp', snp: { policy: ORDINARY.policy | DEBUG } } as const;
    expect((await draw(broker, await boot('floor', { cvm: debugged }), 'floor')).body).toMatchObject({
      reason: 'snp.debug',
    });
    const old = { kind: 'hcl-snp', snp: { reportedTcb: OLD_TCB, launchTcb: OLD_TCB } } as const;
    const { body } = await draw(broker, await boot('floor', { cvm: old }), 'floor');
    expect(body).toMatchObject({
      reason: 'policy.claims',
      detail: expect.stringContaining('snp.tcb.reported.snp is 8'),
    });
    expect(JSON.stringify(body['decision'])).toContain('"claim":"snp.tcb.reported.snp","operator":"greaterOrEquals"');
    expect((await draw(broker, await boot('floor', { cvm: { kind: 'hcl-snp' } }), 'floor')).status).toBe(200);
  });

  test('beside the certificate of another chip is refused', async () => {
    const machine = await boot(HARDWARE, { cvm: { kind: 'hcl-snp' } });
    const other = await boot(HARDWARE, { cvm: { kind: 'hcl-snp' } });
    const certificates = (await elsewhere(other)).hcl?.certificates ?? [];
    const spliced = beside(machine, ({ hcl }) => ({ hcl: { ...hcl!, certificates } }));
    expect((await draw(broker, spliced, HARDWARE)).body).toMatchObject({ reason: 'snp.signature' });
  });
});

describe('evidence of several machines', () => {
  test('is refused: a good report beside the quote of another machine', async () => {
    for (const kind of SIMULATED_CVM_KINDS) {
      const good = await boot(HARDWARE, { cvm: { kind } });
      const stranger = await bootSimulatedMachine(transport, HARDWARE, {
        scheme: 'ecdsa-p256',
        cvm: { kind: 'snp' },
      });
      const spliced = beside(stranger, (_own, base) => good.besideQuote(base));
      expect([kind, (await draw(broker, spliced, HARDWARE)).body['reason']]).toEqual([kind, 'evidence.unbound']);
    }
  });

  test('is refused: report data and runtime data that name no AK, or another one', async () => {
    const other = await new SimulatedTpm().createAk({ scheme: 'rsassa' });
    for (const kind of SIMULATED_CVM_KINDS) {
      const machine = await boot(HARDWARE, { cvm: { kind, namedAk: other.spki } });
      expect([kind, (await draw(broker, machine, HARDWARE)).body['reason']]).toEqual([kind, 'evidence.unbound']);
    }
    for (const [kind, deployment] of [
      ['snp', HOST_DATA],
      ['tdx', CONFIG_ID],
    ] as const) {
      const alone = await bootWithoutTpm(deployment, { cvm: { kind } });
      const machine = beside(await boot(deployment, {}), (_none, base) => alone.besideQuote(base));
      expect((await draw(broker, machine, deployment)).body).toMatchObject({ reason: 'evidence.unbound' });
    }
  });

  test('is refused: a report of another request', async () => {
    for (const kind of ['snp', 'tdx'] as const) {
      const machine = await boot(HARDWARE, { cvm: { kind } });
      const stale = beside(machine, () => elsewhere(machine));
      expect((await draw(broker, stale, HARDWARE)).body).toMatchObject({ reason: 'evidence.unbound' });
    }
  });

  test('is refused: an HCL report without the quote of a TPM, which alone is fresh', async () => {
    const machine = await boot(HOST_DATA, { cvm: { kind: 'hcl-snp' } });
    const request = await requestOf(broker, machine, HOST_DATA);
    const { hcl } = request.evidence;
    const alone = { ...request, evidence: { hcl: hcl! } };
    expect((await send(broker, alone)).body).toMatchObject({ reason: 'evidence.unbound' });
  });

  test('is refused: runtime data that was changed, and reports of two kinds', async () => {
    const machine = await boot(HARDWARE, { cvm: { kind: 'hcl-snp' } });
    const renamed = beside(machine, ({ hcl }) => ({ hcl: { ...hcl!, report: changedAk(hcl!.report) } }));
    expect((await draw(broker, renamed, HARDWARE)).body).toMatchObject({ reason: 'hcl.runtime_data' });
    const other = await boot(HARDWARE, { cvm: { kind: 'snp' } });
    const both = beside(machine, async (own, base) => ({ ...own, ...(await other.besideQuote(base)) }));
    expect((await draw(broker, both, HARDWARE)).body).toMatchObject({ reason: 'evidence.unbound' });
  });

  test('is refused: a TD quote of another trust domain beside an HCL report', async () => {
    const machine = await boot(HARDWARE, { cvm: { kind: 'hcl-tdx' } });
    const other = await boot(HARDWARE, { cvm: { kind: 'hcl-tdx', td: { mrOwner: Buffer.alloc(48, 7) } } });
    const { hcl } = await elsewhere(other);
    const quote = hcl?.quote ?? '';
    const spliced = beside(machine, ({ hcl: own }) => ({ hcl: { ...own!, quote } }));
    expect((await draw(broker, spliced, HARDWARE)).body).toMatchObject({ reason: 'hcl.quote_mismatch' });
  });
});

/** The HCL report with one digit of the modulus of the AK in its runtime data changed. */
function changedAk(report: string): string {
  const bytes = Buffer.from(report, 'base64url');
  const at = bytes.indexOf('"n":"') + 20;
  bytes[at] = bytes[at] === 0x41 ? 0x42 : 0x41;
  return bytes.toString('base64url');
}

describe('GPUs', () => {
  let machine: SimulatorAttester;
  beforeAll(async () => {
    machine = await boot(HARDWARE, { cvm: { kind: 'hcl-snp' }, gpus: [{}, {}] });
  });

  test('that have answered another request are refused, whether the quote covers them or not', async () => {
    const stale = beside(machine, async (own) => ({ ...own, gpus: (await elsewhere(machine)).gpus ?? [] }));
    expect((await draw(broker, stale, HARDWARE)).body).toMatchObject({ reason: 'gpu.nonce' });
    const request = await requestOf(broker, machine, HARDWARE);
    const { gpus = [] } = await elsewhere(machine);
    expect((await send(broker, { ...request, evidence: { ...request.evidence, gpus } })).body).toMatchObject({
      reason: 'quote.binding',
    });
  });

  const afterwards: readonly [string, (gpus: NonNullable<PlatformEvidence['gpus']>) => PlatformEvidence['gpus'][]][] = [
    ['put into another order', ([a, b]) => [[b!, a!]]],
    ['added', ([a, b]) => [[a!, b!, b!]]],
    ['left out', ([a, b]) => [[a!], [b!], []]],
    ['changed by one bit', ([a, b]) => [[{ ...a!, report: flipped(a!.report, 100) }, b!]]],
  ];
  test.each(afterwards)('that were %s after the quote are refused', async (_what, change) => {
    const request = await requestOf(broker, machine, HARDWARE);
    for (const gpus of change(request.evidence.gpus ?? [])) {
      const answer = await send(broker, { ...request, evidence: { ...request.evidence, gpus: gpus ?? [] } });
      expect(answer.body).toMatchObject({ reason: 'quote.binding' });
    }
    expect((await send(broker, request)).status).toBe(200);
  });

  test('that are shown twice, are of too few or too many, or show another certificate are refused', async () => {
    const one = firstGpu(await elsewhere(machine));
    const refused = async (deployment: string, change: Parameters<typeof beside>[1]) =>
      (
        await draw(
          broker,
          beside(await boot(deployment, { gpus: [{}, {}], cvm: { kind: 'hcl-snp' } }), change),
          deployment,
        )
      ).body['reason'];
    expect(await refused('two-gpus', (own) => ({ ...own, gpus: [firstGpu(own), firstGpu(own)] }))).toBe(
      'gpu.duplicate',
    );
    expect(await refused('two-gpus', (own) => ({ ...own, gpus: [firstGpu(own)] }))).toBe('gpu.count');
    expect(await refused('two-gpus', ({ hcl }) => ({ hcl: hcl! }))).toBe('gpu.count');
    expect(
      await refused(HARDWARE, (own) => ({ ...own, gpus: [{ ...firstGpu(own), certificates: one.certificates }] })),
    ).toBe('gpu.signature');
    expect(await refused('two-gpus', (own) => own)).toBeUndefined();
  });

  test('in the mode for developers, or with confidential computing off, are refused', async () => {
    const cvm = { kind: 'hcl-snp' } as const;
    const devtools = await boot(HARDWARE, { cvm, gpus: [{ confidentialComputing: 'devtools' }] });
    expect((await draw(broker, devtools, HARDWARE)).body).toMatchObject({ reason: 'gpu.measurement' });
    const off = await boot(HARDWARE, { cvm, gpus: [{ confidentialComputing: 'off' }] });
    expect((await draw(broker, off, HARDWARE)).body).toMatchObject({ reason: 'gpu.debug' });
  });

  test('that a release policy asks for and nobody shows are a denial, which says so', async () => {
    const without = await boot('gpu-by-claim', { cvm: { kind: 'hcl-snp' } });
    const { body } = await draw(broker, without, 'gpu-by-claim');
    expect(body).toMatchObject({ reason: 'policy.claims' });
    expect(JSON.stringify(body['decision'])).toContain('"claim":"gpu.count","operator":"greaterOrEquals"');
    const having = await boot('gpu-by-claim', { cvm: { kind: 'hcl-snp' }, gpus: [{}] });
    expect((await draw(broker, having, 'gpu-by-claim')).status).toBe(200);
  });

  test('are verified without a confidential VM too', async () => {
    const bare = await boot(HARDWARE, { gpus: [{}] });
    expect(entryOf(await draw(broker, bare, HARDWARE))).toMatchObject({ ak_trust: 'simulator', gpus: 1 });
  });
});

describe('a chip that is revoked', () => {
  async function revoke(chip: string): Promise<void> {
    const env = { PORTCULLIS_URL: broker.url, PORTCULLIS_TOKEN: broker.token };
    expect(await portcullis(['attester', 'revoke', '--chip', chip], env)).toMatchObject({ code: 0 });
  }

  test('vouches for nothing on the next request; another one still does', async () => {
    const seed = Buffer.alloc(32, 3);
    const machine = await boot(HARDWARE, { cvm: { kind: 'hcl-snp', seed } });
    expect((await draw(broker, machine, HARDWARE)).status).toBe(200);
    const prepared = await requestOf(broker, machine, HARDWARE);
    await revoke(new SimulatedSnp({ generation: 'Milan', seed }).fields.chipId.toString('hex'));
    expect((await send(broker, prepared)).body).toMatchObject({ reason: 'ak.revoked' });
    expect((await draw(broker, machine, HARDWARE)).body).toMatchObject({ reason: 'ak.revoked' });
    const other = await boot(HARDWARE, { cvm: { kind: 'hcl-snp' } });
    expect((await draw(broker, other, HARDWARE)).status).toBe(200);
  });

  test('is a GPU as well', async () => {
    const pdi = Buffer.from('00112233445566aa', 'hex');
    const machine = await boot(HARDWARE, { cvm: { kind: 'hcl-snp' }, gpus: [{ pdi }] });
    expect((await draw(broker, machine, HARDWARE)).status).toBe(200);
    await revoke(pdi.toString('hex'));
    expect((await draw(broker, machine, HARDWARE)).body).toMatchObject({ reason: 'ak.revoked' });
  });
});

test('the log bears out every release of these machines', async () => {
  const file = join(broker.dataDir, '..', 'log.vkey');
  writeFileSync(file, String((await broker.call('GET', '/log/key')).body['text']));
  const env = { PORTCULLIS_URL: broker.url };
  const { code, stdout } = await portcullis(['log', 'verify', '--log-key', file, '--json'], env);
  expect({ code, ...(JSON.parse(stdout) as object) }).toMatchObject({ code: 0, ok: true });
});
