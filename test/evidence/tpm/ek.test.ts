import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import * as C from '../../../src/evidence/tpm/constants.js';
import { defaultEkTemplate } from '../../../src/evidence/tpm/ek-template.js';
import { hasKey, parseEk, type EkPublic } from '../../../src/evidence/tpm/ek.js';
import type { EccPublic, PublicArea } from '../../../src/evidence/tpm/structures.js';
import { startSwtpm, swtpmAvailable, type Swtpm } from '../../helpers/swtpm.js';
import { createEk, readNv } from '../../helpers/swtpm-ek.js';
import { encodePublicArea, sizedPublic } from './encode.js';
import { eccAk, rsaAk } from './software-quote.js';

const A = C.TPMA_OBJECT;
const ATTRIBUTES = A.fixedTPM | A.fixedParent | A.sensitiveDataOrigin | A.adminWithPolicy | A.restricted | A.decrypt;

const rsa2048 = rsaAk().area.key;
const p256 = eccAk().area.key as EccPublic;

function area(key: PublicArea['key'], changed: Partial<PublicArea> = {}): PublicArea {
  return {
    nameAlg: C.TPM_ALG_SHA256,
    objectAttributes: ATTRIBUTES,
    authPolicy: Buffer.alloc(32, 7),
    symmetric: { algorithm: C.TPM_ALG_AES, keyBits: 128, mode: C.TPM_ALG_CFB },
    scheme: undefined,
    key,
    ...changed,
  };
}

const parse = (changed: Partial<PublicArea> = {}, key: PublicArea['key'] = p256) =>
  parseEk(encodePublicArea(area(key, changed)));

function valueOf(result: ReturnType<typeof parseEk>): EkPublic {
  if (!result.ok) throw new Error(result.detail);
  return result.value;
}

function spkiOf(kind: { rsa: number; publicExponent?: number } | { curve: string }): Buffer {
  if ('rsa' in kind) {
    return generateKeyPairSync('rsa', {
      modulusLength: kind.rsa,
      publicExponent: kind.publicExponent ?? 65537,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    }).publicKey;
  }
  return generateKeyPairSync('ec', {
    namedCurve: kind.curve,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  }).publicKey;
}

