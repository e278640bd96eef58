/**
 * Where keys are made and key-encryption keys live. This room may assume that the machine's random generator is seeded
 * and that the superuser is honest; it assumes nothing of other users, of the umask, or of a file that was there before.
 */
import { randomBytes } from 'node:crypto';
import { MalformedError } from '../bytes/malformed-error.js';
import { Writer } from '../bytes/writer.js';
import { open, seal, SealedBoxError } from '../crypto/aead.js';
import { KekError, type KekProvider } from '../keys/kek.js';
import {
  formatKekDocument,
  MAX_KEK_FILE_BYTES,
  parseKekDocument,
  withFreshKek,
  type KekDocument,
} from './kek-document.js';
import { withLockFile } from './lock-file.js';
import { createPrivateFile, readPrivateFile, replacePrivateFile, stampOf, type FileStamp } from './private-file.js';

const MAX_PLAINTEXT_BYTES = 1024;
const NONCE_BYTES = 12;
const LOCK_WAIT_MS = 10_000;

/** Makes a KEK file with one fresh AES-256 KEK: mode 0600 whatever the umask, durable. Throws KekError when the path exists. */
export async function createKekFile(path: string): Promise<void> {
  const document = withFreshKek(undefined);
  const content = formatKekDocument(document);
  try {
    await createPrivateFile(path, content);
  } finally {
    content.fill(0);
    forget(document);
  }
}

/**
 * The KEK provider over a file that `createKekFile` made. Throws KekError, which says what to do, when others can read or
 * write the file, when it belongs to another user, is a link or no regular file, or does not parse.
 *
 * Several processes may use one file: changes are made under a lock and by renaming a complete new file into place, and
 * are seen by the others when they wrap, or unwrap under a KEK that they do not know. A retired KEK is overwritten in this
 * process's memory and gone from the file; the disk's old blocks, and other processes until they next wrap, still have it.
 */
export async function openKekFile(path: string, lockWaitMs: number = LOCK_WAIT_MS): Promise<KekProvider> {
  const { document, stamp } = await readKekFile(path);
  return new FileKekProvider(path, lockWaitMs, document, stamp);
}

class FileKekProvider implements KekProvider {
  readonly #path: string;
  readonly #lockWaitMs: number;
  #document: KekDocument;
  #stamp: FileStamp;
  /** Reads may overtake each other: what was begun before the installed one is dropped. */
  #begun = 0;
  #installed = 0;

  constructor(path: string, lockWaitMs: number, document: KekDocument, stamp: FileStamp) {
    this.#path = path;
    this.#lockWaitMs = lockWaitMs;
    this.#document = document;
    this.#stamp = stamp;
  }

  readonly activeId = (): string => this.#document.active;

  async wrap(
    plaintext: Uint8Array,
    associatedData: Uint8Array,
  ): Promise<{ readonly kek: string; readonly wrapped: Buffer }> {
    if (plaintext.length > MAX_PLAINTEXT_BYTES) throw new RangeError('a KEK wraps at most 1 KiB');
    await this.#refresh();
    // From here to the end nothing is awaited: a reload zeroises the key that is used.
    const kek = this.#document.active;
    const wrapped = seal(this.#key(kek), randomBytes(NONCE_BYTES), plaintext, boundTo(kek, associatedData));
    return { kek, wrapped };
  }

  async unwrap(kek: string, wrapped: Uint8Array, associatedData: Uint8Array): Promise<Buffer> {
    if (!this.#document.keks.has(kek)) await this.#refresh();
    try {
      return open(this.#key(kek), wrapped, boundTo(kek, associatedData));
    } catch (error) {
      if (!(error instanceof SealedBoxError)) throw error;
      throw new KekError('the wrapped bytes or what they are bound to were changed, or the KEK file is another one', {
        cause: error,
      });
    }
  }

  async holds(kek: string): Promise<boolean> {
    await this.#refresh();
    return this.#document.keks.has(kek);
  }

  async rotate(): Promise<{ readonly kek: string; readonly replaced: string }> {
    let replaced = '';
    const kek = await this.#change((document) => {
      replaced = document.active;
      return withFreshKek(document);
    });
    return { kek, replaced };
  }

  async retire(keep: readonly string[]): Promise<void> {
    await this.#change((document) => {
      const kept = [...document.keks].filter(([id]) => id === document.active || keep.includes(id));
      return { active: document.active, keks: new Map(kept) };
    });
  }

  /** Writes what `change` makes of the file as it is now, under the lock. Returns the active id. */
  async #change(change: (document: KekDocument) => KekDocument): Promise<string> {
    return withLockFile(`${this.#path}.lock`, this.#lockWaitMs, async () => {
      const { document: before } = await readKekFile(this.#path);
      const after = change(before);
      const content = formatKekDocument(after);
      try {
        const stamp = await replacePrivateFile(this.#path, content);
        for (const [id, { key }] of before.keks) if (!after.keks.has(id)) key.fill(0);
        this.#install(++this.#begun, after, stamp);
        return after.active;
      } finally {
        content.fill(0);
      }
    });
  }

  /** Reads the file again if it is not the one that was read last. */
  async #refresh(): Promise<void> {
    if ((await stampOf(this.#path)) === this.#stamp) return;
    const read = ++this.#begun;
    const { document, stamp } = await readKekFile(this.#path);
    this.#install(read, document, stamp);
  }

  #install(read: number, document: KekDocument, stamp: FileStamp): void {
    if (read < this.#installed) {
      forget(document);
      return;
    }
    forget(this.#document);
    this.#installed = read;
    this.#document = document;
    this.#stamp = stamp;
  }

  #key(kek: string): Buffer {
    const found = this.#document.keks.get(kek);
    if (found === undefined)
      throw new KekError(`the KEK is not in ${this.#path}; restore the file that belongs to this store`);
    return found.key;
  }
}

async function readKekFile(path: string): Promise<{ readonly document: KekDocument; readonly stamp: FileStamp }> {
  const { content, stamp } = await readPrivateFile(path, MAX_KEK_FILE_BYTES);
  try {
    return { document: parseKekDocument(content), stamp };
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new KekError(`${path} is not a KEK file (${error.message}); restore it from where it is kept safe`, {
      cause: error,
    });
  } finally {
    content.fill(0);
  }
}

/** The KEK's id goes into the associated data, so that no wrapped key can be moved under another id. */
function boundTo(kek: string, associatedData: Uint8Array): Buffer {
  return new Writer()
    .sized16(Buffer.from(`portcullis/file-kek/v1/${kek}`, 'utf8'))
    .sized32(associatedData)
    .finish();
}

function forget(document: KekDocument): void {
  for (const { key } of document.keks.values()) key.fill(0);
}
