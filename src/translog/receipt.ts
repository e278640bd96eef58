import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { type TreeHead, verifyCheckpoint } from './checkpoint.js';
import { MAX_ENTRY_BYTES } from './entry.js';
import { HASH_BYTES, leafHash, MAX_PROOF_HASHES } from './merkle.js';
import { SALT_BYTES, verifyPseudonym } from './names.js';
import { MAX_NOTE_CHARACTERS, type VerifierKey } from './note.js';
import { verifyInclusion } from './proof.js';
import { type Cosigned, verifyQuorum, type WitnessPolicy } from './quorum.js';
import { parseReleaseEntry, type ReleaseEntry } from './release-entry.js';

/** A receipt as it stands in the answer to a release. */
export interface Receipt {
  /** The log entry: canonical JSON, whose UTF-8 bytes are the leaf. */
  readonly entry: string;
  readonly index: number;
  /** From the leaf's side to the root's; each 32 bytes in base64url. */
  readonly proof: readonly string[];
  /** The signed note that proof and index are for. */
  readonly checkpoint: string;
  /** Where the entry's names are salted: member of the entry to salt, 16 bytes in base64url. */
  readonly salts?: Readonly<Record<string, string>>;
}

/** A receipt, decoded; nothing of it is verified. */
export interface ParsedReceipt {
  readonly entry: string;
  readonly index: number;
  readonly proof: readonly Buffer[];
  readonly checkpoint: string;
  readonly salts: ReadonlyMap<string, Buffer>;
}

/** What the release was asked for; what is left out is not compared. */
export interface ExpectedRelease {
  readonly releaseId?: string;
  readonly broker?: string;
  /** Plain names, also where the entry has pseudonyms. */
  readonly deployment?: string;
  readonly key?: string;
  readonly version?: string;
  /** RFC 7638 SHA-256 thumbprint, base64url. */
  readonly recipient?: string;
  /** The 32 bytes of the nonce. */
  readonly nonce?: Uint8Array;
}

export interface ReceiptDemands {
  /** Of type 01, known from elsewhere than the receipt. */
  readonly logKey: VerifierKey;
  /** The wrapped key that was handed out, a compact JWE. */
  readonly jwe?: string;
  readonly expected?: ExpectedRelease;
  readonly witnesses?: WitnessPolicy;
}

/** A receipt that was verified; only `verifyReceipt` makes one. */
export interface VerifiedReceipt {
  readonly entry: ReleaseEntry;
  readonly index: number;
  readonly head: TreeHead;
  /** The believed witnesses that cosigned the checkpoint. */
  readonly cosigned: readonly Cosigned[];
}

const MEMBERS: ReadonlySet<string> = new Set(['entry', 'index', 'proof', 'checkpoint', 'salts']);
const HASH_CHARACTERS = 43;
const SALT_CHARACTERS = 22;
const MAX_SALTS = 16;

/** Reads a receipt: exactly its members, each bounded, bytes in canonical base64url. Throws MalformedError. */
export function parseReceipt(value: unknown): ParsedReceipt {
  if (!isObject(value)) throw new MalformedError('there is no receipt, or it is not a JSON object');
  if (Object.keys(value).some((name) => !MEMBERS.has(name))) {
    throw new MalformedError('a receipt has no members but entry, index, proof, checkpoint and salts');
  }
  const { entry, index, proof, checkpoint, salts } = { ...value };
  if (typeof index !== 'number' || !Number.isSafeInteger(index) || index < 0 || Object.is(index, -0)) {
    throw new MalformedError('index: not the index of an entry');
  }
  if (!Array.isArray(proof) || proof.length > MAX_PROOF_HASHES) {
    throw new MalformedError(`proof: not a list of at most ${String(MAX_PROOF_HASHES)} hashes`);
  }
  return {
    entry: boundedText(entry, MAX_ENTRY_BYTES, 'entry'),
    index,
    proof: proof.map((hash: unknown) => bytesIn(hash, HASH_CHARACTERS, HASH_BYTES, 'proof')),
    checkpoint: boundedText(checkpoint, MAX_NOTE_CHARACTERS, 'checkpoint'),
    salts: Object.hasOwn(value, 'salts') ? saltsIn(salts) : new Map(),
  };
}

/**
 * Verifies a receipt offline. Accepted, it proves that the holder of the log key signed a tree in which exactly this release
 * entry stands at exactly this index; with `jwe`, that this wrapped key is the one that the entry records; with `expected`,
 * that the entry is about what was asked; with `witnesses`, that as many of them as demanded saw this tree grow out of
 * every one that they had seen of the log before.
 *
 * NOT proved: that the log is the same for everybody (without witnesses a log can show each client one of its own); that the
 * evidence was genuine and the time right, which the broker says; what the policy of that hash allows; who holds the
 * recipient key; that nothing was released outside of the log.
 *
 * Refusals: receipt.malformed; checkpoint.malformed, checkpoint.origin, checkpoint.signature; receipt.proof;
 * checkpoint.cosignature; receipt.jwe; receipt.mismatch.
 */
