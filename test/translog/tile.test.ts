import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import {
  decodeBundle,
  decodeTile,
  encodeBundle,
  MAX_TILE_LEVEL,
  parseTilePath,
  TILE_WIDTH,
  tileCount,
  type TileName,
  tilePath,
} from '../../src/translog/tile.js';

const buffer = (options: fc.IntArrayConstraints) => fc.uint8Array(options).map((bytes) => Buffer.from(bytes));

/** The path as C2SP tlog-tiles words it: groups of three digits, all but the last behind an x. */
function spelled({ level, index, width }: TileName): string {
  let groups = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups = `x${String(rest % 1000).padStart(3, '0')}/${groups}`;
  }
  return `tile/${String(level)}/${groups}${width < 256 ? `.p/${String(width)}` : ''}`;
}

describe('the path of a tile', () => {
  test.each([
    [{ level: 0, index: 1_234_067, width: 256 }, 'tile/0/x001/x234/067'],
    [{ level: 'entries', index: 1_234_067, width: 256 }, 'tile/entries/x001/x234/067'],
    [{ level: 0, index: 0, width: 1 }, 'tile/0/000.p/1'],
    [{ level: 1, index: 273, width: 112 }, 'tile/1/273.p/112'],
    [{ level: 2, index: 999, width: 255 }, 'tile/2/999.p/255'],
    [{ level: 3, index: 1000, width: 256 }, 'tile/3/x001/000'],
    [{ level: 'entries', index: 2 ** 45 - 1, width: 255 }, 'tile/entries/x035/x184/x372/x088/831.p/255'],
  ] as const)('of %j is %s', (name, path) => {
    expect(tilePath(name)).toBe(path);
    expect(parseTilePath(path)).toEqual(name);
  });

  test('is written and read for every small index, level and width', () => {
    for (let index = 0; index <= 3000; index++) {
      for (const level of ['entries', 0, 1, 2] as const) {
        for (const width of [1, 9, 10, 99, 100, 255, 256]) {
          const name = { level, index, width };
          const path = tilePath(name);
          const back = parseTilePath(path);
          if (path !== spelled(name) || back?.index !== index || back.level !== level || back.width !== width) {
            throw new Error(`${path} of ${JSON.stringify(name)} is read as ${JSON.stringify(back)}`);
          }
        }
      }
    }
    for (let width = 1; width <= 256; width++) {
      const name = { level: 0, index: 7, width };
      expect(parseTilePath(tilePath(name))).toEqual(name);
    }
  });

  test('is written and read for any tile that a tree of up to 2^53 leaves can have', () => {
    const anyName = fc
      .tuple(
        fc.constantFrom('entries' as const, 0, 1, 2, 3, 4, 5, 6),
        fc.integer({ min: 1, max: 256 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
      )
      .map(([level, width, part]) => {
        const tiles = 2 ** (45 - 8 * (level === 'entries' ? 0 : level));
        return {
          level,
          index: Math.max(0, Math.floor(part * (tiles - 1))),
          width,
        };
      });
    fc.assert(
      fc.property(anyName, (name) => {
        expect(tilePath(name)).toBe(spelled(name));
        expect(parseTilePath(tilePath(name))).toEqual(name);
      }),
    );
  });

  test.each([
    ...['', '/', 'tile', 'tile/', 'tile/0', 'tile/0/', '/tile/0/000', 'tile/0/000/', 'tile//000', 'x/0/000'],
    ...['tile/0/0', 'tile/0/00', 'tile/0/0000', 'tile/0/-01', 'tile/0/1e3', 'tile/0/+01', 'tile/0/ 01', 'tile/0/00a'],
    ...['tile/00/000', 'tile/01/000', 'tile/-1/000', 'tile/+1/000', 'tile/ 0/000', 'tile/7/000', 'tile/63/000'],
    ...['tile/64/000', 'tile/100/000', 'tile/entry/000', 'tile/Entries/000', 'tile/entries', 'tile/entries/'],
    ...[
      'tile/0/x000/000',
      'tile/0/x000/x001/000',
      'tile/0/001/000',
      'tile/0/x001',
      'tile/0/x001/x000',
      'tile/0/X001/000',
    ],
    ...['tile/0/x1/000', 'tile/0/x0001/000', 'tile/0/x001//000', 'tile/0/x001/../000', 'tile/0/../0/000'],
    ...['tile/0/000.p', 'tile/0/000.p/', 'tile/0/000.p/0', 'tile/0/000.p/00', 'tile/0/000.p/01', 'tile/0/000.p/256'],
    ...['tile/0/000.p/257', 'tile/0/000.p/999', 'tile/0/000.p/1000', 'tile/0/000.p/-1', 'tile/0/000.p/1.5'],
    ...[
      'tile/0/000.p/1/',
      'tile/0/000.p/1 ',
      'tile/0/000.P/1',
      'tile/0/000p/1',
      'tile/0/000.p1',
      'tile/0/x001.p/1/000',
    ],
    ...[
      'tile/0/000\n',
      '\ntile/0/000',
      'tile/0/000?x',
      'tile/0/000#',
      'tile/0/%30%30%30',
      'tile\\0\\000',
      'tile/0/٠٠٠',
    ],
  ])('spelled %j is no path', (path) => expect(parseTilePath(path)).toBeUndefined());

  test('beyond the safe integers is no path, so that no number computed from it loses digits', () => {
    expect(parseTilePath('tile/0/x035/x184/x372/x088/832')).toBeUndefined();
    expect(parseTilePath('tile/0/x035/x184/x372/x088/831')).toMatchObject({ index: 35_184_372_088_831 });
    expect(parseTilePath('tile/entries/x009/x007/x199/x254/x740/992')).toBeUndefined();
    expect(parseTilePath('tile/0/x999/x999/x999/x999/x999/999')).toBeUndefined();
    expect(parseTilePath('tile/0/x001/x000/x000/x000/x000/x000/000')).toBeUndefined();
    expect(parseTilePath('tile/6/000.p/31')).toEqual({ level: MAX_TILE_LEVEL, index: 0, width: 31 });
    expect(parseTilePath('tile/6/001')).toBeUndefined();
    expect(parseTilePath('tile/5/032')).toBeUndefined();
    expect(parseTilePath('tile/5/031')).toEqual({ level: 5, index: 31, width: 256 });
  });

  test('of what is no tile is not written', () => {
    for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 53, 1e21]) {
      expect(() => tilePath({ level: 0, index: wrong, width: 256 })).toThrow(RangeError);
      expect(() => tilePath({ level: wrong, index: 0, width: 256 })).toThrow(RangeError);
      expect(() => tilePath({ level: 0, index: 0, width: wrong })).toThrow(RangeError);
    }
    for (const width of [0, 257]) expect(() => tilePath({ level: 0, index: 0, width })).toThrow(RangeError);
    expect(() => tilePath({ level: 7, index: 0, width: 1 })).toThrow(RangeError);
  });

  test('whatever is read is written the same', () => {
    const pieces = fc.constantFrom(
      'tile/',
      'entries/',
      '0/',
      '1/',
      '6/',
      'x',
      '001',
      '/',
      '000',
      '.p/',
      '1',
      '255',
      '.',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 9 }), (parts) => {
        for (const path of [parts.join(''), `tile/0/${parts.join('')}`]) {
          const name = parseTilePath(path);
          if (name !== undefined) expect(tilePath(name)).toBe(path);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the tiles of a tree', () => {
  test('are as the example of C2SP tlog-tiles counts them for 70,000 leaves', () => {
    expect([0, 1, 2, 3].map((level) => tileCount(70_000, level))).toEqual([
      { full: 273, partialWidth: 112 },
      { full: 1, partialWidth: 17 },
      { full: 0, partialWidth: 1 },
      { full: 0, partialWidth: 0 },
    ]);
    expect([0, 1, 2].map((level) => tileCount(256, level))).toEqual([
      { full: 1, partialWidth: 0 },
      { full: 0, partialWidth: 1 },
      { full: 0, partialWidth: 0 },
    ]);
  });

  test('hold every perfect node of their level, for any size', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat({ max: MAX_TILE_LEVEL }), (size, level) => {
        const { full, partialWidth } = tileCount(size, level);
        expect(BigInt(full) * 256n + BigInt(partialWidth)).toBe(BigInt(size) / 256n ** BigInt(level));
        expect(partialWidth).toBeLessThan(TILE_WIDTH);
        if (full > 0) expect(parseTilePath(tilePath({ level, index: full - 1, width: 256 }))).toBeDefined();
        // The full tile as well, which a client asks for where the partial one is gone.
        for (const width of partialWidth > 0 ? [partialWidth, 256] : []) {
          expect(parseTilePath(tilePath({ level, index: full, width }))).toBeDefined();
        }
      }),
    );
  });
});

