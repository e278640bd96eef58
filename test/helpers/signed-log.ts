/** A log that submits to witnesses, written from the text of C2SP tlog-witness over the reference tree: no code of ours. */
import { noteSigner, type NoteSigner } from '../translog/note-signer.js';
import { ReferenceTree } from './rfc6962.js';

export class SignedLog {
  readonly origin: string;
  readonly signer: NoteSigner;
  readonly #tree: ReferenceTree;
  readonly #data: (index: number) => string;

  constructor(
    origin: string,
    signer: NoteSigner = noteSigner(origin, 1),
    data: (index: number) => string = (index) => `entry ${String(index)}`,
  ) {
    this.origin = origin;
    this.signer = signer;
    this.#data = data;
    this.#tree = new ReferenceTree((index) => Buffer.from(data(index)));
  }

  /** Another history under the same key: other entries from index `at` on. */
  fork(at: number, name = 'fork'): SignedLog {
    const data = (index: number) => (index < at ? this.#data(index) : `${name} ${String(index)}`);
    return new SignedLog(this.origin, this.signer, data);
  }

  root(size: number): Buffer {
    return this.#tree.mth(0, size);
  }

  text(size: number, extension = ''): string {
    return `${this.origin}\n${String(size)}\n${this.root(size).toString('base64')}\n${extension}`;
  }

  checkpoint(size: number, extension = ''): string {
    const text = this.text(size, extension);
    return `${text}\n${this.signer.line(text)}`;
  }

  proof(oldSize: number, size: number): readonly Buffer[] {
    return oldSize === 0 ? [] : this.#tree.proof(oldSize, size);
  }

  /** The body of an add-checkpoint request. */
  body(oldSize: number, size: number, changes: { proof?: readonly Buffer[]; checkpoint?: string } = {}): string {
    const proof = changes.proof ?? (oldSize <= size ? this.proof(oldSize, size) : []);
    const lines = proof.map((hash) => `${hash.toString('base64')}\n`).join('');
    return `old ${String(oldSize)}\n${lines}\n${changes.checkpoint ?? this.checkpoint(size)}`;
  }
}
