/**
 * The log of a store as somebody finds it who trusts nothing but the log's public key: entries are read one by one, and
 * the tree over them is computed from the text of RFC 6962 (test/helpers/rfc6962.ts), sharing no code with the store.
 */
import { createPublicKey, verify } from 'node:crypto';
import { expect } from '@jest/globals';
import type { LoggedEntry, LogHead, Store } from '../../src/release/store.js';
import { testLogIdentity } from '../helpers/log-identity.js';
import { leaf, ReferenceTree, rootOfPath, rootsOfProof } from '../helpers/rfc6962.js';

export interface Head {
  readonly size: number;
  readonly root: Buffer;
}

const [LOG_NAME = '', , LOG_KEY = ''] = testLogIdentity().signer.verifierKey.split('+');
const PUBLIC_KEY = createPublicKey({
  key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(LOG_KEY, 'base64').subarray(1).toString('base64url') },
  format: 'jwk',
});

/** What a checkpoint of the test log says, its signature verified. */
export function readCheckpoint(note: string): Head {
  const [text = '', signatures = ''] = note.split(/(?<=\n)\n/);
  const [origin, size, root, ...rest] = text.split('\n');
  expect([origin, rest]).toEqual([LOG_NAME, ['']]);
  const signature = Buffer.from(signatures.trimEnd().split(' ').at(-1) ?? '', 'base64').subarray(4);
  expect(verify(null, Buffer.from(text), PUBLIC_KEY, signature)).toBe(true);
  return { size: Number(size), root: Buffer.from(root ?? '', 'base64') };
}

export class LogAudit {
  readonly entries: readonly string[];
  readonly tree: ReferenceTree;

  constructor(entries: readonly string[]) {
    this.entries = entries;
    this.tree = new ReferenceTree((index) => Buffer.from(entries[index]!));
  }

  static async of(store: Store): Promise<LogAudit> {
    const entries: string[] = [];
    for (let page: readonly string[] = ['']; page.length > 0; entries.push(...page)) {
      page = await store.logEntries(entries.length, 1000);
    }
    return new LogAudit(entries);
  }

  get size(): number {
    return this.entries.length;
  }

  root(size: number = this.size): Buffer {
    return this.tree.mth(0, size);
  }

  /** The hashes of a tile level, all of them. */
  tileLevel(level: number): readonly Buffer[] {
    const width = 256 ** level;
    return Array.from({ length: Math.floor(this.size / width) }, (_, at) =>
      this.tree.mth(at * width, (at + 1) * width),
    );
  }

  /** The head of the store is that of its entries. */
  expectHead(head: LogHead): void {
    expect([head.origin, head.size, head.root]).toEqual([LOG_NAME, this.size, this.root()]);
    expect(readCheckpoint(head.checkpoint)).toEqual({ size: this.size, root: this.root() });
  }

  /** The log starts with what this checkpoint was signed for. */
  expectContains(checkpoint: string): void {
    const { size, root } = readCheckpoint(checkpoint);
    expect(size).toBeLessThanOrEqual(this.size);
    expect(rootsOfProof(root, size, this.size, this.tree.proof(size, this.size))).toEqual([root, this.root()]);
  }

  /** What was answered about an entry proves that it is in the tree of its checkpoint, and it is in the log now. */
  expectProves({ index, entry, proof, checkpoint }: LoggedEntry): void {
    const head = readCheckpoint(checkpoint);
    expect(rootOfPath(leaf(Buffer.from(entry)), index, head.size, proof)).toEqual(head.root);
    expect(this.entries[index]).toBe(entry);
    this.expectContains(checkpoint);
  }
}
