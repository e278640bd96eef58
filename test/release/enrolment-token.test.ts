import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../src/bytes/malformed-error.js';
import { Writer } from '../../src/bytes/writer.js';
import {
  encodeEnrolment,
  type Enrolment,
  MAX_AK_PUBLIC_BYTES,
  MAX_EK_CERTIFICATE_BYTES,
  MAX_EK_CERTIFICATES,
  MAX_EK_CHAIN_BYTES,
  MAX_ENROLMENT_BYTES,
  openEnrolment,
  parseEnrolment,
  sealEnrolment,
} from '../../src/release/enrolment-token.js';
import { sha256 } from '../../src/crypto/digest.js';

const issuer = { broker: 'b1', enrolmentKey: (epoch: number) => sha256(Buffer.from(`key ${String(epoch)}`)) };
const SAMPLE: Enrolment = {
  issuedAtMs: 1_780_000_000_000,
  epoch: 3,
  deployment: 'llm',
  ekSpkiSha256: 'ab'.repeat(32),
  akPublic: Buffer.from('AK public area'),
  ekCertificates: [Buffer.from('leaf'), Buffer.from('CA')],
  random: Buffer.alloc(16, 7),
};
const NOT_OURS = { ok: false, reason: 'enrolment.secret' };

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array));
const enrolments: fc.Arbitrary<Enrolment> = fc.record({
  issuedAtMs: fc.maxSafeNat(),
  epoch: fc.maxSafeNat(),
  deployment: fc.stringMatching(/^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/),
  ekSpkiSha256: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((array) => Buffer.from(array).toString('hex')),
  akPublic: bytes(200),
  ekCertificates: fc.array(bytes(100), { minLength: 1, maxLength: MAX_EK_CERTIFICATES }),
  random: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((array) => Buffer.from(array)),
});

/** The body with one part of it replaced. */
function body(change: Partial<Record<'version' | 'issuedAt' | 'deployment' | 'ak' | 'certificates', Buffer>>): Buffer {
  const certificates = new Writer().u8(1).sized16(Buffer.from('leaf')).finish();
  return new Writer()
    .bytes(change.version ?? Buffer.of(1))
    .bytes(change.issuedAt ?? new Writer().u64be(1n).finish())
    .u64be(1n)
    .bytes(change.deployment ?? new Writer().sized16(Buffer.from('llm')).finish())
    .bytes(Buffer.alloc(32))
    .bytes(change.ak ?? new Writer().sized16(Buffer.alloc(2)).finish())
    .bytes(change.certificates ?? certificates)
    .bytes(Buffer.alloc(16))
    .finish();
}
const sized = (length: number, of = 0) => new Writer().sized16(Buffer.alloc(length, of)).finish();
const certificatesOf = (...lengths: number[]) =>
  Buffer.concat([Buffer.of(lengths.length), ...lengths.map((length) => sized(length))]);

