/** A claim's value, or a tree of claims below it. Trees are made with a null prototype, so that no inherited name is ever a claim. */
export type ClaimValue = string | number | boolean;
export interface ClaimTree {
  readonly [name: string]: ClaimValue | ClaimTree | undefined;
}

/** The authority of claims that Portcullis's own verifiers made. */
export const OWN_AUTHORITY = 'portcullis';

/** An Attestation Result (RFC 9334): claims that have been verified, and who verified them. */
export interface AttestationResult {
  readonly authority: string;
  readonly claims: ClaimTree;
}

/** A tree of claims without a prototype. */
export function claimTree(members: Readonly<Record<string, ClaimValue | ClaimTree | undefined>>): ClaimTree {
  const tree = Object.create(null) as Record<string, ClaimValue | ClaimTree>;
  for (const [name, value] of Object.entries(members)) if (value !== undefined) tree[name] = value;
  return tree;
}

/** What stands at a dotted path (`tpm.pcrs.sha256.8`), a tree included; own members only. */
export function nodeAt(claims: ClaimTree, path: string): ClaimValue | ClaimTree | undefined {
  let node: ClaimValue | ClaimTree | undefined = claims;
  for (const name of path.split('.')) {
    if (typeof node !== 'object' || !Object.hasOwn(node, name)) return undefined;
    node = node[name];
  }
  return node;
}

/** The value at a dotted path; undefined when there is none or it is a tree. */
export function claimAt(claims: ClaimTree, path: string): ClaimValue | undefined {
  const node = nodeAt(claims, path);
  return typeof node === 'object' ? undefined : node;
}

/** Puts trees together; a member that two trees set is a bug of the verifiers and throws. */
export function mergeClaims(...trees: readonly ClaimTree[]): ClaimTree {
  const merged = Object.create(null) as Record<string, ClaimValue | ClaimTree>;
  for (const tree of trees) {
    for (const [name, value] of Object.entries(tree)) {
      if (value === undefined) continue;
      const present = merged[name];
      if (present === undefined) merged[name] = value;
      else if (typeof present === 'object' && typeof value === 'object') merged[name] = mergeClaims(present, value);
      else throw new Error(`two verifiers set the claim ${name}`);
    }
  }
  return merged;
}
