/** Genuine evidence of which one bit is another, or the end is missing. */
import { expect, test } from '@jest/globals';
import type { HardwareTrust } from '../../../src/endorsement/collateral.js';
import { type GpuEvidence, SAFE_GPU_RULES } from '../../../src/evidence/gpu/evidence.js';
import { verifyGpus } from '../../../src/evidence/gpu/verify.js';
import { describeWithVectors, RIMS, single, trustAt } from './vectors.js';

const NOW = '2026-11-21T00:00:00Z';

/** The reason of the refusal, or `accepted`. */
function verdict(evidence: readonly GpuEvidence[], trust: HardwareTrust) {
  const result = verifyGpus(evidence, trust, { nonce: undefined, rules: SAFE_GPU_RULES });
  return result.ok ? 'accepted' : result.reason;
}

describeWithVectors('changes of a single bit', () => {
  /** For each byte one bit, another from byte to byte. */
  const flips = (bytes: Buffer) =>
    Array.from(bytes, (_, at) => {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1 << (at % 8);
      return changed;
    });
  const REFUSED = ['evidence.malformed', 'gpu.signature'];

  test('of the report are refused, whichever byte they are in', () => {
    const evidence = single['nvat-LS10-switch']!();
    const trust = trustAt(NOW, [RIMS.switch55]);
    const verdicts = flips(evidence.report).map((report) => verdict([{ ...evidence, report }], trust));
    expect([...new Set(verdicts)].sort()).toEqual(REFUSED);
  });

  test.each([0, 1, 2, 3])('of certificate %i below the root are refused, whichever byte they are in', (place) => {
    const evidence = single['nvat-LS10-switch']!();
    const trust = trustAt(NOW, [RIMS.switch55]);
    const verdicts = flips(evidence.certificates[place]!).map((changed) => {
      const certificates = evidence.certificates.with(place, changed);
      return verdict([{ ...evidence, certificates }], trust);
    });
    expect([...new Set(verdicts)]).toEqual(['gpu.chain']);
  });

  test('every proper prefix of a report is refused', () => {
    const evidence = single['nvat-LS10-switch']!();
    const trust = trustAt(NOW, [RIMS.switch55]);
    expect(verdict([evidence], trust)).toBe('accepted');
    const verdicts = Array.from(evidence.report, (_, length) =>
      verdict([{ ...evidence, report: evidence.report.subarray(0, length) }], trust),
    );
    expect([...new Set(verdicts)]).toEqual(['evidence.malformed']);
  });

  test('every proper prefix of a certificate below the root is refused', () => {
    const evidence = single['nvat-LS10-switch']!();
    const trust = trustAt(NOW, [RIMS.switch55]);
    for (const [place, der] of evidence.certificates.slice(0, 4).entries()) {
      for (let length = 0; length < der.length; length += 7) {
        const certificates = evidence.certificates.with(place, der.subarray(0, length));
        expect(verdict([{ ...evidence, certificates }], trust)).toBe('gpu.chain');
      }
    }
  });
});
