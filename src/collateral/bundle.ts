import { fromBase64, toBase64 } from '../bytes/base64.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import { COLLATERAL_FILES } from './directory.js';
import type { Pieces } from './items.js';
import { contentOf, parsePiece, type Piece } from './piece.js';

/** The largest bundle that is read. */
export const MAX_BUNDLE_BYTES = 64 * 1024 * 1024;
const API_VERSION = 'portcullis/v1';
const KIND = 'CollateralBundle';
const MAX_DEPTH = 4;
/** Of these bytes one must be the brace. */
const MAX_START = 1024;
const NAME = /^(?:(?:amd|rim)\/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,159}$/;

/** A file that does not say what it should. */
export type BundleTrouble = (name: string, error: MalformedError) => void;

/** One JSON document with all files and their SHA-256, to be carried to another machine. It is not signed: what is in it is. */
export function writeBundle(pieces: Pieces): string {
  const files = [...pieces].map(([name, piece]) => {
    const content = contentOf(piece);
    return { name, sha256: sha256Hex(content), content: toBase64(content) };
  });
  return `${JSON.stringify({ apiVersion: API_VERSION, kind: KIND, files }, null, 1)}\n`;
}

/**
 * Reads what writeBundle wrote; or one piece alone, which then has the name that is given. Throws MalformedError for what is neither,
 * and for a file whose hash is another; a file that is no collateral is told and left out.
 */
export function readBundle(bytes: Buffer, name: string, trouble: BundleTrouble): Pieces {
  const files = filesIn(bytes);
  if (files === undefined) return new Map([[name, parsePiece(bytes)]]);
  const pieces = new Map<string, Piece>();
  for (const file of files) {
    const { name: inner, content } = readFile(file);
    if (pieces.has(inner)) throw new MalformedError(`${inner}: twice in the bundle`);
    try {
      pieces.set(inner, parsePiece(content));
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      trouble(inner, error);
    }
  }
  return pieces;
}

/** undefined where it is no bundle. */
function filesIn(bytes: Buffer): readonly unknown[] | undefined {
  if (bytes.length > MAX_BUNDLE_BYTES) throw new MalformedError(`more than ${String(MAX_BUNDLE_BYTES)} bytes`);
  // Members may stand in any order, also behind all the files. What makers sign never says this name.
  if (!/^\s*\{/.test(bytes.toString('latin1', 0, MAX_START)) || !bytes.includes(`"${KIND}"`)) return undefined;
  const { apiVersion, kind, files } = parseJson(bytes, MAX_DEPTH) as Readonly<Record<string, unknown>>;
  if (apiVersion !== API_VERSION || kind !== KIND || !Array.isArray(files)) {
    throw new MalformedError(`a bundle of another version than ${API_VERSION}`);
  }
  if (files.length > COLLATERAL_FILES.maxFiles) {
    throw new MalformedError(`a bundle of more than ${String(COLLATERAL_FILES.maxFiles)} files`);
  }
  return files as readonly unknown[];
}

function readFile(file: unknown): { readonly name: string; readonly content: Buffer } {
  const { name, sha256, content, ...more } = (file ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string' || !NAME.test(name) || Object.keys(more).length > 0) {
    throw new MalformedError('a bundle with a file without a name that can be used');
  }
  if (typeof sha256 !== 'string' || typeof content !== 'string') throw new MalformedError(`${name}: incomplete`);
  const bytes = fromBase64(content, name);
  if (sha256Hex(bytes) !== sha256) throw new MalformedError(`${name}: not of its SHA-256; the bundle was damaged`);
  return { name, content: bytes };
}
