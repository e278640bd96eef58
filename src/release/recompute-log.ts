import { leafHash } from '../translog/merkle.js';
import { TILE_HEIGHT, TILE_WIDTH } from '../translog/tile.js';
import { TreeAppender } from '../translog/tree-appender.js';
import { type LogHead, type Store, StoreIntegrityError } from './store.js';

/** Entries read at a time, a multiple of TILE_WIDTH. */
const CHUNK = 4 * TILE_WIDTH;

/**
 * Recomputes the tree from the entries as they are stored, and demands that every leaf hash and every stored node is the
 * one that they give, and their root that of the head, which was authenticated. So a log that was changed is told from one that is
 * merely older than what was seen of it. Memory does not grow with the log. Throws StoreIntegrityError that names the
 * first row that differs, and what reading throws.
 */
export async function recomputeLog(
  store: Pick<Store, 'logEntries' | 'logHashes'>,
  { size, root }: Pick<LogHead, 'size' | 'root'>,
  progress: (entries: number) => void = () => undefined,
): Promise<void> {
  let tree = new TreeAppender(0, []);
  for (let start = 0; start < size; start += CHUNK) {
    const count = Math.min(CHUNK, size - start);
    const [entries, leaves] = [await store.logEntries(start, count), await store.logHashes(0, start, count)];
    if (entries.length !== count || leaves.length !== count) {
      throw new StoreIntegrityError(`log_entries: fewer than the ${String(size)} that were appended`);
    }
    tree = new TreeAppender(tree.size, tree.peaks());
    for (const [at, entry] of entries.entries()) {
      const leaf = leafHash(Buffer.from(entry, 'utf8'));
      if (leaves[at]?.equals(leaf) !== true) {
        throw new StoreIntegrityError(`log_entries ${String(start + at)}: the leaf hash is not that of the entry`);
      }
      tree.append(leaf);
    }
    await compareNodes(store, tree);
    progress(tree.size);
  }
  if (!tree.root().equals(root)) {
    throw new StoreIntegrityError(`log_entries: the ${String(size)} entries are not those that were appended`);
  }
}

/** The nodes of stored levels that the newest leaves completed. */
async function compareNodes(store: Pick<Store, 'logHashes'>, tree: TreeAppender): Promise<void> {
  for (let level = 1; TILE_WIDTH ** level <= tree.size; level++) {
    const { first, hashes } = tree.completed(level * TILE_HEIGHT);
    const stored = await store.logHashes(level, first, hashes.length);
    const differs = hashes.findIndex((hash, at) => stored[at]?.equals(hash) !== true);
    if (differs >= 0) {
      const place = `${String(level * TILE_HEIGHT)}/${String(first + differs)}`;
      throw new StoreIntegrityError(`log_nodes ${place}: the hash is not that of the entries below`);
    }
  }
}
