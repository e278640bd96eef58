import { fromBase64url } from '../../bytes/base64url.js';
import { parseJson } from '../../bytes/json.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { sha256 } from '../../crypto/digest.js';
import type { Members } from '../../translog/entry.js';
import { SALT_BYTES } from '../../translog/names.js';
import type { CliContext } from '../context.js';
import { UsageError } from '../outcome.js';

const MAX_FILE_BYTES = 16 * 1024 * 1024;

export const NAMES_TEXT =
  'JSON that maps names to their salts, as receipts have them: {"llm-inference": "<salt>", "weights": ["<salt>"]}';

/** Names by their pseudonyms. */
export class KnownNames {
  readonly #names: ReadonlyMap<string, string>;

  constructor(names: ReadonlyMap<string, string> = new Map()) {
    this.#names = names;
  }

  /** The names that are known of a salted entry, by member; by `member/position` in a list. */
  of(entry: Members): Readonly<Record<string, string>> {
    if (this.#names.size === 0 || entry['names'] !== 'salted') return {};
    const known = Object.entries(entry).flatMap(([member, value]) => {
      if (!Array.isArray(value)) return this.#named(member, value);
      return (value as readonly unknown[]).flatMap((each, at) => this.#named(`${member}/${String(at)}`, each));
    });
    return Object.fromEntries(known);
  }

  #named(at: string, value: unknown): readonly (readonly [string, string])[] {
    const name = typeof value === 'string' ? this.#names.get(value) : undefined;
    return name === undefined ? [] : [[at, name]];
  }
}

/** Reads what --names gives. Throws UsageError. */
export async function readNames(context: CliContext, file: string | undefined): Promise<KnownNames> {
  if (file === undefined) return new KnownNames();
  const content = await context.read(file, MAX_FILE_BYTES);
  if (!content.ok) throw new UsageError(content.detail);
  try {
    return new KnownNames(parseNames(parseJson(content.value)));
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new UsageError(`--names ${file}: ${error.message}`);
  }
}

function parseNames(value: unknown): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new MalformedError('not a JSON object');
  for (const [name, given] of Object.entries(value)) {
    for (const text of Array.isArray(given) ? (given as unknown[]) : [given]) {
      const salt = typeof text === 'string' ? fromBase64url(text, `salt of ${name}`) : undefined;
      if (salt?.length !== SALT_BYTES) throw new MalformedError(`salt of ${name}: not 16 bytes in base64url`);
      names.set(sha256(salt, Buffer.from(name, 'utf8')).toString('hex'), name);
    }
  }
  return names;
}
