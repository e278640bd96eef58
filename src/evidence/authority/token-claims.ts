import { MalformedError } from '../../bytes/malformed-error.js';
import type { ClaimTree, ClaimValue } from '../../claims/claims.js';
import type { JsonObject } from './token.js';

/** Stands for a number that has lost digits. */
const LOST: ClaimTree = Object.freeze(Object.create(null) as ClaimTree);

/** Objects, lists and values of one token. */
export const MAX_CLAIMS = 4096;

/**
 * The claims of a token as a tree, under the names that it has. Objects are trees; so are lists, their members named 0, 1, 2…
 * Left out are null, and names with a dot in them or empty, which no release policy can name. Whole numbers beyond ±(2^53-1), which
 * have lost digits, are there, but as trees without members: nothing can be compared with them. Throws MalformedError for more than 4096 of them. The caller has bounded the depth.
 */
export function tokenClaims(claims: JsonObject): ClaimTree {
  const count = { left: MAX_CLAIMS };
  return treeOf(Object.entries(claims), count);
}

function treeOf(members: readonly (readonly [string, unknown])[], count: { left: number }): ClaimTree {
  const tree = Object.create(null) as Record<string, ClaimValue | ClaimTree>;
  for (const [name, member] of members) {
    if (--count.left < 0) throw new MalformedError(`token: more than ${String(MAX_CLAIMS)} claims`);
    if (name === '' || name.includes('.')) continue;
    const node = nodeOf(member, count);
    if (node !== undefined) tree[name] = node;
  }
  return tree;
}

function nodeOf(value: unknown, count: { left: number }): ClaimValue | ClaimTree | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      return Number.isInteger(value) && !Number.isSafeInteger(value) ? LOST : value;
    case 'object':
      if (value === null) return undefined;
      return treeOf(
        Array.isArray(value) ? value.map((member, n) => [String(n), member]) : Object.entries(value),
        count,
      );
    default:
      return undefined;
  }
}
