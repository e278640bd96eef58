import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createWitnessDirectory, readIdentity } from '../../../src/store/witness/identity.js';
import { WitnessState } from '../../../src/store/witness/witness-state.js';
import { Cosigner } from '../../../src/translog/cosignature.js';
import { parseVerifierKey } from '../../../src/translog/note.js';
import { type HeldCheckpoint, originHash } from '../../../src/translog/witness.js';
import { SignedLog } from '../../helpers/signed-log.js';

const SEED = Buffer.alloc(32, 9);
const cosigner = new Cosigner('witness.example/w1', SEED);
const key = parseVerifierKey(cosigner.verifierKey);
const log = new SignedLog('broker.example/1');
const other = new SignedLog('broker.example/2');

let scratch: string;
let directory: string;
let open: WitnessState[] = [];
beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'portcullis-witness-'));
  directory = join(scratch, 'w');
  await createWitnessDirectory(directory, { name: 'witness.example/w1', seed: SEED });
});
afterEach(async () => {
  await Promise.all(open.map((state) => state.close()));
  open = [];
  rmSync(scratch, { recursive: true });
});

async function opened(): Promise<WitnessState> {
  const state = await WitnessState.open(directory, key);
  open.push(state);
  return state;
}

const cosigned = (size: number, of = log, seconds = 1_800_000_000) =>
  `${of.checkpoint(size)}${cosigner.cosign(of.text(size), seconds)}`;

/** Keeps the checkpoint of a size, from whatever is there; the size that was there. */
const keep = (state: WitnessState, size: number, of = log) =>
  state.advance(of.origin, (latest) => ({ answer: latest?.head.size, checkpoint: cosigned(size, of) }));

const file = (of = log) => join(directory, 'checkpoints', originHash(of.origin));
const sizeHeld = (state: WitnessState, of = log) => state.latest(originHash(of.origin))?.head.size;

describe('the directory of a witness', () => {
  test('is its owner’s alone, and is read back', async () => {
    const modes = readdirSync(directory, { recursive: true, withFileTypes: true }).map(
      (entry) => [entry.name, statSync(join(entry.parentPath, entry.name)).mode & 0o777] as const,
    );
    expect(Object.fromEntries(modes)).toEqual({ checkpoints: 0o700, origins: 0o600, 'witness.json': 0o600 });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(await readIdentity(directory)).toEqual({ name: 'witness.example/w1', seed: SEED });
  });

  test('is not made over anything', async () => {
    await expect(createWitnessDirectory(directory, { name: 'x', seed: SEED })).rejects.toThrow('left untouched');
    expect(await readIdentity(directory)).toMatchObject({ name: 'witness.example/w1' });
  });

  test('is refused where the secret is open to others, missing, a link, or damaged', async () => {
    const secret = join(directory, 'witness.json');
    chmodSync(secret, 0o640);
    await expect(readIdentity(directory)).rejects.toThrow('chmod 600');
    chmodSync(secret, 0o600);
    const whole = readFileSync(secret, 'utf8');
    const seed = SEED.toString('base64url');
    for (const text of [
      '',
      '{}',
      whole.slice(0, -3),
      whole.replace(seed, seed.slice(2)),
      whole.replace('witness', 'a b'),
      '[]',
      'null',
    ]) {
      writeFileSync(secret, text);
      await expect(readIdentity(directory)).rejects.toThrow('is damaged');
    }
    writeFileSync(secret, 'x'.repeat(5000));
    await expect(readIdentity(directory)).rejects.toThrow('larger than');
    rmSync(secret);
    await expect(readIdentity(directory)).rejects.toThrow('witness init');
    symlinkSync('/etc/hostname', secret);
    await expect(readIdentity(directory)).rejects.toThrow('cannot be read');
  });

  test('is used by one process at a time', async () => {
    const first = await opened();
    await expect(WitnessState.open(directory, key)).rejects.toThrow('held by another witness');
    await first.close();
    const second = await opened();
    expect(sizeHeld(second)).toBeUndefined();
  });
});

