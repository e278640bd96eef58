import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256 } from '../crypto/digest.js';

const PERIOD_MS = 60_000;

/** Which files of a directory are read, and what each is made into. */
export interface WatchedFiles<T> {
  /** Folders of the directory that are looked into: `''` is the directory itself, the others need not be there. */
  readonly folders: readonly string[];
  /** By a name such as `a.crl` or `amd/a.crl`. Names that begin with a dot are never read. */
  readonly isRead: (name: string) => boolean;
  /** What these files are called in a message: `files *.crl`. */
  readonly called: string;
  readonly maxFiles: number;
  readonly maxFileBytes: number;
  /** Throws MalformedError. The bytes may be kept. */
  readonly parse: (bytes: Buffer, name: string) => T;
}

/** A file, or the whole directory, that cannot be used: a MalformedError, or what reading it threw. */
export type Unusable = (path: string, error: unknown) => void;

interface KnownFile<T> {
  /** What of its status changes whenever its content does. */
  readonly stamp: string;
  /** undefined: it never held any. */
  readonly held: { readonly digest: Buffer; readonly value: T } | undefined;
}

/**
 * The files of a directory, each parsed, looked at again every minute. A file that is gone takes its value with it; one that
 * has become unusable does not, and neither does the directory: what was read before is kept, and `unusable` told once per
 * change. A file that was written again with the same content keeps its value. Nothing is verified here.
 */
export class WatchedDirectory<T> {
  readonly path: string;
  readonly #of: WatchedFiles<T>;
  readonly #unusable: Unusable;
  #known: ReadonlyMap<string, KnownFile<T>> = new Map();
  #files: ReadonlyMap<string, T> = new Map();
  /** Whether it could not be read last time. */
  #failed = false;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(path: string, of: WatchedFiles<T>, unusable: Unusable) {
    this.path = path;
    this.#of = of;
    this.#unusable = unusable;
  }

  /** What the files hold, by name, in the order of names. The same object until a value is another one. */
  get files(): ReadonlyMap<string, T> {
    return this.#files;
  }

  /** Looks for the first time. Where `unusable` throws, so does this. */
  open(unusable: Unusable): Promise<void> {
    return this.#look(unusable);
  }

  /** Looks again, now; never fails. One look at a time. */
  refresh(): Promise<void> {
    this.#looking ??= this.#look(this.#unusable)
      .catch((error: unknown) => this.#unusable(this.path, error))
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Looks again every minute from here on. */
  start(): void {
    this.#timer ??= setInterval(() => void this.refresh(), PERIOD_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(unusable: Unusable): Promise<void> {
    const names = await this.#names(unusable);
    if (names === undefined) return;
    const known = new Map<string, KnownFile<T>>();
    for (const name of names) known.set(name, await this.#file(name, unusable));
    this.#known = known;
    const held = [...known].flatMap(([name, file]) =>
      file.held === undefined ? [] : [[name, file.held.value] as const],
    );
    const isSame = held.length === this.#files.size && held.every(([name, value]) => this.#files.get(name) === value);
    if (!isSame) this.#files = new Map(held);
  }

  /** undefined: they cannot be told now, and what is known stays. */
  async #names(unusable: Unusable): Promise<readonly string[] | undefined> {
    let failure: unknown;
    try {
      const { maxFiles, called, folders } = this.#of;
      const names = (await Promise.all(folders.map((folder) => this.#namesIn(folder)))).flat().sort();
      if (names.length <= maxFiles) {
        this.#failed = false;
        return names;
      }
      failure = new MalformedError(`more than ${String(maxFiles)} ${called}`);
    } catch (error) {
      failure = error;
    }
    if (!this.#failed) unusable(this.path, failure);
    this.#failed = true;
    return undefined;
  }

  async #namesIn(folder: string): Promise<readonly string[]> {
    try {
      const names = await readdir(join(this.path, folder));
      const paths = names
        .filter((name) => !name.startsWith('.'))
        .map((name) => (folder === '' ? name : `${folder}/${name}`));
      return paths.filter((name) => this.#of.isRead(name));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (folder !== '' && (code === 'ENOENT' || code === 'ENOTDIR')) return [];
      throw error;
    }
  }

  async #file(name: string, unusable: Unusable): Promise<KnownFile<T>> {
    const path = join(this.path, name);
    const known = this.#known.get(name);
    const { maxFileBytes, parse } = this.#of;
    let stamp = '';
    let file: FileHandle | undefined;
    try {
      // Links are followed, since deployments mount files as such. What was opened is what is looked at, and nothing waits for a pipe.
      file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
      const status = await file.stat();
      stamp = stampOf(status);
      if (known?.stamp === stamp) return known;
      if (!status.isFile()) throw new MalformedError('not a file');
      const bytes = await readAtMost(file, status.size, maxFileBytes);
      const digest = sha256(bytes);
      const held = known?.held?.digest.equals(digest) === true ? known.held : { digest, value: parse(bytes, name) };
      return { stamp, held };
    } catch (error) {
      // Also where its status cannot be told: what is said once need not be said every minute.
      if (known?.stamp !== stamp) unusable(path, error);
      return { stamp, held: known?.held };
    } finally {
      await file?.close();
    }
  }
}

function stampOf({ mtimeMs, ctimeMs, size, ino }: Stats): string {
  return [mtimeMs, ctimeMs, size, ino].join(' ');
}

/** Throws MalformedError for more than `maxBytes`, also where the file does not say its size, as those of /proc, or grows meanwhile. */
async function readAtMost(file: FileHandle, size: number, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = size;
  if (size <= maxBytes) {
    total = 0;
    for await (const chunk of file.createReadStream({ end: maxBytes, autoClose: false }) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      total += chunk.length;
    }
  }
  if (total > maxBytes) throw new MalformedError(`more than ${String(maxBytes)} bytes`);
  return Buffer.concat(chunks, total);
}
