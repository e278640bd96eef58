import { describe, expect, test } from '@jest/globals';
import { claimAt } from '../../../src/claims/claims.js';
import { TrustedAks } from '../../../src/evidence/tpm/trusted-aks.js';
import type { PcrValues, TpmEvidence } from '../../../src/evidence/tpm/evidence.js';
import { verifyQuote, type QuoteExpectations } from '../../../src/evidence/tpm/quote.js';
import { accept, reject } from '../../../src/reason/reason.js';
import { encodePublicArea, encodeSignature, sizedPublic } from './encode.js';
import {
  BINDING,
  attestBytes,
  digestOf,
  eccAk,
  pcrValue,
  rsaAk,
  selection,
  signBytes,
  softwareQuote,
  valuesFor,
  type QuoteParts,
  type SoftwareAk,
} from './software-quote.js';

const AK = rsaAk();
const ECC = eccAk();
const EXPECTED: QuoteExpectations = {
  extraData: BINDING,
  neededPcrs: { sha256: [0, 4, 8] },
  trust: () => accept({ kind: 'pinned' as const }),
};

function outcome(evidence: TpmEvidence, expectations: Partial<QuoteExpectations> = {}): string {
  const result = verifyQuote(evidence, { ...EXPECTED, ...expectations });
  return result.ok ? 'accepted' : result.reason;
}

/** A quote that is genuine except for `parts`. */
function quoteWith(parts: QuoteParts, ak: SoftwareAk = ECC): TpmEvidence {
  return softwareQuote(ak, parts);
}

describe('a good quote', () => {
  const signers: [string, SoftwareAk][] = [
    ['rsassa-sha256', AK],
    ['rsassa-sha384', rsaAk('rsassa', 'sha384')],
    ['rsapss-sha256', rsaAk('rsapss')],
    ['rsapss-sha512', rsaAk('rsapss', 'sha512')],
    ['ecdsa-sha256', ECC],
    ['ecdsa-sha384', eccAk('P-384', 'sha384')],
    ['ecdsa-sha512', eccAk('P-521', 'sha512')],
  ];

  test.each(signers)('by %s is accepted, under the name of its algorithm', (name, ak) => {
    const result = verifyQuote(softwareQuote(ak), EXPECTED);
    if (!result.ok) throw new Error(result.detail);
    expect(claimAt(result.value.claims, 'tpm.quote.signature_algorithm')).toBe(name);
  });

  test('gives the claims of the contract', () => {
    const result = verifyQuote(softwareQuote(AK), EXPECTED);
    if (!result.ok) throw new Error(result.detail);
    const { claims, ak, trust, pcrs } = result.value;
    expect(JSON.parse(JSON.stringify(claims))).toEqual({
      tpm: {
        quote: { signature_algorithm: 'rsassa-sha256' },
        pcrs: { sha256: { 0: pcrValue('sha256', 0), 4: pcrValue('sha256', 4), 8: pcrValue('sha256', 8) } },
        ak: { name: ak.name, trust: 'pinned' },
        clock: '4294967297',
        reset_count: 3,
        restart_count: 5,
        safe: true,
        firmware_version: '2312897626142815798',
      },
    });
    expect([trust.kind, pcrs.sha256?.['8']]).toEqual(['pinned', pcrValue('sha256', 8)]);
  });

  test('with a SHA-1 bank beside others is accepted, and makes no claim of it', () => {
    const parts = {
      pcrSelect: [
        selection('sha1', 0, 8),
        selection('sha256', 0, 4, 8),
        selection('sha384', 8),
        selection('sha512', 1),
      ],
    };
    const result = verifyQuote(quoteWith(parts), EXPECTED);
    if (!result.ok) throw new Error(result.detail);
    expect(Object.keys(result.value.pcrs)).toEqual(['sha256', 'sha384', 'sha512']);
    expect(claimAt(result.value.claims, 'tpm.pcrs.sha1.0')).toBeUndefined();
    expect(claimAt(result.value.claims, 'tpm.pcrs.sha384.8')).toBe(pcrValue('sha384', 8));
  });

  test('may cover more PCRs than are needed', () => {
    const all = Array.from({ length: 24 }, (_, pcr) => pcr);
    expect(outcome(quoteWith({ pcrSelect: [selection('sha256', ...all)] }))).toBe('accepted');
  });

  test('is accepted with the AK as TPM2B_PUBLIC too', () => {
    const evidence = softwareQuote(ECC);
    expect(outcome({ ...evidence, ak: sizedPublic(evidence.ak) })).toBe('accepted');
  });
});

