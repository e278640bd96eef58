import { constants, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import {
  FIELD_BYTES,
  ecKey,
  ecSpki,
  rsaKey,
  rsaSpki,
  verifyEcdsa,
  verifyRsapss,
  verifyRsassa,
  type CurveName,
} from '../../src/crypto/signature.js';
import { eccAk, rsaAk } from '../evidence/tpm/software-quote.js';

const DATA = Buffer.from('what was signed');
const CURVES: readonly CurveName[] = ['P-256', 'P-384', 'P-521'];
const HASHES = ['sha256', 'sha384', 'sha512'] as const;

const nodeSpki = (privateKey: KeyObject) => createPublicKey(privateKey).export({ format: 'der', type: 'spki' });

function rsa() {
  const { area, privateKey } = rsaAk();
  if (area.key.kind !== 'rsa') throw new Error('not RSA');
  return { n: area.key.n, privateKey };
}

const RSA = rsa();

function ec(curve: CurveName, seed?: string) {
  const { area, privateKey } = eccAk(curve, 'sha256', seed);
  if (area.key.kind !== 'ecc') throw new Error('not ECC');
  return { x: area.key.x, y: area.key.y, privateKey, key: ecKey(curve, area.key.x, area.key.y) };
}

function rawEcdsa(privateKey: KeyObject, curve: CurveName, data = DATA) {
  const raw = sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return { r: raw.subarray(0, FIELD_BYTES[curve]), s: raw.subarray(FIELD_BYTES[curve]) };
}

describe('keys and their SPKI', () => {
  test('the SPKI of RSA keys is that of OpenSSL', () => {
    const { n, privateKey } = RSA;
    expect(rsaSpki(n)).toEqual(nodeSpki(privateKey));
    for (const bytes of [256, 384, 512, 1024]) {
      const modulus = Buffer.alloc(bytes, 0xab);
      expect(rsaKey(modulus).export({ format: 'der', type: 'spki' })).toEqual(rsaSpki(modulus));
    }
  });

  test('the SPKI of EC keys is that of OpenSSL', () => {
    for (const curve of CURVES) {
      const { x, y, privateKey, key } = ec(curve);
      expect(ecSpki(curve, x, y)).toEqual(nodeSpki(privateKey));
      expect(key.export({ format: 'der', type: 'spki' })).toEqual(ecSpki(curve, x, y));
    }
  });

  test('an SPKI is not made of numbers that do not fit its fixed form', () => {
    expect(() => rsaSpki(Buffer.alloc(255, 0xff))).toThrow(RangeError);
    expect(() => rsaSpki(Buffer.alloc(256, 0x7f))).toThrow(RangeError);
    expect(() => ecSpki('P-256', Buffer.alloc(31), Buffer.alloc(32))).toThrow(RangeError);
    expect(() => ecSpki('P-256', Buffer.alloc(32), Buffer.alloc(33))).toThrow(RangeError);
  });

  test('points that are not on the curve are malformed', () => {
    for (const curve of CURVES) {
      const { x, y } = ec(curve);
      const off = Buffer.from(y);
      off[off.length - 1]! ^= 1;
      const zero = Buffer.alloc(FIELD_BYTES[curve]);
      expect(() => ecKey(curve, x, off)).toThrow(MalformedError);
      expect(() => ecKey(curve, zero, zero)).toThrow(MalformedError);
      expect(() => ecKey(curve, Buffer.alloc(x.length, 0xff), y)).toThrow(MalformedError);
    }
  });
});

describe('RSA signatures', () => {
  const { n, privateKey } = RSA;
  const key = rsaKey(n);
  const other = rsaKey(rsa().n);
  const pkcs1 = (hash: string) => sign(hash, DATA, privateKey);
  const pss = (hash: string, saltLength: number) =>
    sign(hash, DATA, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });

  test('RSASSA verifies with its hash, key and data, and with no other', () => {
    for (const hash of HASHES) {
      expect(verifyRsassa(hash, key, DATA, pkcs1(hash))).toBe(true);
      expect(verifyRsassa(hash, other, DATA, pkcs1(hash))).toBe(false);
      expect(verifyRsassa(hash, key, Buffer.from('else'), pkcs1(hash))).toBe(false);
      expect(verifyRsassa(hash, key, DATA, pss(hash, 32))).toBe(false);
    }
    expect(verifyRsassa('sha256', key, DATA, pkcs1('sha384'))).toBe(false);
  });

  test('RSAPSS verifies with any salt length', () => {
    for (const hash of HASHES) {
      for (const salt of [0, 20, constants.RSA_PSS_SALTLEN_DIGEST, constants.RSA_PSS_SALTLEN_MAX_SIGN]) {
        expect(verifyRsapss(hash, key, DATA, pss(hash, salt))).toBe(true);
      }
      expect(verifyRsapss(hash, other, DATA, pss(hash, 32))).toBe(false);
      expect(verifyRsapss(hash, key, Buffer.from('else'), pss(hash, 32))).toBe(false);
      expect(verifyRsapss(hash, key, DATA, pkcs1(hash))).toBe(false);
    }
  });

  test('signatures of another length are false, not an error', () => {
    const good = pkcs1('sha256');
    const padded = Buffer.concat([Buffer.of(0), good]);
    for (const bad of [Buffer.alloc(0), good.subarray(1), padded, Buffer.alloc(512, 0xff), Buffer.alloc(256)]) {
      expect(verifyRsassa('sha256', key, DATA, bad)).toBe(false);
      expect(verifyRsapss('sha256', key, DATA, bad)).toBe(false);
    }
  });
});

