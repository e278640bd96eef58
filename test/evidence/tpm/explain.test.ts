import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { TPMA_OBJECT } from '../../../src/evidence/tpm/constants.js';
import { parseAk } from '../../../src/evidence/tpm/ak.js';
import type { TpmEvidence } from '../../../src/evidence/tpm/evidence.js';
import { explainAttest, explainTpm } from '../../../src/evidence/tpm/explain.js';
import { encodePublicArea } from './encode.js';
import { AK_ATTRIBUTES, eccAk, pcrValue, rsaAk, selection, softwareQuote } from './software-quote.js';

const AK = eccAk();

function evidenceOf(changes: Partial<TpmEvidence> = {}): TpmEvidence {
  return { ...softwareQuote(AK), akCertificates: [], ...changes };
}

/** The fields of all sections, `name: value`. */
function fields(evidence: TpmEvidence, runtimeAk?: Buffer): readonly string[] {
  return explainTpm(evidence, runtimeAk).flatMap((section) =>
    section.fields.map(({ name, value }) => `${name}: ${value}`),
  );
}

function wrong(evidence: TpmEvidence, runtimeAk?: Buffer): readonly (readonly [string, string | undefined])[] {
  const all = explainTpm(evidence, runtimeAk).flatMap((section) => section.fields);
  return all.filter((field) => field.wrong === true).map(({ name, note }) => [name, note]);
}

describe('explainTpm', () => {
  test('shows every field of a good quote and finds nothing wrong', () => {
    const evidence = evidenceOf();
    expect(wrong(evidence)).toEqual([]);
    expect(fields(evidence)).toEqual(
      expect.arrayContaining([
        'type: TPM_ST_ATTEST_QUOTE',
        'pcrSelect: sha256: 0, 4, 8',
        'sigAlg: ECDSA',
        'hash: sha256',
        'verifies: yes',
        'type: ECC P-256',
        `sha256 8: ${pcrValue('sha256', 8)}`,
        'digest: as signed',
      ]),
    );
    const ak = rsaAk('rsapss', 'sha384');
    const rsa = { ...softwareQuote(ak), akCertificates: [] };
    expect([wrong(rsa), fields(rsa)]).toEqual([
      [],
      expect.arrayContaining([
        'sigAlg: RSASSA-PSS',
        'type: RSA 2048',
        'hash: sha384',
        'scheme: RSASSA-PSS with sha384',
      ]),
    ]);
  });

  test('marks a signature that does not verify', () => {
    const { signature } = softwareQuote(eccAk('P-256', 'sha256', 'another'));
    expect(wrong(evidenceOf({ signature }))).toEqual([['verifies', expect.stringContaining('does not verify')]]);
    const unknown = Buffer.from('00ff000b', 'hex');
    expect(wrong(evidenceOf({ signature: unknown }))).toEqual([['sigAlg', 'not a scheme that is verified here']]);
  });

  test('marks values that are not those selected, or do not hash to the digest', () => {
    const { pcrs } = evidenceOf();
    const changed = { sha256: { ...pcrs.sha256, '4': '00'.repeat(32) } };
    expect(wrong(evidenceOf({ pcrs: changed }))).toEqual([['digest', 'the values do not hash to pcrDigest']]);
    const more = { sha256: { ...pcrs.sha256, '9': '00'.repeat(32) } };
    expect(wrong(evidenceOf({ pcrs: more })).map(([name]) => name)).toEqual(['values']);
    const unmeasured = explainTpm(evidenceOf({ pcrs: changed })).flatMap((section) => section.fields);
    expect(unmeasured.find(({ name }) => name === 'sha256 4')?.note).toBe('nothing was measured into it');
  });

  test('marks a selection that is empty or doubled', () => {
    const empty = softwareQuote(AK, { pcrSelect: [] });
    expect(wrong({ ...empty, akCertificates: [] }).map(([name]) => name)).toEqual(['pcrSelect']);
    const double = softwareQuote(AK, { pcrSelect: [selection('sha256', 8), selection('sha256', 8)] });
    expect(wrong({ ...double, akCertificates: [] }).map(([name]) => name)).toEqual(['pcrSelect']);
  });

  test('marks an AK that is none, and one that is left out where nothing names it', () => {
    const area = { ...AK.area, objectAttributes: AK_ATTRIBUTES & ~TPMA_OBJECT.restricted };
    expect(wrong(evidenceOf({ ak: encodePublicArea(area) }))).toEqual([
      ['suitable', expect.stringContaining('restricted')],
    ]);
    expect(wrong(evidenceOf({ ak: Buffer.alloc(3) }))).toEqual([['structure', expect.any(String)]]);
    expect(wrong(evidenceOf({ ak: undefined }))).toEqual([['suitable', expect.any(String)]]);
  });

  test('tells an AK that the runtime data names from another one', () => {
    const known = parseAk(encodePublicArea(AK.area));
    const other = parseAk(encodePublicArea(eccAk('P-256', 'sha256', 'another').area));
    if (!known.ok || !other.ok) throw new Error('not an AK');
    expect(wrong(evidenceOf(), known.value.spki)).toEqual([]);
    expect(wrong(evidenceOf(), other.value.spki)).toEqual([['SPKI SHA-256', expect.stringContaining('another key')]]);
    const named = evidenceOf({ ak: undefined, namedSpki: known.value.spki });
    expect([wrong(named, known.value.spki), fields(named)]).toEqual([
      [],
      expect.arrayContaining(['public area: (left out)', 'verifies: yes']),
    ]);
  });

  test('says of each part that does not parse why, every prefix of them', () => {
    const { quoted, signature, ak } = evidenceOf();
    for (let length = 0; length < quoted.length; length++) {
      expect(explainAttest(quoted.subarray(0, length))).toMatchObject([{ name: 'structure', wrong: true }]);
    }
    for (let length = 0; length < signature.length; length++) {
      expect(wrong(evidenceOf({ signature: signature.subarray(0, length) }))).toEqual([
        ['structure', expect.any(String)],
      ]);
    }
    for (let length = 0; length < (ak?.length ?? 0); length++) {
      expect(wrong(evidenceOf({ ak: ak?.subarray(0, length) })).map(([name]) => name)).toEqual(['structure']);
    }
    expect(explainAttest(Buffer.from('00000000', 'hex'))[0]?.note).toContain('ff544347');
  });

  test('never throws, whatever the bytes are', () => {
    const bytes = fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some));
    const good = evidenceOf();
    const one = fc.record({
      quoted: fc.oneof(bytes, fc.constant(good.quoted)),
      signature: fc.oneof(bytes, fc.constant(good.signature)),
      ak: fc.oneof(bytes, fc.constant(undefined)),
      akCertificates: fc.array(bytes, { maxLength: 2 }),
    });
    fc.assert(fc.property(one, (some) => expect(explainTpm({ ...good, ...some })).toHaveLength(4)));
  });
});
