import { Type, type TSchema } from 'typebox';
import { accept, reject, type Result } from '../../reason/reason.js';

/** A path or query parameter: its schema for the OpenAPI document, and how its text becomes a value; undefined is a refusal. */
export interface Parameter<T> {
  readonly schema: TSchema;
  readonly description: string;
  parse(text: string): T | undefined;
}

export type Parameters = Readonly<Record<string, Parameter<unknown>>>;

/** The values of path parameters: all are there. */
export type PathValues<P extends Parameters> = { readonly [N in keyof P]: P[N] extends Parameter<infer T> ? T : never };

/** The values of query parameters: each may be left out. */
export type QueryValues<Q extends Parameters> = {
  readonly [N in keyof Q]?: Q[N] extends Parameter<infer T> ? T : never;
};

/** Text that the pattern matches as a whole. */
export function text(pattern: string, description: string): Parameter<string> {
  const expression = new RegExp(pattern);
  return {
    schema: Type.String({ pattern }),
    description,
    parse: (value) => (expression.test(value) ? value : undefined),
  };
}

/** A decimal integer without sign or leading zeros, in [minimum, maximum]. */
export function integer(minimum: number, maximum: number, description: string): Parameter<number> {
  return {
    schema: Type.Integer({ minimum, maximum }),
    description,
    parse: (value) => {
      if (!/^(?:0|[1-9][0-9]{0,9})$/.test(value)) return undefined;
      const number = Number(value);
      return number >= minimum && number <= maximum ? number : undefined;
    },
  };
}

/** `true` or `false`. */
export function flag(description: string): Parameter<boolean> {
  return {
    schema: Type.Boolean(),
    description,
    parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
  };
}

/** Parses path values as the router cut them out; undefined where one is not of its shape, which means that there is no such path. */
export function parsePath(
  given: Readonly<Record<string, unknown>>,
  parameters: Parameters,
): Record<string, unknown> | undefined {
  const values: Record<string, unknown> = {};
  for (const [name, parameter] of Object.entries(parameters)) {
    const raw = given[name];
    const value = typeof raw === 'string' ? parameter.parse(raw) : undefined;
    if (value === undefined) return undefined;
    values[name] = value;
  }
  return values;
}

/** Parses the query of a request target. A parameter that is unknown, given twice or not of its shape is request.malformed. */
export function parseQuery(target: string, parameters: Parameters): Result<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  const start = target.indexOf('?');
  if (start === -1) return accept(values);
  for (const [name, raw] of new URLSearchParams(target.slice(start + 1))) {
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (parameter === undefined)
      return reject('request.malformed', `query: unknown parameter; known: ${known(parameters)}`);
    if (Object.hasOwn(values, name)) return reject('request.malformed', `query: ${name} is given twice`);
    const value = parameter.parse(raw);
    if (value === undefined)
      return reject('request.malformed', `query: ${name} is not valid: ${parameter.description}`);
    values[name] = value;
  }
  return accept(values);
}

function known(parameters: Parameters): string {
  return Object.keys(parameters).join(', ') || 'none';
}
