import { type Decision, withoutExpected } from '../policy/decision.js';
import { type ReasonCode, REASONS } from '../reason/reason.js';
import type { Denial } from './broker.js';

/** Refusals that come after nonce, AK, signature and binding were accepted: these are explained by a decision. */
const EXPLAINED: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'evidence.unbound',
  'quote.pcr_selection',
  'quote.pcr_values',
  'quote.pcr_digest',
  'policy.hash',
  'policy.validity',
  'policy.pcr',
  'policy.claims',
  'key.disabled',
  'key.frozen',
  'deployment.frozen',
  'challenge.replayed',
]);

/** Evidence beside the quote; where an AK is believed by it, it comes before the quote, and the denial is `unproven`. */
const HARDWARE = /^(?:snp|tdx|hcl|gpu|token)\./;

function isExplained({ reason, unproven }: Denial): boolean {
  return unproven !== true && (EXPLAINED.has(reason) || HARDWARE.test(reason));
}

/**
 * A denial as it is told: once nonce, AK, signature and binding are accepted, with a decision tree; before that, the code
 * and the caller's own values alone. `codes` takes out what was expected.
 */
export function explain(denial: Denial, mode: 'full' | 'codes' = 'full'): Denial {
  const { ok, reason, detail, findings, decision } = denial;
  if (!isExplained(denial)) {
    // To a stranger what a deployment asks of hardware is not told: others than its owner chose the values.
    const isOpen = mode === 'full' && !(denial.unproven === true && HARDWARE.test(reason));
    return isOpen && findings !== undefined ? { ok, reason, detail, findings } : { ok, reason, detail };
  }
  const whole: Decision = decision ?? {
    met: false,
    conditions: (findings ?? []).map((finding) => ({ ...finding, met: false })),
  };
  return {
    ok,
    reason,
    detail: mode === 'full' ? detail : REASONS[reason],
    decision: mode === 'full' ? whole : withoutExpected(whole),
  };
}
