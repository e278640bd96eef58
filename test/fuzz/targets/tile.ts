import { MalformedError } from '../../../src/bytes/malformed-error.js';
import {
  decodeBundle,
  decodeTile,
  encodeBundle,
  parseTilePath,
  TILE_WIDTH,
  tilePath,
} from '../../../src/translog/tile.js';
import type { FuzzTarget } from '../target.js';

/** The input's first two bytes are the width, the rest is what is served. */
function served(width: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.of(width >> 8, width & 0xff), content]);
}

function refusing(input: Buffer, decode: (content: Buffer, width: number) => Buffer): void {
  if (input.length < 2) return;
  const content = input.subarray(2);
  const width = input.readUInt16BE() % (TILE_WIDTH + 1);
  try {
    if (!decode(content, width).equals(content)) throw new Error('what was read is written in another way');
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'translog/tile-path',
    seeds: ['tile/0/000', 'tile/entries/x001/x234/067.p/112', 'tile/6/000.p/31', 'tile/2/x035/x184/372'].map((path) =>
      Buffer.from(path),
    ),
    run: (input) => {
      const path = input.toString('utf8');
      const name = parseTilePath(path);
      if (name === undefined) return;
      if (tilePath(name) !== path) throw new Error('a tile has two paths');
      const { level, index } = name;
      if (BigInt(index) * 256n ** BigInt(level === 'entries' ? 1 : level + 1) > BigInt(Number.MAX_SAFE_INTEGER)) {
        throw new Error('a tile beyond the safe integers');
      }
    },
  },
  {
    name: 'translog/entry-bundle',
    seeds: [
      served(3, encodeBundle([Buffer.from('{"type":"release"}'), Buffer.alloc(0), Buffer.alloc(300, 7)])),
      served(256, encodeBundle(Array.from({ length: 256 }, (_, at) => Buffer.of(at)))),
    ],
    run: (input) => refusing(input, (content, width) => encodeBundle(decodeBundle(content, width))),
  },
  {
    name: 'translog/tile',
    seeds: [served(2, Buffer.alloc(64, 1)), served(256, Buffer.alloc(8192, 2))],
    run: (input) => refusing(input, (content, width) => Buffer.concat(decodeTile(content, width, 32))),
  },
];
