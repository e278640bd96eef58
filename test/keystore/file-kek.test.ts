import { fork } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KekError } from '../../src/keys/kek.js';
import { createKekFile, openKekFile } from '../../src/keystore/file-kek.js';
import { flipBit } from '../keys/fixtures.js';

const aad = Buffer.from('bound to this');
const secret = Buffer.alloc(32, 7);

let dir: string;
let path: string;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'portcullis-kek-'));
  path = join(dir, 'kek.json');
  await createKekFile(path);
});

afterEach(() => rmSync(dir, { recursive: true }));

interface Written {
  active: string;
  keks: { id: string; created: string; key: string }[];
}

function written(): Written {
  return JSON.parse(readFileSync(path, 'utf8')) as Written;
}

async function failure(work: Promise<unknown>): Promise<KekError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof KekError)) throw new Error('no KekError', { cause: error });
  return error;
}

describe('a KEK file', () => {
  test.each([0o000, 0o022, 0o077, 0o277])('is made with mode 0600 under umask %s', async (umask) => {
    const before = process.umask(umask);
    try {
      const fresh = join(dir, 'fresh.json');
      await createKekFile(fresh);
      expect(statSync(fresh).mode & 0o777).toBe(0o600);
      const keks = await openKekFile(fresh);
      await keks.rotate();
      expect(statSync(fresh).mode & 0o777).toBe(0o600);
    } finally {
      process.umask(before);
    }
  });

  test('is never made over what is there, be it a file, a link or a directory', async () => {
    const before = readFileSync(path);
    expect((await failure(createKekFile(path))).message).toContain('exists already');
    expect(readFileSync(path)).toEqual(before);
    symlinkSync(join(dir, 'elsewhere'), join(dir, 'link'));
    await failure(createKekFile(join(dir, 'link')));
    expect(existsSync(join(dir, 'elsewhere'))).toBe(false);
    await failure(createKekFile(dir));
    await failure(createKekFile(join(dir, 'no', 'such', 'directory')));
  });

  test('holds another KEK each time', async () => {
    await createKekFile(join(dir, 'second.json'));
    expect(readFileSync(join(dir, 'second.json'), 'utf8')).not.toContain(written().keks[0]?.key ?? '?');
  });

  test.each([0o644, 0o640, 0o660, 0o604, 0o602, 0o620, 0o610, 0o601, 0o777])(
    'of mode %s is refused, with what to do',
    async (mode) => {
      chmodSync(path, mode);
      expect((await failure(openKekFile(path))).message).toContain(`chmod 600 ${path}`);
      chmodSync(path, 0o600);
      await openKekFile(path);
    },
  );

  test('of mode 0400 is accepted', async () => {
    chmodSync(path, 0o400);
    await openKekFile(path);
  });

  test('that is a symbolic link, a directory or missing is refused', async () => {
    symlinkSync(path, join(dir, 'link'));
    expect((await failure(openKekFile(join(dir, 'link')))).message).toContain('symbolic link');
    mkdirSync(join(dir, 'sub'));
    expect((await failure(openKekFile(join(dir, 'sub')))).message).toContain('regular file');
    expect((await failure(openKekFile(join(dir, 'none')))).message).toContain('does not exist');
  });

  (process.geteuid?.() === 0 ? test : test.skip)('of another user is refused', async () => {
    chownSync(path, 12345, 12345);
    expect((await failure(openKekFile(path))).message).toContain('belongs to user 12345');
  });

  test('that was cut at any byte is refused, and its key never shown', async () => {
    const whole = readFileSync(path, 'utf8');
    const key = written().keks[0]?.key ?? '';
    // The last byte is the line feed, which may go.
    for (let end = 0; end < whole.length - 1; end++) {
      writeFileSync(path, whole.slice(0, end));
      const error = await failure(openKekFile(path));
      expect(error.message).toContain('is not a KEK file');
      expect(error.stack).not.toContain(key.slice(0, 8));
    }
  });

  test('with anything else in it than what was written is refused', async () => {
    const good = written();
    const [kek] = good.keks;
    if (kek === undefined) throw new Error('no KEK');
    const bad: unknown[] = [
      null,
      [],
      {},
      { ...good, more: 1 },
      { ...good, format: 'portcullis/kek-file/v2' },
      { ...good, active: 'f'.repeat(16) },
      { ...good, active: undefined },
      { ...good, keks: [] },
      { ...good, keks: kek },
      { ...good, keks: [kek, kek] },
      { ...good, keks: [kek, null] },
      { ...good, keks: [{ ...kek, more: 1 }] },
      { ...good, keks: [{ ...kek, id: 'F'.repeat(16) }], active: 'F'.repeat(16) },
      { ...good, keks: [{ ...kek, created: 'yesterday' }] },
      { ...good, keks: [{ ...kek, key: kek.key.slice(0, 42) }] },
      { ...good, keks: [{ ...kek, key: `${kek.key}A` }] },
      { ...good, keks: [{ ...kek, key: `${kek.key.slice(0, 42)}=` }] },
      { ...good, keks: [{ ...kek, key: 7 }] },
      { ...good, keks: Array.from({ length: 257 }, (_, i) => ({ ...kek, id: i.toString(16).padStart(16, '0') })) },
    ];
    for (const document of bad) {
      writeFileSync(path, JSON.stringify(document));
      const error = await failure(openKekFile(path));
      expect(error.message).not.toContain(kek.key.slice(0, 8));
    }
    writeFileSync(path, JSON.stringify(good).replace('"active"', '"format":"x","active"'));
    await failure(openKekFile(path));
    writeFileSync(path, Buffer.alloc(65_537, 0x20));
    expect((await failure(openKekFile(path))).message).toContain('larger');
    writeFileSync(path, JSON.stringify(good));
    await openKekFile(path);
  });
});

