import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { provision, sendRelease, wireRequest } from '../helpers/wire-workload.js';

/** A file system of its own, small enough to be filled; only root can mount one. */
function mountSmall(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
}

const probe = mountSmall();
if (probe !== undefined) unmount(probe);

function unmount(folder: string): void {
  execFileSync('umount', ['-l', folder]);
  rmSync(folder, { recursive: true });
}

(probe === undefined ? describe.skip : describe)('a broker that cannot write', () => {
  let disk: string;
  let broker: ServedBroker;
  let machine: SimulatorAttester;

  beforeEach(async () => {
    disk = mountSmall() ?? '';
    broker = await ServedBroker.start({ dataDir: join(disk, 'data'), args: ['--profile', 'development'] });
    machine = await provision(broker);
    expect((await sendRelease(broker, await wireRequest(broker, machine))).status).toBe(200);
  });

  afterEach(async () => {
    await broker.kill('SIGTERM');
    unmount(disk);
  });

  async function expectNothingLeaves(): Promise<void> {
    const refused = await sendRelease(broker, await wireRequest(broker, machine));
    expect([refused.status, refused.body['reason']]).toEqual([503, 'store.unavailable']);
    expect(refused.body).not.toHaveProperty('jwe');
    expect((await broker.call('GET', '/healthz')).status).toBe(200);
    const altered = await wireRequest(broker, machine);
    const { tpm } = altered.evidence;
    const denied = await sendRelease(broker, {
      ...altered,
      evidence: { tpm: { ...tpm, pcrs: { sha256: { ...tpm.pcrs['sha256'], '8': 'ab'.repeat(32) } } } },
    });
    expect([denied.status, denied.body['reason']]).toEqual([403, 'quote.pcr_digest']);
    await expectReadiness(503);
  }

  /** Readiness is measured at most once a second. */
  async function expectReadiness(status: number): Promise<void> {
    const deadline = Date.now() + 5_000;
    let found = 0;
    while (found !== status && Date.now() < deadline) found = (await broker.call('GET', '/readyz')).status;
    expect(found).toBe(status);
  }

  test('because the disk is full releases nothing, goes on denying, and recovers by itself', async () => {
    const filler = join(disk, 'filler');
    for (let size = 1 << 20; size >= 1 << 9; size >>= 1) {
      for (;;) {
        try {
          writeFileSync(filler, Buffer.alloc(size), { flag: 'a' });
        } catch {
          break;
        }
      }
    }
    // What is already allocated to the write-ahead log may still take some records.
    let last = 200;
    for (let i = 0; i < 3_000 && last === 200; i++)
      last = (await sendRelease(broker, await wireRequest(broker, machine))).status;
    await expectNothingLeaves();
    rmSync(filler);
    await expectReadiness(200);
    expect((await sendRelease(broker, await wireRequest(broker, machine))).status).toBe(200);
  }, 120_000);

  test('because its database was moved away releases nothing', async () => {
    const database = join(broker.dataDir, 'portcullis.db');
    renameSync(database, `${database}.moved`);
    try {
      await expectNothingLeaves();
    } finally {
      renameSync(`${database}.moved`, database);
    }
  });

  test('because the disk is read-only does not start, and says so', async () => {
    await broker.kill('SIGTERM');
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    try {
      await expect(ServedBroker.start({ dataDir: broker.dataDir })).rejects.toThrow(/read-only|readonly/);
    } finally {
      execFileSync('mount', ['-o', 'remount,rw', disk]);
    }
    broker = await ServedBroker.start({ dataDir: broker.dataDir });
    expect((await sendRelease(broker, await wireRequest(broker, machine))).status).toBe(200);
  });
});