describe('the bytes of an enrolment', () => {
  test('have one encoding for each value', () => {
    fc.assert(
      fc.property(enrolments, (enrolment) => {
        const encoded = encodeEnrolment(enrolment);
        expect(parseEnrolment(encoded)).toEqual(enrolment);
        expect(encodeEnrolment(parseEnrolment(encoded))).toEqual(encoded);
      }),
    );
  });

  test('are refused cut short anywhere, and with a byte more', () => {
    const encoded = encodeEnrolment(SAMPLE);
    for (let length = 0; length < encoded.length; length++) {
      expect(() => parseEnrolment(encoded.subarray(0, length))).toThrow(MalformedError);
    }
    expect(() => parseEnrolment(Buffer.concat([encoded, Buffer.of(0)]))).toThrow('trailing');
  });

  test.each([
    ['another version', { version: Buffer.of(2) }, 'version'],
    ['a time beyond 2^53', { issuedAt: new Writer().u64be(2n ** 53n).finish() }, 'issuedAt'],
    ['an empty deployment', { deployment: sized(0) }, 'deployment'],
    ['a deployment of 64 characters', { deployment: sized(64, 0x61) }, 'deployment'],
    ['a deployment in upper case', { deployment: sized(1, 0x41) }, 'deployment'],
    ['a long AK', { ak: sized(MAX_AK_PUBLIC_BYTES + 1) }, 'AK'],
    ['no certificate', { certificates: Buffer.of(0) }, 'certificates'],
    ['too many certificates', { certificates: certificatesOf(...Array<number>(9).fill(1)) }, 'certificates'],
    ['a long certificate', { certificates: certificatesOf(MAX_EK_CERTIFICATE_BYTES + 1) }, 'certificate'],
    ['certificates that are long together', { certificates: certificatesOf(8192, 8192, 8000, 193) }, 'certificate'],
  ] as const)('are refused with %s', (_, change, field) => {
    expect(() => parseEnrolment(body(change))).toThrow(MalformedError);
    expect(() => parseEnrolment(body(change))).toThrow(field);
  });

  test('may have every length at its maximum', () => {
    const most = body({
      deployment: sized(63, 0x61),
      ak: sized(MAX_AK_PUBLIC_BYTES),
      certificates: certificatesOf(8192, 8192, 8000, 192, 0, 0, 0, 0),
    });
    expect(parseEnrolment(most).ekCertificates.map(({ length }) => length)).toEqual([
      8192, 8192, 8000, 192, 0, 0, 0, 0,
    ]);
    expect(most.length + 32).toBe(MAX_ENROLMENT_BYTES);
    expect(MAX_EK_CHAIN_BYTES).toBe(8192 + 8192 + 8000 + 192);
  });

  test('whatever they are, give a value or a MalformedError', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array(), enrolments.map(encodeEnrolment)),
        fc.nat(),
        fc.nat(255),
        (given, at, to) => {
          const changed = Buffer.from(given);
          if (changed.length > 0) changed[at % changed.length] = to;
          try {
            parseEnrolment(changed);
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
          }
        },
      ),
    );
  });
});

describe('a token', () => {
  test('opens to what was sealed, with the same credential', () => {
    const { token, credential } = sealEnrolment(issuer, SAMPLE);
    expect(openEnrolment(issuer, token)).toEqual({ ok: true, value: { enrolment: SAMPLE, credential } });
    expect(credential).toHaveLength(32);
  });

  test('and its credential differ with whatever differs', () => {
    const changes: readonly Partial<Enrolment>[] = [
      {},
      { issuedAtMs: 1 },
      { epoch: 4 },
      { deployment: 'other' },
      { ekSpkiSha256: '00'.repeat(32) },
      { akPublic: Buffer.from('another') },
      { ekCertificates: [Buffer.from('leafCA')] },
      { random: Buffer.alloc(16, 8) },
    ];
    const sealed = changes.map((change) => sealEnrolment(issuer, { ...SAMPLE, ...change }));
    const elsewhere = sealEnrolment({ ...issuer, broker: 'b2' }, SAMPLE);
    const all = [...sealed, elsewhere];
    expect(new Set(all.map(({ token }) => token)).size).toBe(9);
    expect(new Set(all.map(({ credential }) => credential.toString('hex'))).size).toBe(9);
    // The credential is nothing that the token shows.
    for (const { token, credential } of all) expect(Buffer.from(token, 'base64url').includes(credential)).toBe(false);
  });

  test('is refused with any bit of it changed', () => {
    const bytes = Buffer.from(sealEnrolment(issuer, SAMPLE).token, 'base64url');
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(openEnrolment(issuer, changed.toString('base64url'))).toMatchObject(NOT_OURS);
    }
  });

  test('is refused of another broker, under another key, in another spelling, and where it is none', () => {
    const { token } = sealEnrolment(issuer, SAMPLE);
    expect(openEnrolment({ ...issuer, broker: 'b2' }, token)).toMatchObject(NOT_OURS);
    expect(openEnrolment({ ...issuer, enrolmentKey: () => Buffer.alloc(32) }, token)).toMatchObject(NOT_OURS);
    for (const other of [`${token}=`, `${token}A`, token.slice(0, -4), '', '!', 'A'.repeat(100_000)]) {
      expect(openEnrolment(issuer, other)).toMatchObject(NOT_OURS);
    }
  });

  test('whatever it is, is opened or refused', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          bytes(300).map((b) => b.toString('base64url')),
        ),
        (text) => {
          expect(openEnrolment(issuer, text)).toMatchObject(NOT_OURS);
        },
      ),
    );
  });
});