describe('wrapping under a file KEK', () => {
  test('is undone by unwrapping, up to 1 KiB', async () => {
    const keks = await openKekFile(path);
    for (const length of [0, 1, 32, 1024]) {
      const plaintext = Buffer.alloc(length, 9);
      const { kek, wrapped } = await keks.wrap(plaintext, aad);
      expect(kek).toBe(keks.activeId());
      expect(await keks.unwrap(kek, wrapped, aad)).toEqual(plaintext);
    }
    await expect(keks.wrap(Buffer.alloc(1025), aad)).rejects.toThrow(RangeError);
  });

  test('is not undone after any change of the bytes, their associated data or the KEK', async () => {
    const keks = await openKekFile(path);
    const { kek, wrapped } = await keks.wrap(secret, aad);
    for (let bit = 0; bit < wrapped.length * 8; bit++) await failure(keks.unwrap(kek, flipBit(wrapped, bit), aad));
    for (let end = 0; end < wrapped.length; end++) await failure(keks.unwrap(kek, wrapped.subarray(0, end), aad));
    for (let bit = 0; bit < aad.length * 8; bit++) await failure(keks.unwrap(kek, wrapped, flipBit(aad, bit)));
    await failure(keks.unwrap(kek, wrapped, Buffer.alloc(0)));
    const { kek: second } = await keks.rotate();
    await failure(keks.unwrap(second, wrapped, aad));
    for (const unknown of ['', 'f'.repeat(16), '__proto__', '../kek'])
      await failure(keks.unwrap(unknown, wrapped, aad));
  });

  test('binds to the id of the KEK: a renamed KEK does not unwrap', async () => {
    const { kek, wrapped } = await (await openKekFile(path)).wrap(secret, aad);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(kek, 'a'.repeat(16)));
    await failure((await openKekFile(path)).unwrap('a'.repeat(16), wrapped, aad));
  });

  test('no error shows a byte of the KEK or of what was wrapped', async () => {
    const keks = await openKekFile(path);
    const canary = Buffer.from('canarycanarycanary');
    const { kek, wrapped } = await keks.wrap(canary, aad);
    const key = written().keks[0]?.key ?? '';
    const errors = [
      await failure(keks.unwrap(kek, flipBit(wrapped, 300), aad)),
      await failure(keks.unwrap('f'.repeat(16), wrapped, aad)),
    ];
    chmodSync(path, 0o644);
    errors.push(await failure(keks.wrap(canary, aad)), await failure(keks.rotate()), await failure(openKekFile(path)));
    for (const error of errors) {
      for (const text of [error.message, error.stack ?? '', String(error.cause)]) {
        expect(text).not.toContain('canary');
        expect(text).not.toContain(key);
        expect(text).not.toContain(Buffer.from(key, 'base64url').toString('hex'));
      }
    }
  });
});

