/** Quotes that come without the public area of their AK: it is the key of the certificate beside them. */
import { createPublicKey } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../../src/crypto/digest.js';
import { parseCertifiedAk, UNKNOWN_NAME } from '../../../src/evidence/tpm/ak.js';
import type { TpmEvidence } from '../../../src/evidence/tpm/evidence.js';
import { verifyQuote, type QuoteExpectations } from '../../../src/evidence/tpm/quote.js';
import { TrustedAks } from '../../../src/evidence/tpm/trusted-aks.js';
import { accept, reject } from '../../../src/reason/reason.js';
import { basicConstraints, certificate, ecKey, rsaKey, type TestKey } from '../../helpers/pki.js';
import { bits, nil, oid, primitive, seq } from '../../helpers/pki-der.js';
import { encodeSignature } from './encode.js';
import {
  attestBytes,
  BINDING,
  eccAk,
  rsaAk,
  signBytes,
  softwareQuote,
  type QuoteParts,
  type SoftwareAk,
} from './software-quote.js';

const RSA = rsaAk();
const ECC = eccAk();
const ISSUER = ecKey();
const EXPECTED: QuoteExpectations = {
  extraData: BINDING,
  neededPcrs: { sha256: [0, 4, 8] },
  trust: () => accept({ kind: 'ak-certificate' as const }),
};

const spkiOf = ({ privateKey }: SoftwareAk) => createPublicKey(privateKey).export({ type: 'spki', format: 'der' });

function certificateOf(spki: Buffer): Buffer {
  const key: TestKey = { ...ISSUER, spki };
  return certificate({ subject: '', issuer: 'CA', key, signer: ISSUER, extensions: [basicConstraints(false)] });
}

/** A genuine quote, without the public area of its AK. */
function bare(ak: SoftwareAk, parts: QuoteParts = {}): TpmEvidence {
  return { ...softwareQuote(ak, parts), ak: undefined, akCertificates: [certificateOf(spkiOf(ak))] };
}

function outcome(evidence: TpmEvidence, expectations: Partial<QuoteExpectations> = {}): string {
  const result = verifyQuote(evidence, { ...EXPECTED, ...expectations });
  return result.ok ? 'accepted' : result.reason;
}

describe('a quote without the public area of its AK', () => {
  const signers: [string, SoftwareAk][] = [
    ['rsassa-sha256', RSA],
    ['rsassa-sha512', rsaAk('rsassa', 'sha512')],
    ['rsapss-sha384', rsaAk('rsapss', 'sha384')],
    ['ecdsa-sha256', ECC],
    ['ecdsa-sha384', eccAk('P-384', 'sha384')],
    ['ecdsa-sha512', eccAk('P-521', 'sha512')],
  ];

  test.each(signers)('is accepted, its scheme being what the signature says: %s', (name, ak) => {
    const result = verifyQuote(bare(ak), EXPECTED);
    if (!result.ok) throw new Error(result.detail);
    expect(result.value.ak).toMatchObject({ name: UNKNOWN_NAME, area: undefined, spki: spkiOf(ak) });
    expect(result.value.claims).toMatchObject({
      tpm: { quote: { signature_algorithm: name }, ak: { name: 'unknown', trust: 'ak-certificate' } },
    });
  });

  test('is the matter of trust first, which sees that there is none', () => {
    const trust: QuoteExpectations['trust'] = ({ area, publicArea, name }) =>
      area === undefined && publicArea.length === 0 && name === 'unknown'
        ? reject('ak.untrusted', 'seen')
        : accept({ kind: 'pinned' });
    expect(outcome({ ...bare(ECC), signature: Buffer.of(1) }, { trust })).toBe('ak.untrusted');
  });

  test('is quote.signature where another key signed, quote.binding where it is for something else', () => {
    expect(outcome({ ...bare(ECC), akCertificates: bare(eccAk('P-256', 'sha256', 'other')).akCertificates })).toBe(
      'quote.signature',
    );
    expect(outcome({ ...bare(RSA), akCertificates: bare(rsaAk()).akCertificates })).toBe('quote.signature');
    expect(outcome(bare(ECC), { extraData: Buffer.alloc(32) })).toBe('quote.binding');
  });

  test('is quote.algorithm by SHA-1, by an unknown hash or scheme, or by one that is not of the key', () => {
    const quoted = attestBytes('sha256', {});
    const signedAs = (ak: SoftwareAk, signature: Buffer) => outcome({ ...bare(ak), quoted, signature });
    const sig = Buffer.alloc(256, 1);
    for (const sigAlg of [0x14, 0x16]) {
      expect(signedAs(RSA, encodeSignature({ kind: 'rsa', sigAlg, hash: 0x04, sig }))).toBe('quote.algorithm');
      expect(signedAs(RSA, encodeSignature({ kind: 'rsa', sigAlg, hash: 0x12, sig }))).toBe('quote.algorithm');
      expect(signedAs(ECC, encodeSignature({ kind: 'rsa', sigAlg, hash: 0x0b, sig }))).toBe('quote.algorithm');
    }
    expect(signedAs(RSA, encodeSignature(signBytes(ECC, quoted)))).toBe('quote.algorithm');
    expect(signedAs(ECC, encodeSignature({ kind: 'unknown', sigAlg: 0x05 }))).toBe('quote.algorithm');
    expect(signedAs(ECC, encodeSignature(signBytes(ECC, quoted)))).toBe('accepted');
  });

  test('is remembered by its certificate once it was trusted, and is no AK with a public area by that, nor the other way', () => {
    const known = new TrustedAks(8);
    const refused = { known, trust: () => reject('ak.untrusted', 'not this one') };
    expect(outcome(bare(ECC), refused)).toBe('ak.untrusted');
    expect(known.size).toBe(0);
    const evidence = bare(ECC);
    const [certified] = evidence.akCertificates as [Buffer];
    const first = verifyQuote(evidence, { ...EXPECTED, known });
    const second = verifyQuote({ ...evidence, akCertificates: [Buffer.from(certified)] }, { ...EXPECTED, known });
    if (!first.ok || !second.ok) throw new Error('refused');
    expect(known.size).toBe(1);
    expect(second.value.ak).toBe(first.value.ak);
    for (const ak of [sha256(certified), certified]) {
      expect(outcome({ ...evidence, ak }, { known })).toBe('evidence.malformed');
    }
    const whole = verifyQuote(softwareQuote(ECC), { ...EXPECTED, known });
    expect(whole.ok && whole.value.ak.area).toBeDefined();
    expect(known.size).toBe(2);
    expect(outcome(bare(eccAk('P-256', 'sha256', 'other')), { known })).toBe('accepted');
    expect(known.size).toBe(3);
  });

  test('goes by its public area where that is there, whatever the certificate is for', () => {
    const evidence = { ...softwareQuote(ECC), akCertificates: bare(RSA).akCertificates };
    expect(outcome(evidence)).toBe('accepted');
  });
});

