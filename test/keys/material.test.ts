import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type ED25519KeyPairOptions,
} from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseJson } from '../../src/bytes/json.js';
import { importKey, type KeyFormat, type KeyMaterial } from '../../src/keys/material.js';
import { accepted, malformed, steady } from './fixtures.js';

/** Declared, since the overloads of generateKeyPairSync mistake a bare literal for options without encodings. */
const encoding: ED25519KeyPairOptions<'der', 'der'> = {
  publicKeyEncoding: { format: 'der', type: 'spki' },
  privateKeyEncoding: { format: 'der', type: 'pkcs8' },
};

type Jwk = Record<string, unknown>;

const ASYMMETRIC = ['RSA-2048', 'RSA-4096', 'P-256', 'P-384', 'P-521', 'Ed25519', 'X25519'] as const;
type Name = (typeof ASYMMETRIC)[number];

const pkcs8 = new Map<Name, Buffer>();
/** A second pair of each type. */
const strangers = new Map<Name, Buffer>();

beforeAll(() => {
  for (const name of ASYMMETRIC) {
    pkcs8.set(name, generatePkcs8(name));
    strangers.set(name, generatePkcs8(name === 'RSA-4096' ? 'RSA-2048' : name));
  }
}, 120_000);

function derOf(name: Name): Buffer {
  return Buffer.from(pkcs8.get(name) ?? []);
}

function pemOf(der: Buffer, label = 'PRIVATE KEY'): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/** What OpenSSL makes of the same DER. */
function jwkOf(name: Name, from = pkcs8): Jwk {
  return {
    ...createPrivateKey({ key: from.get(name) ?? Buffer.alloc(0), format: 'der', type: 'pkcs8' }).export({
      format: 'jwk',
    }),
  };
}

function importJwk(jwk: unknown) {
  return importKey('jwk', Buffer.from(JSON.stringify(jwk)));
}

function withoutSecrets(text: string, jwk: Jwk): void {
  for (const [name, value] of Object.entries(jwk)) {
    if (typeof value === 'string' && !['kty', 'crv', 'e'].includes(name)) expect(text).not.toContain(value);
  }
}

function isCanonical({ jwk }: KeyMaterial): void {
  const members = parseJson(jwk) as Jwk;
  const sorted = Object.fromEntries(
    Object.keys(members)
      .sort()
      .map((name) => [name, members[name]]),
  );
  expect(jwk.toString('utf8')).toBe(JSON.stringify(sorted));
  expect(jwk.subarray(0, 2).toString()).toBe('{"');
}