describe('the public area of an EK', () => {
  test.each([
    ['rsa2048', rsa2048],
    ['rsa3072', rsaAk('rsassa', 'sha256', 3072).area.key],
    ['ecc256', p256],
    ['ecc384', eccAk('P-384').area.key],
  ] as const)('of %s is taken, sized or bare, with its key', (algorithm, key) => {
    const bytes = encodePublicArea(area(key));
    const bare = valueOf(parseEk(bytes));
    expect(bare).toMatchObject({ algorithm, nameHash: 'sha256', aesBits: 128, publicArea: bytes });
    expect(bare.keyObject.export({ type: 'spki', format: 'der' })).toEqual(bare.spki);
    expect(bare.spkiSha256).toBe(createHash('sha256').update(bare.spki).digest('hex'));
    expect(valueOf(parseEk(sizedPublic(bytes))).spki).toEqual(bare.spki);
    expect(hasKey(bare, bare.spki)).toBe(true);
    expect(hasKey(bare, spkiOf({ curve: 'P-256' }))).toBe(false);
  });

  test('may be of SHA-384 with AES-256, with any authPolicy and userWithAuth', () => {
    const symmetric = { algorithm: C.TPM_ALG_AES, keyBits: 256, mode: C.TPM_ALG_CFB };
    const objectAttributes = ATTRIBUTES | A.userWithAuth;
    const changed = { nameAlg: C.TPM_ALG_SHA384, symmetric, objectAttributes, authPolicy: Buffer.alloc(0) };
    expect(valueOf(parse(changed))).toMatchObject({ nameHash: 'sha384', aesBits: 256 });
  });

  test.each(['restricted', 'decrypt', 'fixedTPM', 'fixedParent', 'sensitiveDataOrigin'] as const)(
    'without %s is refused',
    (name) => {
      const findings = [{ claim: `ek.${name}`, operator: 'equals', expected: true, found: false }];
      const refused = parse({ objectAttributes: ATTRIBUTES & ~A[name] });
      expect(refused).toMatchObject({ ok: false, reason: 'evidence.malformed', findings });
    },
  );

  test.each(['sign', 'stClear', 'encryptedDuplication'] as const)('with %s is refused', (name) => {
    const findings = [{ claim: `ek.${name}`, operator: 'equals', expected: false, found: true }];
    const refused = parse({ objectAttributes: ATTRIBUTES | A[name] });
    expect(refused).toMatchObject({ ok: false, reason: 'evidence.malformed', findings });
  });

  test.each<[string, Partial<PublicArea>, PublicArea['key'], string]>([
    ['nameAlg SHA-1', { nameAlg: C.TPM_ALG_SHA1 }, p256, 'ek.name_alg'],
    ['nameAlg SHA-512', { nameAlg: C.TPM_ALG_SHA512 }, p256, 'ek.name_alg'],
    ['no symmetric algorithm', { symmetric: undefined }, p256, 'ek.symmetric'],
    [
      'Camellia',
      { symmetric: { algorithm: C.TPM_ALG_CAMELLIA, keyBits: 128, mode: C.TPM_ALG_CFB } },
      p256,
      'ek.symmetric',
    ],
    ['another mode', { symmetric: { algorithm: C.TPM_ALG_AES, keyBits: 128, mode: 0x42 } }, p256, 'ek.symmetric'],
    [
      'AES-192',
      { symmetric: { algorithm: C.TPM_ALG_AES, keyBits: 192, mode: C.TPM_ALG_CFB } },
      p256,
      'ek.symmetric.key_bits',
    ],
    ['a scheme', { scheme: { scheme: C.TPM_ALG_OAEP, hash: C.TPM_ALG_SHA256 } }, rsa2048, 'ek.scheme'],
    ['a KDF', {}, { ...p256, kdf: { scheme: 0x20, hash: C.TPM_ALG_SHA256 } }, 'ek.kdf'],
    ['P-521', {}, eccAk('P-521').area.key, 'ek.curve'],
    ['an unknown curve', {}, { ...p256, curve: 0x10 }, 'ek.curve'],
    ['an exponent of 3', {}, { ...rsa2048, exponent: 3 } as PublicArea['key'], 'ek.exponent'],
    ['RSA-1024', {}, { kind: 'rsa', keyBits: 1024, exponent: 0, n: Buffer.alloc(128, 0xff) }, 'ek.key_bits'],
    ['RSA-4096', {}, { kind: 'rsa', keyBits: 4096, exponent: 0, n: Buffer.alloc(512, 0xff) }, 'ek.key_bits'],
  ])('with %s is refused', (_, changed, key, claim) => {
    const refused = parse(changed, key);
    expect(refused).toMatchObject({ ok: false, reason: 'evidence.malformed', findings: [{ claim }] });
  });

  test('of a point off its curve, or with a coordinate longer than the field, is refused', () => {
    const off = Buffer.from(p256.x);
    off[31]! ^= 1;
    expect(parse({}, { ...p256, x: off })).toMatchObject({ ok: false, reason: 'evidence.malformed' });
    const long = Buffer.concat([Buffer.alloc(1), p256.x]);
    expect(parse({}, { ...p256, x: long })).toMatchObject({ ok: false, reason: 'evidence.malformed' });
  });

  test('is malformed when cut anywhere, or with a byte more', () => {
    for (const key of [rsa2048, p256]) {
      const bytes = encodePublicArea(area(key));
      for (let length = 0; length < bytes.length; length++) {
        expect(parseEk(bytes.subarray(0, length))).toMatchObject({ ok: false, reason: 'evidence.malformed' });
      }
      expect(parseEk(Buffer.concat([bytes, Buffer.alloc(1)]))).toMatchObject({ ok: false });
    }
  });

  test('whatever the bytes, there is an answer', () => {
    const good = encodePublicArea(area(p256));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat({ max: good.length }), (bytes, kept) => {
        const mixed = Buffer.concat([good.subarray(0, kept), bytes]);
        expect(typeof parseEk(mixed).ok).toBe('boolean');
        expect(typeof defaultEkTemplate(mixed).ok).toBe('boolean');
      }),
    );
  });
});

