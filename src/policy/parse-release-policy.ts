import { MalformedError } from '../bytes/malformed-error.js';
import type { ClaimValue } from '../claims/claims.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type {
  AuthorityRules,
  ClaimCondition,
  ConditionGroup,
  PolicyCondition,
  ReleasePolicy,
} from './release-policy.js';
import {
  CLAIM_PATH,
  DECIMAL_INTEGER,
  MAX_AUTHORITIES,
  MAX_AUTHORITY_LENGTH,
  MAX_CLAIM_LENGTH,
  MAX_CONDITIONS,
  MAX_GROUP_DEPTH,
  MAX_VALUE_LENGTH,
} from './release-policy-schema.js';

const OPERATORS = ['equals', 'notEquals', 'less', 'lessOrEquals', 'greater', 'greaterOrEquals', 'exists'] as const;
const GROUP_KINDS = ['anyOf', 'allOf'] as const;

/**
 * Parses a release policy of the grammar of Azure Key Vault, version 1.0.0: `version`, then `anyOf` or `allOf` (any case)
 * over authorities, each with `anyOf` or `allOf` over conditions, which nest. Unknown members, empty lists, values that
 * are not a string, an integer or a boolean, and ordering against anything but an integer (a number, or its decimal
 * string) are request.malformed, with the JSON pointer of the place; `at` is put before it. `exists` also takes the
 * strings "true" and "false". At most 16 authorities, 256 conditions in total, groups 8 deep.
 */
export function parseReleasePolicy(json: unknown, at = ''): Result<ReleasePolicy> {
  try {
    return accept(readPolicy(json, at));
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

interface Budget {
  conditions: number;
}

function readPolicy(json: unknown, at: string): ReleasePolicy {
  const policy = objectAt(json, at);
  if (policy['version'] !== '1.0.0') fail(`${at}/version`, 'must be the string "1.0.0"');
  const { kind, list, path } = readGroup(policy, ['version'], at, MAX_AUTHORITIES);
  const budget = { conditions: MAX_CONDITIONS };
  return { kind, authorities: list.map((item, i) => readAuthority(item, `${path}/${String(i)}`, budget)) };
}

function readAuthority(json: unknown, at: string, budget: Budget): AuthorityRules {
  const rules = objectAt(json, at);
  const { authority } = rules;
  if (!isText(authority, MAX_AUTHORITY_LENGTH) || !/^\S+$/u.test(authority)) {
    fail(`${at}/authority`, 'must be `portcullis` or the URL of a token issuer, without spaces');
  }
  return { authority, group: readConditions(rules, ['authority'], at, budget, 1) };
}

function readConditions(
  object: Readonly<Record<string, unknown>>,
  others: readonly string[],
  at: string,
  budget: Budget,
  depth: number,
): ConditionGroup {
  if (depth > MAX_GROUP_DEPTH) fail(at, `groups may be nested ${String(MAX_GROUP_DEPTH)} deep`);
  const { kind, list, path } = readGroup(object, others, at, MAX_CONDITIONS);
  const conditions = list.map((item, i) => readCondition(item, `${path}/${String(i)}`, budget, depth));
  return { kind, conditions };
}

function readCondition(json: unknown, at: string, budget: Budget, depth: number): PolicyCondition {
  if (budget.conditions-- <= 0) fail(at, `a release policy may hold ${String(MAX_CONDITIONS)} conditions`);
  const condition = objectAt(json, at);
  if (!Object.hasOwn(condition, 'claim')) return readConditions(condition, [], at, budget, depth + 1);
  return readComparison(condition, at);
}

function readComparison(condition: Readonly<Record<string, unknown>>, at: string): ClaimCondition {
  const { claim, ...rest } = condition;
  if (!isText(claim, MAX_CLAIM_LENGTH) || !CLAIM_PATH.test(claim)) {
    fail(`${at}/claim`, 'must be a dotted path such as tpm.pcrs.sha256.4');
  }
  const [name, ...more] = Object.keys(rest);
  const operator = OPERATORS.find((known) => known === name);
  if (operator === undefined || more.length > 0) {
    fail(at, `a condition has \`claim\` and exactly one of ${OPERATORS.join(', ')}`);
  }
  return { claim, operator, value: readValue(operator, rest[operator], `${at}/${operator}`) };
}

function readValue(operator: ClaimCondition['operator'], value: unknown, at: string): ClaimValue {
  switch (operator) {
    case 'exists':
      if (value === true || value === 'true') return true;
      if (value === false || value === 'false') return false;
      return fail(at, 'must be true or false');
    case 'less':
    case 'lessOrEquals':
    case 'greater':
    case 'greaterOrEquals':
      if (Number.isSafeInteger(value)) return integer(value as number);
      if (typeof value === 'string' && DECIMAL_INTEGER.test(value)) return value;
      return fail(at, 'must be an integer, beyond 2^53-1 as a decimal string');
    case 'equals':
    case 'notEquals':
      if (typeof value === 'boolean') return value;
      if (Number.isSafeInteger(value)) return integer(value as number);
      if (isText(value, MAX_VALUE_LENGTH)) return value;
      return fail(at, 'must be a string, true, false or an integer (other numbers as a string)');
  }
}

/** Without the second zero, so that a policy has one canonical form. */
function integer(value: number): number {
  return value === 0 ? 0 : value;
}

/** The one anyOf or allOf of an object that has nothing else but `others`. */
function readGroup(
  object: Readonly<Record<string, unknown>>,
  others: readonly string[],
  at: string,
  maxItems: number,
): { readonly kind: 'anyOf' | 'allOf'; readonly list: readonly unknown[]; readonly path: string } {
  const names = Object.keys(object).filter((name) => !others.includes(name));
  const [name = ''] = names;
  const kind = GROUP_KINDS.find((known) => known.toLowerCase() === name.toLowerCase());
  if (names.length !== 1 || kind === undefined) {
    fail(
      at,
      `must have exactly one of anyOf and allOf${others.map((other) => `, beside \`${other}\``).join('')}, and nothing else`,
    );
  }
  const list: unknown = object[name];
  const path = `${at}/${name}`;
  if (!Array.isArray(list) || list.length === 0) fail(path, 'must be a list, and may not be empty');
  if (list.length > maxItems) fail(path, `may have ${String(maxItems)} entries at most`);
  return { kind, list, path };
}

function objectAt(json: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) fail(at, 'must be an object');
  return json as Readonly<Record<string, unknown>>;
}

/** A string without lone surrogates (they have no canonical form) of at most `maxLength` code points, as JSON Schema counts. */
function isText(value: unknown, maxLength: number): value is string {
  if (typeof value !== 'string' || value.length > 2 * maxLength || /\p{Surrogate}/u.test(value)) return false;
  return Array.from(value).length <= maxLength;
}

function fail(at: string, what: string): never {
  throw new MalformedError(`${at === '' ? 'release policy' : at}: ${what}`);
}