describe.each(ASYMMETRIC)('a private %s key', (name) => {
  test('comes in as DER, as PEM and as JWK, and is the same each time', () => {
    const fromDer = accepted(importKey('pkcs8', derOf(name)));
    isCanonical(fromDer);
    expect(parseJson(fromDer.jwk)).toEqual(jwkOf(name));
    expect(accepted(importKey('pkcs8', Buffer.from(pemOf(derOf(name)))))).toEqual(fromDer);
    expect(accepted(importKey('pkcs8', Buffer.from(`\n${pemOf(derOf(name)).replaceAll('\n', '\r\n')}\n`)))).toEqual(
      fromDer,
    );
    expect(accepted(importJwk({ kid: 'elsewhere', ext: true, ...jwkOf(name) }))).toEqual(fromDer);
    expect(accepted(importKey('jwk', fromDer.jwk))).toEqual(fromDer);
    if (name.startsWith('RSA')) expect(fromDer).toMatchObject({ kty: 'RSA', sizeBits: Number(name.slice(4)) });
    else expect(fromDer).toMatchObject({ kty: name.startsWith('P') ? 'EC' : 'OKP', curve: name });
  });

  test('is refused with the public part of another key', () => {
    const own = jwkOf(name);
    const stranger = jwkOf(name, strangers);
    for (const member of ['x', 'n'].filter((each) => each in own)) {
      const swapped = { ...own, [member]: stranger[member], ...('y' in own ? { y: stranger['y'] } : {}) };
      const detail = malformed(importJwk(swapped));
      expect(detail).toMatch(/belong|longer/);
      withoutSecrets(detail, swapped);
    }
    malformed(importJwk({ ...own, d: stranger['d'] }));
  });

  test('is refused without its private part, with words that say so', () => {
    const own = jwkOf(name);
    const { kty, crv, x, y, n, e } = own;
    expect(malformed(importJwk({ kty, crv, x, y, n, e }))).toContain('public key');
    const spki = createPublicKey(createPrivateKey({ key: derOf(name), format: 'der', type: 'pkcs8' })).export({
      format: 'der',
      type: 'spki',
    });
    expect(malformed(importKey('pkcs8', spki))).toContain('public');
    expect(malformed(importKey('pkcs8', Buffer.from(pemOf(spki, 'PUBLIC KEY'))))).toContain('public key');
  });

  test('is refused with any member missing, empty, altered, padded or of another type, and never shown', () => {
    const own = jwkOf(name);
    for (const member of Object.keys(own)) {
      const text = own[member] as string;
      const altered = [undefined, '', 7, null, [text], `${text}=`, `AA${text}`, text.slice(0, -4), flipped(text)];
      for (const value of altered) {
        const jwk = { ...own, [member]: value };
        withoutSecrets(malformed(importJwk(jwk)), own);
      }
    }
  });

  test('is refused with a member that its type does not have', () => {
    for (const member of ['k', 'oth', 'x5c', 'x5u', 'jku', 'D', 'constructor']) {
      const canary = 'Y2FuYXJ5LWNhbmFyeQ';
      expect(malformed(importJwk({ ...jwkOf(name), [member]: canary }))).not.toContain(canary);
    }
    malformed(importKey('jwk', Buffer.from(`{"__proto__":{},${JSON.stringify(jwkOf(name)).slice(1)}`)));
  });

  test('is refused with the same member twice', () => {
    malformed(importKey('jwk', Buffer.from(`{"kty":"oct",${JSON.stringify(jwkOf(name)).slice(1)}`)));
  });

  test('keeps alg, use and key_ops', () => {
    const purpose = { alg: 'anything-256', use: 'sig', key_ops: ['sign', 'wrapKey'] };
    const { jwk } = accepted(importJwk({ ...jwkOf(name), ...purpose, kid: 'gone' }));
    expect(parseJson(jwk)).toEqual({ ...jwkOf(name), ...purpose });
  });

  test('is refused as DER when cut at any byte, or with a byte behind', () => {
    const der = derOf(name);
    for (let end = 0; end < der.length; end++) malformed(importKey('pkcs8', der.subarray(0, end)));
    malformed(importKey('pkcs8', Buffer.concat([der, Buffer.alloc(1)])));
  });
});

describe('key_ops, alg and use', () => {
  test.each([
    { key_ops: 'sign' },
    { key_ops: ['sign', 'sign'] },
    { key_ops: [1] },
    { key_ops: [''] },
    { key_ops: Array.from({ length: 17 }, (_, i) => `op${String(i)}`) },
    { key_ops: [null] },
    { alg: 7 },
    { alg: '' },
    { alg: 'a'.repeat(65) },
    { use: 'sig enc' },
    { use: null },
  ])('%j are refused', (purpose) => {
    expect(malformed(importJwk({ kty: 'oct', k: 'AAAA', ...purpose }))).toMatch(/^jwk\.(?:alg|use|key_ops): /);
  });

  test('may be as many and as long as the limits say', () => {
    const purpose = { alg: 'a'.repeat(64), key_ops: Array.from({ length: 16 }, (_, i) => `op${String(i)}`) };
    expect(parseJson(accepted(importJwk({ kty: 'oct', k: 'AAAA', ...purpose })).jwk)).toMatchObject(purpose);
  });
});

