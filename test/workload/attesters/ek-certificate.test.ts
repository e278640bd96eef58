import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createSimulatorCa, issueEkCertificate, type SimulatorCa } from '../../../src/simulator/ca.js';
import { SimulatedEk, type EkAlgorithm } from '../../../src/simulator/ek.js';
import { certificatesInRow, certifiedKey, leadingCertificate } from '../../../src/workload/attesters/ek-certificate.js';
import { AttesterError } from '../../../src/workload/errors.js';

const terms = { notBefore: new Date(0), notAfter: new Date(4e12), serial: Buffer.of(1) };
let ca: SimulatorCa;
let certificate: Buffer;
beforeAll(async () => {
  ca = await createSimulatorCa();
  certificate = issueEkCertificate(ca, (await SimulatedEk.generate('ecc256')).spki, terms);
});

describe('the certificate in NV memory', () => {
  test.each(['', '00', '00'.repeat(700), 'ff'.repeat(16), '3082'])('ends where it says, before %p', (rest) => {
    const memory = Buffer.concat([certificate, Buffer.from(rest, 'hex')]);
    expect(leadingCertificate(memory)).toEqual(certificate);
    expect(certificatesInRow(memory)).toEqual([certificate]);
  });

  test('is none when it is cut anywhere', () => {
    for (let length = 0; length < certificate.length; length++) {
      expect(() => leadingCertificate(certificate.subarray(0, length))).toThrow(AttesterError);
    }
  });

  test.each(['', '00'.repeat(64), 'ff'.repeat(64), '3003020100', '308102', '30820080', '3084000001000000'])(
    'is none in %p',
    (memory) => {
      expect(() => leadingCertificate(Buffer.from(memory, 'hex'))).toThrow('no DER certificate');
    },
  );

  test('is of 16 KiB at most', () => {
    const sequence = (length: number) => {
      const bytes = Buffer.alloc(4 + length);
      bytes.writeUInt16BE(0x3082);
      bytes.writeUInt16BE(length, 2);
      return bytes;
    };
    expect(leadingCertificate(sequence(16 * 1024))).toHaveLength(4 + 16 * 1024);
    expect(() => leadingCertificate(sequence(16 * 1024 + 1))).toThrow(AttesterError);
  });

  test('may be followed by those of its authorities, up to 16', () => {
    const short = Buffer.concat([Buffer.from('308180', 'hex'), Buffer.alloc(128, 1)]);
    expect(certificatesInRow(Buffer.concat([certificate, short, certificate, Buffer.alloc(9)]))).toEqual([
      certificate,
      short,
      certificate,
    ]);
    expect(certificatesInRow(Buffer.concat(Array.from({ length: 20 }, () => short)))).toHaveLength(16);
    expect(certificatesInRow(Buffer.alloc(0))).toEqual([]);
  });

  test('whatever the bytes, they are cut or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom('', '3081', '3082'), (bytes, head) => {
        const memory = Buffer.concat([Buffer.from(head, 'hex'), bytes]);
        const found = certificatesInRow(memory);
        expect(Buffer.concat(found)).toEqual(memory.subarray(0, Buffer.concat(found).length));
        const [first] = found;
        if (first === undefined) expect(() => leadingCertificate(memory)).toThrow(AttesterError);
        else expect(leadingCertificate(memory)).toEqual(first);
      }),
    );
  });
});

describe('the key of a certificate', () => {
  test.each<EkAlgorithm>(['rsa2048', 'ecc256', 'ecc384'])(
    'of %s is how the public area of its EK ends',
    async (algorithm) => {
      const ek = await SimulatedEk.generate(algorithm);
      const key = certifiedKey(issueEkCertificate(ca, ek.spki, terms));
      expect(key.algorithm).toBe(algorithm);
      expect(ek.publicArea.subarray(-key.unique.length)).toEqual(key.unique);
    },
  );

  test('is no EK on another curve, and none in bytes that are no certificate', () => {
    const { publicKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-521',
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    });
    expect(() => certifiedKey(issueEkCertificate(ca, publicKey, terms))).toThrow('other than');
    for (const bytes of [Buffer.alloc(0), Buffer.from('30820000', 'hex'), certificate.subarray(1)]) {
      expect(() => certifiedKey(bytes)).toThrow('cannot be read');
    }
  });
});