describe('what the quoted bytes are', () => {
  test('quote.magic, quote.type and evidence.malformed come before everything else', () => {
    const spoiled = { ak: Buffer.alloc(0), signature: Buffer.alloc(0), pcrs: {} };
    const trust = () => reject('ak.revoked', 'revoked');
    expect(outcome({ ...quoteWith({ header: { magic: 1 } }), ...spoiled }, { trust })).toBe('quote.magic');
    expect(outcome({ ...quoteWith({ header: { type: 0x8017 } }), ...spoiled }, { trust })).toBe('quote.type');
    const cut = attestBytes('sha256').subarray(0, 50);
    expect(outcome({ ...softwareQuote(ECC), ...spoiled, quoted: cut }, { trust })).toBe('evidence.malformed');
  });

  test('a genuine signature over a cut or longer structure helps nothing', () => {
    const quoted = attestBytes('sha256');
    for (const bent of [quoted.subarray(0, -1), Buffer.concat([quoted, Buffer.of(0)])]) {
      const signature = encodeSignature(signBytes(ECC, bent));
      expect(outcome({ ...softwareQuote(ECC), quoted: bent, signature })).toBe('evidence.malformed');
    }
  });
});

describe('the AK', () => {
  test('is refused before its signature is looked at', () => {
    const unrestricted = { ...ECC, area: { ...ECC.area, objectAttributes: 0x00040072 } };
    expect(outcome({ ...softwareQuote(unrestricted), signature: Buffer.alloc(0) })).toBe('ak.attributes');
    expect(outcome({ ...softwareQuote(ECC), ak: Buffer.alloc(3), signature: Buffer.alloc(0) })).toBe(
      'evidence.malformed',
    );
  });

  test('is what the trust callback says, before its signature is looked at', () => {
    for (const reason of ['ak.untrusted', 'ak.revoked'] as const) {
      const trust = () => reject(reason, 'because');
      expect(outcome({ ...softwareQuote(ECC), signature: Buffer.alloc(0) }, { trust })).toBe(reason);
    }
  });

  test('is shown to the trust callback with its Name and SPKI hash', () => {
    const seen: string[] = [];
    const trust: QuoteExpectations['trust'] = (ak) => {
      seen.push(ak.name, ak.spkiSha256);
      return accept({ kind: 'simulator' as const });
    };
    const result = verifyQuote(softwareQuote(ECC), { ...EXPECTED, trust });
    if (!result.ok) throw new Error(result.detail);
    expect(seen).toEqual([result.value.ak.name, result.value.ak.spkiSha256]);
    expect(claimAt(result.value.claims, 'tpm.ak.trust')).toBe('simulator');
  });

  test('is remembered only when it is trusted', () => {
    const known = new TrustedAks(4);
    outcome(softwareQuote(ECC), { known, trust: () => reject('ak.untrusted', 'no') });
    expect(known.size).toBe(0);
    const first = verifyQuote(softwareQuote(ECC), { ...EXPECTED, known });
    const second = verifyQuote(softwareQuote(ECC), { ...EXPECTED, known });
    expect(known.size).toBe(1);
    expect(first.ok && second.ok && first.value.ak.key === second.value.ak.key).toBe(true);
  });

  test('is remembered only when it signed the binding, so that nobody pushes others out by AKs that are not theirs', () => {
    const known = new TrustedAks(1);
    expect(outcome(softwareQuote(AK), { known })).toBe('accepted');
    const mine = verifyQuote(softwareQuote(AK), { ...EXPECTED, known });
    const borrowed: readonly (readonly [TpmEvidence, string])[] = [
      [{ ...softwareQuote(ECC), signature: encodeSignature(signBytes(ECC, Buffer.alloc(64))) }, 'signature'],
      [quoteWith({ extraData: Buffer.alloc(32, 9) }), 'binding'],
    ];
    for (const [evidence, what] of borrowed) expect(outcome(evidence, { known })).toBe(`quote.${what}`);
    const again = verifyQuote(softwareQuote(AK), { ...EXPECTED, known });
    expect(mine.ok && again.ok && again.value.ak === mine.value.ak).toBe(true);
    expect(outcome(softwareQuote(ECC), { known })).toBe('accepted');
    const pushedOut = verifyQuote(softwareQuote(AK), { ...EXPECTED, known });
    expect(mine.ok && pushedOut.ok && pushedOut.value.ak === mine.value.ak).toBe(false);
  });

  test('with another Name is another Name, though the key is the same', () => {
    const renamed = { ...ECC.area, objectAttributes: ECC.area.objectAttributes | 0x400 };
    const trust: QuoteExpectations['trust'] = (ak) =>
      ak.name === pinned ? accept({ kind: 'pinned' as const }) : reject('ak.untrusted', 'not pinned');
    const good = verifyQuote(softwareQuote(ECC), EXPECTED);
    const pinned = good.ok ? good.value.ak.name : '';
    expect(outcome(softwareQuote(ECC), { trust })).toBe('accepted');
    expect(outcome({ ...softwareQuote(ECC), ak: encodePublicArea(renamed) }, { trust })).toBe('ak.untrusted');
  });
});