describe('rotation', () => {
  test('makes a new active KEK; the former ones keep unwrapping', async () => {
    const keks = await openKekFile(path);
    const old = await keks.wrap(secret, aad);
    const { kek: fresh } = await keks.rotate();
    expect(keks.activeId()).toBe(fresh);
    expect(fresh).not.toBe(old.kek);
    expect((await keks.wrap(secret, aad)).kek).toBe(fresh);
    expect(await keks.unwrap(old.kek, old.wrapped, aad)).toEqual(secret);
    expect(readdirSync(dir)).toEqual(['kek.json']);
    const reopened = await openKekFile(path);
    expect(reopened.activeId()).toBe(fresh);
    expect(await reopened.unwrap(old.kek, old.wrapped, aad)).toEqual(secret);
  });

  test('by one process is seen by another that wraps, or unwraps under the new KEK', async () => {
    const [one, two, three] = [await openKekFile(path), await openKekFile(path), await openKekFile(path)];
    const { kek: fresh } = await one.rotate();
    const { kek, wrapped } = await two.wrap(secret, aad);
    expect(kek).toBe(fresh);
    expect(two.activeId()).toBe(fresh);
    expect(await three.unwrap(fresh, wrapped, aad)).toEqual(secret);
    expect(three.activeId()).toBe(fresh);
  });

  test('by two providers at the same time loses no KEK', async () => {
    const providers = await Promise.all(Array.from({ length: 4 }, () => openKekFile(path)));
    const before = written().active;
    const ids = await Promise.all([...providers, ...providers].map(async (keks) => (await keks.rotate()).kek));
    expect(new Set(ids).size).toBe(8);
    expect(
      written()
        .keks.map(({ id }) => id)
        .sort(),
    ).toEqual([before, ...ids].sort());
    for (const keks of providers) {
      const { kek } = await keks.wrap(secret, aad);
      expect(kek).toBe(written().active);
    }
  });

  test('in the middle of wraps and unwraps disturbs none of them', async () => {
    const [one, two] = [await openKekFile(path), await openKekFile(path)];
    const old = await two.wrap(secret, aad);
    const work = Array.from({ length: 40 }, async (_, i) => {
      if (i % 8 === 0) await one.rotate();
      const { kek, wrapped } = await two.wrap(secret, aad);
      expect(await one.unwrap(kek, wrapped, aad)).toEqual(secret);
      expect(await two.unwrap(old.kek, old.wrapped, aad)).toEqual(secret);
    });
    await Promise.all(work);
  });

  test('is refused, with what to do, while the lock is held, and works when it is gone', async () => {
    const keks = await openKekFile(path, 0);
    writeFileSync(`${path}.lock`, '');
    const before = readFileSync(path);
    expect((await failure(keks.rotate())).message).toContain('remove that file');
    expect(readFileSync(path)).toEqual(before);
    expect((await keks.wrap(secret, aad)).kek).toBe(keks.activeId());
    unlinkSync(`${path}.lock`);
    await keks.rotate();
  });

  test('takes over what a crash left of a new file, and releases its lock when it fails', async () => {
    const keks = await openKekFile(path, 0);
    writeFileSync(`${path}.new`, 'half a file');
    await keks.rotate();
    expect(readdirSync(dir)).toEqual(['kek.json']);
    chmodSync(path, 0o644);
    await failure(keks.rotate());
    chmodSync(path, 0o600);
    await keks.rotate();
    expect(written().keks).toHaveLength(3);
  });

  test('beyond 256 KEKs is refused and changes nothing', async () => {
    const keks = await openKekFile(path);
    const document = written();
    const [kek] = document.keks;
    const more = Array.from({ length: 255 }, (_, i) => ({ ...kek, id: i.toString(16).padStart(16, '0') }));
    writeFileSync(path, JSON.stringify({ ...document, keks: [kek, ...more] }));
    expect((await failure(keks.rotate())).message).toContain('at most 256');
    expect(written().keks).toHaveLength(256);
  });
});

