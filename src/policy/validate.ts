import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js';
import { MAX_JSON_DEPTH } from '../bytes/json.js';
import { accept, reject, type Result } from '../reason/reason.js';

/**
 * A function that checks a document against a schema of ours: request.malformed with one sentence that names the JSON
 * pointer and what to do. Also refused: nesting over 32 (before anything recurses into it), and lone surrogates, which
 * have no canonical form. Values of the document are never quoted; names of members are, cut short.
 */
export function validator<T>(schema: object): (document: unknown) => Result<T> {
  // Tests hold the schemas, which are ours, against the meta-schema: to compile that one takes longer than to compile them.
  const validate = new Ajv2020({ verbose: true, ownProperties: true, validateSchema: false }).compile(schema);
  return (document) => {
    const odd = oddity(document, '', 0);
    if (odd !== undefined) return reject('request.malformed', odd);
    if (validate(document)) return accept(document as T);
    return reject('request.malformed', sentence(validate.errors?.at(-1)));
  };
}

function oddity(value: unknown, at: string, depth: number): string | undefined {
  if (depth > MAX_JSON_DEPTH) return `the document is nested deeper than ${String(MAX_JSON_DEPTH)}`;
  if (typeof value === 'string')
    return /\p{Surrogate}/u.test(value) ? `${at}: holds half of a surrogate pair, which is no character` : undefined;
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const found = /\p{Surrogate}/u.test(name)
      ? `${at}: a name holds half of a surrogate pair`
      : oddity(member, `${at}/${name}`, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function sentence(error: ErrorObject | undefined): string {
  if (error === undefined) return 'the document does not match its schema';
  const at = error.instancePath === '' ? 'the document' : shorten(error.instancePath);
  return `${at}: ${complaint(error)}`;
}

function complaint(error: ErrorObject): string {
  const params = error.params as Readonly<Record<string, unknown>>;
  const schema = error.parentSchema as Readonly<Record<string, unknown>> | undefined;
  const described = schema?.['description'];
  switch (error.keyword) {
    case 'required':
      return `the member \`${String(params['missingProperty'])}\` is missing`;
    case 'additionalProperties': {
      const known = Object.keys(schema?.['properties'] ?? {});
      const hint = known.length === 0 ? '' : `; known are ${known.join(', ')}`;
      return `unknown member ${JSON.stringify(shorten(String(params['additionalProperty'])))}${hint}`;
    }
    case 'type':
      return `must be ${article(String(params['type']))}${params['type'] === 'string' ? ' (in YAML, put digits in quotes)' : ''}`;
    case 'const':
      return `must be ${JSON.stringify(params['allowedValue'])}`;
    case 'minItems':
      return 'needs at least one entry';
    case 'maxItems':
      return `may have ${String(params['limit'])} entries at most`;
    case 'uniqueItems':
      return 'has the same entry twice';
    case 'pattern':
    case 'minLength':
    case 'maxLength':
    case 'anyOf':
      return typeof described === 'string' ? `must be ${described}` : (error.message ?? 'is not valid');
    default:
      return error.message ?? 'is not valid';
  }
}

function article(type: string): string {
  return /^[aeio]/.test(type) ? `an ${type}` : `a ${type}`;
}

function shorten(text: string): string {
  return text.length > 128 ? `${text.slice(0, 128)}…` : text;
}
