import { nodeAt, type AttestationResult, type ClaimTree, type ClaimValue } from '../claims/claims.js';
import type { EvaluatedCondition, EvaluatedGroup, EvaluatedNode } from './decision.js';
import {
  type AuthorityRules,
  type ClaimCondition,
  type ConditionGroup,
  type ReleasePolicy,
  sameAuthority,
} from './release-policy.js';
import { DECIMAL_INTEGER } from './release-policy-schema.js';

/**
 * Evaluates a release policy over verified claims; every condition is evaluated and stands in the answer. Conditions
 * of an authority that verified nothing are not met, `exists: false` included. Where one authority has several results
 * (two tokens of one issuer), one of them alone must meet its conditions: claims are never mixed.
 */
export function evaluateReleasePolicy(policy: ReleasePolicy, results: readonly AttestationResult[]): EvaluatedGroup {
  return group(
    policy.kind,
    policy.authorities.map((rules) => evaluateAuthority(rules, results)),
  );
}

function evaluateAuthority(rules: AuthorityRules, results: readonly AttestationResult[]): EvaluatedGroup {
  const { authority } = rules;
  const outcomes = results
    .filter((result) => sameAuthority(result.authority, authority))
    .map((result) => evaluateGroup(rules.group, result.claims));
  const [first] = outcomes;
  if (first === undefined) {
    const absent = evaluateGroup(rules.group, undefined);
    return { authority, ...absent, note: 'nothing was presented that this authority vouches for' };
  }
  return { authority, ...(outcomes.find((outcome) => outcome.met) ?? first) };
}

function evaluateGroup(rules: ConditionGroup, claims: ClaimTree | undefined): EvaluatedGroup {
  return group(
    rules.kind,
    rules.conditions.map((condition) =>
      'claim' in condition ? evaluateComparison(condition, claims) : evaluateGroup(condition, claims),
    ),
  );
}

function group(kind: 'anyOf' | 'allOf', nodes: readonly EvaluatedNode[]): EvaluatedGroup {
  switch (kind) {
    case 'anyOf':
      return { anyOf: nodes, met: nodes.some((node) => node.met) };
    case 'allOf':
      return { allOf: nodes, met: nodes.length > 0 && nodes.every((node) => node.met) };
  }
}

function evaluateComparison(condition: ClaimCondition, claims: ClaimTree | undefined): EvaluatedCondition {
  const { claim, operator, value: expected } = condition;
  const found = claims === undefined ? undefined : nodeAt(claims, claim);
  const { met, note } = claims === undefined ? { met: false, note: undefined } : compare(condition, found);
  return {
    claim,
    operator,
    expected,
    found: found === undefined || typeof found === 'object' ? null : found,
    met,
    ...(note === undefined ? {} : { note }),
  };
}

interface Comparison {
  readonly met: boolean;
  readonly note?: string | undefined;
}

function compare({ operator, value: expected }: ClaimCondition, found: ClaimValue | ClaimTree | undefined): Comparison {
  if (operator === 'exists') return { met: (found !== undefined) === expected };
  if (found === undefined) return { met: false, note: 'the claim is absent' };
  if (typeof found === 'object') return { met: false, note: 'the claim is an object, which is not compared' };
  switch (operator) {
    case 'equals':
      return { met: String(found) === String(expected) };
    case 'notEquals':
      return { met: String(found) !== String(expected) };
    case 'less':
    case 'lessOrEquals':
    case 'greater':
    case 'greaterOrEquals':
      return compareOrder(operator, found, expected);
  }
}

function compareOrder(
  operator: 'less' | 'lessOrEquals' | 'greater' | 'greaterOrEquals',
  found: ClaimValue,
  expected: ClaimValue,
): Comparison {
  const [left, right] = [quantity(found), quantity(expected)];
  if (left === undefined || right === undefined) return { met: false, note: 'not a number: cannot be ordered' };
  switch (operator) {
    case 'less':
      return { met: left < right };
    case 'lessOrEquals':
      return { met: left <= right };
    case 'greater':
      return { met: left > right };
    case 'greaterOrEquals':
      return { met: left >= right };
  }
}

/** What can be ordered exactly: decimal strings of integers, and numbers small enough not to have lost digits. */
function quantity(value: ClaimValue): bigint | number | undefined {
  if (typeof value === 'string') return DECIMAL_INTEGER.test(value) ? BigInt(value) : undefined;
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER ? value : undefined;
}
