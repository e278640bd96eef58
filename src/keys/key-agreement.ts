import { createECDH, createPublicKey, diffieHellman, generateKeyPair, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import type { EcPublicJwk, OkpPublicJwk } from '../crypto/jwk.js';
import { EC_CURVES, uncompressedPoint } from './ec-curve.js';
import type { AgreementRecipient } from './recipient.js';

/** An ephemeral public key and the secret it shares with the recipient, which the caller zeroises. */
export interface Agreement {
  readonly epk: EcPublicJwk | OkpPublicJwk;
  readonly sharedSecret: Buffer;
}

/**
 * A fresh ephemeral key pair and its Diffie-Hellman secret with the recipient: the x-coordinate at full field length for
 * EC, the 32 bytes of RFC 7748 for X25519. P-256 and X25519 take about 0.1 ms and answer at once. P-384 is an order
 * dearer: its key generation goes to the thread pool, hence the promise.
 *
 * The key generators are OpenSSL's own, as is the seed of RSA-OAEP: a private key then exists nowhere outside it. None
 * of these paths exports a JWK from a generated key object, which can dead-lock Node 20.
 */
export function agree(recipient: AgreementRecipient): Agreement | Promise<Agreement> {
  const { jwk } = recipient;
  if (jwk.kty === 'OKP') return agreeX25519(jwk);
  return jwk.crv === 'P-256' ? agreeP256(jwk) : agreeP384(jwk);
}

/** Given a fresh key pair for each agreement, which takes the place of the one before: making the curve costs as much as the pair. */
const ephemeral = createECDH('prime256v1');

function agreeP256(jwk: EcPublicJwk): Agreement {
  ephemeral.generateKeys();
  const peer = uncompressedPoint(fromBase64url(jwk.x, 'x'), fromBase64url(jwk.y, 'y'));
  return { epk: ecJwk('P-256', ephemeral.getPublicKey()), sharedSecret: ephemeral.computeSecret(peer) };
}

async function agreeP384(jwk: EcPublicJwk): Promise<Agreement> {
  const { spki, privateKey } = await generateP384();
  const peer = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  return { epk: ecJwk('P-384', spki), sharedSecret: diffieHellman({ privateKey, publicKey: peer }) };
}

function generateP384(): Promise<{ readonly spki: Buffer; readonly privateKey: KeyObject }> {
  const options = { namedCurve: 'P-384', publicKeyEncoding: { format: 'der', type: 'spki' } } as const;
  return new Promise((resolve, fail) => {
    // With one encoding alone the other half comes as a KeyObject; the type definitions know both or none.
    generateKeyPair('ec', options, (error, publicKey: unknown, privateKey) => {
      if (error === null) resolve({ spki: publicKey as Buffer, privateKey });
      else fail(error);
    });
  });
}

function agreeX25519(jwk: OkpPublicJwk): Agreement {
  const options = { publicKeyEncoding: { format: 'jwk' } } as const;
  const pair: { readonly publicKey: unknown; readonly privateKey: KeyObject } = generateKeyPairSync('x25519', options);
  const { x } = pair.publicKey as OkpPublicJwk;
  const peer = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  return {
    epk: { kty: 'OKP', crv: 'X25519', x },
    sharedSecret: diffieHellman({ privateKey: pair.privateKey, publicKey: peer }),
  };
}

/** The JWK of an uncompressed point, which ends the bytes of an SPKI too. */
function ecJwk(crv: 'P-256' | 'P-384', encoded: Buffer): EcPublicJwk {
  const { fieldBytes } = EC_CURVES[crv];
  const point = encoded.subarray(-2 * fieldBytes);
  return {
    kty: 'EC',
    crv,
    x: toBase64url(point.subarray(0, fieldBytes)),
    y: toBase64url(point.subarray(fieldBytes)),
  };
}