describe('ECDSA signatures', () => {
  test('verify with their curve, key and data, and with no other', () => {
    for (const curve of CURVES) {
      const { privateKey, key } = ec(curve);
      const signature = rawEcdsa(privateKey, curve);
      expect(verifyEcdsa('sha256', curve, key, DATA, signature)).toBe(true);
      expect(verifyEcdsa('sha256', curve, ec(curve, 'another').key, DATA, signature)).toBe(false);
      expect(verifyEcdsa('sha256', curve, key, Buffer.from('else'), signature)).toBe(false);
      expect(verifyEcdsa('sha384', curve, key, DATA, signature)).toBe(false);
      expect(verifyEcdsa('sha256', curve, key, DATA, { r: signature.s, s: signature.r })).toBe(false);
    }
  });

  test('r and s may come without their leading zeros, and no longer than the field', () => {
    const { privateKey, key } = ec('P-256');
    let data = DATA;
    let signature = rawEcdsa(privateKey, 'P-256', data);
    for (let i = 0; signature.r[0] !== 0; i++) {
      data = Buffer.from(String(i));
      signature = rawEcdsa(privateKey, 'P-256', data);
    }
    expect(verifyEcdsa('sha256', 'P-256', key, data, signature)).toBe(true);
    expect(verifyEcdsa('sha256', 'P-256', key, data, { r: signature.r.subarray(1), s: signature.s })).toBe(true);
    const longer = Buffer.concat([Buffer.of(0), signature.r]);
    expect(verifyEcdsa('sha256', 'P-256', key, data, { r: longer, s: signature.s })).toBe(false);
    expect(
      verifyEcdsa('sha256', 'P-256', key, data, { r: signature.r, s: Buffer.concat([Buffer.of(0), signature.s]) }),
    ).toBe(false);
  });

  test('zero, empty and too large numbers are false', () => {
    for (const curve of CURVES) {
      const { privateKey, key } = ec(curve);
      const { r, s } = rawEcdsa(privateKey, curve);
      for (const bad of [
        Buffer.alloc(0),
        Buffer.of(0),
        Buffer.alloc(FIELD_BYTES[curve]),
        Buffer.alloc(FIELD_BYTES[curve], 0xff),
      ]) {
        expect(verifyEcdsa('sha256', curve, key, DATA, { r: bad, s })).toBe(false);
        expect(verifyEcdsa('sha256', curve, key, DATA, { r, s: bad })).toBe(false);
      }
    }
  });
});
