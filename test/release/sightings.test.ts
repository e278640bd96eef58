/** What is noted of AKs between two flushes, and what becomes of it; then the same in a broker, with clones and strangers. */
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sha256, sha256Hex } from '../../src/crypto/digest.js';
import type { ClockRegression, Sighting } from '../../src/release/records.js';
import { SightingRecorder } from '../../src/release/sightings.js';
import type { Broker } from '../../src/release/broker.js';
import type { EntryBody } from '../../src/release/store.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { TestAuthority } from '../helpers/test-authority.js';
import {
  type Asked,
  BOOT,
  bootedMachine,
  POLICY,
  prepareRequest,
  TestBroker,
  valueOf,
} from '../helpers/test-broker.js';
import { hash, NOW } from '../store/samples.js';
import { sighting, tpmClock } from '../store/sightings-contract.js';
import { certified, World } from './ak-trust-world.js';

const LARGE = Buffer.alloc(8192);

describe('a recorder', () => {
  let batches: (readonly Sighting[])[];
  let records: EntryBody[];
  let answers: ClockRegression[];
  let failing: 'nothing' | 'notes' | 'records';
  let meanwhile: () => void;
  let told: { regressed: number; dropped: number };
  let nowMs: number;
  let recorder: SightingRecorder;

  beforeEach(() => {
    [batches, records, answers, failing, nowMs] = [[], [], [], 'nothing', NOW];
    meanwhile = () => undefined;
    told = { regressed: 0, dropped: 0 };
    recorder = new SightingRecorder(
      {
        noteSightings: async (list) => {
          meanwhile();
          if (failing === 'notes') throw new Error('the disk is full');
          batches.push(list);
          return answers.splice(0);
        },
        appendRecord: async (type, body) => {
          if (failing === 'records') throw new Error('the disk is full');
          records.push({ type, ...body });
        },
      },
      () => nowMs,
      { regressed: () => told.regressed++, sightingDropped: () => told.dropped++ },
    );
  });

  const seen = (name: string, seconds: number, clock?: number): Sighting => {
    const seenAtMs = NOW + 1000 * seconds;
    return sighting(name, clock === undefined ? { seenAtMs } : { seenAtMs, clock: tpmClock(clock) });
  };
  const regression = (name: string): ClockRegression => ({
    spkiSha256: hash(name),
    before: tpmClock(9, { resetCount: 4 }),
    after: tpmClock(2.5, { resetCount: 3 }),
  });

  test('hands over the very sighting that was noted, the newest of each AK, once', async () => {
    const [old, newest, other] = [seen('node', 0, 1), seen('node', 1, 2), seen('other', 1, 5)];
    for (const each of [old, other, newest]) recorder.note(each);
    await recorder.flush();
    expect(batches).toEqual([[newest, other]]);
    expect(batches[0]![0]).toBe(newest);
    await recorder.flush();
    expect(batches).toHaveLength(1);
  });

  test('hands over both sides of a clock that went back, and a clock beside a newer sighting without one', async () => {
    for (const each of [seen('node', 0, 600), seen('node', 1, 5), seen('node', 2, 6), seen('node', 3, 601)]) {
      recorder.note(each);
    }
    for (const each of [seen('other', 0, 3), seen('other', 9), seen('other', 10), seen('other', 11)])
      recorder.note(each);
    await recorder.flush();
    expect(batches).toEqual([
      [
        ...[seen('node', 0, 600), seen('node', 1, 5), seen('node', 3, 601)],
        ...[seen('other', 0, 3), seen('other', 9), seen('other', 11)],
      ],
    ]);
  });

  test('is bounded, however many AKs there are and however often their clocks go back; what it has no room for is counted', async () => {
    for (let each = 0; each < 16_390; each++) recorder.note(seen(String(each), 0, 1));
    for (let turn = 0; turn < 100; turn++) recorder.note(seen('7', 10 * turn, turn % 2 === 0 ? 9000 + turn : turn));
    expect(told.dropped).toBe(6);
    await recorder.flush();
    expect(batches.flat()).toHaveLength(16_384 + 2);
    expect(Math.max(...batches.map((batch) => batch.length))).toBeLessThanOrEqual(66);
    recorder.note(seen('late', 1));
    await recorder.flush();
    expect(batches.at(-1)).toEqual([seen('late', 1)]);
  });

  test('goes without certificates once they are 32 MiB in all, and has room again when they are replaced or handed over', async () => {
    const large = (name: string, seconds: number) => ({
      ...seen(name, seconds),
      certificates: Array.from({ length: 8 }, () => LARGE),
    });
    const certificates = () => batches.flat().map((each) => each.certificates.length);
    for (let each = 0; each < 512; each++) recorder.note(large(String(each), 0));
    for (let each = 0; each < 512; each++) recorder.note(large(String(each), 1));
    recorder.note(large('over', 0));
    await recorder.flush();
    expect(certificates()).toEqual([...(Array(512).fill(8) as number[]), 0]);
    recorder.note(large('over', 1));
    await recorder.flush();
    expect(certificates().at(-1)).toBe(8);
  });

  test('records what went back, counts it, and repeats itself for an AK after ten minutes at the soonest', async () => {
    const rounds: readonly (readonly [minutes: number, records: number])[] = [
      [0, 1],
      [5, 1],
      [9.9, 1],
      [10, 2],
      [15, 2],
    ];
    for (const [minutes, count] of rounds) {
      nowMs = NOW + 60_000 * minutes;
      answers.push(regression('node'));
      recorder.note(seen('node', minutes));
      await recorder.flush();
      expect(records).toHaveLength(count);
    }
    expect(told.regressed).toBe(5);
    expect(records[0]).toEqual({
      type: 'attester.regressed',
      ak_spki_sha256: hash('node'),
      clock_before: '9000',
      clock_after: '2500',
      reset_count_before: 4,
      reset_count_after: 3,
    });
  });

  test('records so many at once, and the others later, up to a bound', async () => {
    answers.push(...Array.from({ length: 2000 }, (_, each) => regression(String(each))));
    recorder.note(seen('node', 0));
    await recorder.flush();
    expect(records).toHaveLength(64);
    for (let flush = 0; flush < 40; flush++) await recorder.flush();
    expect(records).toHaveLength(1024);
    expect(told.regressed).toBe(2000);
  });

  test('keeps all of it while the store is unavailable: what is newer, and that a clock went back meanwhile', async () => {
    for (let each = 0; each < 300; each++) recorder.note(seen(String(each), 0, 600));
    failing = 'notes';
    meanwhile = () => {
      recorder.note(seen('7', 10, 5));
      recorder.note(seen('8', 10, 610));
      meanwhile = () => undefined;
    };
    await expect(recorder.flush()).rejects.toThrow('the disk is full');
    await expect(recorder.flush()).rejects.toThrow('the disk is full');
    expect(batches).toEqual([]);
    failing = 'nothing';
    await recorder.flush();
    expect(batches.flat()).toHaveLength(301);
    expect(batches.flat().filter((each) => each.spkiSha256 === hash('7'))).toEqual([
      seen('7', 0, 600),
      seen('7', 10, 5),
    ]);
    expect(batches.flat().filter((each) => each.spkiSha256 === hash('8'))).toEqual([seen('8', 10, 610)]);
  });

  test('records later what could not be recorded', async () => {
    answers.push(regression('a'), regression('b'));
    recorder.note(seen('node', 0));
    failing = 'records';
    await expect(recorder.flush()).rejects.toThrow('the disk is full');
    failing = 'nothing';
    await recorder.flush();
    expect(records.map((each) => each['ak_spki_sha256'])).toEqual([hash('a'), hash('b')]);
    expect(batches).toHaveLength(1);
  });

  test('flushes one after the other; whoever asks meanwhile waits for all that was noted by then', async () => {
    recorder.note(seen('first', 0));
    const flushes = [recorder.flush(), recorder.flush()];
    recorder.note(seen('second', 0));
    await Promise.all(flushes);
    meanwhile = () => {
      recorder.note(seen('fourth', 0));
      meanwhile = () => undefined;
    };
    recorder.note(seen('third', 0));
    await recorder.flush();
    await recorder.flush();
    expect(batches.map((batch) => batch.map((each) => each.spkiSha256))).toEqual([
      [hash('first'), hash('second')],
      [hash('third')],
      [hash('fourth')],
    ]);
  });
});