describe('a checkpoint', () => {
  test('is kept for each log, and found again', async () => {
    const state = await opened();
    expect(await keep(state, 3)).toBeUndefined();
    expect(await keep(state, 7)).toBe(3);
    expect(await keep(state, 5, other)).toBeUndefined();
    expect(sizeHeld(state)).toBe(7);
    await state.close();
    const again = await opened();
    expect([sizeHeld(again), sizeHeld(again, other)]).toEqual([7, 5]);
    expect(again.latest(originHash(log.origin))?.checkpoint).toBe(cosigned(7));
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    const seen = await WitnessState.inspect(directory, key);
    expect([...seen.keys()].sort()).toEqual([originHash(log.origin), originHash(other.origin)].sort());
  });

  test('is on disk before the answer is given', async () => {
    const state = await opened();
    await keep(state, 3);
    expect(readFileSync(file(), 'utf8')).toBe(cosigned(3));
    expect(readFileSync(join(directory, 'origins'), 'utf8')).toBe(`${originHash(log.origin)}\n`);
  });

  test('is decided on alone: of any number at once each sees what the one before it left', async () => {
    const state = await opened();
    const sizes = Array.from({ length: 20 }, (_, at) => at + 1);
    const seen = await Promise.all(
      sizes.map((size) =>
        state.advance(log.origin, (latest) => {
          const before = latest?.head.size ?? 0;
          return size > before ? { answer: before, checkpoint: cosigned(size) } : { answer: before };
        }),
      ),
    );
    expect(seen).toEqual(sizes.map((size) => size - 1));
    const both = await Promise.all([keep(state, 30), keep(state, 5, other), keep(state, 31)]);
    expect(both).toEqual([20, undefined, 30]);
  });

  test('never goes back, and is of its own log', async () => {
    const state = await opened();
    await keep(state, 7);
    await expect(keep(state, 6)).rejects.toThrow('never goes back');
    await expect(state.advance(other.origin, () => ({ answer: 1, checkpoint: cosigned(9) }))).rejects.toThrow(
      'never goes back',
    );
    await expect(state.advance(log.origin, () => ({ answer: 1, checkpoint: log.checkpoint(9) }))).rejects.toThrow(
      'cosignature',
    );
    expect(sizeHeld(state)).toBe(7);
  });

  test('that cannot be written is not answered, and nothing has changed', async () => {
    const state = await opened();
    await keep(state, 3);
    const [from, to] = [join(directory, 'checkpoints'), join(directory, 'elsewhere')];
    renameSync(from, to);
    await expect(keep(state, 7)).rejects.toThrow('cannot be written');
    expect(sizeHeld(state)).toBe(3);
    renameSync(to, from);
    expect(await keep(state, 8)).toBe(3);
    expect(sizeHeld(state)).toBe(8);
  });

  test('of a log that is new is not answered when the index cannot be written', async () => {
    const state = await opened();
    // A directory in the way of the temporary file that the index is written to.
    mkdirSync(join(directory, 'origins.new', 'x'), { recursive: true });
    await expect(keep(state, 3)).rejects.toThrow('cannot be written');
    expect(sizeHeld(state)).toBeUndefined();
    rmSync(join(directory, 'origins.new'), { recursive: true });
    await state.close();
    // The file was on disk: it was never answered, and is taken up, so that what comes next grows from it.
    expect(sizeHeld(await opened())).toBe(3);
    expect(readFileSync(join(directory, 'origins'), 'utf8')).toBe(`${originHash(log.origin)}\n`);
  });

  test('that a crash left half written beside the last one does no harm', async () => {
    const state = await opened();
    await keep(state, 3);
    await state.close();
    writeFileSync(`${file()}.new`, cosigned(7).slice(0, 50));
    const again = await opened();
    expect(sizeHeld(again)).toBe(3);
    expect(await keep(again, 9)).toBe(3);
    expect(existsSync(`${file()}.new`)).toBe(false);
  });

  test('what decides may throw, and the next one goes on', async () => {
    const state = await opened();
    const fails = state.advance(log.origin, () => {
      throw new Error('no');
    });
    await expect(Promise.all([fails, keep(state, 3)])).rejects.toThrow('no');
    expect(await keep(state, 4)).toBe(3);
  });
});

describe('a log whose checkpoint is', () => {
  async function damagedBy(damage: () => void): Promise<WitnessState> {
    const state = await opened();
    await keep(state, 7);
    await keep(state, 5, other);
    await state.close();
    damage();
    return opened();
  }

  const whole = cosigned(7);
  const damages: readonly (readonly [string, () => void, string])[] = [
    ['gone', () => rmSync(file()), 'is missing'],
    ['empty', () => writeFileSync(file(), ''), 'is damaged'],
    ['cut off', () => writeFileSync(file(), whole.slice(0, -20)), 'is damaged'],
    ['another with the same signature', () => writeFileSync(file(), whole.replace('\n7\n', '\n6\n')), 'is damaged'],
    ['not cosigned', () => writeFileSync(file(), log.checkpoint(7)), 'is damaged'],
    [
      'cosigned by another',
      () => {
        const stranger = new Cosigner('witness.example/w1', Buffer.alloc(32, 8));
        writeFileSync(file(), `${log.checkpoint(7)}${stranger.cosign(log.text(7), 1)}`);
      },
      'is damaged',
    ],
    ['that of another log', () => cpSync(file(other), file()), 'of another log'],
    ['too large', () => writeFileSync(file(), 'x'.repeat(70_000)), 'larger than'],
    [
      'a directory',
      () => {
        rmSync(file());
        mkdirSync(file());
      },
      'not a regular file',
    ],
    [
      'a link',
      () => {
        renameSync(file(), join(directory, 'moved'));
        symlinkSync(join(directory, 'moved'), file());
      },
      'cannot be read',
    ],
  ];

  test.each(damages)('%s gets no more cosignatures; other logs do', async (_what, damage, why) => {
    const state = await damagedBy(damage);
    expect(() => state.latest(originHash(log.origin))).toThrow(why);
    const asked: (HeldCheckpoint | undefined)[] = [];
    const advance = state.advance(log.origin, (latest) => {
      asked.push(latest);
      return { answer: 1, checkpoint: cosigned(8) };
    });
    await expect(advance).rejects.toThrow(why);
    expect(asked).toEqual([]);
    expect(state.damaged()).toHaveLength(1);
    expect(await keep(state, 6, other)).toBe(5);
    const seen = await WitnessState.inspect(directory, key);
    expect(seen.get(originHash(log.origin))).toHaveProperty('damaged');
  });

  test('whole again goes on', async () => {
    const state = await damagedBy(() => rmSync(file()));
    await state.close();
    writeFileSync(file(), whole);
    expect(await keep(await opened(), 8)).toBe(7);
  });

  test.each([
    ['missing', () => rmSync(join(directory, 'origins')), 'is missing'],
    ['damaged', () => writeFileSync(join(directory, 'origins'), 'x\n'), 'is damaged'],
    ['cut off', () => writeFileSync(join(directory, 'origins'), originHash(log.origin)), 'is damaged'],
  ])('listed in an index that is %s: the witness does not start', async (_what, damage, why) => {
    await expect(damagedBy(damage)).rejects.toThrow(why);
  });

  test('lost together with the folder of checkpoints: the witness does not start', async () => {
    await expect(damagedBy(() => rmSync(join(directory, 'checkpoints'), { recursive: true }))).rejects.toThrow(
      'restore the directory',
    );
  });
});
