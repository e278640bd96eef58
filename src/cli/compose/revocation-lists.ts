import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../config/config.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { pemBlocks } from '../../crypto/pem.js';
import { MAX_CRL_BYTES, parseCrl, type RevocationList } from '../../crypto/x509-crl.js';
import { NO_REVOCATION_LISTS, type RevocationLists } from '../../endorsement/known-paths.js';
import { UsageError } from '../outcome.js';
import { whyUnreadable } from '../read-input.js';

const MAX_FILES = 64;
const MAX_LISTS_PER_FILE = 64;
const PERIOD_MS = 60_000;
const NAME = /\.(?:crl|pem)$/i;
/** PEM is a third larger than what it holds, line ends not counted. */
const MAX_FILE_BYTES = MAX_CRL_BYTES;
const DER_SEQUENCE = 0x30;

/** A file, or the whole directory, that cannot be used. The message names it and says why. */
export type Trouble = (where: string, why: string) => void;

interface KnownFile {
  /** What of its status changes whenever its content does. */
  readonly stamp: string;
  /** undefined: it never held any. */
  readonly lists: readonly RevocationList[] | undefined;
}

/**
 * The CRLs in the files *.crl and *.pem of a directory (DER, or PEM of one label, `X509 CRL`): at most 64 files of 4 MiB. Read
 * when opened, and looked at again every minute. A file that is gone takes its CRLs with it; one that has become unusable
 * does not, and neither does the directory: what was read before is kept, and `trouble` told once per change. Signatures are
 * not looked at here, and dates neither: both are where a certificate is held against a CRL.
 */
export class RevocationListDirectory {
  readonly #path: string;
  readonly #policy: 'if-present' | 'required';
  readonly #trouble: Trouble;
  #files: ReadonlyMap<string, KnownFile> = new Map();
  #lists: RevocationLists;
  #unreadable = false;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  private constructor(path: string, policy: 'if-present' | 'required', trouble: Trouble) {
    this.#path = path;
    this.#policy = policy;
    this.#trouble = trouble;
    this.#lists = { lists: [], policy };
  }

  /** Reads the directory. Throws UsageError, which names the file, where anything in it cannot be used. */
  static async open(path: string, required: boolean, trouble: Trouble): Promise<RevocationListDirectory> {
    const directory = new RevocationListDirectory(path, required ? 'required' : 'if-present', trouble);
    await directory.#look((where, why) => {
      throw new UsageError(`endorsement.crls: ${where}: ${why}`);
    });
    return directory;
  }

  /** The same object until a CRL is another one. */
  get lists(): RevocationLists {
    return this.#lists;
  }

  /** The files that CRLs were read from, by name. */
  get files(): ReadonlyMap<string, readonly RevocationList[]> {
    return new Map([...this.#files].map(([name, { lists }]) => [name, lists ?? []]));
  }

  /** Looks again, now; never fails. One look at a time. */
  refresh(): Promise<void> {
    this.#looking ??= this.#look(this.#trouble)
      .catch((error: unknown) => this.#trouble(this.#path, whyUnreadable(error)))
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  /** Looks again every minute from here on. */
  start(): this {
    this.#timer ??= setInterval(() => void this.refresh(), PERIOD_MS).unref();
    return this;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(trouble: Trouble): Promise<void> {
    const names = await this.#names(trouble);
    if (names === undefined) return;
    const files = new Map<string, KnownFile>();
    for (const name of names) files.set(name, await this.#file(name, this.#files.get(name), trouble));
    this.#files = files;
    const before = this.#lists.lists;
    const lists = [...files.values()].flatMap((file) => file.lists ?? []);
    const isSame = lists.length === before.length && lists.every((list, index) => list === before[index]);
    if (!isSame) this.#lists = { lists, policy: this.#policy };
  }

  /** undefined: they cannot be told now, and what is known stays. */
  async #names(trouble: Trouble): Promise<readonly string[] | undefined> {
    let why: string | undefined;
    try {
      const names = (await readdir(this.#path)).filter((name) => NAME.test(name)).sort();
      if (names.length <= MAX_FILES) {
        this.#unreadable = false;
        return names;
      }
      why = `more than ${String(MAX_FILES)} files *.crl and *.pem`;
    } catch (error) {
      why = whyUnreadable(error);
    }
    if (!this.#unreadable) trouble(this.#path, why);
    this.#unreadable = true;
    return undefined;
  }

  async #file(name: string, known: KnownFile | undefined, trouble: Trouble): Promise<KnownFile> {
    const path = join(this.#path, name);
    let stamp = '';
    try {
      const status = await stat(path);
      stamp = [status.mtimeMs, status.ctimeMs, status.size, status.ino].join(' ');
      if (known?.stamp === stamp) return known;
      if (!status.isFile()) throw new MalformedError('not a file');
      if (status.size > MAX_FILE_BYTES) throw new MalformedError(`more than ${String(MAX_FILE_BYTES)} bytes`);
      return { stamp, lists: parse(await readFile(path)) };
    } catch (error) {
      const why = error instanceof MalformedError ? error.message : whyUnreadable(error);
      // Also where its status cannot be told: what is said once need not be said every minute.
      if (known?.stamp !== stamp) trouble(path, why);
      return { stamp, lists: known?.lists };
    }
  }
}

function parse(bytes: Buffer): readonly RevocationList[] {
  if (bytes[0] === DER_SEQUENCE) return [parseCrl(bytes)];
  const blocks = pemBlocks(bytes.toString('latin1'), 'X509 CRL', MAX_LISTS_PER_FILE, MAX_CRL_BYTES);
  if (blocks.length === 0) throw new MalformedError('neither a CRL in DER nor one in PEM');
  return blocks.map(parseCrl);
}

/** What a configuration asks for; undefined where it names no directory. Throws UsageError. */
export async function openRevocationLists(
  endorsement: Config['endorsement'] | undefined,
  trouble: Trouble = () => undefined,
): Promise<RevocationListDirectory | undefined> {
  const { crls, requireCrls = false } = endorsement ?? {};
  return crls === undefined ? undefined : RevocationListDirectory.open(crls, requireCrls, trouble);
}

/** What the context of a broker takes. */
export function revocationListsOf(directory: RevocationListDirectory | undefined): () => RevocationLists {
  return () => directory?.lists ?? NO_REVOCATION_LISTS;
}

/** What `serve --check-config` says of the CRLs that would be used: a line for each. Throws UsageError for one that cannot be. */
export async function explainCrls(endorsement: Config['endorsement']): Promise<readonly string[]> {
  const directory = await openRevocationLists(endorsement);
  return [...(directory?.files ?? [])].flatMap(([file, lists]) =>
    lists.map(
      ({ entries, nextUpdateMs }) =>
        `CRL in ${file}: ${String(entries)} revoked, current until ${new Date(nextUpdateMs).toISOString()}`,
    ),
  );
}
