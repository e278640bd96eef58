import { createPublicKey, diffieHellman, KeyObject, randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { compactDecrypt } from 'jose';
import { encryptToRecipient } from '../../src/keys/jwe.js';
import { agree } from '../../src/keys/key-agreement.js';
import { makeRecipient, RECIPIENT_TYPES } from './fixtures.js';

const KID = 'weights/0123456789abcdef0123456789abcdef';
const PLAINTEXT = Buffer.from('{"kid":"weights","k":"c2VjcmV0","kty":"oct"}');

type Recipients = Awaited<ReturnType<typeof makeRecipient>>;
const made: Recipients[] = [];

beforeAll(async () => {
  for (const type of RECIPIENT_TYPES) made.push(await makeRecipient(type));
});

/** Of the type at this index; RSA keys are dear, so each is made once. */
function recipientAt(index: number): Recipients {
  const found = made[index];
  if (found === undefined) throw new Error('no such recipient');
  return found;
}

function ofType(name: string): Recipients {
  return recipientAt(RECIPIENT_TYPES.findIndex((type) => type.name === name));
}

describe.each(RECIPIENT_TYPES)('a JWE to a recipient of type $name', (type) => {
  test('is decrypted by jose, with exactly the header of the contract', async () => {
    const { recipient, privateKey } = ofType(type.name);
    const jwe = await encryptToRecipient(recipient, PLAINTEXT, KID, randomBytes);
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, privateKey);
    expect(Buffer.from(plaintext)).toEqual(PLAINTEXT);
    const { epk, ...header } = protectedHeader;
    expect(header).toEqual({ alg: type.alg, enc: 'A256GCM', kid: KID, cty: 'jwk+json' });
    if (type.alg === 'RSA-OAEP-256') expect(epk).toBeUndefined();
    else {
      const point = type.name === 'X25519' ? ['x'] : ['x', 'y'];
      expect(Object.keys(epk ?? {}).sort()).toEqual(['crv', 'kty', ...point].sort());
    }
  });

  test('is not decrypted by another recipient, nor after a change of any part', async () => {
    const { recipient, privateKey } = await makeRecipient(type);
    const stranger = ofType(type.name);
    const jwe = await encryptToRecipient(recipient, PLAINTEXT, KID, randomBytes);
    await expect(compactDecrypt(jwe, stranger.privateKey)).rejects.toThrow();
    const parts = jwe.split('.');
    expect(parts).toHaveLength(5);
    const header = JSON.parse(Buffer.from(parts[0] ?? '', 'base64url').toString()) as object;
    const renamed = Buffer.from(JSON.stringify({ ...header, kid: 'other' })).toString('base64url');
    await expect(compactDecrypt([renamed, ...parts.slice(1)].join('.'), privateKey)).rejects.toThrow();
    for (let part = 1; part < 5; part++) {
      const changed = parts.map((text, i) => (i === part ? (text.startsWith('A') ? 'B' : 'A') + text.slice(1) : text));
      await expect(compactDecrypt(changed.join('.'), privateKey)).rejects.toThrow();
    }
  });

  test('never repeats an ephemeral key, a content key or a nonce', async () => {
    const { recipient } = ofType(type.name);
    const seen = new Set<string>();
    for (let i = 0; i < 5; i++) {
      const [header, key, iv] = (await encryptToRecipient(recipient, PLAINTEXT, KID, randomBytes)).split('.');
      const epk = JSON.stringify(
        (JSON.parse(Buffer.from(header ?? '', 'base64url').toString()) as { epk?: unknown }).epk ?? i,
      );
      for (const value of [epk, key ?? '', iv ?? '']) seen.add(value);
    }
    expect(seen.size).toBe(15);
  });
});

test('content keys are zeroised and the plaintext is left to its owner', async () => {
  for (const type of RECIPIENT_TYPES) {
    const { recipient } = ofType(type.name);
    const handedOut: Buffer[] = [];
    const random = (bytes: number) => {
      const buffer = randomBytes(bytes);
      handedOut.push(buffer);
      return buffer;
    };
    const plaintext = Buffer.from(PLAINTEXT);
    await encryptToRecipient(recipient, plaintext, KID, random);
    expect(handedOut.map((buffer) => buffer.length)).toEqual([32, 12]);
    expect(handedOut[0]).toEqual(Buffer.alloc(32));
    expect(plaintext).toEqual(PLAINTEXT);
  }
});

test.each(['P-256', 'X25519'])('a shared secret of %s keeps its leading zeros', async (name) => {
  const { recipient, privateKey } = ofType(name);
  if (recipient.alg !== 'ECDH-ES+A256KW') throw new Error('no agreement');
  // One secret in 256 begins with a zero byte.
  for (let i = 0; i < 5000; i++) {
    const { epk, sharedSecret } = await agree(recipient);
    expect(sharedSecret).toHaveLength(32);
    if (sharedSecret[0] !== 0) continue;
    const publicKey = createPublicKey({ key: { ...epk }, format: 'jwk' });
    expect(diffieHellman({ privateKey: KeyObject.from(privateKey), publicKey })).toEqual(sharedSecret);
    return;
  }
  throw new Error('no secret with a leading zero in 5000');
});

test('a kid that needs escaping comes back as it was', async () => {
  const { recipient, privateKey } = ofType('P-256');
  const kid = 'a"b\\c\u0001é';
  const { protectedHeader } = await compactDecrypt(
    await encryptToRecipient(recipient, PLAINTEXT, kid, randomBytes),
    privateKey,
  );
  expect(protectedHeader.kid).toBe(kid);
});

test('a secret of 64 KiB fits', async () => {
  const { recipient, privateKey } = ofType('P-256');
  const plaintext = randomBytes(90_000);
  const jwe = await encryptToRecipient(recipient, plaintext, KID, randomBytes);
  expect(Buffer.from((await compactDecrypt(jwe, privateKey)).plaintext)).toEqual(plaintext);
});
