import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, type CryptoKey } from 'jose';
import type { KekProvider } from '../../src/keys/kek.js';
import { parseRecipient, type Recipient } from '../../src/keys/recipient.js';
import { createKekFile, openKekFile } from '../../src/keystore/file-kek.js';
import type { Result } from '../../src/reason/reason.js';

/** A provider over a KEK file of its own, and how to get rid of it. */
export async function temporaryKeks(): Promise<{ keks: KekProvider; path: string; remove: () => void }> {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-kek-'));
  const path = join(dir, 'kek.json');
  await createKekFile(path);
  return { keks: await openKekFile(path), path, remove: () => rmSync(dir, { recursive: true }) };
}

export const RECIPIENT_TYPES = [
  { name: 'P-256', alg: 'ECDH-ES+A256KW', options: { crv: 'P-256' } },
  { name: 'P-384', alg: 'ECDH-ES+A256KW', options: { crv: 'P-384' } },
  { name: 'X25519', alg: 'ECDH-ES+A256KW', options: { crv: 'X25519' } },
  { name: 'RSA-2048', alg: 'RSA-OAEP-256', options: { modulusLength: 2048 } },
  { name: 'RSA-3072', alg: 'RSA-OAEP-256', options: { modulusLength: 3072 } },
  { name: 'RSA-4096', alg: 'RSA-OAEP-256', options: { modulusLength: 4096 } },
] as const;

/** A recipient as a workload makes it, with jose: the JWK it sends, and the private key it keeps. */
export async function makeRecipient(
  type: (typeof RECIPIENT_TYPES)[number],
): Promise<{ jwk: Record<string, unknown>; privateKey: CryptoKey; recipient: Recipient }> {
  const { publicKey, privateKey } = await generateKeyPair(type.alg, { ...type.options, extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), alg: type.alg };
  return { jwk, privateKey, recipient: accepted(parseRecipient(jwk)) };
}

export function accepted<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`refused: ${result.reason} ${result.detail}`);
  return result.value;
}

/** Detail of a refusal that must be request.malformed. */
export function malformed(result: Result<unknown>): string {
  if (result.ok) throw new Error('accepted');
  if (result.reason !== 'request.malformed') throw new Error(`refused with ${result.reason}`);
  return result.detail;
}

/** Bytes that only look random: the same in every run. */
export function steady(label: string, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 32 < length; i++)
    blocks.push(
      createHash('sha256')
        .update(`${label}/${String(i)}`)
        .digest(),
    );
  return Buffer.concat(blocks).subarray(0, length);
}

export function flipBit(bytes: Buffer, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}
