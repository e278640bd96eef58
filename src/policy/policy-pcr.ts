import type { EvaluatedCondition } from './decision.js';
import type { AcceptedPolicy, Measurement, PolicyBank } from './deployment.js';
import type { PolicyField } from './policy-hash.js';
import { expectedPcr, expectedField, extendedPcr, isEmptyField } from './policy-hash.js';

/** PCR values by bank and decimal index, lower-case hex: only what a verified quote covers. */
export type VerifiedPcrs = Readonly<Partial<Record<string, Readonly<Record<string, string>>>>>;

/** The two conditions on where the policy is measured, and the policy that it names, valid or not. */
export interface MeasuredPolicy {
  readonly hash: EvaluatedCondition;
  readonly validity: EvaluatedCondition;
  readonly policySha256?: string;
}

interface Expectation {
  readonly policy: AcceptedPolicy;
  readonly digest: string;
  /** What is found where this policy was measured. */
  readonly value: string;
}

/** What was measured, and where it was found. */
interface Found {
  readonly claim: string;
  readonly value: string | undefined;
  readonly expectations: readonly Expectation[];
  /** What probably happened where no policy matches. */
  readonly hint: () => string;
}

/**
 * The value of the policy PCR against those that the accepted policies lead to, and the dates of the one that matches.
 * A policy without the hash of the bank can match nothing. Where several entries name the same policy, a valid one wins.
 */
export function evaluatePolicyPcr(
  measurement: Measurement,
  accepted: readonly AcceptedPolicy[],
  pcrs: VerifiedPcrs,
  nowMs: number,
): MeasuredPolicy {
  const { bank, pcr } = measurement;
  const value = pcrValue(pcrs, bank, String(pcr));
  const expectations = accepted.flatMap((policy) => expectation(policy, bank, (digest) => expectedPcr(bank, digest)));
  const claim = `tpm.pcrs.${bank}.${String(pcr)}`;
  const why = () => hint(measurement, expectations, pcrs[bank] ?? {}, value);
  return evaluateFound({ claim, value, expectations, hint: why }, accepted, nowMs);
}

/**
 * The same of a field of a hardware report that is set at launch: HOST_DATA or MRCONFIGID, of which `value` is what was found, hex;
 * undefined where there is no such report. It holds the policy hash of the bank, cut or filled up with zeros to its size; zeros alone are no policy's.
 */
export function evaluatePolicyField(
  { bank }: Measurement,
  source: PolicyField,
  accepted: readonly AcceptedPolicy[],
  value: string | undefined,
  nowMs: number,
): MeasuredPolicy {
  // One may have been registered while the deployment still went by its TPM.
  const findable = accepted.filter((policy) => !isEmptyField({ source, bank }, policy));
  const expectations = findable.flatMap((policy) =>
    expectation(policy, bank, (digest) => expectedField(source, digest)),
  );
  const why = (): string => {
    if (value === undefined) return `there is no report with ${source}`;
    if (expectations.length === 0) return `no policy with a ${bank} hash is registered for the deployment`;
    return /^0*$/.test(value) ? `nothing was put into ${source}` : 'another policy was put there at launch';
  };
  return evaluateFound({ claim: source, value, expectations, hint: why }, accepted, nowMs);
}

function evaluateFound(found: Found, accepted: readonly AcceptedPolicy[], nowMs: number): MeasuredPolicy {
  const { claim, value, expectations } = found;
  const matches = expectations.filter((expected) => expected.value === value).map(({ policy }) => policy);
  const policy = matches.find((match) => validAt(match, nowMs)) ?? matches[0];
  const valid = policy !== undefined && validAt(policy, nowMs);
  const hash: EvaluatedCondition = {
    claim,
    operator: 'in',
    expected: [...new Set(expectations.map((expected) => expected.value))],
    found: value ?? null,
    met: policy !== undefined,
    note: policy === undefined ? found.hint() : `policy ${policy.sha256} was measured`,
  };
  const validity: EvaluatedCondition = {
    claim: 'policy.sha256',
    operator: 'in',
    expected: [...new Set(accepted.filter((link) => validAt(link, nowMs)).map(({ sha256 }) => sha256))],
    found: policy?.sha256 ?? null,
    met: valid,
    ...(policy === undefined
      ? { note: 'it is not known which policy was measured' }
      : valid
        ? {}
        : { note: dates(policy) }),
  };
  return { hash, validity, ...(policy === undefined ? {} : { policySha256: policy.sha256 }) };
}

/** The value of a PCR; own members only. */
export function pcrValue(pcrs: VerifiedPcrs, bank: string, pcr: string): string | undefined {
  const values = Object.hasOwn(pcrs, bank) ? pcrs[bank] : undefined;
  return values !== undefined && Object.hasOwn(values, pcr) ? values[pcr] : undefined;
}

/** From notBefore on, before notAfter. */
export function validAt(policy: AcceptedPolicy, nowMs: number): boolean {
  return (policy.notBeforeMs ?? -Infinity) <= nowMs && nowMs < (policy.notAfterMs ?? Infinity);
}

function expectation(
  policy: AcceptedPolicy,
  bank: PolicyBank,
  measured: (digest: string) => string,
): readonly Expectation[] {
  const digest = policy[bank];
  return digest === undefined ? [] : [{ policy, digest, value: measured(digest) }];
}

/** What probably happened instead, for people; none of it decides anything. */
function hint(
  { bank, pcr }: Measurement,
  expectations: readonly Expectation[],
  values: Readonly<Record<string, string>>,
  found: string | undefined,
): string {
  const name = `PCR ${String(pcr)}`;
  if (found === undefined) return `the ${bank} bank of the quote has no ${name}`;
  if (expectations.length === 0) return `no policy with a ${bank} hash is registered for the deployment`;
  const elsewhere = Object.entries(values).find(([, value]) =>
    expectations.some((expected) => expected.value === value),
  );
  if (elsewhere !== undefined) return `a registered policy was measured into PCR ${elsewhere[0]}, not ${name}`;
  if (/^0*$/.test(found)) return `nothing has been measured into ${name}`;
  const twice = expectations.find((expected) => extendedPcr(bank, expected.value, expected.digest) === found);
  if (twice !== undefined) return `policy ${twice.policy.sha256} was measured twice into ${name}`;
  return `another policy was measured, or something else besides the policy was measured into ${name}`;
}

function dates({ notBeforeMs, notAfterMs }: AcceptedPolicy): string {
  const from = notBeforeMs === undefined ? '' : ` from ${new Date(notBeforeMs).toISOString()}`;
  const to = notAfterMs === undefined ? '' : ` before ${new Date(notAfterMs).toISOString()}`;
  return `valid${from}${to} only`;
}
