import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { claimAt } from '../../src/claims/claims.js';
import { verifyQuoteOffline, type QuoteVerifyInput } from '../../src/cli/quote-verify.js';
import { eccAk, pcrValue, selection, softwareQuote, type QuoteParts } from '../evidence/tpm/software-quote.js';

const AK = eccAk();
const POLICY = Buffer.from('a runtime policy');
const POLICY_PCR = createHash('sha256')
  .update(Buffer.alloc(32))
  .update(createHash('sha256').update(POLICY).digest())
  .digest('hex');

function inputOf(parts: QuoteParts = {}, more: Partial<QuoteVerifyInput> = {}): QuoteVerifyInput {
  const { quoted, signature, ak, pcrs } = softwareQuote(AK, parts);
  return { quoted, signature, ak, pcrs: Buffer.from(JSON.stringify(pcrs)), pcrConditions: [], ...more };
}

/** A quote in which PCR 8 has this value. */
function withPolicyPcr(value: string): Partial<QuoteVerifyInput> {
  const pcrs = { 0: pcrValue('sha256', 0), 4: pcrValue('sha256', 4), 8: value };
  const pcrDigest = createHash('sha256')
    .update(Buffer.from(Object.values(pcrs).join(''), 'hex'))
    .digest();
  return { ...inputOf({ body: { pcrDigest } }), pcrs: Buffer.from(JSON.stringify({ sha256: pcrs })) };
}

function reasonOf(input: QuoteVerifyInput): string {
  const result = verifyQuoteOffline(input);
  return result.ok ? 'accepted' : result.reason;
}

