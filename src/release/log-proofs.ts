import { consistencyProof, inclusionProof, type NodeAt, type Proof, verifyConsistency } from '../translog/proof.js';
import { overTiles } from '../translog/stored-tree.js';
import { type LogHead, type SeenHead, type Store, StoreIntegrityError } from './store.js';

/** The proof of an entry in the tree of `size` entries. Not verified: it is made of hashes as they are stored. */
export function proveInclusion(store: Pick<Store, 'logHashes'>, index: number, size: number): Promise<Proof> {
  return prove(store, (node) => inclusionProof(index, size, node));
}

/** The proof that the tree of `size` entries starts with those of the one of `oldSize`. Not verified either. */
export function proveConsistency(store: Pick<Store, 'logHashes'>, oldSize: number, size: number): Promise<Proof> {
  return prove(store, (node) => consistencyProof(oldSize, size, node));
}

/** Whether the log whose authenticated head this is starts with the tree that was seen: is it neither behind, nor another history? */
export async function containsHead(
  store: Pick<Store, 'logHashes'>,
  { size, root }: Pick<LogHead, 'size' | 'root'>,
  seen: Pick<SeenHead, 'size' | 'root'>,
): Promise<boolean> {
  if (seen.size > size) return false;
  return verifyConsistency(seen.size, seen.root, size, root, await proveConsistency(store, seen.size, size));
}

/** Throws StoreIntegrityError where hashes are missing that the log must hold. */
async function prove(store: Pick<Store, 'logHashes'>, work: (node: NodeAt) => Proof): Promise<Proof> {
  try {
    return await overTiles((level, start, count) => store.logHashes(level, start, count), work);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new StoreIntegrityError('log_nodes: rows of the tree are missing', { cause: error });
  }
}