describe('a bundle of entries', () => {
  const ENTRIES = [Buffer.from('one'), Buffer.alloc(0), Buffer.from('three')];

  test('has each entry behind its length, 16 bits big-endian', () => {
    expect(encodeBundle(ENTRIES).toString('hex')).toBe('0003' + '6f6e65' + '0000' + '0005' + '7468726565');
    expect(encodeBundle([Buffer.alloc(0x0102)]).subarray(0, 2)).toEqual(Buffer.of(1, 2));
    expect(encodeBundle([])).toEqual(Buffer.alloc(0));
  });

  test('gives back what went in', () => {
    expect(decodeBundle(encodeBundle(ENTRIES), 3)).toEqual(ENTRIES);
    expect(decodeBundle(Buffer.alloc(0), 0)).toEqual([]);
    fc.assert(
      fc.property(fc.array(buffer({ maxLength: 300 }), { maxLength: 20 }), (entries) => {
        expect(decodeBundle(encodeBundle(entries), entries.length)).toEqual(entries);
      }),
    );
  });

  test('every proper prefix of it is refused, and a trailing byte', () => {
    const bundle = encodeBundle(ENTRIES);
    for (let length = 0; length < bundle.length; length++) {
      expect(() => decodeBundle(bundle.subarray(0, length), 3)).toThrow(MalformedError);
    }
    expect(() => decodeBundle(Buffer.concat([bundle, Buffer.of(0)]), 3)).toThrow('entry bundle: 1 trailing bytes');
  });

  test('of another width is refused', () => {
    for (const width of [0, 1, 2, 4, 256]) {
      expect(() => decodeBundle(encodeBundle(ENTRIES), width)).toThrow(MalformedError);
    }
  });

  test('holds entries of up to 65535 bytes, and up to 256 of them', () => {
    const largest = Buffer.alloc(0xffff, 7);
    expect(decodeBundle(encodeBundle([largest, largest]), 2)).toEqual([largest, largest]);
    expect(() => encodeBundle([Buffer.alloc(0x1_0000)])).toThrow(RangeError);
    const many = Array.from({ length: 256 }, (_, at) => Buffer.of(at));
    expect(decodeBundle(encodeBundle(many), 256)).toEqual(many);
    expect(() => encodeBundle([...many, Buffer.alloc(0)])).toThrow(RangeError);
  });

  test('any bytes either are refused with MalformedError, or are written the same', () => {
    const some = fc.oneof(
      buffer({ maxLength: 40 }),
      fc.array(fc.constantFrom(0, 1, 2, 255), { maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(some, fc.nat({ max: 10 }), (bytes, width) => {
        try {
          expect(encodeBundle(decodeBundle(bytes, width))).toEqual(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedError);
        }
      }),
    );
  });
});

describe('a tile of hashes', () => {
  const hashes = Array.from({ length: 5 }, (_, at) => Buffer.alloc(32, at));
  const tile = Buffer.concat(hashes);

  test('is its hashes, one behind the other', () => {
    expect(decodeTile(tile, 5, 32)).toEqual(hashes);
    expect(decodeTile(Buffer.alloc(8192), 256, 32)).toHaveLength(256);
  });

  test('of any other length than its width demands is refused', () => {
    for (let length = 0; length < tile.length; length++) {
      expect(() => decodeTile(tile.subarray(0, length), 5, 32)).toThrow(MalformedError);
    }
    expect(() => decodeTile(Buffer.concat([tile, Buffer.of(0)]), 5, 32)).toThrow(MalformedError);
    for (const width of [0, 1, 4, 6, 256]) expect(() => decodeTile(tile, width, 32)).toThrow(MalformedError);
  });

  test('is found inside a larger buffer', () => {
    const around = Buffer.concat([Buffer.alloc(7, 0xee), tile, Buffer.alloc(9, 0xee)]);
    expect(decodeTile(around.subarray(7, 7 + tile.length), 5, 32)).toEqual(hashes);
  });
});