describe('verifyQuoteOffline', () => {
  test('a good quote gives its claims, without one of trust', () => {
    const result = verifyQuoteOffline(inputOf());
    if (!result.ok) throw new Error(result.detail);
    expect(claimAt(result.value, 'tpm.pcrs.sha256.8')).toBe(pcrValue('sha256', 8));
    expect(Object.keys(result.value)).toEqual(['tpm']);
    const { ak } = (JSON.parse(JSON.stringify(result.value)) as { tpm: { ak: object } }).tpm;
    expect(Object.keys(ak)).toEqual(['name']);
  });

  test('extraData is checked when it is given, the empty one too', () => {
    expect(reasonOf(inputOf({ extraData: Buffer.of(1) }))).toBe('accepted');
    expect(reasonOf(inputOf({ extraData: Buffer.of(1) }, { extraData: Buffer.of(1) }))).toBe('accepted');
    expect(reasonOf(inputOf({ extraData: Buffer.of(1) }, { extraData: Buffer.alloc(0) }))).toBe('quote.binding');
    expect(reasonOf(inputOf({ extraData: Buffer.alloc(0) }, { extraData: Buffer.alloc(0) }))).toBe('accepted');
  });

  test('a condition on a PCR that holds is accepted, in hex of either case', () => {
    const value = pcrValue('sha256', 4);
    for (const spelling of [value, value.toUpperCase()]) {
      const pcrConditions = [{ bank: 'sha256' as const, index: 4, value: spelling }];
      expect(reasonOf(inputOf({}, { pcrConditions }))).toBe('accepted');
    }
  });

  test('a PCR with another value is policy.pcr, with expected and found', () => {
    const pcrConditions = [
      { bank: 'sha256' as const, index: 4, value: pcrValue('sha256', 4) },
      { bank: 'sha256' as const, index: 8, value: 'ab'.repeat(32) },
    ];
    expect(verifyQuoteOffline(inputOf({}, { pcrConditions }))).toEqual({
      ok: false,
      reason: 'policy.pcr',
      detail: 'PCR 8 of the sha256 bank has another value',
      findings: [
        { claim: 'tpm.pcrs.sha256.8', operator: 'equals', expected: 'ab'.repeat(32), found: pcrValue('sha256', 8) },
      ],
    });
  });

  test('values of a wrong length meet no condition', () => {
    for (const value of ['', pcrValue('sha256', 8).slice(2), `${pcrValue('sha256', 8)}00`]) {
      expect(reasonOf(inputOf({}, { pcrConditions: [{ bank: 'sha256', index: 8, value }] }))).toBe('policy.pcr');
    }
  });

  test('two conditions on one PCR must both hold', () => {
    const index = 8;
    const [held, other] = [pcrValue('sha256', 8), 'cd'.repeat(32)];
    for (const values of [
      [held, other],
      [other, held],
    ]) {
      const pcrConditions = values.map((value) => ({ bank: 'sha256' as const, index, value }));
      expect(reasonOf(inputOf({}, { pcrConditions }))).toBe('policy.pcr');
    }
  });

  test('a condition on a PCR or a bank that is not quoted is quote.pcr_selection', () => {
    const value = pcrValue('sha256', 8);
    for (const [bank, index] of [
      ['sha256', 9],
      ['sha384', 8],
      ['sha512', 8],
      ['sha1', 8],
      ['sha256', 24],
      ['sha256', -1],
    ] as const) {
      expect(reasonOf(inputOf({}, { pcrConditions: [{ bank, index, value }] }))).toBe('quote.pcr_selection');
    }
    expect(reasonOf(inputOf({}, { policy: { content: POLICY, pcr: 9 } }))).toBe('quote.pcr_selection');
  });

  test('a condition on a SHA-1 value is never met, though it is quoted', () => {
    const parts = { pcrSelect: [selection('sha1', 8), selection('sha256', 8)] };
    const pcrConditions = [{ bank: 'sha1' as const, index: 8, value: pcrValue('sha1', 8) }];
    expect(reasonOf(inputOf(parts))).toBe('accepted');
    expect(reasonOf(inputOf(parts, { pcrConditions }))).toBe('quote.pcr_selection');
  });

  test('a policy that was measured, once, is accepted and named by its hash', () => {
    const input = inputOf({}, { ...withPolicyPcr(POLICY_PCR), policy: { content: POLICY, pcr: 8 } });
    const result = verifyQuoteOffline(input);
    if (!result.ok) throw new Error(result.detail);
    expect(claimAt(result.value, 'policy.sha256')).toBe(createHash('sha256').update(POLICY).digest('hex'));
  });

  test('another policy, one measured twice, and one measured after something else are policy.hash', () => {
    const digest = createHash('sha256').update(POLICY).digest();
    const extend = (old: Buffer) => createHash('sha256').update(old).update(digest).digest('hex');
    const policy = { content: POLICY, pcr: 8 };
    const twice = extend(Buffer.from(POLICY_PCR, 'hex'));
    for (const value of [twice, extend(Buffer.alloc(32, 1)), digest.toString('hex'), '00'.repeat(32)]) {
      expect(verifyQuoteOffline(inputOf({}, { ...withPolicyPcr(value), policy }))).toMatchObject({
        ok: false,
        reason: 'policy.hash',
        findings: [{ claim: 'tpm.pcrs.sha256.8', operator: 'equals', expected: POLICY_PCR, found: value }],
      });
    }
    const other = { content: Buffer.from('a runtime policy\n'), pcr: 8 };
    expect(reasonOf(inputOf({}, { ...withPolicyPcr(POLICY_PCR), policy: other }))).toBe('policy.hash');
  });

  test('a quote is refused for itself before any condition is looked at', () => {
    const pcrConditions = [{ bank: 'sha256' as const, index: 8, value: 'ab'.repeat(32) }];
    expect(reasonOf(inputOf({ header: { magic: 0 } }, { pcrConditions }))).toBe('quote.magic');
    const signature = softwareQuote(eccAk('P-256', 'sha256', 'another')).signature;
    expect(reasonOf(inputOf({}, { pcrConditions, signature }))).toBe('quote.signature');
  });

  test('empty files are refused with a reason', () => {
    for (const part of ['quoted', 'signature', 'ak', 'pcrs'] as const) {
      expect([part, reasonOf(inputOf({}, { [part]: Buffer.alloc(0) }))]).toEqual([part, 'evidence.malformed']);
    }
  });

  test('files of any content give a reason, never an exception (property)', () => {
    const anyFile = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.constantFrom('quoted', 'signature', 'ak', 'pcrs'), anyFile, (part, file) => {
        expect(verifyQuoteOffline(inputOf({}, { [part]: file }))).toMatchObject({ ok: false });
      }),
    );
  });
});
