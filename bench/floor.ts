import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHash,
  createHmac,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
} from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';

const ROUNDS = 15;
const PER_ROUND = 100;

/** What one release cannot do without, in microseconds of one thread. */
export interface Floor {
  /** The bare cryptography with an RSA-2048 AK, and with a P-256 AK; the recipient key is P-256. */
  readonly cryptographyRsaUs: number;
  readonly cryptographyP256Us: number;
  /** One durable commit of one row: WAL, synchronous=FULL. */
  readonly commitUs: number;
}

/** Measures the floor on this machine, now: the median of rounds. */
export function measureFloor(): Floor {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    cryptographyRsaUs: medianUs(releaseCryptography(rsa.publicKey, rsa.privateKey)),
    cryptographyP256Us: medianUs(releaseCryptography(p256.publicKey, p256.privateKey)),
    commitUs: commitUs(),
  };
}

/**
 * The operations of challenge and release with their real sizes and cached key objects: two nonce MACs, the AK's Name and
 * SPKI hash, the binding, the PCR digest, the quote's signature, both envelope levels opened, one-pass ECDH to a P-256
 * recipient with Concat KDF, AES key wrap and AES-GCM, and the hashes of the entry.
 */
function releaseCryptography(publicKey: KeyObject, privateKey: KeyObject): () => void {
  const quoted = randomBytes(145);
  const signature = sign('sha256', quoted, privateKey);
  const macKey = randomBytes(32);
  const jwk = randomBytes(90);
  const aad = randomBytes(200);
  const dek = randomBytes(32);
  const kek = randomBytes(32);
  const wrappedDek = gcmSeal(kek, dek, aad);
  const sealed = gcmSeal(dek, jwk, aad);
  const recipient = createECDH('prime256v1');
  const recipientPoint = recipient.generateKeys();
  return () => {
    createHmac('sha256', macKey).update(aad).digest();
    createHmac('sha256', macKey).update(aad).digest();
    hash(aad);
    hash(aad);
    hash(aad);
    hash(aad);
    if (!verify('sha256', quoted, publicKey, signature)) throw new Error('the signature does not verify');
    const plain = gcmOpen(gcmOpen(kek, wrappedDek, aad), sealed, aad);
    const ephemeral = createECDH('prime256v1');
    ephemeral.generateKeys();
    const wrappingKey = hash(ephemeral.computeSecret(recipientPoint));
    const cek = randomBytes(32);
    const wrap = createCipheriv('id-aes256-wrap', wrappingKey, Buffer.alloc(8, 0xa6));
    wrap.update(cek);
    wrap.final();
    gcmSeal(cek, plain, aad);
    hash(aad);
    hash(aad);
    hash(aad);
  };
}

function hash(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function gcmSeal(key: Buffer, plaintext: Buffer, aad: Buffer): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function gcmOpen(key: Buffer, box: Buffer, aad: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, box.subarray(0, 12)).setAAD(aad).setAuthTag(box.subarray(-16));
  return Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()]);
}

function commitUs(): number {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-bench-'));
  const db = new Database(join(folder, 'floor.db'));
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.exec('CREATE TABLE entries (id INTEGER PRIMARY KEY, entry TEXT) STRICT');
  const insert = db.prepare('INSERT INTO entries (entry) VALUES (?)');
  const entry = 'x'.repeat(900);
  const result = medianUs(() => insert.run(entry));
  db.close();
  rmSync(folder, { recursive: true, force: true });
  return result;
}

function medianUs(work: () => unknown): number {
  for (let i = 0; i < PER_ROUND; i++) work();
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < PER_ROUND; i++) work();
    rounds.push(Number(process.hrtime.bigint() - start) / 1000 / PER_ROUND);
  }
  return rounds.sort((a, b) => a - b)[ROUNDS >> 1] ?? 0;
}