describe('the signature', () => {
  const quoted = attestBytes('sha256');
  const evidence = (signature: Buffer, ak: SoftwareAk = AK): TpmEvidence => ({
    ...softwareQuote(ak),
    quoted,
    signature,
  });

  test('of another key, or over other bytes, is quote.signature', () => {
    expect(outcome(evidence(encodeSignature(signBytes(rsaAk(), quoted))))).toBe('quote.signature');
    expect(outcome(evidence(encodeSignature(signBytes(AK, Buffer.concat([quoted, quoted])))))).toBe('quote.signature');
    const other = eccAk('P-256', 'sha256', 'another');
    expect(outcome(evidence(encodeSignature(signBytes(other, quoted)), ECC))).toBe('quote.signature');
  });

  test('is over the exact bytes: any one bit of the quote changed behind its header is refused', () => {
    const good = softwareQuote(ECC);
    for (let bit = 6 * 8; bit < good.quoted.length * 8; bit++) {
      const bent = Buffer.from(good.quoted);
      bent[bit >> 3]! ^= 1 << (bit & 7);
      expect(['quote.signature', 'evidence.malformed']).toContain(outcome({ ...good, quoted: bent }));
    }
  });

  test('with SHA-1 is quote.algorithm, whatever the AK says', () => {
    expect(outcome(softwareQuote(rsaAk('rsassa', 'sha1')))).toBe('quote.algorithm');
    expect(outcome(evidence(encodeSignature(signBytes(AK, quoted, 'rsassa', 'sha1'))))).toBe('quote.algorithm');
    expect(outcome(softwareQuote(eccAk('P-256', 'sha1')))).toBe('quote.algorithm');
  });

  test('of another scheme or hash than the AK is quote.algorithm, with both names', () => {
    expect(verifyQuote(evidence(encodeSignature(signBytes(AK, quoted, 'rsapss'))), EXPECTED)).toMatchObject({
      reason: 'quote.algorithm',
      findings: [
        { claim: 'quote.signature_algorithm', operator: 'equals', expected: 'rsassa-sha256', found: 'rsapss-sha256' },
      ],
    });
    expect(outcome(evidence(encodeSignature(signBytes(AK, quoted, 'rsassa', 'sha512'))))).toBe('quote.algorithm');
    expect(outcome(evidence(encodeSignature(signBytes(ECC, quoted))))).toBe('quote.algorithm');
  });

  test('of an unknown scheme or hash is quote.algorithm', () => {
    for (const sigAlg of [0x10, 0x05, 0x1a, 0x1b, 0x1c, 0xffff]) {
      expect(outcome(evidence(encodeSignature({ kind: 'unknown', sigAlg })))).toBe('quote.algorithm');
    }
    for (const hash of [0x10, 0x12, 0x27, 0]) {
      const sig = Buffer.alloc(256, 1);
      expect(outcome(evidence(encodeSignature({ kind: 'rsa', sigAlg: 0x14, hash, sig })))).toBe('quote.algorithm');
    }
  });

  test('of a scheme that does not fit the type of the key is refused', () => {
    const confused = { ...AK, area: { ...AK.area, scheme: ECC.area.scheme } };
    expect(outcome(evidence(encodeSignature(signBytes(ECC, quoted)), confused))).toBe('quote.signature');
    const reversed = { ...ECC, area: { ...ECC.area, scheme: AK.area.scheme } };
    expect(outcome({ ...softwareQuote(AK), ak: encodePublicArea(reversed.area) })).toBe('quote.signature');
  });

  test('that does not parse is evidence.malformed', () => {
    const good = softwareQuote(AK).signature;
    for (let length = 0; length < good.length; length++) {
      expect(outcome(evidence(good.subarray(0, length)))).toBe('evidence.malformed');
    }
    expect(outcome(evidence(Buffer.concat([good, Buffer.of(0)])))).toBe('evidence.malformed');
  });

  test('cut short or lengthened inside its sizes is quote.signature', () => {
    const { sig } = signBytes(AK, quoted) as { sig: Buffer };
    for (const bent of [Buffer.alloc(0), sig.subarray(1), Buffer.concat([Buffer.of(0), sig])]) {
      expect(outcome(evidence(encodeSignature({ kind: 'rsa', sigAlg: 0x14, hash: 0x0b, sig: bent })))).toBe(
        'quote.signature',
      );
    }
    const zero = { kind: 'ecdsa', sigAlg: 0x18, hash: 0x0b, r: Buffer.alloc(32), s: Buffer.alloc(32) } as const;
    expect(outcome(evidence(encodeSignature(zero), ECC))).toBe('quote.signature');
  });

  test('is checked before the binding', () => {
    const bent = attestBytes('sha256', { extraData: Buffer.alloc(32) });
    expect(outcome({ ...softwareQuote(AK), quoted: bent })).toBe('quote.signature');
  });
});

