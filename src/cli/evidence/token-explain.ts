import { fromBase64url } from '../../bytes/base64url.js';
import { parseJson } from '../../bytes/json.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import type { ExplainedField, ExplainedSection } from '../../evidence/explained.js';

const DATES: readonly string[] = ['iat', 'nbf', 'exp'];

/** An attestation token for a person: header and top-level claims. Nothing is verified. Never throws. */
export function explainToken(token: string, index: number): ExplainedSection {
  const title = `Attestation token ${String(index)}`;
  const [header, payload, signature, ...more] = token.split('.');
  try {
    if (header === undefined || payload === undefined || signature === undefined || more.length > 0) {
      throw new MalformedError('not the three parts of a compact JWT');
    }
    const fields = [...membersOf(header, 'header'), ...membersOf(payload, 'claim')];
    return { title, fields: [...fields, { name: 'signature', value: `${String(signature.length)} characters` }] };
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    const value = `${String(token.length)} characters`;
    return { title, fields: [{ name: 'structure', value, note: error.message, wrong: true }] };
  }
}

function membersOf(part: string, kind: string): readonly ExplainedField[] {
  const members = parseJson(fromBase64url(part, kind));
  if (typeof members !== 'object' || members === null) throw new MalformedError(`${kind}: no JSON object`);
  return Object.entries(members).map(([name, value]: [string, unknown]): ExplainedField => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const note = DATES.includes(name) && typeof value === 'number' ? dateOf(value) : undefined;
    return { name: `${kind} ${name}`, value: text, ...(note === undefined ? {} : { note }) };
  });
}

function dateOf(seconds: number): string | undefined {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
