/**
 * Loaded into a broker of the bench with `node --import`, and nowhere else: takes the Merkle tree and the signature out of
 * the built program, so that what they cost can be measured. Entries are hashed and written as ever; the tree above them
 * is made of zeros, proofs are empty, every checkpoint is the first one, and the rollback alarm is silent. Nothing that such a broker answers verifies.
 */
import { built } from './built.js';

const { TreeAppender } = (await import(
  built('translog/tree-appender.js')
)) as typeof import('../src/translog/tree-appender.js');
const { CheckpointSigner } = (await import(
  built('translog/checkpoint.js')
)) as typeof import('../src/translog/checkpoint.js');
const { HASH_BYTES, peakCount, rootOfPeaks } = (await import(
  built('translog/merkle.js')
)) as typeof import('../src/translog/merkle.js');
const { SqliteStoreAdapter } = (await import(
  built('store/sqlite/sqlite-store.js')
)) as typeof import('../src/store/sqlite/sqlite-store.js');

type Tree = InstanceType<typeof TreeAppender>;
type Signer = InstanceType<typeof CheckpointSigner>;

const NO_HASH = Buffer.alloc(HASH_BYTES);
const appended = new WeakMap<Tree, number>();
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
const firstSize = Object.getOwnPropertyDescriptor(TreeAppender.prototype, 'size')?.get;
const noPeaks = (size: number) => Array.from({ length: peakCount(size) }, () => NO_HASH);
/** By how many peaks it has. */
const roots = new Map<number, Buffer>();

Object.defineProperty(TreeAppender.prototype, 'size', {
  get(this: Tree): number {
    return (firstSize?.call(this) as number) + (appended.get(this) ?? 0);
  },
});
TreeAppender.prototype.append = function (this: Tree) {
  appended.set(this, (appended.get(this) ?? 0) + 1);
};
TreeAppender.prototype.peaks = function (this: Tree) {
  return noPeaks(this.size);
};
TreeAppender.prototype.root = function (this: Tree) {
  const peaks = noPeaks(this.size);
  const root = roots.get(peaks.length) ?? rootOfPeaks(peaks);
  roots.set(peaks.length, root);
  return root;
};
TreeAppender.prototype.prove = () => [];
// The store demands a node for every complete tile.
TreeAppender.prototype.completed = function (this: Tree, level) {
  const first = Math.floor((firstSize?.call(this) as number) / 2 ** level);
  const count = Math.floor(this.size / 2 ** level) - first;
  return { first, hashes: Array.from({ length: count }, () => NO_HASH) };
};

const notes = new WeakMap<Signer, string>();
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with its object
const { sign } = CheckpointSigner.prototype;
CheckpointSigner.prototype.sign = function (this: Signer, size, root) {
  const note = notes.get(this) ?? sign.call(this, size, root);
  notes.set(this, note);
  return note;
};

// A tree of zeros contains no checkpoint.
SqliteStoreAdapter.prototype.expectLog = async () => true;