describe('the binding', () => {
  test('is equal to the last byte, and of the same length', () => {
    const shorter = BINDING.subarray(0, 31);
    const flipped = Buffer.from(BINDING);
    flipped[31]! ^= 1;
    const wrong = [
      Buffer.alloc(0),
      shorter,
      Buffer.concat([BINDING, Buffer.of(0)]),
      Buffer.concat([Buffer.of(0), BINDING]),
      Buffer.concat([BINDING, BINDING]),
      flipped,
    ];
    for (const extraData of wrong) {
      expect(verifyQuote(quoteWith({ extraData }), EXPECTED)).toMatchObject({
        reason: 'quote.binding',
        findings: [{ claim: 'quote.extra_data', expected: BINDING.toString('hex'), found: extraData.toString('hex') }],
      });
    }
  });

  test('that should be empty is not met by anything else', () => {
    const extraData = Buffer.alloc(0);
    expect(outcome(quoteWith({ extraData }), { extraData })).toBe('accepted');
    expect(outcome(quoteWith({ extraData: Buffer.of(0) }), { extraData })).toBe('quote.binding');
  });

  test('a binding that ends in zeros is not met by one without them', () => {
    const extraData = Buffer.concat([Buffer.alloc(30, 5), Buffer.alloc(2)]);
    expect(outcome(quoteWith({ extraData: extraData.subarray(0, 30) }), { extraData })).toBe('quote.binding');
  });

  test('is not looked at where none is expected', () => {
    expect(outcome(quoteWith({ extraData: Buffer.alloc(50) }), { extraData: undefined })).toBe('accepted');
  });

  test('is checked before the PCRs', () => {
    expect(outcome({ ...quoteWith({ extraData: Buffer.of(1), pcrSelect: [] }), pcrs: {} })).toBe('quote.binding');
  });
});

