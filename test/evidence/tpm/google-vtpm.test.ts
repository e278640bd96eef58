/** Quotes that the vTPM of a Google Compute Engine machine made (Container-Optimized OS 85), where that vector is at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { claimAt } from '../../../src/claims/claims.js';
import type { PcrValues, TpmEvidence } from '../../../src/evidence/tpm/evidence.js';
import { verifyQuote, type QuoteExpectations } from '../../../src/evidence/tpm/quote.js';
import { accept } from '../../../src/reason/reason.js';

const FILE = join(import.meta.dirname, '../../../../shared/vectors/tpm-quotes/gce-cos-85-nonce9009.json');

interface Vector {
  readonly evidence: Readonly<
    Record<string, { readonly tpm: Record<'quoted' | 'signature' | 'ak', string> & { pcrs: PcrValues } }>
  >;
}

const EXPECTED: QuoteExpectations = {
  extraData: Buffer.from('9009', 'hex'),
  neededPcrs: {},
  trust: () => accept({ kind: 'pinned' as const }),
};

(existsSync(FILE) ? describe : describe.skip)('the vTPM of a Google machine', () => {
  const vector = existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Vector) : { evidence: {} };
  const evidenceOf = (bank: string): TpmEvidence => {
    const { quoted, signature, ak, pcrs } = vector.evidence[bank]!.tpm;
    const decode = (text: string) => Buffer.from(text, 'base64url');
    return { quoted: decode(quoted), signature: decode(signature), ak: decode(ak), pcrs, akCertificates: [] };
  };

  test('its quotes over the SHA-256 and SHA-384 banks are accepted, with the values of the machine', () => {
    for (const bank of ['sha256', 'sha384'] as const) {
      const evidence = evidenceOf(bank);
      const result = verifyQuote(evidence, { ...EXPECTED, neededPcrs: { [bank]: [0, 4, 7, 8, 23] } });
      if (!result.ok) throw new Error(result.detail);
      expect(JSON.parse(JSON.stringify(result.value.pcrs))).toEqual(evidence.pcrs);
      expect(claimAt(result.value.claims, 'tpm.quote.signature_algorithm')).toBe('rsassa-sha256');
      expect(claimAt(result.value.claims, 'tpm.firmware_version')).toBe(String(0x2016051100162800n));
    }
  });

  test('its genuine quote over the SHA-1 bank makes nothing believed, and meets no need', () => {
    const result = verifyQuote(evidenceOf('sha1'), EXPECTED);
    expect(result.ok && result.value.pcrs).toEqual({});
    for (const bank of ['sha1', 'sha256'] as const) {
      expect(verifyQuote(evidenceOf('sha1'), { ...EXPECTED, neededPcrs: { [bank]: [8] } })).toMatchObject({
        ok: false,
        reason: 'quote.pcr_selection',
      });
    }
  });

  test('a quote of one bank with the values of another is refused', () => {
    const evidence = { ...evidenceOf('sha256'), pcrs: evidenceOf('sha384').pcrs };
    expect(verifyQuote(evidence, EXPECTED)).toMatchObject({ ok: false, reason: 'quote.pcr_values' });
  });

  test('a quote with the signature of another is refused', () => {
    const evidence = { ...evidenceOf('sha256'), signature: evidenceOf('sha384').signature };
    expect(verifyQuote(evidence, EXPECTED)).toMatchObject({ ok: false, reason: 'quote.signature' });
  });
});
