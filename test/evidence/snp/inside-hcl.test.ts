/** A SEV-SNP report inside an HCL report stands for itself: there is no trust domain that a quote could be of. */
import { describe, expect, test } from '@jest/globals';
import { NO_EVIDENCE } from '../../../src/cli/evidence/evidence-file.js';
import { appraiseCvm, SAFE_HARDWARE_RULES } from '../../../src/evidence/appraise.js';
import type { HclEvidence } from '../../../src/evidence/hcl/evidence.js';
import { sha256 } from '../../../src/crypto/digest.js';
import { BASE, believing, hclMachine, reportData, tdxEvidence } from '../../cli/evidence-simulated.js';

const machine = hclMachine(BASE).hcl;
if (machine === undefined) throw new Error('no HCL report');
const hcl: HclEvidence = machine;

function appraised(changes: Partial<HclEvidence>) {
  return appraiseCvm({ ...NO_EVIDENCE, hcl: { ...hcl, ...changes } }, believing(), SAFE_HARDWARE_RULES, undefined);
}

describe('an HCL report of a SEV-SNP machine', () => {
  test('is accepted without a TD quote', () => {
    const result = appraised({});
    expect(result.ok && result.value.cvm).toMatchObject({ kind: 'snp', hasRuntimeData: true });
  });

  test.each([
    ['a genuine one', reportData()],
    ['one that names the same runtime data', hcl.report.subarray(0x20 + 0x50, 0x20 + 0x90)],
  ])('is refused beside %s, which nobody would look at', (_what, data) => {
    const quote = tdxEvidence(data).tdx?.quote;
    expect(quote?.length).toBeGreaterThan(1000);
    // The quote is good by itself.
    expect(
      appraiseCvm({ ...NO_EVIDENCE, tdx: { quote: quote ?? Buffer.of() } }, believing(), SAFE_HARDWARE_RULES, data).ok,
    ).toBe(true);
    expect(appraised({ quote })).toMatchObject({ ok: false, reason: 'hcl.quote_mismatch' });
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['what is no quote', sha256(BASE)],
  ])('is refused beside %s in the place of a quote', (_what, quote) => {
    expect(appraised({ quote })).toMatchObject({ ok: false, reason: 'hcl.quote_mismatch' });
  });
});
