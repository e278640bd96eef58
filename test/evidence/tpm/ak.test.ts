import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { TrustedAks } from '../../../src/evidence/tpm/trusted-aks.js';
import { parseAk } from '../../../src/evidence/tpm/ak.js';
import type { PublicArea } from '../../../src/evidence/tpm/structures.js';
import { encodePublicArea, sizedPublic } from './encode.js';
import { AK_ATTRIBUTES, eccAk, rsaAk } from './software-quote.js';

const RSA = rsaAk();
const ECC = eccAk();
const RSA_AREA = RSA.area;
const ECC_AREA = ECC.area;

function reasonOf(area: PublicArea): string {
  const result = parseAk(encodePublicArea(area));
  return result.ok ? 'accepted' : result.reason;
}

/** The claims that a refusal names. */
function flaws(area: PublicArea): readonly string[] {
  const result = parseAk(encodePublicArea(area));
  if (result.ok || result.reason !== 'ak.attributes') throw new Error('not refused for its attributes');
  return (result.findings ?? []).map(({ claim }) => claim);
}

describe('parseAk', () => {
  test('the Name is nameAlg and the digest of the public area, the SPKI that of the key', () => {
    for (const { area } of [RSA, ECC]) {
      const publicArea = encodePublicArea(area);
      const result = parseAk(publicArea);
      if (!result.ok) throw new Error(result.detail);
      const { name, spki, spkiSha256, key } = result.value;
      expect(name).toBe(`000b${createHash('sha256').update(publicArea).digest('hex')}`);
      expect(spki).toEqual(key.export({ format: 'der', type: 'spki' }));
      expect(spkiSha256).toBe(createHash('sha256').update(spki).digest('hex'));
      expect(result.value.publicArea).toEqual(publicArea);
    }
  });

  test('TPM2B_PUBLIC and TPMT_PUBLIC are the same AK', () => {
    for (const { area } of [RSA, ECC]) {
      const publicArea = encodePublicArea(area);
      const [bare, sized] = [parseAk(publicArea), parseAk(sizedPublic(publicArea))];
      if (!bare.ok || !sized.ok) throw new Error('refused');
      expect(sized.value.name).toBe(bare.value.name);
      expect(sized.value.publicArea).toEqual(publicArea);
    }
  });

  test('a Name is made with nameAlg', () => {
    const publicArea = encodePublicArea({ ...ECC_AREA, nameAlg: 0x0c });
    const result = parseAk(publicArea);
    expect(result.ok && result.value.name).toBe(`000c${createHash('sha384').update(publicArea).digest('hex')}`);
  });

  test('each attribute bit alone: those that make an AK are demanded, reserved ones refused, free ones change only the Name', () => {
    const expected: Record<number, string> = {
      1: 'ak.fixedTPM',
      4: 'ak.fixedParent',
      5: 'ak.sensitiveDataOrigin',
      16: 'ak.restricted',
      17: 'ak.decrypt',
      18: 'ak.sign',
    };
    const free = [2, 6, 7, 8, 9, 10, 11, 19];
    const good = parseAk(encodePublicArea(RSA_AREA));
    if (!good.ok) throw new Error(good.detail);
    for (let bit = 0; bit < 32; bit++) {
      const area = { ...RSA_AREA, objectAttributes: (AK_ATTRIBUTES ^ (1 << bit)) >>> 0 };
      if (!free.includes(bit)) {
        expect([bit, flaws(area)]).toEqual([bit, [expected[bit] ?? 'ak.reserved']]);
        continue;
      }
      const result = parseAk(encodePublicArea(area));
      if (!result.ok) throw new Error(`bit ${String(bit)}: ${result.detail}`);
      expect(result.value.spkiSha256).toBe(good.value.spkiSha256);
      expect(result.value.name).not.toBe(good.value.name);
    }
  });

  test('all flaws are named at once', () => {
    expect(flaws({ ...RSA_AREA, objectAttributes: 0, scheme: undefined })).toEqual([
      'ak.restricted',
      'ak.sign',
      'ak.fixedTPM',
      'ak.fixedParent',
      'ak.sensitiveDataOrigin',
      'ak.scheme',
    ]);
  });

  test('nameAlg SHA-1, NULL or unknown is refused', () => {
    for (const nameAlg of [0x04, 0x10, 0x12, 0]) expect(flaws({ ...RSA_AREA, nameAlg })).toEqual(['ak.name_alg']);
  });

  test('scheme NULL, a symmetric algorithm and a KDF scheme are refused', () => {
    expect(flaws({ ...RSA_AREA, scheme: undefined })).toEqual(['ak.scheme']);
    expect(flaws({ ...RSA_AREA, symmetric: { algorithm: 6, keyBits: 128, mode: 0x43 } })).toEqual(['ak.symmetric']);
    const key = { ...ECC_AREA.key, kdf: { scheme: 0x20, hash: 0x0b } } as PublicArea['key'];
    expect(flaws({ ...ECC_AREA, key })).toEqual(['ak.kdf']);
  });

  test('an RSA exponent other than 65537 is refused; 0 means 65537', () => {
    const exponent = (value: number) => ({
      ...RSA_AREA,
      key: { ...RSA_AREA.key, exponent: value } as PublicArea['key'],
    });
    for (const bad of [1, 2, 3, 17, 65535, 65536, 65539, 0xffff_ffff])
      expect(flaws(exponent(bad))).toEqual(['ak.exponent']);
    const [zero, full] = [parseAk(encodePublicArea(exponent(0))), parseAk(encodePublicArea(exponent(65537)))];
    expect(zero.ok && full.ok && zero.value.spkiSha256 === full.value.spkiSha256).toBe(true);
  });

  test('RSA keys of 2048 to 4096 bits are accepted, shorter ones refused', () => {
    const sized = (bytes: number): PublicArea => {
      return { ...RSA_AREA, key: { kind: 'rsa', keyBits: bytes * 8, exponent: 0, n: Buffer.alloc(bytes, 0xff) } };
    };
    expect([256, 384, 512].map((bytes) => reasonOf(sized(bytes)))).toEqual(['accepted', 'accepted', 'accepted']);
    for (const bytes of [1, 128, 255]) expect(flaws(sized(bytes))).toEqual(['ak.key_bits']);
  });

  test('curves other than P-256, P-384 and P-521 are refused', () => {
    expect(reasonOf(eccAk('P-384').area)).toBe('accepted');
    expect(reasonOf(eccAk('P-521').area)).toBe('accepted');
    for (const curve of [0, 1, 2, 0x10, 0x20]) {
      expect(flaws({ ...ECC_AREA, key: { ...ECC_AREA.key, curve } as PublicArea['key'] })).toEqual(['ak.curve']);
    }
  });

  test('a point off its curve is malformed, and so are coordinates longer than the field', () => {
    if (ECC_AREA.key.kind !== 'ecc') throw new Error('not ECC');
    const { x, y } = ECC_AREA.key;
    const off = Buffer.from(y);
    off[31]! ^= 1;
    const zero = Buffer.of(0);
    const point = (px: Buffer, py: Buffer): PublicArea => {
      return { ...ECC_AREA, key: { ...ECC_AREA.key, x: px, y: py } as PublicArea['key'] };
    };
    const cases: [Buffer, Buffer][] = [
      [x, off],
      [y, x],
      [Buffer.alloc(0), Buffer.alloc(0)],
      [Buffer.alloc(32, 0xff), y],
      [Buffer.concat([zero, x]), y],
      [x, Buffer.concat([zero, y])],
    ];
    for (const [px, py] of cases) expect(reasonOf(point(px, py))).toBe('evidence.malformed');
    const otherCurve = { ...ECC_AREA, key: { ...ECC_AREA.key, curve: 4 } as PublicArea['key'] };
    expect(reasonOf(otherCurve)).toBe('evidence.malformed');
  });

  test('a coordinate may come without its leading zeros: the same key under another Name', () => {
    let seed = 0;
    let ak = eccAk('P-256', 'sha256', '0');
    const xOf = ({ area }: typeof ak) => (area.key.kind === 'ecc' ? area.key.x : Buffer.alloc(0));
    while (xOf(ak)[0] !== 0) ak = eccAk('P-256', 'sha256', String(++seed));
    const short = { ...ak.area, key: { ...ak.area.key, x: xOf(ak).subarray(1) } as PublicArea['key'] };
    const [a, b] = [parseAk(encodePublicArea(ak.area)), parseAk(encodePublicArea(short))];
    if (!a.ok || !b.ok) throw new Error('refused');
    expect(b.value.spkiSha256).toBe(a.value.spkiSha256);
    expect(b.value.name).not.toBe(a.value.name);
  });

  test('bytes that do not parse are malformed', () => {
    expect(parseAk(Buffer.alloc(0))).toMatchObject({ ok: false, reason: 'evidence.malformed' });
    expect(parseAk(Buffer.alloc(100_000, 1))).toMatchObject({ ok: false, reason: 'evidence.malformed' });
  });

  test('an AK that is known is taken as it was, and none becomes known', () => {
    const known = new TrustedAks(8);
    const bytes = encodePublicArea(ECC_AREA);
    const first = parseAk(bytes, known);
    if (!first.ok) throw new Error(first.detail);
    expect(known.size).toBe(0);
    known.put(first.value);
    for (const spelling of [bytes, sizedPublic(bytes)]) {
      const again = parseAk(spelling, known);
      expect(again.ok && again.value).toBe(first.value);
    }
  });

  test('an AK that is known by the same key, but with other attributes, is another one', () => {
    const known = new TrustedAks(8);
    const first = parseAk(encodePublicArea(ECC_AREA), known);
    if (!first.ok) throw new Error(first.detail);
    known.put(first.value);
    const renamed = parseAk(
      encodePublicArea({ ...ECC_AREA, objectAttributes: ECC_AREA.objectAttributes | 0x400 }),
      known,
    );
    expect(renamed.ok && renamed.value.name).not.toBe(first.value.name);
    const signing = parseAk(encodePublicArea({ ...ECC_AREA, objectAttributes: 0x40000 }), known);
    expect(signing).toMatchObject({ ok: false, reason: 'ak.attributes' });
  });

  test('what is known of an AK does not change with the buffer that it was read from', () => {
    const known = new TrustedAks(8);
    const bytes = encodePublicArea(ECC_AREA);
    const first = parseAk(bytes, known);
    if (!first.ok) throw new Error(first.detail);
    known.put(first.value);
    const before = Buffer.from(bytes);
    bytes.fill(0);
    expect(parseAk(before, known)).toEqual(first);
  });
});
