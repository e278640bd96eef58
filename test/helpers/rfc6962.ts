/**
 * Merkle trees as the text of RFC 6962, section 2.1, defines them: by recursion over ranges of leaves, sharing no code with
 * what is tested. A tree is given by its leaves' data; the definitions are written out one by one.
 */
import { createHash } from 'node:crypto';

const sha256 = (...parts: readonly Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

/** MTH({d(0)}) = SHA-256(0x00 || d(0)). */
export const leaf = (data: Uint8Array) => sha256(Buffer.of(0), data);

/** SHA-256(0x01 || left || right), the last step of MTH. */
export const inner = (left: Uint8Array, right: Uint8Array) => sha256(Buffer.of(1), left, right);

/** k: the largest power of two smaller than n. */
export function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

export class ReferenceTree {
  readonly #data: (index: number) => Uint8Array;
  readonly #name: (start: number, end: number) => string;
  readonly #known = new Map<string, Buffer>();

  /** `name` names the content of a range: ranges with one name have one hash, and are computed once. */
  constructor(
    data: (index: number) => Uint8Array,
    name = (start: number, end: number) => `${String(start)}:${String(end)}`,
  ) {
    this.#data = data;
    this.#name = name;
  }

  /** MTH(D[start:end]). */
  mth(start: number, end: number): Buffer {
    const name = this.#name(start, end);
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const hash = this.#mth(start, end);
    this.#known.set(name, hash);
    return hash;
  }

  #mth(start: number, end: number): Buffer {
    const n = end - start;
    if (n === 0) return sha256();
    if (n === 1) return leaf(this.#data(start));
    const k = split(n);
    return inner(this.mth(start, start + k), this.mth(start + k, end));
  }

  /** PATH(m, D[n]), section 2.1.1. */
  path(m: number, n: number, start = 0): readonly Buffer[] {
    if (n === 1) return [];
    const k = split(n);
    if (m < k) return [...this.path(m, k, start), this.mth(start + k, start + n)];
    return [...this.path(m - k, n - k, start + k), this.mth(start, start + k)];
  }

  /** PROOF(m, D[n]), section 2.1.2, for 0 < m <= n. */
  proof(m: number, n: number): readonly Buffer[] {
    return this.#subproof(m, n, true, 0);
  }

  #subproof(m: number, n: number, complete: boolean, start: number): readonly Buffer[] {
    if (m === n) return complete ? [] : [this.mth(start, start + n)];
    const k = split(n);
    if (m <= k) return [...this.#subproof(m, k, complete, start), this.mth(start + k, start + n)];
    return [...this.#subproof(m - k, n - k, false, start + k), this.mth(start, start + k)];
  }
}

/** The root that PATH(m, D[n]) leads to from the hash of d(m), following the definition back; undefined where it does not fit. */
export function rootOfPath(
  hash: Uint8Array,
  m: number,
  n: number,
  path: readonly Uint8Array[],
): Uint8Array | undefined {
  const last = path.at(-1);
  if (n === 1 || last === undefined) return n === 1 && last === undefined ? hash : undefined;
  const k = split(n);
  const rest = path.slice(0, -1);
  const below = m < k ? rootOfPath(hash, m, k, rest) : rootOfPath(hash, m - k, n - k, rest);
  if (below === undefined) return undefined;
  return m < k ? inner(below, last) : inner(last, below);
}

type Roots = readonly [old: Uint8Array, now: Uint8Array];

/** Both roots that PROOF(m, D[n]) leads to, following the definition back; undefined where it does not fit. */
export function rootsOfProof(
  oldRoot: Uint8Array,
  m: number,
  n: number,
  proof: readonly Uint8Array[],
  complete = true,
): Roots | undefined {
  const last = proof.at(-1);
  if (m === n) {
    if (complete) return last === undefined ? [oldRoot, oldRoot] : undefined;
    return last !== undefined && proof.length === 1 ? [last, last] : undefined;
  }
  if (last === undefined) return undefined;
  const k = split(n);
  const rest = proof.slice(0, -1);
  const below = m <= k ? rootsOfProof(oldRoot, m, k, rest, complete) : rootsOfProof(oldRoot, m - k, n - k, rest, false);
  if (below === undefined) return undefined;
  const [old, now] = below;
  return m <= k ? [old, inner(now, last)] : [inner(last, old), inner(last, now)];
}