describe('PKCS#8', () => {
  test('encrypted, or in the older formats, is refused with what to do', () => {
    const encrypted = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { format: 'pem', type: 'spki' },
      privateKeyEncoding: { format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' },
    });
    expect(malformed(importKey('pkcs8', Buffer.from(encrypted.privateKey)))).toContain('openssl pkcs8');
    const der = Buffer.from(encrypted.privateKey.split('\n').slice(1, -2).join(''), 'base64');
    expect(malformed(importKey('pkcs8', der))).toContain('encrypted');
    for (const label of ['RSA PRIVATE KEY', 'EC PRIVATE KEY']) {
      expect(malformed(importKey('pkcs8', Buffer.from(pemOf(derOf('P-256'), label))))).toContain('-topk8');
    }
  });

  test('with two blocks, text around it, or other base64 is refused', () => {
    const pem = pemOf(derOf('P-256'));
    const bad = [
      pem + pem,
      `Bag Attributes\n${pem}`,
      `${pem}trailing`,
      pem.replace('-----END PRIVATE KEY-----', ''),
      pem.replace('\n', '\n\0'),
      pem.replace(/\n-----END/, '=\n-----END'),
      pem.replace('PRIVATE KEY', 'DSA PRIVATE KEY'),
      '-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----',
      '',
    ];
    for (const text of bad) malformed(importKey('pkcs8', Buffer.from(text)));
    malformed(importKey('pkcs8', Buffer.from(pemOf(Buffer.concat([derOf('P-256'), Buffer.alloc(3)])))));
  });

  test('of other algorithms is refused before OpenSSL reads it', () => {
    const others = [
      generateKeyPairSync('ec', { namedCurve: 'secp256k1', ...encoding }),
      generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit', ...encoding }),
      generateKeyPairSync('ed448', encoding),
      generateKeyPairSync('x448', encoding),
      generateKeyPairSync('rsa-pss', { modulusLength: 2048, ...encoding }),
    ];
    for (const { privateKey } of others) expect(malformed(importKey('pkcs8', privateKey))).toContain('not RSA, EC');
  });

  test('with another public point than that of its private key is refused', () => {
    const der = derOf('P-256');
    const point = jwkOf('P-256', strangers);
    const stranger = Buffer.concat([point['x'], point['y']].map((part) => Buffer.from(part as string, 'base64url')));
    stranger.copy(der, der.length - 64);
    malformed(importKey('pkcs8', der));
  });

  test('longer than 16 KiB is refused', () => {
    expect(malformed(importKey('pkcs8', Buffer.alloc(16_385, 0x30)))).toContain('longer than');
    expect(malformed(importKey('pkcs8', Buffer.alloc(16_384, 0x30)))).not.toContain('longer than');
  });
});

describe('RSA', () => {
  test.each([512, 1024, 2040])('of %d bits is refused', (modulusLength) => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength,
      publicKeyEncoding: { format: 'der', type: 'spki' },
      privateKeyEncoding: { format: 'der', type: 'pkcs8' },
    });
    expect(malformed(importKey('pkcs8', privateKey))).toContain('bits');
  });

  test('with an exponent other than 65537 is refused', () => {
    const { privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicExponent: 3,
      publicKeyEncoding: { format: 'der', type: 'spki' },
      privateKeyEncoding: { format: 'der', type: 'pkcs8' },
    });
    expect(malformed(importKey('pkcs8', privateKey))).toContain('65537');
  });

  test('with an inconsistent CRT member is refused, though it would sign', () => {
    const own = jwkOf('RSA-2048');
    for (const member of ['dp', 'dq', 'qi'] as const) {
      const bytes = Buffer.from(own[member] as string, 'base64url');
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 2;
      const jwk = { ...own, [member]: bytes.toString('base64url') };
      const key = createPrivateKey({ key: { kty: 'RSA', ...jwk }, format: 'jwk' });
      const signature = sign('sha256', Buffer.from('text'), key);
      expect(verify('sha256', Buffer.from('text'), createPublicKey(key), signature)).toBe(true);
      expect(malformed(importJwk(jwk))).toContain('do not belong together');
    }
  });

  test('whose primes are no primes is refused', () => {
    const number = (name: string) =>
      BigInt(`0x${Buffer.from(jwkOf('RSA-2048')[name] as string, 'base64url').toString('hex')}`);
    const p = number('p') - 2n;
    const q = number('q');
    const lambda = (p - 1n) * (q - 1n);
    const d = inverse(65537n, lambda);
    const jwk = { n: p * q, e: 65537n, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
    const members = Object.entries(jwk).map(([name, value]) => [name, base64urlUint(value)]);
    expect(malformed(importJwk({ kty: 'RSA', ...Object.fromEntries(members) }))).toContain('do not belong together');
  });

  test('with the primes exchanged is refused unless its CRT members are exchanged too', () => {
    const { p, q, dp, dq, ...rest } = jwkOf('RSA-2048');
    malformed(importJwk({ ...rest, p: q, q: p, dp, dq }));
    malformed(importJwk({ ...rest, p: q, q: p, dp: dq, dq: dp }));
    malformed(importJwk({ ...rest, p: p, q: p, dp, dq: dp }));
  });
});

