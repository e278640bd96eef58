import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import type { PcrValues } from '../../../src/evidence/tpm/evidence.js';
import { expectedPolicyPcr, extendPcr, matchValues } from '../../../src/evidence/tpm/pcr.js';
import { pcrValue } from './software-quote.js';

describe('PCR arithmetic', () => {
  test('extend is the hash of the old value and the data', () => {
    const old = Buffer.alloc(32, 1);
    const data = Buffer.alloc(32, 2);
    expect(extendPcr('sha256', old, data)).toEqual(createHash('sha256').update(old).update(data).digest());
  });

  test('only digests of the bank extend a PCR', () => {
    expect(() => extendPcr('sha256', Buffer.alloc(32), Buffer.alloc(48))).toThrow(RangeError);
    expect(() => extendPcr('sha384', Buffer.alloc(32), Buffer.alloc(48))).toThrow(RangeError);
  });

  test('the policy PCR is one extend from reset, as a TPM computed it', () => {
    // swtpm 0.7.1: tpm2_pcrextend 8:sha256=aa…aa on a PCR just reset, then tpm2_pcrread.
    expect(expectedPolicyPcr('sha256', 'aa'.repeat(32))).toBe(
      '9ef814b42fa0be12d197c44d3e8e03441a4b1118237658368ba1351090e556ed',
    );
    const sha384 = createHash('sha384').update(Buffer.alloc(48)).update(Buffer.alloc(48, 0xbb)).digest('hex');
    expect(expectedPolicyPcr('sha384', 'bb'.repeat(48))).toBe(sha384);
  });

  test('a policy digest of another length or spelling is an error', () => {
    expect(() => expectedPolicyPcr('sha256', 'aa'.repeat(48))).toThrow(RangeError);
    expect(() => expectedPolicyPcr('sha256', 'AA'.repeat(32))).toThrow(MalformedError);
  });
});

describe('matchValues', () => {
  const selected = [
    { bank: 'sha1', pcrs: [0] },
    { bank: 'sha256', pcrs: [4, 8] },
  ] as const;
  const good = {
    sha256: { 8: pcrValue('sha256', 8), 4: pcrValue('sha256', 4) },
    sha1: { 0: pcrValue('sha1', 0) },
  };
  const refused = (pcrs: unknown) => {
    const result = matchValues(selected, pcrs as PcrValues);
    return result.ok ? 'accepted' : result.reason;
  };

  test('orders values as the selection does, and believes none of the SHA-1 bank', () => {
    const result = matchValues(selected, good);
    const expected = [pcrValue('sha1', 0), pcrValue('sha256', 4), pcrValue('sha256', 8)];
    expect(result).toEqual({
      ok: true,
      value: { ordered: expected.map((hex) => Buffer.from(hex, 'hex')), pcrs: { sha256: good.sha256 } },
    });
  });

  test('a missing value is refused and named', () => {
    expect(matchValues(selected, { ...good, sha256: { 4: pcrValue('sha256', 4) } })).toMatchObject({
      reason: 'quote.pcr_values',
      findings: [{ claim: 'quote.pcr_values.sha256.8', operator: 'exists', expected: true, found: null }],
    });
    expect(refused({ sha256: good.sha256 })).toBe('quote.pcr_values');
    expect(refused({})).toBe('quote.pcr_values');
  });

  test('a value that is not selected is refused, in a selected bank or another', () => {
    expect(refused({ ...good, sha256: { ...good.sha256, 9: pcrValue('sha256', 9) } })).toBe('quote.pcr_values');
    expect(refused({ ...good, sha384: { 8: pcrValue('sha384', 8) } })).toBe('quote.pcr_values');
    expect(refused({ ...good, sm3_256: { 8: pcrValue('sha256', 8) } })).toBe('quote.pcr_values');
    expect(refused({ ...good, SHA256: good.sha256 })).toBe('quote.pcr_values');
  });

  test('a PCR number has one spelling', () => {
    for (const name of ['08', '+8', '8.0', ' 8', '0x8', '8 ']) {
      expect(refused({ ...good, sha256: { 4: pcrValue('sha256', 4), [name]: pcrValue('sha256', 8) } })).toBe(
        'quote.pcr_values',
      );
      expect(refused({ ...good, sha256: { ...good.sha256, [name]: pcrValue('sha256', 8) } })).toBe('quote.pcr_values');
    }
  });

  test('a value is lower-case hex of the length of its bank', () => {
    const value = pcrValue('sha256', 8);
    for (const bad of [
      '',
      value.slice(2),
      `${value}00`,
      value.toUpperCase(),
      `0x${value.slice(2)}`,
      'g'.repeat(64),
      pcrValue('sha384', 8),
    ]) {
      expect([bad, refused({ ...good, sha256: { ...good.sha256, 8: bad } })]).toEqual([bad, 'quote.pcr_values']);
    }
  });

  test('inherited members are no values', () => {
    const inherited = Object.create({ 8: pcrValue('sha256', 8) }) as Record<string, string>;
    inherited['4'] = pcrValue('sha256', 4);
    expect(refused({ ...good, sha256: inherited })).toBe('quote.pcr_values');
    expect(refused(Object.create(good))).toBe('quote.pcr_values');
  });
});
