import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Frontier } from '../../src/audit/frontier.js';
import { BundleError, bundleBounds, leafHashIn } from '../../src/audit/read-tiles.js';
import { SignedTiles, UnsignedTileError } from '../../src/audit/signed-tiles.js';
import { parseTreeHead } from '../../src/translog/checkpoint.js';
import { leafHash } from '../../src/translog/merkle.js';
import { parseNote } from '../../src/translog/note.js';
import { encodeBundle } from '../../src/translog/tile.js';
import { ReferenceTree } from '../helpers/rfc6962.js';
import { flipped, genuineEntries, logFiles, memorySource, withFile } from './sample-log.js';

const data = (index: number) => Buffer.from(`entry ${String(index)}`);
const TREE = new ReferenceTree(data);
const leafOf = (index: number) => leafHash(data(index)).toString('latin1');

describe('a frontier', () => {
  test('has the root of RFC 6962 at every size', () => {
    const frontier = new Frontier();
    for (let size = 0; size <= 1030; size++) {
      expect(frontier.size).toBe(size);
      expect(frontier.root()).toEqual(TREE.mth(0, size));
      frontier.append(leafOf(size));
    }
  });

  test('hands out each tile once, when it is full, and keeps the partial ones', () => {
    const frontier = new Frontier();
    for (let index = 0; index < 256 * 256; index++) frontier.append(leafOf(index % 256));
    const full = frontier.takeFull();
    expect(full).toHaveLength(257);
    expect(full.filter(({ level }) => level === 0).map(({ index }) => index)).toEqual([...Array(256).keys()]);
    expect(full.at(-1)).toMatchObject({ level: 1, index: 0 });
    expect(full.at(-1)!.hashes.subarray(0, 32)).toEqual(TREE.mth(0, 256));
    expect(frontier.takeFull()).toEqual([]);
    expect(frontier.partials().map(({ length }) => length)).toEqual([0, 0, 32, 0, 0, 0, 0]);
  });

  test('goes on from its partial tiles as if it had never stopped', () => {
    const at = fc.integer({ min: 0, max: 600 });
    fc.assert(
      fc.property(at, at, (before, more) => {
        const first = new Frontier();
        for (let index = 0; index < before; index++) first.append(leafOf(index));
        const second = new Frontier(before, first.partials());
        for (let index = before; index < before + more; index++) second.append(leafOf(index));
        expect(second.root()).toEqual(TREE.mth(0, before + more));
      }),
      { numRuns: 30 },
    );
  });

  test('refuses partial tiles that do not fit the size', () => {
    const hash = Buffer.alloc(32);
    expect(() => new Frontier(1, [])).toThrow(RangeError);
    expect(() => new Frontier(0, [hash])).toThrow(RangeError);
    expect(() => new Frontier(1, [Buffer.alloc(33)])).toThrow(RangeError);
    expect(() => new Frontier(256, [Buffer.alloc(0), Buffer.alloc(64)])).toThrow(RangeError);
    expect(
      () =>
        new Frontier(
          0,
          Array.from({ length: 8 }, () => Buffer.alloc(0)),
        ),
    ).toThrow(RangeError);
    expect(() => new Frontier(-1)).toThrow(RangeError);
    expect(() => new Frontier(0.5)).toThrow(RangeError);
    expect(new Frontier(257, [hash, hash]).size).toBe(257);
  });
});

describe('a bundle', () => {
  const entries = [Buffer.from('a'), Buffer.alloc(0), Buffer.alloc(300, 7)];
  const bytes = encodeBundle(entries);

  test('is cut into its entries, whose leaf hashes are those of RFC 6962; its bytes stay as they are', () => {
    const bounds = bundleBounds({ bytes, width: 3, holds: 3 });
    const before = Buffer.from(bytes);
    for (const [at, entry] of entries.entries()) {
      const [start, end] = [bounds[2 * at]!, bounds[2 * at + 1]!];
      expect(bytes.subarray(start, end)).toEqual(entry);
      expect(Buffer.from(leafHashIn(bytes, start, end), 'latin1')).toEqual(leafHash(entry));
    }
    expect(bytes).toEqual(before);
  });

  test('that ends early says at which entry, and one with bytes left over is none', () => {
    const positions = Array.from({ length: bytes.length }, (_, length) => {
      try {
        bundleBounds({ bytes: bytes.subarray(0, length), width: 3, holds: 3 });
      } catch (error) {
        if (error instanceof BundleError) return error.position;
        throw error;
      }
      throw new Error(`${String(length)} bytes were taken for a bundle`);
    });
    expect(positions).toEqual([0, 0, 0, 1, 1, ...Array<number>(302).fill(2)]);
    const longer = Buffer.concat([bytes, Buffer.of(0)]);
    expect(() => bundleBounds({ bytes: longer, width: 3, holds: 3 })).toThrow(BundleError);
  });

  test('that is full may stand in for a partial one', () => {
    expect(bundleBounds({ bytes, width: 2, holds: 256 })).toEqual(Uint32Array.of(2, 3, 5, 5));
  });

  test('of any bytes throws nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.integer({ min: 1, max: 8 }), (any, width) => {
        try {
          bundleBounds({ bytes: Buffer.from(any), width, holds: width });
        } catch (error) {
          expect(error).toBeInstanceOf(BundleError);
        }
      }),
    );
  });
});

describe('signed tiles', () => {
  const entries = genuineEntries(700);
  const files = logFiles(entries);
  const { head } = headOf(files);

  test('give the root of every earlier size', async () => {
    const tree = new ReferenceTree((index) => Buffer.from(entries[index]!));
    const tiles = await SignedTiles.open(memorySource(files), head);
    for (const size of [0, 1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 699, 700]) {
      expect(await tiles.rootAt(size)).toEqual(tree.mth(0, size));
    }
  });

  test('are read once each', async () => {
    const asked: string[] = [];
    const source = memorySource(files);
    const counting = {
      ...source,
      tile: (name: Parameters<typeof source.tile>[0]) => {
        asked.push(`${String(name.level)}/${String(name.index)}`);
        return source.tile(name);
      },
    };
    const tiles = await SignedTiles.open(counting, head);
    await Promise.all([tiles.tile(0, 0), tiles.tile(0, 0), tiles.tile(0, 1), tiles.tile(0, 2), tiles.tile(1, 0)]);
    expect(asked.sort()).toEqual(['0/0', '0/1', '0/2', '1/0']);
  });

  test('are none where one bit of them is another', async () => {
    for (const path of ['tile/0/002.p/188', 'tile/1/000.p/2']) {
      const changed = withFile(files, path, flipped(files.get(path)!, 40));
      await expect(SignedTiles.open(memorySource(changed), head)).rejects.toThrow(UnsignedTileError);
      const cut = withFile(files, path, files.get(path)!.subarray(1));
      await expect(SignedTiles.open(memorySource(cut), head)).rejects.toThrow(UnsignedTileError);
    }
    const changed = withFile(files, 'tile/0/001', flipped(files.get('tile/0/001')!, 4000));
    const tiles = await SignedTiles.open(memorySource(changed), head);
    await expect(tiles.tile(0, 1)).rejects.toThrow('tile/0/001 is not the hash tile of the signed tree');
    await expect(tiles.rootAt(300)).rejects.toThrow(UnsignedTileError);
    expect(await tiles.tile(0, 0)).toEqual(files.get('tile/0/000'));
    await expect(tiles.tile(0, 3)).rejects.toThrow(RangeError);
  });
});

function headOf(files: ReadonlyMap<string, Buffer>) {
  return { head: parseTreeHead(parseNote(files.get('checkpoint')!.toString()).text) };
}
