import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { TOKEN_ALGORITHMS, type TokenAlgorithm } from '../evidence/authority/authority-keys.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';

/** An issuer of attestation tokens whose claims are believed. */
export interface AuthorityEntry {
  /** https URL without credentials, query or fragment; the issuer that tokens name. */
  readonly issuer: string;
  /** A PEM file with a root for its TLS, beside those of the system. */
  readonly ca?: string;
  /** Where its keys are: an https URL, or a file. Default: what its OpenID configuration says. */
  readonly jwks?: string;
  /** What its tokens may be signed with; default: all that are known. */
  readonly algorithms?: readonly TokenAlgorithm[];
}

const MAX_AUTHORITIES = 16;
const MAX_URL_CHARACTERS = 1024;
const MEMBERS: readonly string[] = ['issuer', 'ca', 'jwks', 'algorithms'];
const FORM = 'needs a list of authorities, each with issuer: [{"issuer": "https://…", "ca": "root.pem"}]';

/** A list of `{issuer, ca?, jwks?, algorithms?}`, as JSON text; algorithms are names with commas between. */
export function authorityList(text: string): Result<readonly AuthorityEntry[]> {
  let value: unknown;
  try {
    value = parseJson(Buffer.from(text, 'utf8'));
  } catch (error) {
    if (error instanceof MalformedError) return bad(FORM);
    throw error;
  }
  if (!Array.isArray(value)) return bad(FORM);
  if (value.length > MAX_AUTHORITIES) return bad(`at most ${String(MAX_AUTHORITIES)} authorities`);
  const entries: AuthorityEntry[] = [];
  for (const [at, member] of (value as readonly unknown[]).entries()) {
    const entry = readEntry(member, `authority ${String(at + 1)}`);
    if (!entry.ok) return entry;
    if (entries.some(({ issuer }) => sameIssuer(issuer, entry.value.issuer))) {
      return bad(`authority ${String(at + 1)}: is there twice`);
    }
    entries.push(entry.value);
  }
  return accept(entries);
}

function readEntry(member: unknown, where: string): Result<AuthorityEntry> {
  if (typeof member !== 'object' || member === null || Array.isArray(member)) return bad(FORM);
  const texts = member as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(texts).find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined) return bad(`${where}: unknown member; known are ${MEMBERS.join(', ')}`);
  const { issuer, ca, jwks, algorithms } = texts;
  if (typeof issuer !== 'string' || !isHttpsUrl(issuer)) {
    return bad(`${where}: issuer must be an https:// URL without user, query or fragment`);
  }
  if (ca !== undefined && !isName(ca)) return bad(`${where}: ca must be the name of a PEM file`);
  if (jwks !== undefined && (!isName(jwks) || (jwks.includes('://') && !isHttpsUrl(jwks)))) {
    return bad(`${where}: jwks must be an https:// URL, or the name of a file`);
  }
  const named = algorithms === undefined ? undefined : readAlgorithms(algorithms);
  if (named === null)
    return bad(`${where}: algorithms must be some of ${TOKEN_ALGORITHMS.join(', ')}, with commas between`);
  return accept({
    issuer,
    ...(ca === undefined ? {} : { ca }),
    ...(jwks === undefined ? {} : { jwks }),
    ...(named === undefined ? {} : { algorithms: named }),
  });
}

function readAlgorithms(value: unknown): readonly TokenAlgorithm[] | null {
  if (typeof value !== 'string') return null;
  const names = value.split(',').map((name) => name.trim());
  const known = TOKEN_ALGORITHMS.filter((algorithm) => names.includes(algorithm));
  return known.length > 0 && names.every((name) => known.some((algorithm) => algorithm === name)) ? known : null;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_URL_CHARACTERS;
}

function isHttpsUrl(text: string): boolean {
  if (text.length > MAX_URL_CHARACTERS || !URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return protocol === 'https:' && username === '' && password === '' && search === '' && hash === '';
}

/** One trailing slash makes no difference. */
function sameIssuer(one: string, other: string): boolean {
  return one.replace(/\/$/, '') === other.replace(/\/$/, '');
}

const bad = (detail: string): Rejection => reject('request.malformed', detail);
