import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js';
import { type NameKind, PLAIN_NAME, PSEUDONYM } from './entry-members.js';
import { ENTRY_SCHEMAS, type EntryType, isEntryType } from './entry-types.js';

export { ENTRY_SCHEMAS };

const MAX_SHOWN = 128;

interface Checks {
  readonly validate: ValidateFunction;
  readonly names: readonly (readonly [member: string, kind: NameKind])[];
}

/** Of the types that were met: compiling all of them takes longer than a short command runs. */
const compiled = new Map<string, Checks>();

/**
 * What is wrong with an entry by the schema of its type, in one sentence; undefined where nothing is. An unknown type is
 * a fault, a name that is salted where the entry does not say so, and a plain one where it does. Values of the entry are
 * never quoted. Nothing is said of what an entry means beside others.
 */
export function entryFault(type: string, entry: Readonly<Record<string, unknown>>): string | undefined {
  const checks = checksOf(type);
  if (checks === undefined) return 'the type of the entry is not known';
  if (!checks.validate(entry)) return sentence(checks.validate.errors?.[0]);
  return namesFault(checks.names, entry);
}

/** The members of a type whose values are names, or lists of names, with the kind of each. */
export function nameMembers(type: EntryType): Checks['names'] {
  return checksOf(type)?.names ?? [];
}

function namesIn(type: EntryType): Checks['names'] {
  const properties = ENTRY_SCHEMAS[type].properties as Readonly<Record<string, SchemaNode>>;
  return Object.entries(properties).flatMap(([member, { 'x-name': kind, items }]) => {
    const marked = kind ?? items?.['x-name'];
    return marked === undefined ? [] : [[member, marked] as const];
  });
}

/** One JSON Schema (draft 2020-12) for entries of every type, to be published. `x-name` marks what may be salted. */
export function entryJsonSchema(): object {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:portcullis:schema:log-entry:v1',
    title: 'Portcullis log entry',
    oneOf: Object.values(ENTRY_SCHEMAS),
  };
  return JSON.parse(JSON.stringify(schema)) as object;
}

interface SchemaNode {
  readonly 'x-name'?: NameKind;
  readonly items?: { readonly 'x-name'?: NameKind };
}

function checksOf(type: string): Checks | undefined {
  const known = compiled.get(type);
  if (known !== undefined || !isEntryType(type)) return known;
  // Every string is ASCII by its pattern, so its length is counted in code units: counting characters costs more than all else.
  // The schemas are ours, and tests hold them against the meta-schema: to compile that one takes ten times as long as theirs.
  const options = {
    strict: true,
    strictRequired: false,
    unicode: false,
    logger: false,
    validateSchema: false,
  } as const;
  const ajv = new Ajv2020(options);
  ajv.addVocabulary(['x-name']);
  const checks = { validate: ajv.compile(ENTRY_SCHEMAS[type]), names: namesIn(type) };
  compiled.set(type, checks);
  return checks;
}

function namesFault(names: Checks['names'], entry: Readonly<Record<string, unknown>>): string | undefined {
  const salted = entry['names'] === 'salted';
  let found = false;
  for (const [member, kind] of names) {
    const value = entry[member];
    if (value === undefined) continue;
    found = true;
    const form = salted ? PSEUDONYM : PLAIN_NAME[kind];
    const all = typeof value === 'string' ? form.test(value) : (value as string[]).every((each) => form.test(each));
    if (!all)
      return `/${member}: is ${salted ? 'no pseudonym, though the entry says that names are salted' : 'no name'}`;
  }
  return salted && !found ? '/names: nothing in the entry is salted' : undefined;
}

function sentence(error: ErrorObject | undefined): string {
  if (error === undefined) return 'the entry does not match its schema';
  const at = error.instancePath === '' ? 'the entry' : error.instancePath.slice(0, MAX_SHOWN);
  const unknown = (error.params as Readonly<Record<string, unknown>>)['additionalProperty'];
  if (typeof unknown === 'string') return `${at}: unknown member ${JSON.stringify(unknown.slice(0, MAX_SHOWN))}`;
  return `${at}: ${error.message ?? 'is not valid'}`;
}
