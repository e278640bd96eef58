import type { Config } from '../../config/config.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { WatchedDirectory, type WatchedFiles } from '../../collateral/watched-directory.js';
import { pemBlocks } from '../../crypto/pem.js';
import { MAX_CRL_BYTES, parseCrl, type RevocationList } from '../../crypto/x509-crl.js';
import { NO_REVOCATION_LISTS, type RevocationLists } from '../../endorsement/known-paths.js';
import { refusing, telling, type Trouble } from './trouble.js';

const MAX_FILES = 64;
const MAX_LISTS_PER_FILE = 64;
const NAME = /\.(?:crl|pem)$/i;
const DER_SEQUENCE = 0x30;

const CRL_FILES: WatchedFiles<readonly RevocationList[]> = {
  folders: [''],
  isRead: (name) => NAME.test(name),
  called: 'files *.crl and *.pem',
  maxFiles: MAX_FILES,
  // PEM is a third larger than what it holds, line ends not counted.
  maxFileBytes: MAX_CRL_BYTES,
  parse,
};

/**
 * The CRLs in the files *.crl and *.pem of a directory (DER, or PEM of one label, `X509 CRL`): at most 64 files of 4 MiB. Read
 * when opened, and looked at again every minute. A file that is gone takes its CRLs with it; one that has become unusable
 * does not, and neither does the directory: what was read before is kept, and `trouble` told once per change. Signatures are
 * not looked at here, and dates neither: both are where a certificate is held against a CRL.
 */
export class RevocationListDirectory {
  readonly #policy: 'if-present' | 'required';
  readonly #watched: WatchedDirectory<readonly RevocationList[]>;
  #files: ReadonlyMap<string, readonly RevocationList[]> = new Map();
  #lists: RevocationLists;

  private constructor(path: string, policy: 'if-present' | 'required', trouble: Trouble) {
    this.#policy = policy;
    this.#watched = new WatchedDirectory(path, CRL_FILES, telling(trouble));
    this.#lists = { lists: [], policy };
  }

  /** Reads the directory. Throws UsageError, which names the file, where anything in it cannot be used. */
  static async open(path: string, required: boolean, trouble: Trouble): Promise<RevocationListDirectory> {
    const directory = new RevocationListDirectory(path, required ? 'required' : 'if-present', trouble);
    await directory.#watched.open(refusing('endorsement.crls'));
    return directory;
  }

  /** The same object until a CRL is another one. */
  get lists(): RevocationLists {
    const { files } = this.#watched;
    if (files !== this.#files) {
      this.#files = files;
      this.#lists = { lists: [...files.values()].flat(), policy: this.#policy };
    }
    return this.#lists;
  }

  /** The files that CRLs were read from, by name. */
  get files(): ReadonlyMap<string, readonly RevocationList[]> {
    return this.#watched.files;
  }

  /** Looks again, now; never fails. One look at a time. */
  refresh(): Promise<void> {
    return this.#watched.refresh();
  }

  /** Looks again every minute from here on. */
  start(): this {
    this.#watched.start();
    return this;
  }

  stop(): void {
    this.#watched.stop();
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
