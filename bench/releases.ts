import Table from 'cli-table3';
import { Client } from 'undici';
import { createRecipient } from '../src/workload/recipient.js';
import { startBenchBroker, type BenchBroker } from './broker.js';
import { type Floor, measureFloor } from './floor.js';
import { type LoadTarget, post, releaseOnce, runLoad } from './load.js';

const CONNECTIONS = [1, 16, 64];
const SCHEMES = ['rsassa', 'ecdsa-p256'] as const;

interface Row {
  readonly ak: (typeof SCHEMES)[number];
  readonly connections: number;
  readonly releasesPerSecond: number;
  readonly cpuUsPerRelease: number;
  readonly timesFloor: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly rssMiB: number;
}

export interface ReleaseFigures {
  readonly floor: Floor;
  readonly rows: readonly Row[];
}

/** The cryptographic floor of this machine, and complete releases beside it. Prints a table. */
export async function benchReleases(
  workers: number,
  seconds: number,
  nodeArgs: readonly string[],
): Promise<ReleaseFigures> {
  console.error('measuring the floor …');
  const floor = measureFloor();
  const rows: Row[] = [];
  const broker = await startBenchBroker(workers, nodeArgs);
  try {
    for (const ak of SCHEMES) rows.push(...(await measure(broker, ak, floor, seconds)));
  } finally {
    await broker.close();
  }
  report(floor, rows);
  return { floor, rows };
}

async function measure(broker: BenchBroker, ak: Row['ak'], floor: Floor, seconds: number): Promise<Row[]> {
  const attester = await broker.machine(ak);
  const recipients = await Promise.all(Array.from({ length: 64 }, () => createRecipient('P-256')));
  const target: LoadTarget = { url: broker.url, deployment: broker.deployment, key: broker.key, attester, recipients };
  await assertChecked(target);
  console.error(`${ak}: warming up …`);
  await runLoad(target, 16, Math.min(2, seconds));
  const measured: Row[] = [];
  for (const connections of CONNECTIONS) {
    console.error(`${ak}: ${String(connections)} connections, ${String(seconds)} s …`);
    const before = await broker.usage();
    const load = await runLoad(target, connections, seconds);
    const after = await broker.usage();
    if (after.releases - before.releases !== load.releases) {
      throw new Error(
        `${String(load.releases)} answers, but the broker counts ${String(after.releases - before.releases)} releases`,
      );
    }
    const cpuUsPerRelease = ((after.cpuSeconds - before.cpuSeconds) * 1e6) / load.releases;
    const quantile = (q: number) => load.latenciesMs[Math.min(load.releases - 1, Math.floor(load.releases * q))] ?? 0;
    measured.push({
      ak,
      connections,
      releasesPerSecond: load.releases / load.seconds,
      cpuUsPerRelease,
      timesFloor: cpuUsPerRelease / (ak === 'rsassa' ? floor.cryptographyRsaUs : floor.cryptographyP256Us),
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
      rssMiB: after.rssBytes / 2 ** 20,
    });
  }
  return measured;
}

/** That the figures are of the real thing: a spent nonce is refused, and so is a signature with one bit changed. */
async function assertChecked(target: LoadTarget): Promise<void> {
  const client = new Client(target.url);
  const request = await releaseOnce(client, target, 0);
  const replay = await post(client, '/v1/releases', request);
  if (!replay.text.includes('challenge.replayed')) throw new Error(`a replay was answered: ${replay.text}`);
  const forged = JSON.parse(request) as { evidence: { tpm: { signature: string } } };
  const signature = Buffer.from(forged.evidence.tpm.signature, 'base64url');
  signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1;
  forged.evidence.tpm.signature = signature.toString('base64url');
  const refused = await post(client, '/v1/releases', JSON.stringify(forged));
  if (!refused.text.includes('quote.signature')) throw new Error(`a forged signature was answered: ${refused.text}`);
  await client.close();
}

function report(floor: Floor, rows: readonly Row[]): void {
  const us = (value: number) => `${value.toFixed(0)} µs`;
  console.log(
    `\nfloor of one release, one thread: cryptography ${us(floor.cryptographyRsaUs)} (RSA-2048 AK), ${us(floor.cryptographyP256Us)} (P-256 AK); one durable commit ${us(floor.commitUs)}\n`,
  );
  const table = new Table({
    head: ['AK', 'connections', 'releases/s', 'CPU per release', 'times floor', 'p50', 'p99', 'memory'],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    table.push([
      row.ak,
      row.connections,
      row.releasesPerSecond.toFixed(0),
      us(row.cpuUsPerRelease),
      row.timesFloor.toFixed(2),
      `${row.p50Ms.toFixed(2)} ms`,
      `${row.p99Ms.toFixed(2)} ms`,
      `${row.rssMiB.toFixed(0)} MiB`,
    ]);
  }
  console.log(table.toString());
}
