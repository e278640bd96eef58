import { HASH_BYTES, nodeHash } from './merkle.js';
import type { NodeAt } from './proof.js';
import { TILE_HEIGHT, TILE_WIDTH } from './tile.js';

/** Reads hashes of a tile level (tree level 8 * level): at most `count` from `start` on. */
export type TileHashes = (level: number, start: number, count: number) => Promise<readonly Buffer[]>;

const PLACEHOLDER = Buffer.alloc(HASH_BYTES);

/**
 * Runs `work`, which must ask for the same nodes whatever their hashes are, over a tree of which only tiles are stored:
 * once to learn which nodes it needs, and once with them. Throws RangeError where the tiles do not have them.
 */
export async function overTiles<T>(hashes: TileHashes, work: (node: NodeAt) => T): Promise<T> {
  const nodes = new Map<string, Buffer>();
  const wanted: { readonly level: number; readonly index: number }[] = [];
  work((level, index) => {
    wanted.push({ level, index });
    return PLACEHOLDER;
  });
  for (const { level, index } of wanted) {
    nodes.set(`${String(level)}/${String(index)}`, await readNode(hashes, level, index));
  }
  return work((level, index) => nodes.get(`${String(level)}/${String(index)}`) ?? missing());
}

/** A node that is in no tile itself is computed from those of the tile below. */
async function readNode(hashes: TileHashes, level: number, index: number): Promise<Buffer> {
  const tileLevel = Math.floor(level / TILE_HEIGHT);
  const count = 2 ** (level % TILE_HEIGHT);
  let row = await hashes(tileLevel, index * count, Math.min(count, TILE_WIDTH));
  if (row.length !== count) missing();
  while (row.length > 1) {
    row = Array.from({ length: row.length / 2 }, (_, at) =>
      nodeHash(row[2 * at] ?? missing(), row[2 * at + 1] ?? missing()),
    );
  }
  return row[0] ?? missing();
}

function missing(): never {
  throw new RangeError('the tiles do not hold this node of the tree');
}
