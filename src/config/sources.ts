import { dirname, isAbsolute, join } from 'node:path';
import { parseDocument } from 'yaml';
import {
  COMMAND_VARIABLES,
  fileMembersOf,
  isFileName,
  isList,
  isSettingPath,
  isTruth,
  SETTINGS,
  type SettingPath,
  UNSUPPORTED,
  variableOf,
} from './settings.js';

/** The text of a setting, and where it stood, for messages. */
export interface Given {
  readonly text: string;
  /** `listen`, `PORTCULLIS_LISTEN` or `--listen`. */
  readonly place: string;
}

/** What one source says, before any value is parsed. */
export interface Source {
  readonly values: ReadonlyMap<SettingPath, Given>;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

const MAX_FILE_CHARACTERS = 256 * 1024;

/** Reads the configuration file: one YAML 1.2 document without aliases or tags. Unknown members are errors, and so are members twice. */
export function readFileSource({ path, text }: { readonly path: string; readonly text: string }): Source {
  const values = new Map<SettingPath, Given>();
  const errors: string[] = [];
  const fail = (message: string): Source => ({ values, errors: [`${path}: ${message}`], warnings: [] });

  if (text.length > MAX_FILE_CHARACTERS) return fail('larger than 256 KiB');
  const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: true, prettyErrors: false });
  const [flaw] = [...document.errors, ...document.warnings];
  if (flaw !== undefined) {
    const lineNumber = text.slice(0, flaw.pos[0]).split('\n').length;
    return fail(`line ${String(lineNumber)}: not valid YAML (${flaw.code.toLowerCase().replaceAll('_', ' ')})`);
  }
  let root: unknown;
  try {
    root = document.toJS({ mapAsMap: true, maxAliasCount: 0 });
  } catch {
    return fail('YAML aliases are not accepted');
  }
  if (root === null) return { values, errors, warnings: [] };
  if (!(root instanceof Map)) return fail('needs members and values, such as `listen: 127.0.0.1:8440`');

  const visit = (map: ReadonlyMap<unknown, unknown>, prefix: string): void => {
    for (const [name, value] of map) {
      const at = `${prefix}${String(name)}`;
      if (prefix === '' && typeof name === 'string' && Object.hasOwn(UNSUPPORTED, name)) {
        if (asksForSomething(value)) errors.push(`${path}: ${name}: ${UNSUPPORTED[name] ?? ''}`);
      } else if (isSettingPath(at)) {
        const beside = (name: string): string => besideFile(path, name);
        const scalar = isList(at)
          ? listText(value, fileMembersOf(at), beside)
          : isTruth(at)
            ? truthText(value)
            : scalarText(value);
        if (scalar === undefined) errors.push(`${path}: ${at}: needs ${shapeOf(at)}`);
        else
          values.set(at, {
            text: isFileName(at) ? besideFile(path, scalar) : scalar,
            place: `${path}: ${at}`,
          });
      } else if (Object.keys(SETTINGS).some((known) => known.startsWith(`${at}.`))) {
        if (value instanceof Map) visit(value, `${at}.`);
        else if (value !== null) errors.push(`${path}: ${at}: needs members: ${membersOf(at)}`);
      } else {
        errors.push(
          `${path}: unknown member ${quote(at)}; known are ${prefix === '' ? membersOf('') : membersOf(prefix.slice(0, -1))}`,
        );
      }
    }
  };
  visit(root, '');
  return { values, errors, warnings: [] };
}

/** Reads the variables. One that starts with PORTCULLIS_ and is neither a setting nor the command's is a warning. */
export function readEnvironment(environment: Readonly<Record<string, string | undefined>>): Source {
  const values = new Map<SettingPath, Given>();
  const errors: string[] = [];
  const warnings: string[] = [];
  const byVariable = new Map(Object.keys(SETTINGS).map((path) => [variableOf(path), path]));
  for (const [name, text] of Object.entries(environment)) {
    if (text === undefined || !name.startsWith('PORTCULLIS_')) continue;
    const path = byVariable.get(name);
    const foreign = Object.keys(UNSUPPORTED).find(
      (member) => name === variableOf(member) || name.startsWith(`${variableOf(member)}_`),
    );
    if (path !== undefined && isSettingPath(path)) values.set(path, { text, place: name });
    else if (foreign !== undefined) errors.push(`${name}: ${UNSUPPORTED[foreign] ?? ''}`);
    else if (!COMMAND_VARIABLES.has(name))
      warnings.push(`${name} is not a setting that this version knows; it has no effect`);
  }
  return { values, errors, warnings };
}

/** Flags, by the path of the setting. */
export function readFlags(flags: Readonly<Partial<Record<SettingPath, string | undefined>>>): Source {
  const values = new Map<SettingPath, Given>();
  for (const [path, text] of Object.entries(flags)) {
    if (text !== undefined && isSettingPath(path)) values.set(path, { text, place: `--${path.replace(/[._]/g, '-')}` });
  }
  return { values, errors: [], warnings: [] };
}

function shapeOf(path: SettingPath): string {
  if (isTruth(path)) return 'true or false';
  return isList(path) ? 'a list' : 'one value';
}

function truthText(value: unknown): string | undefined {
  return typeof value === 'boolean' ? String(value) : undefined;
}

function scalarText(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}

/** A list of members with texts, as the JSON that stands for it in the environment; what is none of these becomes null. */
function listText(
  value: unknown,
  fileMembers: readonly string[],
  beside: (name: string) => string,
): string | undefined {
  if (!Array.isArray(value)) return undefined;
  const members = (value as readonly unknown[]).map((member) => {
    if (!(member instanceof Map)) return null;
    const texts = [...member].map(([name, text]) => {
      const isFile = fileMembers.includes(String(name)) && typeof text === 'string' && !text.includes('://');
      return [String(name), isFile ? beside(text) : typeof text === 'string' ? text : null] as const;
    });
    return Object.fromEntries(texts);
  });
  return JSON.stringify(members);
}

function asksForSomething(value: unknown): boolean {
  return value !== null && !(Array.isArray(value) && value.length === 0) && !(value instanceof Map && value.size === 0);
}

function besideFile(file: string, name: string): string {
  return isAbsolute(name) || name === '' ? name : join(dirname(file), name);
}

/** The members that may stand under a path, the unsupported ones left out. */
function membersOf(path: string): string {
  const prefix = path === '' ? '' : `${path}.`;
  const below = Object.keys(SETTINGS).filter((known) => known.startsWith(prefix));
  return [...new Set(below.map((known) => known.slice(prefix.length).split('.')[0]))].join(', ');
}

function quote(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name);
}