describe('retiring', () => {
  test('destroys every KEK but the active one and those named', async () => {
    const keks = await openKekFile(path);
    const first = await keks.wrap(secret, aad);
    await keks.rotate();
    const second = await keks.wrap(secret, aad);
    const { kek: active } = await keks.rotate();
    await keks.retire([second.kek]);
    expect(written().keks.map(({ id }) => id)).toEqual([second.kek, active]);
    await failure(keks.unwrap(first.kek, first.wrapped, aad));
    expect(await keks.unwrap(second.kek, second.wrapped, aad)).toEqual(secret);
    await keks.retire([]);
    expect(written().keks.map(({ id }) => id)).toEqual([active]);
  });

  test('by one process is seen by another when it next wraps', async () => {
    const [one, two] = [await openKekFile(path), await openKekFile(path)];
    const old = await two.wrap(secret, aad);
    await one.rotate();
    await one.retire([]);
    await two.wrap(secret, aad);
    await failure(two.unwrap(old.kek, old.wrapped, aad));
  });
});

describe('a file that changes under a running process', () => {
  test('goes on unwrapping what it knows, and refuses to wrap, when others can read it', async () => {
    const keks = await openKekFile(path);
    const { kek, wrapped } = await keks.wrap(secret, aad);
    chmodSync(path, 0o640);
    expect((await failure(keks.wrap(secret, aad))).message).toContain('chmod 600');
    expect(await keks.unwrap(kek, wrapped, aad)).toEqual(secret);
  });

  test('goes on unwrapping what it knows, and refuses to wrap, when it is gone or broken', async () => {
    const keks = await openKekFile(path);
    const { kek, wrapped } = await keks.wrap(secret, aad);
    renameSync(path, `${path}.away`);
    await failure(keks.wrap(secret, aad));
    await failure(keks.rotate());
    expect(await keks.unwrap(kek, wrapped, aad)).toEqual(secret);
    linkSync(`${path}.away`, path);
    expect((await keks.wrap(secret, aad)).kek).toBe(kek);
    truncateSync(path, 10);
    await failure(keks.wrap(secret, aad));
    expect(await keks.unwrap(kek, wrapped, aad)).toEqual(secret);
  });
});

test('a rotation waits for a process that holds the lock, while wraps go on', async () => {
  const program = join(dir, 'hold.mjs');
  writeFileSync(
    program,
    `import { closeSync, openSync, unlinkSync } from 'node:fs';
     closeSync(openSync(process.argv[2] + '.lock', 'wx', 0o600));
     process.send('held');
     process.once('message', () => { unlinkSync(process.argv[2] + '.lock'); process.disconnect(); });`,
  );
  const keks = await openKekFile(path);
  const before = keks.activeId();
  const holder = fork(program, [path], { execArgv: [] });
  await new Promise((resolve) => holder.once('message', resolve));
  let rotated = false;
  const rotation = keks.rotate().then(({ kek: id }) => {
    rotated = true;
    return id;
  });
  const { kek } = await keks.wrap(secret, aad);
  expect(kek).toBe(before);
  expect(rotated).toBe(false);
  const exited = new Promise((resolve) => holder.once('exit', resolve));
  holder.send('free');
  await exited;
  const fresh = await rotation;
  expect(written().active).toBe(fresh);
  expect(written().keks.map(({ id }) => id)).toContain(before);
});
