import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { logPublicKey, verifierKey } from '../../src/translog/log-key.js';

describe('the log key', () => {
  test('is the Ed25519 public key of its seed (RFC 8032, test 1)', () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
    expect(logPublicKey(seed).toString('hex')).toBe('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    const jwk = {
      kty: 'OKP',
      crv: 'Ed25519',
      d: seed.toString('base64url'),
      x: logPublicKey(seed).toString('base64url'),
    };
    expect(createPublicKey(createPrivateKey({ key: jwk, format: 'jwk' })).export({ format: 'jwk' }).x).toBe(jwk.x);
  });

  test('is written as name, key id and key, and the id is the hash of both', () => {
    const key = logPublicKey(Buffer.alloc(32, 1));
    const [name, id, base64] = verifierKey('broker/0011', key).split('+', 3);
    const typed = Buffer.concat([Buffer.from([1]), key]);
    expect(name).toBe('broker/0011');
    expect(verifierKey('broker/0011', key)).toBe(`broker/0011+${String(id)}+${typed.toString('base64')}`);
    expect(id).toBe(createHash('sha256').update('broker/0011\n').update(typed).digest('hex').slice(0, 8));
    expect(base64).toBeDefined();
  });
});
