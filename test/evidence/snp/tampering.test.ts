/** Nothing that is signed, reserved or a signature can be changed or cut: in evidence of a real machine, and in simulated. */
import { describe, expect, test } from '@jest/globals';
import { SAFE_SNP_RULES, type SnpEvidence } from '../../../src/evidence/snp/evidence.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import type { HardwareTrust } from '../../../src/endorsement/collateral.js';
import { evidenceOf, MAKERS, trust } from './simulated.js';
import { AT, certificatesIn, present, trustAt, vector } from './vectors.js';

const describeWithVectors = present ? describe : describe.skip;

/** The offsets where a bit was flipped, each time another one of its byte, and the evidence still good; `step`: not in each byte. */
function accepted(
  bytes: Buffer,
  evidence: (changed: Buffer) => SnpEvidence,
  under: HardwareTrust,
  step = 1,
): readonly string[] {
  const good: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += step) {
    const changed = Buffer.from(bytes);
    changed[offset] = (changed[offset] ?? 0) ^ (1 << (offset % 8));
    const result = verifySnp(evidence(changed), under, SAFE_SNP_RULES);
    if (result.ok) good.push(`0x${offset.toString(16)}`);
    else if (!/^(?:evidence\.malformed|snp\.\w+)$/.test(result.reason)) good.push(result.reason);
  }
  return good;
}

/** The lengths to which it was cut, and the evidence still good. */
function acceptedPrefixes(
  bytes: Buffer,
  evidence: (cut: Buffer) => SnpEvidence,
  under: HardwareTrust,
): readonly number[] {
  const lengths = Array.from({ length: bytes.length }, (_, length) => length);
  return lengths.filter((length) => verifySnp(evidence(bytes.subarray(0, length)), under, SAFE_SNP_RULES).ok);
}

function itCannotBeChanged(given: () => SnpEvidence, under: HardwareTrust): void {
  const pieces = () => {
    const { report, certificates } = given();
    const [leaf = Buffer.alloc(0), ca = Buffer.alloc(0)] = certificates;
    return { report, certificates, leaf, ca };
  };

  test('it is good as it is', () => {
    expect(verifySnp(given(), under, SAFE_SNP_RULES).ok).toBe(true);
  });

  test('no byte of the report can be changed', () => {
    const { report, certificates } = pieces();
    expect(accepted(report, (changed) => ({ report: changed, certificates }), under)).toEqual([]);
  });

  test('no byte of the leaf can be changed, with its CA beside it or not', () => {
    const { report, leaf, ca } = pieces();
    expect(accepted(leaf, (changed) => ({ report, certificates: [changed, ca] }), under)).toEqual([]);
    expect(accepted(leaf, (changed) => ({ report, certificates: [changed] }), under, 5)).toEqual([]);
  });

  test('no byte of the CA can be changed', () => {
    const { report, leaf, ca } = pieces();
    expect(accepted(ca, (changed) => ({ report, certificates: [leaf, changed] }), under)).toEqual([]);
  });

  test('nothing can be cut, and no byte put behind', () => {
    const { report, certificates, leaf, ca } = pieces();
    const longer = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)]);
    const ok = (evidence: SnpEvidence) => verifySnp(evidence, under, SAFE_SNP_RULES).ok;
    expect(acceptedPrefixes(report, (cut) => ({ report: cut, certificates }), under)).toEqual([]);
    expect(acceptedPrefixes(leaf, (cut) => ({ report, certificates: [cut, ca] }), under)).toEqual([]);
    expect(acceptedPrefixes(ca, (cut) => ({ report, certificates: [leaf, cut] }), under)).toEqual([]);
    expect(ok({ report: longer(report), certificates })).toBe(false);
    expect(ok({ report, certificates: [longer(leaf), ca] })).toBe(false);
    expect(ok({ report, certificates: [leaf, longer(ca)] })).toBe(false);
  });
}

describeWithVectors('evidence of a Milan machine', () => {
  const given = () => ({
    ...vector('ms-milan'),
    certificates: [...vector('ms-milan').certificates, ...certificatesIn('ms-milan/ask.pem')],
  });
  itCannotBeChanged(given, trustAt(AT));
});

describe('simulated evidence of Turin', () => {
  const given = () => {
    const { report, certificates } = evidenceOf({}, 'Turin');
    return { report, certificates: [...certificates, MAKERS.amd.Turin.ask.certificate] };
  };
  itCannotBeChanged(given, trust());

  test('a changed ARK beside them is refused too', () => {
    const { report, certificates } = given();
    const ark = MAKERS.amd.Turin.ark.certificate;
    const beside = (changed: Buffer): SnpEvidence => ({ report, certificates: [...certificates, changed] });
    expect(accepted(ark, beside, trust(), 7)).toEqual([]);
  });
});
