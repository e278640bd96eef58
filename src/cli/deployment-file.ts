import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import type { DeploymentWireDocument } from '../policy/deployment-schema.js';
import { inlineFiles } from '../policy/inline-files.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { CliContext } from './context.js';
import { UsageError } from './outcome.js';
import { pathOf, whyUnreadable } from './read-input.js';

/** Of a document that a person writes: a deployment, or a release policy. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024;
/** What a document may name; that a policy is too large is for the document's rules to say. */
const MAX_NAMED_FILE_BYTES = 16 * 1024 * 1024;
const MAX_ALIASES = 100;

/**
 * A deployment document from a file (`-`: stdin, files relative to the working directory), YAML 1.2 or JSON, with the files
 * that it names put in. request.malformed where it is not one document, has the same member twice, or does not fit the
 * schema. UsageError where it, or a file that it names, cannot be read.
 */
export async function readDeployment(context: CliContext, file: string): Promise<Result<DeploymentWireDocument>> {
  const read = await context.read(file, MAX_DOCUMENT_BYTES);
  if (!read.ok) return read;
  const document = parseYaml(read.value, file);
  return document.ok ? withNamedFiles(context, file, document.value) : document;
}

/** The rest of `readDeployment`, for a document that `file` has been found to hold. */
export function withNamedFiles({ io }: CliContext, file: string, document: unknown): Result<DeploymentWireDocument> {
  const folder = file === '-' ? io.cwd : dirname(pathOf(io, file));
  return inlineFiles(document, (name) => readNamed(resolve(folder, name), name));
}

/** One YAML 1.2 document: no duplicate members, all member names text, no tags that the core schema does not know. */
export function parseYaml(bytes: Buffer, file: string): Result<unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return reject('request.malformed', `${file} is not UTF-8 text`);
  }
  const document = parseDocument(text, { uniqueKeys: true, stringKeys: true, prettyErrors: true });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line;
    const what = problem.message.split(/ at line |\n/, 1)[0] ?? 'it does not parse';
    return reject('request.malformed', `${file}${line === undefined ? '' : `, line ${String(line)}`}: ${what}`);
  }
  try {
    return accept(document.toJS({ maxAliasCount: MAX_ALIASES }));
  } catch {
    return reject('request.malformed', `${file}: aliases (*name) are undefined or too many`);
  }
}

function readNamed(path: string, name: string): Buffer {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new UsageError(`cannot read ${name}, which the document names: it is no regular file`);
    if (stat.size > MAX_NAMED_FILE_BYTES) {
      throw new UsageError(`${name}, which the document names, is larger than ${String(MAX_NAMED_FILE_BYTES)} bytes`);
    }
    return readFileSync(path);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read ${name}, which the document names: ${whyUnreadable(error)}`);
  }
}
