import type { Decision } from '../policy/decision.js';

/** Random bytes that stand with a decision. */
export const DECISION_SALT_BYTES = 16;

/** The text that `decision_sha256` of an entry is of: the decision, with random bytes (hex) that nobody can guess who was not shown it. */
export function saltedDecision(decision: Decision, salt: string): string {
  return JSON.stringify({ ...decision, salt });
}
