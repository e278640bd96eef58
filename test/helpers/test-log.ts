/**
 * A log for tests of what reads logs, written from RFC 6962 section 2.1 and C2SP signed-note, tlog-checkpoint and
 * tlog-cosignature over node:crypto alone: it shares no code with the product.
 */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface WireReceipt {
  readonly entry: string;
  readonly index: number;
  readonly proof: readonly string[];
  readonly checkpoint: string;
  readonly salts?: Readonly<Record<string, string>>;
}

/** An Ed25519 key of signed notes: a log's (type 1) or a witness's (type 4). */
export class TestNoteKey {
  readonly name: string;
  readonly vkey: string;
  readonly #id: Buffer;
  readonly #privateKey: KeyObject;

  constructor(name: string, type: number) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const material = Buffer.concat([Buffer.of(type), publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)]);
    this.name = name;
    this.#privateKey = privateKey;
    this.#id = sha256(Buffer.from(`${name}\n`), material).subarray(0, 4);
    this.vkey = `${name}+${this.#id.toString('hex')}+${material.toString('base64')}`;
  }

  /** The signature line over a note text. */
  line(text: string): string {
    return this.#line(sign(null, Buffer.from(text), this.#privateKey));
  }

  /** The cosignature line over the note text of a checkpoint. */
  cosignature(text: string, timeSeconds: number): string {
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(timeSeconds));
    const message = `cosignature/v1\ntime ${String(timeSeconds)}\n${text}`;
    return this.#line(Buffer.concat([time, sign(null, Buffer.from(message), this.#privateKey)]));
  }

  #line(signature: Buffer): string {
    return `— ${this.name} ${Buffer.concat([this.#id, signature]).toString('base64')}\n`;
  }
}

export class TestLog {
  readonly key: TestNoteKey;
  readonly #entries: Buffer[] = [];

  constructor(origin: string) {
    this.key = new TestNoteKey(origin, 1);
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Appends an entry; returns its index. */
  append(entry: string): number {
    return this.#entries.push(Buffer.from(entry)) - 1;
  }

  /** The signed text of a checkpoint over the first `size` entries. */
  text(size: number = this.size, extension = ''): string {
    return `${this.key.name}\n${String(size)}\n${treeHash(this.#entries.slice(0, size)).toString('base64')}\n${extension}`;
  }

  /** A checkpoint; `lines` are further signature lines. */
  checkpoint(size: number = this.size, lines = ''): string {
    const text = this.text(size);
    return `${text}\n${this.key.line(text)}${lines}`;
  }

  receipt(index: number, size: number = this.size): WireReceipt {
    const proof = auditPath(index, this.#entries.slice(0, size)).map((hash) => hash.toString('base64url'));
    return { entry: this.#entries[index]!.toString(), index, proof, checkpoint: this.checkpoint(size) };
  }
}

/** Canonical JSON of a flat object with ASCII names. */
export function canonical(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** MTH of RFC 6962. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), leaves[0]!);
  const k = split(leaves.length);
  return sha256(Buffer.of(1), treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)));
}

/** PATH of RFC 6962. */
function auditPath(m: number, leaves: readonly Buffer[]): readonly Buffer[] {
  if (leaves.length <= 1) return [];
  const k = split(leaves.length);
  return m < k
    ? [...auditPath(m, leaves.slice(0, k)), treeHash(leaves.slice(k))]
    : [...auditPath(m - k, leaves.slice(k)), treeHash(leaves.slice(0, k))];
}

/** The largest power of two smaller than n. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function sha256(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
