import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createHmac,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { median } from './statistics.js';

const ROUNDS = 9;
const PER_ROUND = 100;
/** Bytes of a log entry of a release. */
const ENTRY_BYTES = 1100;

/** What one release cannot do without, in microseconds of one thread. */
export interface Floor {
  /** CPU time of the cryptography of challenge and release, by the AK. */
  readonly rsaUs: number;
  readonly p256Us: number;
  /** CPU time of what the releases of one commit share: one Ed25519 signature, and the MAC of the log's head. */
  readonly batchUs: number;
  /** One durable commit of one entry (SQLite, WAL, synchronous=FULL): wall time, and CPU time. */
  readonly commitUs: number;
  readonly commitCpuUs: number;
}

/**
 * Measures the floor on this machine, now. CPU time and not wall time, as of the broker: other processes on the machine
 * make a release dearer by the caches alone. To be taken in turns with what is held against it.
 */
export function measureFloor(): Floor {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    rsaUs: costOf(releaseCryptography(rsa.publicKey, rsa.privateKey, 1197)).cpuUs,
    p256Us: costOf(releaseCryptography(p256.publicKey, p256.privateKey, 687)).cpuUs,
    batchUs: costOf(batchCryptography()).cpuUs,
    ...commit(),
  };
}

/**
 * The cryptographic operations of challenge and release, each once, with node:crypto alone, cached key objects, and inputs as
 * long as those that the broker hashes for the bench's deployment; found by counting them in a running broker. Left out is
 * what the broker does beyond need, so that removing it counts as an improvement: hashing the SPKI twice, checking the
 * recipient's point (which ECDH does again), the expected policy PCR (which could be kept). Nothing is parsed or encoded.
 */
function releaseCryptography(publicKey: KeyObject, privateKey: KeyObject, evidenceBytes: number): () => void {
  const ec = publicKey.asymmetricKeyType === 'ec';
  const quoted = randomBytes(145);
  const options = { dsaEncoding: 'ieee-p1363' } as const;
  const signature = sign('sha256', quoted, { key: privateKey, ...options });
  const verification = ec ? { key: publicKey, ...options } : publicKey;
  const nonceKey = randomBytes(32);
  const nonceFields = randomBytes(128);
  const hashed = hashedLengths(ec, evidenceBytes).map((length) => randomBytes(length));
  const kek = randomBytes(32);
  const dek = randomBytes(32);
  const aad = randomBytes(210);
  const wrappedDek = seal(kek, randomBytes(12), dek, aad);
  const sealedKey = seal(dek, randomBytes(12), randomBytes(100), aad);
  const recipient = createECDH('prime256v1').generateKeys();
  const header = randomBytes(380);
  return () => {
    // The challenge, and its check.
    randomBytes(10);
    hmac(nonceKey, nonceFields);
    hmac(nonceKey, nonceFields);
    for (const bytes of hashed) hash(bytes);
    if (!verify('sha256', quoted, verification, signature)) throw new Error('the signature does not verify');
    const plaintext = open(open(kek, wrappedDek, aad), sealedKey, aad);
    // ECDH-ES+A256KW and A256GCM; the release id and the salt of the decision.
    const ephemeral = createECDH('prime256v1');
    ephemeral.generateKeys();
    const wrappingKey = hash(ephemeral.computeSecret(recipient));
    const contentKey = randomBytes(32);
    const wrap = createCipheriv('aes256-wrap', wrappingKey, Buffer.alloc(8, 0xa6));
    wrap.update(contentKey);
    wrap.final();
    seal(contentKey, randomBytes(12), plaintext, header);
    randomBytes(16);
    randomBytes(16);
  };
}

/** Of everything that is hashed once for a release, in bytes. */
function hashedLengths(ec: boolean, evidenceBytes: number): readonly number[] {
  const spki = ec ? 91 : 294;
  const publicArea = ec ? 88 : 280;
  const [recipient, binding, pcrs, nonce, decision, jwe, treeNode] = [126, 249, 96, 32, 570, 1007, 65];
  return [spki, publicArea, recipient, binding, pcrs, nonce, evidenceBytes, decision, jwe, ENTRY_BYTES, treeNode];
}

function batchCryptography(): () => void {
  const { privateKey } = generateKeyPairSync('ed25519');
  const note = randomBytes(110);
  const rowKey = Buffer.from(hkdfSync('sha256', randomBytes(32), '', 'bench', 32));
  const head = randomBytes(750);
  return () => {
    sign(undefined, note, privateKey);
    hmac(rowKey, head);
  };
}

function hash(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function hmac(key: Buffer, bytes: Buffer): Buffer {
  return createHmac('sha256', key).update(bytes).digest();
}

function seal(key: Buffer, nonce: Buffer, plaintext: Buffer, aad: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, box: Buffer, aad: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(0, 12)).setAAD(aad).setAuthTag(box.subarray(-16));
  return Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()]);
}

function commit(): Pick<Floor, 'commitUs' | 'commitCpuUs'> {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  const db = new Database(join(folder, 'floor.db'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('CREATE TABLE entries (id INTEGER PRIMARY KEY, entry TEXT) STRICT');
  const insert = db.prepare('INSERT INTO entries (entry) VALUES (?)');
  const entry = 'x'.repeat(ENTRY_BYTES);
  const { wallUs, cpuUs } = costOf(() => insert.run(entry));
  db.close();
  rmSync(folder, { recursive: true, force: true });
  return { commitUs: wallUs, commitCpuUs: cpuUs };
}

/** What one turn of `work` costs: the median of rounds, after one to warm up. */
export function costOf(work: () => unknown): { readonly wallUs: number; readonly cpuUs: number } {
  const wall: number[] = [];
  const cpu: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const startMs = performance.now();
    const before = process.cpuUsage();
    for (let i = 0; i < PER_ROUND; i++) work();
    const { user, system } = process.cpuUsage(before);
    if (round === 0) continue;
    wall.push(((performance.now() - startMs) * 1000) / PER_ROUND);
    cpu.push((user + system) / PER_ROUND);
  }
  return { wallUs: median(wall), cpuUs: median(cpu) };
}