describe('EC', () => {
  test('with a private scalar of zero, or of the group order and above, is refused', () => {
    const own = jwkOf('P-256');
    const order = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';
    for (const hex of ['00'.repeat(32), order, 'ff'.repeat(32)]) {
      expect(malformed(importJwk({ ...own, d: Buffer.from(hex, 'hex').toString('base64url') }))).toContain('jwk.d');
    }
  });

  test('on a curve that is not listed is refused', () => {
    for (const crv of ['secp256k1', 'P-192', 'constructor']) malformed(importJwk({ ...jwkOf('P-256'), crv }));
    for (const crv of ['Ed448', 'X448', 'P-256']) malformed(importJwk({ ...jwkOf('Ed25519'), crv }));
    malformed(importJwk({ ...jwkOf('Ed25519'), crv: 'X25519' }));
  });
});

describe('raw bytes', () => {
  test.each([1, 16, 32, 65_536])('of %d bytes become a key of type oct', (length) => {
    const secret = steady('raw', length);
    const material = accepted(importKey('raw', secret));
    isCanonical(material);
    expect(material).toMatchObject({ kty: 'oct', sizeBits: length * 8 });
    expect(parseJson(material.jwk)).toEqual({ kty: 'oct', k: secret.toString('base64url') });
    expect(accepted(importKey('jwk', material.jwk))).toEqual(material);
  });

  test('are refused when there are none, or more than 64 KiB', () => {
    expect(malformed(importKey('raw', Buffer.alloc(0)))).toContain('empty');
    expect(malformed(importKey('raw', Buffer.alloc(65_537)))).toContain('longer');
    expect(malformed(importJwk({ kty: 'oct', k: '' }))).toContain('empty');
    expect(malformed(importJwk({ kty: 'oct', k: steady('long', 65_537).toString('base64url') }))).toContain('longer');
    malformed(importKey('jwk', Buffer.alloc(200_000, 0x20)));
  });
});

test.each([
  '',
  'null',
  '[]',
  '"oct"',
  '1',
  '{}',
  '{"kty":"EC2"}',
  '{"kty":["oct"],"k":"AA"}',
  '{"kty":"oct"',
  '{"keys":[]}',
])('the document %j is no private JWK', (text) => {
  malformed(importKey('jwk', Buffer.from(text)));
});

test('no input makes the import throw, and a refusal shows nothing of it', () => {
  const canary = 'canarycanarycanary';
  const value = fc.oneof(fc.constant(canary), fc.string(), fc.base64String(), fc.integer(), fc.constant(null));
  const jwk = fc.record(
    {
      kty: fc.constantFrom('oct', 'RSA', 'EC', 'OKP', 'x'),
      crv: fc.constantFrom('P-256', 'P-384', 'P-521', 'Ed25519', 'X25519', canary),
      ...Object.fromEntries(
        ['k', 'x', 'y', 'd', 'n', 'p', 'q', 'dp', 'dq', 'qi', 'alg', 'key_ops', canary].map((name) => [name, value]),
      ),
      e: fc.constant('AQAB'),
    },
    { requiredKeys: ['kty'] },
  );
  const input = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    jwk.map((members) => Buffer.from(JSON.stringify(members))),
    fc
      .uint8Array({ maxLength: 100 })
      .map((bytes) => Buffer.concat([Buffer.from([0x30, 0x51, 0x02, 0x01, 0x00, 0x30]), bytes])),
    fc.string().map((text) => Buffer.from(`-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----`)),
  );
  fc.assert(
    fc.property(fc.constantFrom<KeyFormat>('jwk', 'pkcs8'), input, (format, bytes) => {
      const result = importKey(format, bytes);
      if (!result.ok) expect(malformed(result)).not.toContain(canary);
    }),
    { numRuns: 3000 },
  );
});

function generatePkcs8(name: Name): Buffer {
  switch (name) {
    case 'RSA-2048':
    case 'RSA-4096':
      return generateKeyPairSync('rsa', { modulusLength: Number(name.slice(4)), ...encoding }).privateKey;
    case 'Ed25519':
      return generateKeyPairSync('ed25519', encoding).privateKey;
    case 'X25519':
      return generateKeyPairSync('x25519', encoding).privateKey;
    default:
      return generateKeyPairSync('ec', { namedCurve: name, ...encoding }).privateKey;
  }
}

/** Another value of the same length, in the middle so that lengths and signs stay. */
function flipped(text: string): string {
  const middle = text.length >> 1;
  return text.slice(0, middle) + (text[middle] === 'A' ? 'B' : 'A') + text.slice(middle + 1);
}

function base64urlUint(value: bigint): string {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a > 1n) {
    const q = a / b;
    [a, b, x, y] = [b, a % b, y, x - q * y];
  }
  return ((x % modulus) + modulus) % modulus;
}
