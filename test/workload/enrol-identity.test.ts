import { createHash } from 'node:crypto';
import { beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseAk } from '../../src/evidence/tpm/ak.js';
import { AK_SCHEMES, SimulatedAk, type AkScheme } from '../../src/simulator/ak.js';
import { akHashes } from '../../src/workload/enrol-identity.js';
import { AttesterError } from '../../src/workload/errors.js';

const aks = {} as Record<AkScheme, SimulatedAk>;
beforeAll(async () => {
  for (const scheme of AK_SCHEMES) aks[scheme] = await SimulatedAk.generate(scheme);
});

/** A TPM2B_PUBLIC around an area in which one thing differs. */
function changed(scheme: AkScheme, offset: number, ...bytes: number[]): Buffer {
  const area = Buffer.from(aks[scheme].publicArea);
  area.set(bytes, offset);
  return wrapped(area);
}

function wrapped(area: Buffer): Buffer {
  return Buffer.concat([Buffer.of(area.length >> 8, area.length & 0xff), area]);
}

test.each(AK_SCHEMES)('the hashes of an AK that signs with %s are those that the broker finds', (scheme) => {
  const { tpm2bPublic, name, spki } = aks[scheme];
  const spkiSha256 = createHash('sha256').update(spki).digest('hex');
  expect(akHashes(tpm2bPublic)).toEqual({ name: name.toString('hex'), spkiSha256 });
  const ak = parseAk(tpm2bPublic);
  expect(ak).toMatchObject({ ok: true, value: { spkiSha256 } });
});

test('the Name is by the hash that nameAlg says, a coordinate of fewer bytes is of full length in the key', () => {
  const area = Buffer.from(aks['ecdsa-p256'].publicArea);
  area.set([0, 0x0c], 2);
  expect(akHashes(wrapped(area)).name).toBe(`000c${createHash('sha384').update(area).digest('hex')}`);
  const head = area.subarray(0, area.length - 2 * 34);
  const short = Buffer.concat([head, Buffer.of(0, 1, 9), Buffer.of(0, 2, 8, 7)]);
  const full = Buffer.concat([head, Buffer.of(0, 32), Buffer.alloc(31), Buffer.of(9)]);
  const padded = Buffer.concat([full, Buffer.of(0, 32), Buffer.alloc(30), Buffer.of(8, 7)]);
  expect(akHashes(wrapped(short)).spkiSha256).toBe(akHashes(wrapped(padded)).spkiSha256);
});

test.each([
  ['an unknown type', 'ecdsa-p256', 0, [0, 0x08]],
  ['nameAlg SHA-1', 'ecdsa-p256', 2, [0, 0x04]],
  ['a symmetric algorithm', 'rsassa', 10, [0, 0x06]],
  ['no scheme', 'rsassa', 12, [0, 0x10]],
  ['an exponent of 3', 'rsassa', 18, [0, 0, 0, 3]],
  ['a modulus without its top bit', 'rsassa', 24, [0x7f]],
  ['an unknown curve', 'ecdsa-p256', 16, [0, 0x10]],
  ['a KDF', 'ecdsa-p256', 18, [0, 0x20]],
] as const)('%s is no AK to enrol', (_what, scheme, offset, bytes) => {
  expect(() => akHashes(changed(scheme, offset, ...bytes))).toThrow(AttesterError);
});

test.each(['rsassa', 'ecdsa-p384'] as const)(
  'no prefix of one for %s is one, nor one with a byte behind it',
  (scheme) => {
    const { tpm2bPublic, publicArea } = aks[scheme];
    for (let length = 0; length < tpm2bPublic.length; length++) {
      expect(() => akHashes(tpm2bPublic.subarray(0, length))).toThrow(AttesterError);
    }
    for (let length = 0; length < publicArea.length; length++) {
      expect(() => akHashes(wrapped(publicArea.subarray(0, length)))).toThrow(AttesterError);
    }
    expect(() => akHashes(Buffer.concat([tpm2bPublic, Buffer.of(0)]))).toThrow(AttesterError);
    expect(() => akHashes(wrapped(Buffer.concat([publicArea, Buffer.of(0)])))).toThrow(AttesterError);
  },
);

test('whatever the bytes, nothing else is thrown', () => {
  const altered = fc
    .tuple(fc.constantFrom(...AK_SCHEMES), fc.nat(300), fc.nat(255))
    .map(([scheme, at, byte]) => changed(scheme, at % aks[scheme].publicArea.length, byte));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
        altered,
      ),
      (bytes) => {
        try {
          akHashes(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(AttesterError);
        }
      },
    ),
  );
});
