import { toBase64url } from '../bytes/base64url.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { type DeploymentFileDocument, DeploymentFileSchema, type DeploymentWireDocument } from './deployment-schema.js';
import { validator } from './validate.js';

const validateFile = validator<DeploymentFileDocument>(DeploymentFileSchema);

/** The most that the base64url of a policy file may come to leaves this many bytes; a request as a whole is smaller still. */
const MAX_FILE_BYTES = 786_432;

/**
 * Turns a deployment document as a person writes it into its wire form: `file` becomes `content`, the files of
 * `attesters.roots` their PEM text. `readFile` gets the names as written, and what it throws passes through. Refuses
 * with request.malformed what does not fit the schema, and files that are empty or too large. What the wire form means is
 * for `parseDeployment`.
 */
export function inlineFiles(document: unknown, readFile: (name: string) => Uint8Array): Result<DeploymentWireDocument> {
  const valid = validateFile(document);
  if (!valid.ok) return valid;
  const policies: DeploymentWireDocument['policies'] = [];
  for (const { file, ...rest } of valid.value.policies) {
    if (file === undefined) {
      policies.push(rest);
      continue;
    }
    const content = readFile(file);
    if (content.length === 0 || content.length > MAX_FILE_BYTES) return badSize(file);
    policies.push({ content: toBase64url(content), ...rest });
  }
  const { attesters, ...others } = valid.value;
  const { roots: names, ...rules } = attesters;
  const roots: string[] = [];
  for (const name of names ?? []) {
    const content = readFile(name);
    if (content.length === 0 || content.length > MAX_FILE_BYTES) return badSize(name);
    roots.push(Buffer.from(content).toString('utf8'));
  }
  return accept({ ...others, policies, attesters: names === undefined ? rules : { ...rules, roots } });
}

function badSize(name: string) {
  return reject('request.malformed', `the file ${name} is empty, or larger than ${String(MAX_FILE_BYTES)} bytes`);
}
