/** Logs for tests: genuine entries, their tree, and the files of C2SP tlog-tiles that a mirror would hold. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import {
  CHECKPOINT,
  type LogSource,
  LogSourceError,
  type Resource,
  textOf,
  tileResource,
} from '../../src/audit/source.js';
import { CheckpointSigner } from '../../src/translog/checkpoint.js';
import { composeEntry, type EntryBody } from '../../src/translog/entry.js';
import { leafHash } from '../../src/translog/merkle.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { encodeBundle, MAX_TILE_LEVEL, TILE_WIDTH, tileCount, tilePath } from '../../src/translog/tile.js';
import { TreeAppender } from '../../src/translog/tree-appender.js';

export const ORIGIN = 'broker-1/0123456789abcdef';
export const BROKER = 'broker-1';
export const SIGNER = new CheckpointSigner(ORIGIN, Buffer.alloc(32, 7));
export const LOG_KEY = parseVerifierKey(SIGNER.verifierKey);
export const START_MS = Date.UTC(2026, 10, 22);

export const hex = (text: string | number) => createHash('sha256').update(String(text)).digest('hex');
export const KEY_VERSION = hex('version').slice(0, 32);
export const POLICY = hex('policy');
export const AK_SPKI = hex('ak');
export const AK_NAME = `000b${hex('name')}`;

const actor = '0123456789abcdef';

/** What must stand before a release: administrative entries with their generations. */
const SET_UP: readonly (readonly [type: string, body: EntryBody])[] = [
  ['broker.initialised', { broker: BROKER, profile: 'production', log_origin: ORIGIN }],
  [
    'deployment.applied',
    {
      ...{ actor, deployment: 'llm', created: true, source: 'tpm', bank: 'sha256', pcr: 8, boot: 'pinned' },
      ...{ trust: ['pinned'], any_from_roots: false, document_sha256: hex('document'), detail_sha256: hex('detail') },
    },
  ],
  ['policy.registered', { actor, deployment: 'llm', policy_sha256: POLICY, origin: 'document' }],
  ['attester.trusted', { actor, deployment: 'llm', ak_name: AK_NAME, ak_spki_sha256: AK_SPKI, trust: 'pinned' }],
  [
    'key.created',
    {
      ...{ actor, key: 'weights', version: KEY_VERSION, kty: 'oct', size: 256, origin: 'generated' },
      deployments: ['llm'],
    },
  ],
];

const digits = (index: number, count: number) => index.toString(16).padStart(count, '0');

export function releaseBody(index: number): EntryBody {
  const hash = (kind: string) => kind + digits(index, 60);
  return {
    ...{ release_id: `f00d${digits(index, 28)}`, profile: 'production', broker: BROKER, deployment: 'llm' },
    ...{ key: 'weights', version: KEY_VERSION, policy_sha256: POLICY, recipient: 'r'.repeat(43), ak_name: AK_NAME },
    ...{ ak_spki_sha256: AK_SPKI, ak_trust: 'pinned', boot: 'pinned', evidence_sha256: hash('e11e') },
    ...{ jwe_sha256: hash('e22e'), nonce_sha256: hash('e33e'), decision_sha256: hash('e44e') },
  };
}

const releaseTime = (index: number) => new Date(START_MS + index).toISOString();
const RELEASE = composeEntry('release', releaseBody(0), { timeMs: START_MS, generation: SET_UP.length }).text;

/** The entry at an index of a log that is in order: the set-up, then releases, a millisecond apart. */
export function genuineEntry(index: number): string {
  const [type, body] = SET_UP[index] ?? [];
  if (type !== undefined && body !== undefined) {
    return composeEntry(type, body, { timeMs: START_MS + index, generation: index + 1 }).text;
  }
  // What composeEntry would give, in a small part of its time: some tests need very many.
  return RELEASE.replace(releaseTime(0), releaseTime(index))
    .replace(`f00d${digits(0, 28)}`, `f00d${digits(index, 28)}`)
    .replaceAll(digits(0, 60), digits(index, 60));
}

export function genuineEntries(count: number): string[] {
  return Array.from({ length: count }, (_, index) => genuineEntry(index));
}

/** The files of a log by their path below the prefix, `checkpoint` too. Earlier partial tiles are not among them. */
export function logFiles(entries: readonly (string | Buffer)[], signer = SIGNER): Map<string, Buffer> {
  const tree = new TreeAppender(0, []);
  const bytes = entries.map((entry) => (typeof entry === 'string' ? Buffer.from(entry, 'utf8') : entry));
  for (const entry of bytes) tree.append(leafHash(entry));
  const files = new Map<string, Buffer>();
  for (let level = 0; level <= MAX_TILE_LEVEL; level++) {
    const { hashes } = tree.completed(8 * level);
    forTiles(entries.length, level, (index, width) => {
      const first = index * TILE_WIDTH;
      files.set(tilePath({ level, index, width }), Buffer.concat(hashes.slice(first, first + width)));
      if (level > 0) return;
      files.set(tilePath({ level: 'entries', index, width }), encodeBundle(bytes.slice(first, first + width)));
    });
  }
  files.set('checkpoint', Buffer.from(signer.sign(entries.length, tree.root()), 'utf8'));
  return files;
}

function forTiles(size: number, level: number, each: (index: number, width: number) => void): void {
  const { full, partialWidth } = tileCount(size, level);
  for (let index = 0; index < full; index++) each(index, TILE_WIDTH);
  if (partialWidth > 0) each(full, partialWidth);
}

export function writeFiles(directory: string, files: ReadonlyMap<string, Uint8Array>): void {
  for (const [path, content] of files) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}

/** A log over HTTP, file by file; `answer` may do as it likes with a request. */
export interface ServedLog {
  readonly url: URL;
  /** Paths below the prefix, in the order of the requests. */
  readonly requests: string[];
  close(): Promise<void>;
}

export async function serveFiles(
  files: ReadonlyMap<string, Uint8Array>,
  answer?: (path: string, request: IncomingMessage, response: ServerResponse) => boolean,
): Promise<ServedLog> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/^\/log\//, '');
    requests.push(path);
    if (answer?.(path, request, response) === true) return;
    const content = path === 'key' ? Buffer.from(`${SIGNER.verifierKey}\n`) : files.get(path);
    response.writeHead(content === undefined ? 404 : 200);
    response.end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${String(port)}/log`),
    requests,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

/** The same without a socket, for tests that read a log thousands of times. */
export function memorySource(files: ReadonlyMap<string, Uint8Array>): LogSource {
  const read = ({ path, maxBytes }: Resource): Buffer => {
    const content = files.get(path);
    if (content === undefined) throw new LogSourceError('absent', `${path} is missing`);
    if (content.length > maxBytes) throw new LogSourceError('unfit', `${path} is too long`);
    return Buffer.from(content);
  };
  return {
    where: 'memory',
    checkpoint: async () => textOf(CHECKPOINT, read(CHECKPOINT)),
    verifierKey: async () => SIGNER.verifierKey,
    tile: async (name) => read(tileResource(name)),
    close: async () => undefined,
  };
}

/** The files with one of them replaced, or taken away. */
export function withFile(
  files: ReadonlyMap<string, Buffer>,
  path: string,
  content: Uint8Array | undefined,
): Map<string, Uint8Array> {
  const changed = new Map<string, Uint8Array>(files);
  if (!changed.has(path)) throw new Error(`the log has no file ${path}`);
  if (content === undefined) changed.delete(path);
  else changed.set(path, content);
  return changed;
}

/** Bytes with one bit of one of them turned over. */
export function flipped(bytes: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ (1 << (at % 8)), at);
  return copy;
}
