import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import type { TSchema } from 'typebox';
import { accept, reject, type Result } from '../../reason/reason.js';

/** Names that a message may repeat: members that are named like members, so that no value can pass for one. */
const PLAIN_NAME = /^[0-9A-Za-z._-]{1,64}$/;

/** Checks a parsed body; accepts the value itself, unchanged. */
export type Validator = (value: unknown) => Result<unknown>;

/**
 * Compiles a schema into a validator: strict draft 2020-12, nothing coerced, defaulted or removed. The first error is
 * request.malformed with a sentence that names the place and the rule, and never the value.
 */
export function compile(schema: TSchema): Validator {
  const validate: ValidateFunction = ajv.compile(schema);
  return (value) => {
    if (validate(value)) return accept(value);
    const [error] = validate.errors ?? [];
    return reject('request.malformed', error === undefined ? 'body: not valid' : sentence(error));
  };
}

/**
 * ownProperties: a member counts only if the object itself has it, so that no name of Object.prototype passes for one.
 * validateSchema: tests hold the schemas, which are ours, against the meta-schema; to compile that one takes longer than to compile them.
 */
const ajv = new Ajv2020({
  strict: true,
  allErrors: false,
  coerceTypes: false,
  removeAdditional: false,
  ownProperties: true,
  validateSchema: false,
});

function sentence(error: ErrorObject): string {
  const segments = error.instancePath.split('/').slice(1);
  const place = ['body', ...segments.map(plain)].join('.');
  const parameters = error.params as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case 'additionalProperties':
      return `${place}: unknown member ${plain(String(parameters['additionalProperty']))}`;
    case 'required':
      return `${place}: the member ${plain(String(parameters['missingProperty']))} is missing`;
    case 'pattern':
      return `${place}: not of the form that is asked for here`;
    default:
      return `${place}: ${error.message ?? 'not valid'}`;
  }
}

function plain(name: string): string {
  return PLAIN_NAME.test(name) ? name : '(a name that is not repeated here)';
}