describe('the PCRs', () => {
  test('empty, duplicate and unknown selections are quote.pcr_selection, whatever the values', () => {
    const duplicate = [selection('sha256', 0, 4, 8), selection('sha256', 0, 4, 8)];
    const split = [selection('sha256', 0, 4), selection('sha256', 8)];
    const unknown = [selection('sha256', 0, 4, 8), { hashAlg: 0x12, pcrs: [1] }];
    const withNothing = [selection('sha256', 0, 4, 8), selection('sha384')];
    for (const pcrSelect of [[], [selection('sha256')], duplicate, split, unknown, withNothing]) {
      const evidence = quoteWith({ pcrSelect });
      expect(outcome(evidence)).toBe('quote.pcr_selection');
      expect(outcome(evidence, { neededPcrs: {} })).toBe('quote.pcr_selection');
      expect(outcome({ ...evidence, pcrs: {} })).toBe('quote.pcr_selection');
    }
  });

  test('a needed PCR that only another bank covers is quote.pcr_selection', () => {
    for (const bank of ['sha1', 'sha384', 'sha512'] as const) {
      expect(outcome(quoteWith({ pcrSelect: [selection(bank, 0, 4, 8)] }))).toBe('quote.pcr_selection');
    }
    expect(outcome(quoteWith({ pcrSelect: [selection('sha1', 8), selection('sha256', 0, 4)] }))).toBe(
      'quote.pcr_selection',
    );
  });

  test('the value of PCR 16 does not pass for that of PCR 8 by its position', () => {
    const evidence = quoteWith({ pcrSelect: [selection('sha256', 0, 4, 16)] });
    const relabelled = { sha256: { 0: pcrValue('sha256', 0), 4: pcrValue('sha256', 4), 8: pcrValue('sha256', 16) } };
    expect(outcome({ ...evidence, pcrs: relabelled })).toBe('quote.pcr_selection');
    expect(outcome({ ...evidence, pcrs: relabelled }, { neededPcrs: { sha256: [0, 4] } })).toBe('quote.pcr_values');
  });

  test('a value too many or too few is quote.pcr_values', () => {
    const evidence = quoteWith({});
    const { sha256 } = evidence.pcrs;
    const without = { 0: pcrValue('sha256', 0), 4: pcrValue('sha256', 4) };
    const bad: PcrValues[] = [
      {},
      { sha256: without },
      { sha256: { ...sha256, 9: pcrValue('sha256', 9) } },
      { sha256: sha256!, sha1: { 0: pcrValue('sha1', 0) } },
      { sha384: valuesFor([selection('sha384', 0, 4, 8)]).sha384! },
    ];
    for (const pcrs of bad) expect(outcome({ ...evidence, pcrs })).toBe('quote.pcr_values');
  });

  test('a value of a SHA-1 bank is counted: without it the quote is refused, changed too', () => {
    const evidence = quoteWith({ pcrSelect: [selection('sha1', 0), selection('sha256', 0, 4, 8)] });
    const { sha256 } = evidence.pcrs;
    expect(outcome({ ...evidence, pcrs: { sha256: sha256! } })).toBe('quote.pcr_values');
    expect(outcome({ ...evidence, pcrs: { sha256: sha256!, sha1: { 0: pcrValue('sha1', 1) } } })).toBe(
      'quote.pcr_digest',
    );
  });

  test('a wrong value is quote.pcr_digest, with the signed and the computed digest', () => {
    const evidence = quoteWith({});
    const pcrs = { sha256: { ...evidence.pcrs.sha256, 8: pcrValue('sha256', 9) } };
    const signed = digestOf([selection('sha256', 0, 4, 8)], 'sha256').toString('hex');
    const result = verifyQuote({ ...evidence, pcrs }, EXPECTED);
    expect(result).toMatchObject({
      reason: 'quote.pcr_digest',
      findings: [{ claim: 'quote.pcr_digest', operator: 'equals', expected: signed }],
    });
    expect(!result.ok && result.findings?.[0]?.found).toMatch(/^[0-9a-f]{64}$/);
  });

  test('two values that changed places are quote.pcr_digest', () => {
    const evidence = quoteWith({});
    const pcrs = { sha256: { 0: pcrValue('sha256', 4), 4: pcrValue('sha256', 0), 8: pcrValue('sha256', 8) } };
    expect(outcome({ ...evidence, pcrs })).toBe('quote.pcr_digest');
  });

  test('the digest is made with the hash of the signature and has its length', () => {
    const pcrSelect = [selection('sha256', 0, 4, 8)];
    for (const hash of ['sha1', 'sha384', 'sha512'] as const) {
      expect(outcome(quoteWith({ body: { pcrDigest: digestOf(pcrSelect, hash) } }))).toBe('quote.pcr_digest');
    }
    const full = digestOf(pcrSelect, 'sha256');
    for (const pcrDigest of [Buffer.alloc(0), full.subarray(0, 20), Buffer.concat([full, Buffer.of(0)])]) {
      expect(outcome(quoteWith({ body: { pcrDigest } }))).toBe('quote.pcr_digest');
    }
  });

  test('the digest goes by the order of the entries', () => {
    const pcrSelect = [selection('sha384', 7), selection('sha256', 0, 4, 8)];
    expect(outcome(quoteWith({ pcrSelect }))).toBe('accepted');
    const reversed = { pcrDigest: digestOf([...pcrSelect].reverse(), 'sha256') };
    expect(outcome(quoteWith({ pcrSelect, body: reversed }))).toBe('quote.pcr_digest');
  });
});
