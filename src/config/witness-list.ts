import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { parseVerifierKey, TYPE_COSIGNATURE, type VerifierKey } from '../translog/note.js';
import { isLoopback } from './values.js';

/** A witness of the log: where it is asked, and the key that its cosignatures are under. */
export interface WitnessEntry {
  readonly url: string;
  /** The vkey string, type 04. */
  readonly key: string;
  /** The name in the key. */
  readonly name: string;
}

/** With the log's own signature 16, which is what every verifier of notes must accept (C2SP signed-note). */
const MAX_WITNESSES = 15;
const MAX_URL_CHARACTERS = 1024;

/** A list of `{url, key}`, as JSON text, which YAML reads as well: the form for file and environment. */
export function witnessList(text: string): Result<readonly WitnessEntry[]> {
  let value: unknown;
  try {
    value = parseJson(Buffer.from(text, 'utf8'));
  } catch (error) {
    if (error instanceof MalformedError) return bad(FORM);
    throw error;
  }
  if (!Array.isArray(value)) return bad(FORM);
  if (value.length > MAX_WITNESSES) return bad(`at most ${String(MAX_WITNESSES)} witnesses`);
  const entries: WitnessEntry[] = [];
  const keys = new Set<string>();
  for (const [at, member] of (value as readonly unknown[]).entries()) {
    const entry = readEntry(member, `witness ${String(at + 1)}`);
    if (!entry.ok) return entry;
    const { url, vkey, key } = entry.value;
    // By the key alone: one key under two names is still one witness.
    const publicKey = key.publicKey.export({ format: 'der', type: 'spki' }).toString('hex');
    if (keys.has(publicKey)) return bad(`witness ${String(at + 1)}: has the key of another one, and would count twice`);
    keys.add(publicKey);
    entries.push({ url, key: vkey, name: key.name });
  }
  return accept(entries);
}

/** Why a witness must not be asked over this URL in production, where anybody on the way could withhold its answers; or undefined. */
export function insecureWitness(witnesses: readonly WitnessEntry[]): string | undefined {
  const open = witnesses.find(({ url }) => {
    const { protocol, hostname } = new URL(url);
    return protocol === 'http:' && !isLoopback(hostname.replace(/^\[|\]$/g, ''));
  });
  if (open === undefined) return undefined;
  return 'log.witnesses: the production profile asks witnesses on other machines over https:// only';
}

const FORM = 'needs a list of witnesses, each with url and key: [{"url": "https://…", "key": "NAME+ID+KEY"}]';

const bad = (detail: string): Rejection => reject('request.malformed', detail);

function readEntry(
  member: unknown,
  where: string,
): Result<{ readonly url: string; readonly vkey: string; readonly key: VerifierKey }> {
  if (typeof member !== 'object' || member === null || Array.isArray(member)) return bad(`${where}: ${FORM}`);
  const { url, key: vkey, ...more } = member as Record<string, unknown>;
  if (typeof url !== 'string' || typeof vkey !== 'string' || Object.keys(more).length > 0) {
    return bad(`${where}: needs exactly url and key`);
  }
  if (!isWitnessUrl(url)) {
    return bad(`${where}: url needs http:// or https://, a host, and no user, query or fragment`);
  }
  let key: VerifierKey;
  try {
    key = parseVerifierKey(vkey);
  } catch (error) {
    if (error instanceof MalformedError)
      return bad(`${where}: key is not a vkey, as \`portcullis witness show\` prints it`);
    throw error;
  }
  if (key.type !== TYPE_COSIGNATURE) {
    return bad(`${where}: key is the key of a log (type 01); a witness has one of type 04`);
  }
  return accept({ url, vkey, key });
}

function isWitnessUrl(text: string): boolean {
  if (text.length > MAX_URL_CHARACTERS || !URL.canParse(text)) return false;
  const { protocol, username, password } = new URL(text);
  return (protocol === 'https:' || protocol === 'http:') && username + password === '' && !/[?#\p{Cc} ]/u.test(text);
}
