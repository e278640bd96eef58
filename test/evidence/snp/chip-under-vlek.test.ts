/** Under a VLEK it is the report alone that names the chip, and revocations of it are written in either length. */
import { describe, expect, test } from '@jest/globals';
import { isRevocable } from '../../../src/endorsement/identity.js';
import { SAFE_SNP_RULES } from '../../../src/evidence/snp/evidence.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import { SIMULATED_GENERATIONS, type SimulatedGeneration } from '../../../src/simulator/makers.js';
import { CSP, DATES, guest, MAKERS, REPORT_DATA, trust } from './simulated.js';

/** The names of the chip that a report has under a key of its provider. */
function chipsOf(generation: SimulatedGeneration, chipId = guest(generation).fields.chipId): readonly string[] {
  const snp = guest(generation);
  const evidence = {
    report: snp.report(REPORT_DATA, { signingKey: 1, chipId }),
    certificates: [snp.certificate(MAKERS, { ...DATES, cspId: CSP })],
  };
  const result = verifySnp(evidence, trust(), SAFE_SNP_RULES);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  expect(result.value.signingKey).toBe('VLEK');
  return result.value.identities.filter((identity) => identity.startsWith('chip/'));
}

const named = (id: Buffer) => `chip/${id.toString('hex')}`;
const SHORT = Buffer.from('0123456789abcdef', 'hex');

describe('the chip under a VLEK', () => {
  test('of Turin has its 8 bytes for a name, and the 64 of the field', () => {
    const padded = Buffer.concat([SHORT], 64);
    expect(chipsOf('Turin', padded)).toEqual([named(SHORT), named(padded)]);
  });

  test('of Turin has the names of its 8 bytes whatever stands behind these, and that of what stands there', () => {
    const whole = Buffer.concat([SHORT, Buffer.alloc(56, 0xee)]);
    const chips = chipsOf('Turin', whole);
    expect([...chips].sort()).toEqual([named(SHORT), named(Buffer.concat([SHORT], 64)), named(whole)].sort());
  });

  test.each(['Milan', 'Genoa'] as const)('of %s has one name, of 64 bytes', (generation) => {
    const chipId = Buffer.concat([SHORT, Buffer.alloc(56, 0xee)]);
    expect(chipsOf(generation, chipId)).toEqual([named(chipId)]);
  });

  test.each(SIMULATED_GENERATIONS)('of %s has the names that it has under its VCEK', (generation) => {
    const snp = guest(generation);
    const evidence = { report: snp.report(REPORT_DATA), certificates: [snp.certificate(MAKERS, DATES)] };
    const result = verifySnp(evidence, trust(), SAFE_SNP_RULES);
    const underVcek = result.ok ? result.value.identities.filter((identity) => identity.startsWith('chip/')) : [];
    expect(underVcek.length).toBeGreaterThan(0);
    expect(chipsOf(generation)).toEqual(underVcek);
    expect(underVcek.every(isRevocable)).toBe(true);
  });

  test.each(SIMULATED_GENERATIONS)('of %s that is left out has none', (generation) => {
    expect(chipsOf(generation, Buffer.alloc(64))).toEqual([]);
  });
});
