import { leafHash } from '../../../src/translog/merkle.js';
import { verifyConsistency, verifyInclusion } from '../../../src/translog/proof.js';
import { ReferenceTree, rootOfPath, rootsOfProof } from '../../helpers/rfc6962.js';
import type { FuzzTarget } from '../target.js';

const SIZE = 100;
const data = (index: number) => Buffer.from(String(index));
const tree = new ReferenceTree(data);
const root = tree.mth(0, SIZE);
const HASH = 32;

/** What is verified, as bytes: two numbers of 64 bits, and hashes, the last one of any length. */
interface Claim {
  readonly first: number;
  readonly second: number;
  readonly hashes: readonly Buffer[];
}

function encode({ first, second, hashes }: Claim): Buffer {
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64BE(BigInt(first), 0);
  numbers.writeBigUInt64BE(BigInt(second), 8);
  return Buffer.concat([numbers, ...hashes]);
}

function decode(input: Buffer): Claim | undefined {
  if (input.length < 16) return undefined;
  const hashes: Buffer[] = [];
  for (let at = 16; at < input.length; at += HASH) hashes.push(input.subarray(at, at + HASH));
  return { first: Number(input.readBigUInt64BE(0)), second: Number(input.readBigUInt64BE(8)), hashes };
}

const possible = (claim: Claim) =>
  Number.isSafeInteger(claim.first) &&
  Number.isSafeInteger(claim.second) &&
  claim.hashes.every((hash) => hash.length === HASH);

export const targets: readonly FuzzTarget[] = [
  {
    name: 'translog/inclusion',
    seeds: [0, 1, 50, 63, 64, 98, 99].map((index) =>
      encode({
        first: index,
        second: SIZE,
        hashes: [leafHash(data(index)), root, ...tree.path(index, SIZE)],
      }),
    ),
    run: (input) => {
      const claim = decode(input);
      const [leaf, said, ...proof] = claim?.hashes ?? [];
      if (claim === undefined || leaf === undefined || said === undefined) return;
      const { first: index, second: size } = claim;
      const accepted = verifyInclusion(leaf, index, size, proof, said);
      const by = possible(claim) && index < size ? rootOfPath(leaf, index, size, proof) : undefined;
      if (accepted !== (by !== undefined && said.equals(by))) throw new Error('decides otherwise than the definition');
      if (accepted && size === SIZE && said.equals(root) && !leaf.equals(leafHash(data(index)))) {
        throw new Error('accepts a leaf that is not in the tree');
      }
    },
  },
  {
    name: 'translog/consistency',
    seeds: [1, 2, 37, 64, 96, 99, 100].map((old) =>
      encode({ first: old, second: SIZE, hashes: [tree.mth(0, old), root, ...tree.proof(old, SIZE)] }),
    ),
    run: (input) => {
      const claim = decode(input);
      const [oldRoot, said, ...proof] = claim?.hashes ?? [];
      if (claim === undefined || oldRoot === undefined || said === undefined) return;
      const { first: old, second: size } = claim;
      const accepted = verifyConsistency(old, oldRoot, size, said, proof);
      if (old === 0) {
        if (accepted && (proof.length > 0 || !oldRoot.equals(tree.mth(0, 0)))) throw new Error('accepts no empty tree');
        return;
      }
      const roots = possible(claim) && old <= size ? rootsOfProof(oldRoot, old, size, proof) : undefined;
      const expected = roots !== undefined && oldRoot.equals(roots[0]) && said.equals(roots[1]);
      if (accepted !== expected) throw new Error('decides otherwise than the definition');
      if (accepted && size === SIZE && said.equals(root) && !oldRoot.equals(tree.mth(0, old))) {
        throw new Error('accepts a tree that is not the start of the log');
      }
    },
  },
];
