import { Type } from 'typebox';

/** Limits of the grammar: they keep evaluation, decision trees and stored documents small. */
export const MAX_AUTHORITIES = 16;
export const MAX_CONDITIONS = 256;
export const MAX_GROUP_DEPTH = 8;
export const MAX_AUTHORITY_LENGTH = 512;
export const MAX_CLAIM_LENGTH = 256;
export const MAX_VALUE_LENGTH = 1024;

/** A decimal integer in its one spelling, as 64-bit claims are written. */
export const DECIMAL_INTEGER = /^(?:0|-?[1-9]\d{0,38})$/;
/** Names between dots; none is empty. */
export const CLAIM_PATH = /^[^\s.]+(?:\.[^\s.]+)*$/;

/** anyOf or allOf, in any case: the grammar's EBNF writes them in lower case, its examples in camel case. */
const GROUP_NAME = '^(?:[aA][nN][yY]|[aA][lL][lL])[oO][fF]$';

const Integer = { type: 'integer', minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER };
const Scalar = { anyOf: [{ type: 'string', maxLength: MAX_VALUE_LENGTH }, Integer, { type: 'boolean' }] };
const Ordered = { anyOf: [Integer, { type: 'string', maxLength: 40, pattern: DECIMAL_INTEGER.source }] };
const Existence = { anyOf: [{ type: 'boolean' }, { enum: ['true', 'false'] }] };

const Condition = {
  anyOf: [
    {
      description: 'The comparison of one claim: its dotted path and exactly one operator.',
      type: 'object',
      additionalProperties: false,
      required: ['claim'],
      minProperties: 2,
      maxProperties: 2,
      properties: {
        claim: { type: 'string', minLength: 1, maxLength: MAX_CLAIM_LENGTH, pattern: CLAIM_PATH.source },
        equals: Scalar,
        notEquals: Scalar,
        less: Ordered,
        lessOrEquals: Ordered,
        greater: Ordered,
        greaterOrEquals: Ordered,
        exists: Existence,
      },
    },
    {
      description: 'A nested group: exactly one of anyOf and allOf.',
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      maxProperties: 1,
      patternProperties: { [GROUP_NAME]: { $ref: '#/$defs/conditions' } },
    },
  ],
};

/** Definitions that a schema with ReleasePolicySchema in it carries under `$defs`, beside an `$id` of its own. */
export const RELEASE_POLICY_DEFS = {
  condition: Condition,
  conditions: { type: 'array', minItems: 1, maxItems: MAX_CONDITIONS, items: { $ref: '#/$defs/condition' } },
};

/** The release policy grammar 1.0.0 as JSON Schema. Depth and total count of conditions are left to parseReleasePolicy. */
export const ReleasePolicySchema = Type.Unsafe<unknown>({
  description: 'Release policy, grammar 1.0.0: a version, and anyOf or allOf over authorities.',
  type: 'object',
  additionalProperties: false,
  required: ['version'],
  minProperties: 2,
  maxProperties: 2,
  properties: { version: { type: 'string', const: '1.0.0' } },
  patternProperties: {
    [GROUP_NAME]: {
      type: 'array',
      minItems: 1,
      maxItems: MAX_AUTHORITIES,
      items: {
        description: 'An authority, and anyOf or allOf over conditions on the claims that it verified.',
        type: 'object',
        additionalProperties: false,
        required: ['authority'],
        minProperties: 2,
        maxProperties: 2,
        properties: {
          authority: { type: 'string', minLength: 1, maxLength: MAX_AUTHORITY_LENGTH, pattern: '^\\S+$' },
        },
        patternProperties: { [GROUP_NAME]: { $ref: '#/$defs/conditions' } },
      },
    },
  },
});