export function verifyReceipt(received: unknown, demands: ReceiptDemands): Result<VerifiedReceipt> {
  let receipt: ParsedReceipt;
  let entry: ReleaseEntry;
  try {
    receipt = parseReceipt(received);
    entry = parseReleaseEntry(receipt.entry);
    assertSaltsFit(receipt.salts, entry);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('receipt.malformed', error.message);
  }

  const checkpoint = verifyCheckpoint(receipt.checkpoint, demands.logKey);
  if (!checkpoint.ok) return checkpoint;
  const { head, note } = checkpoint.value;
  const { index, proof } = receipt;
  if (!verifyInclusion(leafHash(Buffer.from(receipt.entry, 'utf8')), index, head.size, proof, head.root)) {
    return reject(
      'receipt.proof',
      `the proof does not lead from the entry at index ${String(index)} to the root of the ${String(head.size)} entries`,
    );
  }
  const cosigned = demands.witnesses === undefined ? accept([]) : verifyQuorum(note, demands.witnesses);
  if (!cosigned.ok) return cosigned;

  // As UTF-8: in ASCII, other characters would be cut down to ones that hash the same.
  if (demands.jwe !== undefined && entry.jwe_sha256 !== sha256Hex(demands.jwe)) {
    return reject('receipt.jwe', 'the wrapped key has another hash than the one that the entry records');
  }
  if (!isLogOf(head.origin, entry.broker)) return mismatch('broker', 'the one whose log this is');
  const different = firstDifference(entry, receipt.salts, demands.expected ?? {});
  if (different !== undefined) return mismatch(different, 'the one that was asked for');
  return accept({ entry, index, head, cosigned: cosigned.value });
}

/** Whether a log of this name is one of the broker: `<broker id>/<16 hex digits>`. */
export function isLogOf(origin: string, broker: string): boolean {
  return origin.startsWith(`${broker}/`) && /^[0-9a-f]{16}$/.test(origin.slice(broker.length + 1));
}

function mismatch(member: string, than: string): Rejection {
  return reject('receipt.mismatch', `the entry is for another ${member} than ${than}`);
}

/** The first member of the entry that is not what was asked for. */
function firstDifference(
  entry: ReleaseEntry,
  salts: ReadonlyMap<string, Buffer>,
  expected: ExpectedRelease,
): string | undefined {
  const { releaseId, broker, version, recipient, nonce } = expected;
  const nonceSha256 = nonce === undefined ? undefined : sha256Hex(nonce);
  const plain: Readonly<Record<string, string | undefined>> = {
    release_id: releaseId,
    broker,
    version,
    recipient,
    nonce_sha256: nonceSha256,
  };
  const found = entry as unknown as Readonly<Record<string, string | undefined>>;
  for (const [member, value] of Object.entries(plain)) {
    if (value !== undefined && found[member] !== value) return member;
  }
  for (const member of ['deployment', 'key'] as const) {
    const name = expected[member];
    if (name !== undefined && !isNamed(entry, member, name, salts.get(member))) return member;
  }
  return undefined;
}

function isNamed(entry: ReleaseEntry, member: 'deployment' | 'key', name: string, salt: Buffer | undefined): boolean {
  if (entry.names !== 'salted') return entry[member] === name;
  return salt !== undefined && verifyPseudonym(entry[member], name, salt);
}

/** A salt that belongs to nothing would be a part of the receipt that says nothing. */
function assertSaltsFit(salts: ReadonlyMap<string, Buffer>, entry: ReleaseEntry): void {
  if (salts.size > 0 && entry.names !== 'salted') throw new MalformedError('salts: the names in the entry are plain');
  for (const member of salts.keys()) {
    if (member !== 'deployment' && member !== 'key') throw new MalformedError('salts: one is for no name of the entry');
  }
}

function saltsIn(value: unknown): ReadonlyMap<string, Buffer> {
  const salts = isObject(value) ? Object.entries(value) : [];
  if (salts.length === 0 || salts.length > MAX_SALTS) throw new MalformedError('salts: not a salt for each name');
  return new Map(salts.map(([member, salt]) => [member, bytesIn(salt, SALT_CHARACTERS, SALT_BYTES, 'salts')]));
}

function boundedText(value: unknown, maxCharacters: number, field: string): string {
  if (typeof value !== 'string' || value.length > maxCharacters) {
    throw new MalformedError(`${field}: not text of at most ${String(maxCharacters)} characters`);
  }
  return value;
}

function bytesIn(value: unknown, characters: number, length: number, field: string): Buffer {
  if (typeof value !== 'string' || value.length !== characters) {
    throw new MalformedError(`${field}: not ${String(length)} bytes in base64url`);
  }
  return fromBase64url(value, field);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