describe('the default template', () => {
  test.each([
    [{ rsa: 2048 }, 'rsa2048', 'sha256', 128, 0x000300b2],
    [{ curve: 'P-256' }, 'ecc256', 'sha256', 128, 0x000300b2],
    [{ rsa: 3072 }, 'rsa3072', 'sha384', 256, 0x000300f2],
    [{ curve: 'P-384' }, 'ecc384', 'sha384', 256, 0x000300f2],
  ] as const)('of %j is that of the profile', (kind, algorithm, nameHash, aesBits, attributes) => {
    const spki = spkiOf(kind);
    const ek = valueOf(defaultEkTemplate(spki));
    expect(ek).toMatchObject({ algorithm, nameHash, aesBits, spki });
    expect(ek.publicArea.readUInt32BE(4)).toBe(attributes);
  });

  test('of the low range is used by PolicySecret of the endorsement hierarchy', () => {
    const h = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
    const policy = h(h(Buffer.alloc(32), Buffer.from('000001514000000b', 'hex')));
    expect(valueOf(defaultEkTemplate(spkiOf({ curve: 'P-256' }))).publicArea.subarray(10, 42)).toEqual(policy);
  });

  test.each([{ rsa: 1024 }, { rsa: 4096 }, { curve: 'P-521' }, { curve: 'secp256k1' }])(
    'there is none of %j',
    (kind) => {
      expect(defaultEkTemplate(spkiOf(kind))).toMatchObject({ ok: false, reason: 'evidence.malformed' });
    },
  );

  test('there is none of another exponent, of another kind of key, or of no key', () => {
    const odd = spkiOf({ rsa: 2048, publicExponent: 3 });
    const ed25519 = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.alloc(32, 1)]);
    for (const spki of [odd, ed25519, Buffer.alloc(0), Buffer.from('3000', 'hex')]) {
      expect(defaultEkTemplate(spki)).toMatchObject({ ok: false, reason: 'evidence.malformed' });
    }
  });
});

const GCE = join(import.meta.dirname, '../../../../shared/vectors/tpm-certs/gce');

(existsSync(GCE) ? describe : describe.skip)('with certificates of vTPMs of Google Cloud', () => {
  test.each([
    ['uca_tpm_rsa_enc_cert.pem', 'rsa2048'],
    ['uca_tpm_ecc_enc_cert.pem', 'ecc256'],
  ])('the EK of %s has a default template', (file, algorithm) => {
    const certificate = new X509Certificate(readFileSync(join(GCE, file)));
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
    expect(defaultEkTemplate(spki)).toMatchObject({ ok: true, value: { algorithm, spki } });
  });
});

(swtpmAvailable() ? describe : describe.skip)('with a real swtpm', () => {
  let tpm: Swtpm;
  beforeAll(async () => {
    tpm = await startSwtpm();
  });
  afterAll(() => tpm.close());

  test.each(['rsa2048', 'ecc256', 'rsa3072', 'ecc384'] as const)(
    'the EK of %s that tpm2_createek makes is, byte for byte, that of the default template',
    async (alg) => {
      const made = await createEk(tpm, alg);
      const ek = valueOf(parseEk(made.public));
      expect(ek.algorithm).toBe(alg);
      const assumed = valueOf(defaultEkTemplate(ek.spki));
      expect(assumed.publicArea).toEqual(made.public.subarray(2));
    },
  );

  test.each([
    ['0x01c00002', 'rsa2048'],
    ['0x01c00016', 'ecc384'],
  ] as const)('the certificate at %s is for the key of its EK of %s', async (index, alg) => {
    const certificate = new X509Certificate(await readNv(tpm, index));
    const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
    const ek = valueOf(parseEk((await createEk(tpm, alg)).public));
    expect(hasKey(ek, spki)).toBe(true);
    expect(valueOf(defaultEkTemplate(spki)).publicArea).toEqual(ek.publicArea);
  });
});
