import { types } from 'node:util';

/** Members that hold secrets, wherever they stand: credentials, and what key material is made of in JWK and in our own records. */
const SECRET_NAMES = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'token',
  'tokens',
  'tokenkey',
  'admintoken',
  'accesstoken',
  'bearer',
  'password',
  'passphrase',
  'secret',
  'rootsecret',
  'clientsecret',
  'credential',
  'private',
  'privatekey',
  'privatekeypem',
  'keymaterial',
  'material',
  'plaintext',
  'data',
  'content',
  'jwk',
  'jwe',
  'pem',
  'seed',
  'dek',
  'k',
  'd',
  'p',
  'q',
  'dp',
  'dq',
  'qi',
  'oth',
]);

const REDACTED = '[redacted]';
const MAX_DEPTH = 8;
const MAX_MEMBERS = 64;
const MAX_TEXT = 4096;

/** Secrets that stand in running text: a broker token keeps its id, which is no secret; a bearer credential; a JWE or JWT; a private key in PEM; the private members of a JWK, also where the JSON is quoted. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\bpc_([0-9A-Za-z]{1,64})_[0-9A-Za-z_-]+/g, `pc_$1_${REDACTED}`],
  [/\b(Bearer|Basic) +[0-9A-Za-z._~+/=-]+/gi, `$1 ${REDACTED}`],
  [/\beyJ[0-9A-Za-z_-]{8,}(?:\.[0-9A-Za-z_-]*){2,4}/g, REDACTED],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  [/("(?:k|d|p|q|dp|dq|qi)\\*"\s*:\s*\\*")[^"\\]*/g, `$1${REDACTED}`],
];

/** What every one of the patterns needs: one look tells most texts apart. */
const SUSPECT = /pc_|bearer|basic|eyJ|-----BEGIN|"(?:k|d|p|q|dp|dq|qi)\\*"/i;

/** Text without the secrets that are known by their shape, cut to a bound. */
export function redactText(text: string): string {
  let clean = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  if (!SUSPECT.test(clean)) return clean;
  for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
  return clean;
}

/**
 * A copy of a value that may go to the log: members named like secrets are replaced at every depth, texts are searched,
 * bytes are never written, errors keep name, message, code, stack and cause. Depth, width and text are bounded.
 */
export function redact(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'string':
      return redactText(value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'bigint':
      return String(value);
    case 'object':
      return value === null ? null : redactObject(value, depth);
    default:
      return `[${typeof value}]`;
  }
}

function redactObject(value: object, depth: number): unknown {
  if (depth >= MAX_DEPTH) return '[deep]';
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return '[bytes]';
  if (value instanceof Date) return value.toJSON();
  if (value instanceof Error || types.isNativeError(value)) return redactError(value, depth);
  if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map((item) => redact(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  // A Map, a socket, a KeyObject: what it would show of itself is not known.
  if (prototype !== null && prototype !== Object.prototype) return '[object]';
  const members: [string, unknown][] = [];
  for (const [name, member] of Object.entries(value)) {
    if (members.length === MAX_MEMBERS) break;
    const { shown, secret } = memberName(name);
    members.push([shown, secret ? REDACTED : redact(member, depth + 1)]);
  }
  return Object.fromEntries(members);
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  const code = 'code' in error ? error.code : undefined;
  return {
    name,
    message: redactText(message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: redact(code) } : {}),
    ...(stack === undefined ? {} : { stack: redactText(stack) }),
    ...(cause === undefined ? {} : { cause: redact(cause, depth + 1) }),
  };
}

interface MemberName {
  readonly shown: string;
  readonly secret: boolean;
}

/** Names that are remembered, as many as the lines of our own have and some more; names from outside may be anything. */
const MAX_NAMES = 256;
const names = new Map<string, MemberName>();

function memberName(name: string): MemberName {
  let known = names.get(name);
  if (known === undefined) {
    known = { shown: redactText(name), secret: isSecretName(name) };
    if (names.size < MAX_NAMES && name.length <= 64) names.set(name, known);
  }
  return known;
}

function isSecretName(name: string): boolean {
  const lower = name.toLowerCase();
  return SECRET_NAMES.has(lower) || SECRET_NAMES.has(lower.replace(/[-_]/g, ''));
}