describe('a broker', () => {
  let world: World;
  let authority: TestAuthority;
  let asked: Asked;

  beforeAll(async () => {
    world = await World.start();
    authority = new TestAuthority('Cloud', world.nowMs);
    asked = await world.deploy('pinned', { trust: ['pinned'] });
  });
  afterAll(() => world.close());

  const spkiOf = (machine: SimulatorAttester) => sha256Hex(machine.ak.spki);
  const flushed = async (machine: SimulatorAttester) => {
    await world.test.context.sightings.flush();
    return world.test.context.store.sighting(spkiOf(machine));
  };

  test('notes an AK that it released a key to, with the clock of its quote', async () => {
    const machine = await bootedMachine();
    machine.tpm.setClockInfo({ clock: 2n ** 60n, resetCount: 0xffff_ffff, restartCount: 7, safe: false });
    await world.test.pin(machine, 'pinned');
    expect(await world.outcome(machine, asked)).toBe('released');
    expect(await flushed(machine)).toEqual({
      spkiSha256: spkiOf(machine),
      akName: machine.ak.name.toString('hex'),
      publicArea: machine.ak.publicArea,
      deployment: 'pinned',
      trust: 'pinned',
      state: 'trusted',
      certificates: [],
      firstSeenAtMs: world.nowMs,
      seenAtMs: world.nowMs,
      clock: { ...machine.tpm.clockInfo, firmwareVersion: 1n << 48n },
      regressions: 0,
    });
  });

  test('notes nothing of an AK that it does not know, and nothing of a refusal for what it measured', async () => {
    const stranger = await bootedMachine();
    expect(await world.outcome(stranger, asked)).toBe('ak.untrusted');
    const other = await bootedMachine('ecdsa-p256', Buffer.from('another policy'));
    await world.test.pin(other, 'pinned');
    expect(await world.outcome(other, asked)).toBe('policy.hash');
    for (const machine of [stranger, other]) expect(await flushed(machine)).toBeUndefined();
  });

  test('notes a genuine AK that no rule lets in, as it was presented, for an administrator to find', async () => {
    const cloud = await world.deploy('cloud', { trust: ['ak-certificate'], roots: authority.roots });
    const machine = await bootedMachine();
    const certificates = authority.ak(machine.ak.spki);
    const vm = certified(machine, certificates);
    expect(await world.outcome(vm, cloud)).toBe('ak.pending');
    expect(await flushed(machine)).toMatchObject({
      akName: machine.ak.name.toString('hex'),
      publicArea: machine.ak.publicArea,
      deployment: 'cloud',
      trust: 'ak-certificate',
      state: 'pending',
      certificates,
      regressions: 0,
    });
    expect(await flushed(machine)).not.toHaveProperty('clock');
  });

  test('does not note an AK whose certificate and public area somebody else shows, nor one whose old quote is shown again', async () => {
    const cloud = await world.deploy('cloud', { trust: ['ak-certificate'], roots: authority.roots });
    const [victim, thief] = [await bootedMachine(), await bootedMachine()];
    const shown = certified(victim, authority.ak(victim.ak.spki));
    const { ak, ...old } = await shown.evidence(Buffer.alloc(32, 1), { sha256: [4, 7, 8] });
    expect(
      await world.outcome(thief, cloud, (tpm) => ({ ...tpm, ak: ak, ak_certificates: old.ak_certificates! })),
    ).toBe('ak.pending');
    expect(await world.outcome(thief, cloud, () => ({ ...old, ak: ak }))).toBe('ak.pending');
    for (const machine of [victim, thief]) expect(await flushed(machine)).toBeUndefined();
  });
});

