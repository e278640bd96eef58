/** Simulated hardware, perfect in every byte, where nobody was told to believe it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { bootSimulatedMachine, bootSimulatedPlatform } from '../../src/workload/attesters/simulated-boot.js';
import { SIMULATED_CVM_KINDS } from '../../src/workload/attesters/simulated-cvm-kinds.js';
import { httpTransport, type Transport } from '../../src/workload/transport.js';
import { beside, deployConfidential, draw, elsewhere, KEY, MEASUREMENT } from '../helpers/confidential-machine.js';
import { portcullis } from '../helpers/portcullis.js';
import { ServedBroker } from '../helpers/served-broker.js';

const CVM = { trust: ['cvm-report'], allow: { cvm: [{ measurement: MEASUREMENT }] } };
const FIELDS = [
  ['snp', 'snp.host_data', 'host-data', 'snp.chain'],
  ['tdx', 'tdx.mrconfigid', 'config-id', 'tdx.chain'],
] as const;

let folder: string;
/** Whose makers everybody is certified by. */
let development: ServedBroker;
let production: ServedBroker;
let transport: Transport;
let kept: { readonly tpm: SimulatedTpm; readonly ak: Awaited<ReturnType<SimulatedTpm['createAk']>> };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'portcullis-simulated-'));
  const dataDir = join(folder, 'production');
  const { stdout } = await portcullis(['init', '--data-dir', dataDir, '--json']);
  const { admin_token: token } = JSON.parse(stdout) as { admin_token: string };
  [development, production] = await Promise.all([ServedBroker.start(), ServedBroker.start({ dataDir })]);
  transport = httpTransport({ url: development.url });
  const tpm = new SimulatedTpm();
  kept = { tpm, ak: await tpm.createAk({ scheme: 'rsassa' }) };

  const brokers: readonly (readonly [string, Pick<ServedBroker, 'admin'>])[] = [
    ['trusting', development],
    ['strict', development],
    ['strict', { admin: (method, path, body) => created(production, method, path, body, token) }],
  ];
  for (const [name, broker] of brokers) {
    const attesters = name === 'trusting' ? { ...CVM, trust: ['cvm-report', 'simulator'] } : CVM;
    await deployConfidential(broker, name, { attesters });
    for (const [, source, suffix] of FIELDS) {
      await deployConfidential(broker, `${name}-${suffix}`, {
        attesters,
        measurement: { source },
        platform: { unmeasuredBoot: true },
      });
    }
    const deployments = [name, ...FIELDS.map(([, , suffix]) => `${name}-${suffix}`)];
    if (name === 'strict') {
      await deployConfidential(broker, 'pinning', { attesters: { trust: ['pinned'] } });
      await broker.admin('POST', '/v1/attesters', {
        deployment: 'pinning',
        public: kept.ak.tpm2bPublic.toString('base64url'),
      });
      deployments.push('pinning');
    }
    const key = name === 'trusting' ? 'other' : KEY;
    await broker.admin('POST', '/v1/keys', { name: key, deployments, type: 'oct' });
  }
}, 60_000);

async function created(
  broker: ServedBroker,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body: unknown,
  token: string,
) {
  const answer = await broker.call(method, path, body, token);
  if (answer.status >= 300) throw new Error(JSON.stringify(answer.body));
  return answer;
}

afterAll(async () => {
  await transport.close();
  await development.close();
  await production.kill('SIGTERM');
  rmSync(folder, { recursive: true });
});

describe.each([
  ['a production broker', () => production],
  ['a deployment of a development broker that trusts no simulator', () => development],
])('%s', (_what, broker) => {
  test.each(SIMULATED_CVM_KINDS)('does not believe the makers of a simulated VM of kind %s', async (kind) => {
    kept.tpm.powerCycle();
    const machine = await bootSimulatedMachine(transport, 'trusting', { kept, cvm: { kind }, gpus: [{}] });
    const { body } = await draw(broker(), machine, 'strict');
    expect(body['reason']).toBe(kind.endsWith('snp') ? 'snp.chain' : 'tdx.chain');
  });

  test.each(FIELDS)(
    'does not believe one of kind %s without a TPM, measured into %s',
    async (kind, _source, suffix, reason) => {
      const machine = await bootSimulatedPlatform(transport, `trusting-${suffix}`, { cvm: { kind } });
      expect((await draw(broker(), machine, `strict-${suffix}`)).body).toMatchObject({ reason });
    },
  );

  test('does not believe a simulated GPU, nor a simulated VM, beside a TPM whose AK is pinned', async () => {
    kept.tpm.powerCycle();
    const machine = await bootSimulatedMachine(transport, 'trusting', { kept, cvm: { kind: 'hcl-snp' }, gpus: [{}] });
    const withoutCvm = beside(machine, ({ gpus = [] }) => ({ gpus }));
    expect((await draw(broker(), withoutCvm, 'pinning')).body).toMatchObject({ reason: 'gpu.chain' });
    const withoutGpu = beside(machine, ({ hcl }) => ({ hcl: hcl! }));
    expect((await draw(broker(), withoutGpu, 'pinning')).body).toMatchObject({ reason: 'snp.chain' });
    expect(
      (
        await draw(
          broker(),
          beside(machine, () => ({})),
          'pinning',
        )
      ).status,
    ).toBe(200);
  });

  test('does not believe the chain with its root, nor the leaf alone', async () => {
    kept.tpm.powerCycle();
    const machine = await bootSimulatedMachine(transport, 'trusting', { kept, cvm: { kind: 'snp' }, gpus: [{}] });
    const leaf = beside(machine, ({ snp }) => ({ snp: { ...snp!, certificates: snp!.certificates.slice(0, 1) } }));
    expect((await draw(broker(), leaf, 'strict')).body).toMatchObject({ reason: 'snp.chain' });
    const root = (await elsewhere(machine)).gpus?.[0]?.certificates.at(-1) ?? '';
    const rooted = beside(machine, ({ snp }) => ({ snp: { ...snp!, certificates: [...snp!.certificates, root] } }));
    expect((await draw(broker(), rooted, 'strict')).body).toMatchObject({ reason: 'snp.chain' });
  });
});

test('a production broker certifies no simulated machine, and is told to trust none', async () => {
  expect((await production.call('POST', '/v1/simulator/machines', {})).body).toMatchObject({ reason: 'route.unknown' });
});

test('a development broker certifies hardware for no deployment that trusts no simulator', async () => {
  const body = { deployment: 'strict', gpus: [] };
  expect((await development.call('POST', '/v1/simulator/machines', body)).body).toMatchObject({
    reason: 'resource.state',
  });
});
