import { randomBytes } from 'node:crypto';
import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { KekError } from '../keys/kek.js';

/** The content of a KEK file. */
export interface KekDocument {
  readonly active: string;
  readonly keks: ReadonlyMap<string, Kek>;
}

export interface Kek {
  /** 32 bytes: AES-256. */
  readonly key: Buffer;
  /** RFC 3339. */
  readonly created: string;
}

const FORMAT = 'portcullis/kek-file/v1';
const KEY_BYTES = 32;
const MAX_KEKS = 256;
const ID = /^[0-9a-f]{16}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

/** The largest file that `parseKekDocument` can accept, generously. */
export const MAX_KEK_FILE_BYTES = 65_536;

/** A document with one fresh KEK more than `former`, which is the active one. The keys of `former` are shared, not copied. Throws KekError when there are too many. */
export function withFreshKek(former: KekDocument | undefined): KekDocument {
  const active = randomBytes(8).toString('hex');
  const fresh: Kek = { key: randomBytes(KEY_BYTES), created: new Date().toISOString() };
  const keks = new Map([...(former?.keks ?? []), [active, fresh]]);
  if (keks.size > MAX_KEKS)
    throw new KekError(`a KEK file holds at most ${String(MAX_KEKS)} KEKs; retire those that wrap nothing any more`);
  return { active, keks };
}

export function formatKekDocument(document: KekDocument): Buffer {
  const keks = [...document.keks].map(([id, { key, created }]) => ({ id, created, key: toBase64url(key) }));
  return Buffer.from(`${JSON.stringify({ format: FORMAT, active: document.active, keks }, undefined, 2)}\n`, 'utf8');
}

/** Parses a KEK file: members exactly as `formatKekDocument` writes them, ids unique, the active one among them. Throws MalformedError, which quotes nothing of the file. */
export function parseKekDocument(content: Uint8Array): KekDocument {
  const { format, active, keks } = members(parseJson(content, 3), ['format', 'active', 'keks'], 'document');
  if (format !== FORMAT) throw new MalformedError(`format: must be ${FORMAT}`);
  if (!Array.isArray(keks) || keks.length > MAX_KEKS)
    throw new MalformedError(`keks: not a list of at most ${String(MAX_KEKS)}`);
  const byId = new Map<string, Kek>();
  for (const entry of keks) {
    const { id, created, key } = members(entry, ['id', 'created', 'key'], 'keks');
    if (typeof id !== 'string' || !ID.test(id) || byId.has(id))
      throw new MalformedError('keks.id: not 16 hex digits, or there twice');
    if (typeof created !== 'string' || !TIME.test(created))
      throw new MalformedError('keks.created: not an RFC 3339 time');
    if (typeof key !== 'string' || key.length !== 43) throw new MalformedError('keks.key: not 32 bytes');
    byId.set(id, { key: fromBase64url(key, 'keks.key'), created });
  }
  if (typeof active !== 'string' || !byId.has(active)) throw new MalformedError('active: not one of keks');
  return { active, keks: byId };
}

function members<const N extends string>(value: unknown, names: readonly N[], field: string): Record<N, unknown> {
  if (typeof value !== 'object' || value === null || Object.keys(value).sort().join() !== [...names].sort().join()) {
    throw new MalformedError(`${field}: members must be exactly ${names.join(', ')}`);
  }
  return value as Record<N, unknown>;
}
