import type { ClaimValue } from '../claims/claims.js';

/** The operators of conditions: those of the release policy grammar, and `in` for lists of reference values. */
export type Operator =
  'equals' | 'notEquals' | 'less' | 'lessOrEquals' | 'greater' | 'greaterOrEquals' | 'exists' | 'in';

/** One condition as it was evaluated: what was expected of a claim, what was found (null: the claim is absent), and whether that meets it. */
export interface EvaluatedCondition {
  readonly claim: string;
  readonly operator: Operator;
  /** Left out where `explain: codes` or another owner's privacy hides it. */
  readonly expected?: ClaimValue | readonly ClaimValue[];
  readonly found?: ClaimValue | null;
  readonly met: boolean;
  readonly note?: string;
}

/** Nested conditions. */
export interface EvaluatedGroup {
  readonly anyOf?: readonly EvaluatedNode[];
  readonly allOf?: readonly EvaluatedNode[];
  readonly authority?: string;
  readonly met: boolean;
  readonly note?: string;
}

export type EvaluatedNode = EvaluatedCondition | EvaluatedGroup;

/** The outcome of a policy as a tree: met only when every top condition is. */
export interface Decision {
  readonly met: boolean;
  readonly conditions: readonly EvaluatedNode[];
}

/** The same decision without what was expected: for callers who may not see reference values (`explain: codes`). */
export function withoutExpected(decision: Decision): Decision {
  return { met: decision.met, conditions: decision.conditions.map(hideExpected) };
}

function hideExpected(node: EvaluatedNode): EvaluatedNode {
  if ('claim' in node) {
    const { claim, operator, met } = node;
    return { claim, operator, ...(node.found === undefined ? {} : { found: node.found }), met };
  }
  return {
    ...(node.anyOf === undefined ? {} : { anyOf: node.anyOf.map(hideExpected) }),
    ...(node.allOf === undefined ? {} : { allOf: node.allOf.map(hideExpected) }),
    ...(node.authority === undefined ? {} : { authority: node.authority }),
    met: node.met,
  };
}
