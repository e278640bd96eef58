import { chmod, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fromBase64url, toBase64url } from '../../bytes/base64url.js';
import { parseJson } from '../../bytes/json.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { ED25519_KEY_BYTES } from '../../crypto/ed25519.js';
import { isKeyName } from '../../translog/note.js';
import { readPrivate, WitnessStateError, writeDurably } from './durable-file.js';

const MAX_IDENTITY_BYTES = 4 * 1024;

/** Where things lie in the directory of a witness. */
export function witnessPaths(directory: string) {
  return {
    /** Name and seed: a secret. */
    identity: join(directory, 'witness.json'),
    lock: join(directory, 'lock.db'),
    /** Which logs have been cosigned, so that a state file that is gone is missed. */
    origins: join(directory, 'origins'),
    /** A file for each log: the checkpoint cosigned last. */
    checkpoints: join(directory, 'checkpoints'),
  } as const;
}

/** Who a witness is. */
export interface WitnessIdentity {
  readonly name: string;
  /** 32 bytes; the reader zeroises them. */
  readonly seed: Buffer;
}

/** Makes the directory of a new witness, modes 0700 and 0600, on disk when the promise resolves. Throws WitnessStateError where anything is there. */
export async function createWitnessDirectory(directory: string, { name, seed }: WitnessIdentity): Promise<void> {
  const paths = witnessPaths(directory);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  if ((await readdir(directory)).length > 0) {
    throw new WitnessStateError(`${directory} holds something already and was left untouched; choose a new directory`);
  }
  await chmod(directory, 0o700);
  await mkdir(paths.checkpoints, { mode: 0o700 });
  await writeDurably(paths.origins, Buffer.alloc(0));
  const content = Buffer.from(`${JSON.stringify({ name, seed: toBase64url(seed) })}\n`, 'utf8');
  await writeDurably(paths.identity, content);
  content.fill(0);
}

/** Reads who a witness is. Throws WitnessStateError for a directory that `createWitnessDirectory` did not make. */
export async function readIdentity(directory: string): Promise<WitnessIdentity> {
  const { identity } = witnessPaths(directory);
  const content = await readPrivate(identity, MAX_IDENTITY_BYTES);
  if (content === undefined) {
    throw new WitnessStateError(
      `${directory} holds no witness; run: portcullis witness init --data-dir ${directory} --name NAME`,
    );
  }
  try {
    return parseIdentity(content);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new WitnessStateError(`${identity} is damaged: restore it from where a copy is kept`, { cause: error });
  } finally {
    content.fill(0);
  }
}

function parseIdentity(content: Buffer): WitnessIdentity {
  const value = parseJson(content);
  if (typeof value !== 'object' || value === null || !('name' in value) || !('seed' in value)) {
    throw new MalformedError('witness identity: no name and seed');
  }
  const { name, seed } = value;
  if (typeof name !== 'string' || !isKeyName(name) || typeof seed !== 'string') {
    throw new MalformedError('witness identity: not a key name and a seed');
  }
  const bytes = fromBase64url(seed, 'witness identity: seed');
  if (bytes.length !== ED25519_KEY_BYTES) throw new MalformedError('witness identity: the seed is not 32 bytes');
  return { name, seed: bytes };
}