describe('the clock of a TPM, as brokers see it', () => {
  let brokers: TestBroker;

  const releaseAt = async ({ broker }: { readonly broker: Broker }, machine: SimulatorAttester) =>
    broker.release((await prepareRequest(broker, machine, { deployment: 'llm', key: 'weights' })).request);

  /** Two TPMs with one AK, as after a copy of the state of a vTPM. */
  async function clones(): Promise<readonly [SimulatorAttester, SimulatorAttester]> {
    const { privateKey: pkcs8 } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { format: 'der', type: 'spki' },
      privateKeyEncoding: { format: 'der', type: 'pkcs8' },
    });
    const one = async () => {
      const tpm = new SimulatedTpm();
      for (const [pcr, digest] of Object.entries(BOOT)) tpm.extend('sha256', Number(pcr), digest);
      tpm.extend('sha256', 8, sha256(POLICY));
      return new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256', pkcs8 }));
    };
    return [await one(), await one()];
  }

  beforeEach(async () => {
    brokers = await TestBroker.start();
  });
  afterEach(() => brokers.close());

  test('of a vTPM whose state was cloned: both draw keys, at two workers, and the log says that one is a copy', async () => {
    await brokers.deploy('llm');
    await brokers.key('weights', 'llm');
    const [original, clone] = await clones();
    await brokers.pin(original, 'llm');
    original.tpm.setClockInfo({ clock: 10_000_000n });
    clone.tpm.setClockInfo({ clock: 2_000_000n });
    const twin = await brokers.twin();
    const regressions = async () =>
      valueOf(await brokers.broker.listEntries({ type: 'attester.regressed', limit: 9 })).items.map(
        ({ entry }) => entry,
      );
    for (const [at, machine] of [original, clone, original].entries()) {
      const worker = at % 2 === 0 ? brokers : twin;
      valueOf(await releaseAt(worker, machine));
      await worker.context.sightings.flush();
    }
    const spki = sha256Hex(original.ak.spki);
    expect(await regressions()).toEqual([
      expect.objectContaining({
        ak_spki_sha256: spki,
        clock_before: '10000001',
        clock_after: '2000001',
        reset_count_before: 1,
        reset_count_after: 1,
      }),
    ]);
    expect(await twin.context.store.sighting(spki)).toMatchObject({ regressions: 1, clock: { clock: 10_000_002n } });
    await twin.close();
  });

  test('of a machine that is rebooted, quotes many times at once and moves between workers is no event', async () => {
    await brokers.deploy('llm');
    await brokers.key('weights', 'llm');
    const machine = await bootedMachine();
    await brokers.pin(machine, 'llm');
    const twin = await brokers.twin();
    for (let boot = 0; boot < 3; boot++) {
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, at) => releaseAt(at % 2 === 0 ? brokers : twin, machine)),
      );
      for (const answer of answers) valueOf(answer);
      machine.tpm.setClockInfo({ resetCount: 2 + boot, restartCount: 0 });
      await twin.context.sightings.flush();
      await brokers.context.sightings.flush();
    }
    expect(await twin.context.store.sighting(sha256Hex(machine.ak.spki))).toMatchObject({ regressions: 0 });
    expect(valueOf(await brokers.broker.listEntries({ type: 'attester.regressed', limit: 9 })).items).toEqual([]);
    await twin.close();
  });
});