describe('the key of an AK certificate', () => {
  const reasonOf = (der: Buffer | undefined) => {
    const result = parseCertifiedAk(der);
    return result.ok ? 'accepted' : result.reason;
  };

  test.each([2048, 3072, 4096])('may be RSA of %i bits', (size) => {
    expect(reasonOf(certificateOf(rsaKey(size).spki))).toBe('accepted');
  });

  test('ak.attributes: RSA of another size or exponent', () => {
    expect(reasonOf(certificateOf(rsaKey(2056).spki))).toBe('ak.attributes');
    expect(reasonOf(certificateOf(rsaKey(2048, 3).spki))).toBe('ak.attributes');
  });

  test('evidence.malformed: none, of another kind, too small, or off its curve', () => {
    const point = Buffer.from(ecKey().spki);
    point.writeUInt8(point.readUInt8(point.length - 1) ^ 1, point.length - 1);
    const ed25519 = seq(seq(oid('1.3.101.112')), bits(Buffer.alloc(32, 1)));
    const secp256k1 = seq(seq(oid('1.2.840.10045.2.1'), oid('1.3.132.0.10')), bits(Buffer.alloc(65, 4)));
    const bad = [point, rsaKey(1024).spki, ed25519, secp256k1, seq(seq(oid('1.2.3'), nil()), primitive(3))];
    for (const spki of bad) expect(reasonOf(certificateOf(spki))).toBe('evidence.malformed');
    for (const der of [undefined, Buffer.alloc(0), Buffer.alloc(9000)]) {
      expect(reasonOf(der)).toBe('evidence.malformed');
    }
  });

  test('no prefix of a certificate, nothing behind it, and no other bytes are one; none throws', () => {
    const good = certificateOf(ecKey().spki);
    expect(reasonOf(good)).toBe('accepted');
    for (let length = 0; length < good.length; length++) {
      expect(reasonOf(good.subarray(0, length))).toBe('evidence.malformed');
    }
    expect(reasonOf(Buffer.concat([good, Buffer.of(0)]))).toBe('evidence.malformed');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(good.length - 1), (bytes, at) => {
        expect(reasonOf(Buffer.from(bytes))).toBe('evidence.malformed');
        const bent = Buffer.concat([good.subarray(0, at), Buffer.from(bytes), good.subarray(at + bytes.length)]);
        expect(['accepted', 'evidence.malformed', 'ak.attributes']).toContain(reasonOf(bent));
      }),
    );
  });
});
