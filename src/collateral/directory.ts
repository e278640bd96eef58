/**
 * Collateral: what makers of hardware publish about it (Intel's TCB info, QE identity and CRLs, AMD's CRLs, NVIDIA's reference
 * integrity manifests), as it lies in a directory, travels in a bundle, or is fetched. This folder may assume nothing of any of
 * it: everything is signed and dated, and whoever uses a piece verifies both. It joins no other adapter.
 */
import type { Collateral, SignedDocument } from '../endorsement/collateral.js';
import { NO_COLLATERAL } from '../endorsement/collateral.js';
import { type DocumentKind, type Item, itemsOf, type Pieces } from './items.js';
import { parsePiece, type Piece } from './piece.js';
import { type Unusable, WatchedDirectory, type WatchedFiles } from './watched-directory.js';

const READ = /\.(?:json|pem|crt|cer|der|crl|xml|swidtag)$/i;
const RIM_FOLDER = 'rim/';

export const COLLATERAL_FILES: WatchedFiles<Piece> = {
  folders: ['', 'amd', 'rim'],
  // RIM ids have dots: what follows the last one need not be an extension.
  isRead: (name) => name.startsWith(RIM_FOLDER) || READ.test(name),
  called: 'files of collateral',
  maxFiles: 512,
  maxFileBytes: 8 * 1024 * 1024,
  parse: parsePiece,
};

/**
 * The collateral in a directory: `tcbInfo*.json`, `qeIdentity*.json`, `*IssuerChain.pem`, `pckCrl*.der`, `rootCaCrl.der`, `amd/*`,
 * `rim/*`, what is there of it; what a file is, its content says. At most 512 files of 8 MiB.
 */
export class CollateralDirectory {
  readonly #watched: WatchedDirectory<Piece>;
  readonly #isOptional: boolean;
  #pieces: Pieces = new Map();
  #collateral: Collateral = NO_COLLATERAL;

  /** `isOptional`: a directory that is not there is one without files, until it is there. */
  constructor(path: string, unusable: Unusable, isOptional = false) {
    this.#isOptional = isOptional;
    this.#watched = new WatchedDirectory(path, COLLATERAL_FILES, this.#but(unusable));
  }

  get path(): string {
    return this.#watched.path;
  }

  /** What each file holds. */
  get pieces(): Pieces {
    return this.#watched.files;
  }

  /** The same object until a piece is another one. */
  get collateral(): Collateral {
    const { files } = this.#watched;
    if (files !== this.#pieces) {
      this.#collateral = collateralOf(itemsOf(files), this.#collateral);
      this.#pieces = files;
    }
    return this.#collateral;
  }

  /** Reads the directory. Where `unusable` throws, so does this. */
  open(unusable: Unusable): Promise<void> {
    return this.#watched.open(this.#but(unusable));
  }

  /** Looks again, now; never fails. What has become unusable is told, and what was read of it before stays. */
  refresh(): Promise<void> {
    return this.#watched.refresh();
  }

  /** Looks again every minute from here on. */
  start(): void {
    this.#watched.start();
  }

  stop(): void {
    this.#watched.stop();
  }

  /** But for a directory that need not be there. */
  #but(unusable: Unusable): Unusable {
    return (path, error) => {
      const isMissing = path === this.path && (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
      if (!(this.#isOptional && isMissing && this.#watched.files.size === 0)) unusable(path, error);
    };
  }
}

/** What the items come to. Documents that are still the same, and so are their chains, are the objects that `before` has. */
export function collateralOf(items: readonly Item[], before: Collateral = NO_COLLATERAL): Collateral {
  const documents = (kind: DocumentKind, known: readonly SignedDocument[]): readonly SignedDocument[] =>
    items.flatMap((item) => {
      if (item.kind !== kind) return [];
      const { body, issuerChain } = item.document;
      const same = known.find((document) => document.body === body && document.issuerChain === issuerChain);
      return [same ?? item.document];
    });
  return {
    crls: items.flatMap((item) => (item.kind === 'crl' ? [item.crl.list] : [])),
    tcbInfos: documents('tcb-info', before.tcbInfos),
    qeIdentities: documents('qe-identity', before.qeIdentities),
    rims: items.flatMap((item) => (item.kind === 'rim' ? [item.xml] : [])),
  };
}
