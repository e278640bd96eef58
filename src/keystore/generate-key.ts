import { generateKeyPair, randomBytes } from 'node:crypto';
import type { KeyGenerator, KeySpec } from '../keys/generator.js';
import { importKey, type KeyFormat, type KeyMaterial } from '../keys/material.js';

const PUBLIC_EXPONENT = 65_537;

const ENCODINGS = {
  publicKeyEncoding: { format: 'der', type: 'spki' },
  privateKeyEncoding: { format: 'der', type: 'pkcs8' },
} as const;

/**
 * Generates with OpenSSL, key pairs on the thread pool. What comes out is imported like a key from outside, so that every
 * fresh pair is checked before it is used. The pairs come as DER: on Node 20, exporting a JWK from a key object that
 * generateKeyPair made can dead-lock the process, while one parsed from DER is safe.
 */
export const generateKey: KeyGenerator = async (spec) => {
  if (spec.kty === 'oct') return checked('raw', randomBytes((spec.sizeBits ?? 256) / 8));
  return checked('pkcs8', await generatePkcs8(spec));
};

function checked(format: KeyFormat, secret: Buffer): KeyMaterial {
  const imported = importKey(format, secret);
  secret.fill(0);
  if (!imported.ok) throw new Error(`a generated key fails its check: ${imported.detail}`);
  return imported.value;
}

function generatePkcs8(spec: Exclude<KeySpec, { kty: 'oct' }>): Promise<Buffer> {
  return new Promise((resolve, fail) => {
    const done = (error: Error | null, _publicKey: Buffer, privateKey: Buffer) => {
      if (error === null) resolve(privateKey);
      else fail(error);
    };
    switch (spec.kty) {
      case 'RSA':
        generateKeyPair(
          'rsa',
          { ...ENCODINGS, modulusLength: spec.sizeBits ?? 3072, publicExponent: PUBLIC_EXPONENT },
          done,
        );
        break;
      case 'EC':
        generateKeyPair('ec', { ...ENCODINGS, namedCurve: spec.curve ?? 'P-256' }, done);
        break;
      case 'OKP':
        generateOkp(spec.curve ?? 'Ed25519', done);
        break;
    }
  });
}

function generateOkp(curve: string, done: (error: Error | null, publicKey: Buffer, privateKey: Buffer) => void): void {
  if (curve === 'Ed25519') generateKeyPair('ed25519', ENCODINGS, done);
  else if (curve === 'X25519') generateKeyPair('x25519', ENCODINGS, done);
  else throw new RangeError('OKP curve is neither Ed25519 nor X25519');
}
