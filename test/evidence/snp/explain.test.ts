import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import type { SnpEvidence } from '../../../src/evidence/snp/evidence.js';
import { explainSnp } from '../../../src/evidence/snp/explain.js';
import { CSP, evidenceOf, guest, MAKERS, vlekEvidenceOf } from './simulated.js';

const wrongIn = (evidence: SnpEvidence) =>
  explainSnp(evidence).flatMap(({ fields }) =>
    fields.filter(({ wrong }) => wrong).map(({ name, note }) => `${name}: ${note ?? ''}`),
  );
const valueOf = (evidence: SnpEvidence, title: string, name: string) =>
  explainSnp(evidence)
    .find((section) => section.title === title)
    ?.fields.find((field) => field.name === name)?.value;
const withCertificates = (...certificates: readonly Buffer[]): SnpEvidence => ({ ...evidenceOf(), certificates });

describe('good evidence', () => {
  test.each(['Milan', 'Genoa', 'Turin'] as const)('nothing is wrong with a report of %s', (generation) => {
    expect(wrongIn(evidenceOf({}, generation))).toEqual([]);
    expect(wrongIn(evidenceOf({ version: 2 }, generation))).toEqual([]);
  });

  test('nothing is wrong with a VLEK', () => {
    expect(wrongIn(vlekEvidenceOf())).toEqual([]);
    expect(valueOf(vlekEvidenceOf(), 'SEV-SNP certificate 1', 'cloud provider')).toBe(CSP);
  });

  test('it says what stands there', () => {
    const evidence = {
      ...evidenceOf(),
      certificates: [...evidenceOf().certificates, MAKERS.amd.Milan.ask.certificate],
    };
    expect(explainSnp(evidence).map(({ title }) => title)).toEqual([
      'SEV-SNP report',
      'SEV-SNP guest policy',
      'SEV-SNP platform',
      'SEV-SNP TCB',
      'SEV-SNP certificate 1',
      'SEV-SNP certificate 2',
    ]);
    expect(valueOf(evidence, 'SEV-SNP TCB', 'reported')).toBe('bootloader 4, tee 0, snp 24, microcode 219');
    expect(valueOf(evidence, 'SEV-SNP report', 'measurement')).toBe(guest().fields.measurement.toString('hex'));
    expect(valueOf(evidence, 'SEV-SNP guest policy', 'abi')).toBe('0.31');
    expect(valueOf(evidence, 'SEV-SNP platform', 'firmware')).toBe('1.55.29');
    expect(valueOf(evidence, 'SEV-SNP certificate 2', 'subject')).toBe('SEV-Milan');
  });
});

describe('what is wrong', () => {
  const DEBUG = 0x3001fn | (1n << 19n);

  test.each([
    ['a version', { version: 6 }, /^version: version 6 of/],
    ['an algorithm', { signatureAlgorithm: 2 }, /^version: signature algorithm 2 of/],
    ['a processor', { cpuid: [0x1a, 0x50, 0] }, /^generation: no root is pinned/],
    ['a reserved bit', { platformInfo: 0x100n }, /^reserved: a reserved bit of PLATFORM_INFO/],
    ['a debugger', { policy: DEBUG }, /^debug: The host may debug/],
    ['an agent that may come', { policy: 0x7001fn }, /^migrate ma: A migration agent/],
    ['an agent', { reportIdMa: Buffer.alloc(32) }, /^report id of agent: a migration agent is bound/],
    ['a host that asks', { vmpl: 0xffffffff }, /^vmpl: the host asked/],
    ['a level that is none', { vmpl: 4 }, /^vmpl: no privilege level/],
    ['no signature', { signingKey: 7 }, /^signing key: no key has signed/],
    ['another key', { signingKey: 1 }, /^signing key: the certificate is a VCEK/],
    ['another chip', { chipId: Buffer.alloc(64, 1) }, /^chip id: not the chip of the certificate/],
    ['a hidden chip', { chipId: Buffer.alloc(64) }, /^chip id: the host hides/],
    ['a masked key', { maskChipKey: true }, /^chip id: the host hides/],
  ] as const)('%s is named', (_, fields, expected) => {
    expect(wrongIn(evidenceOf(fields))).toEqual([expect.stringMatching(expected)]);
  });

  test('the key of another TCB is named', () => {
    const certificates = evidenceOf().certificates;
    const reportedTcb = { bootloader: 4, tee: 0, snp: 25, microcode: 219 };
    expect(wrongIn({ ...evidenceOf({ reportedTcb }), certificates })).toEqual([
      'reported: the key of the certificate was derived for bootloader 4, tee 0, snp 24, microcode 219',
    ]);
  });

  test('a reserved byte of a TCB is named', () => {
    const report = Buffer.from(evidenceOf().report);
    report[0x182] = 1;
    expect(wrongIn({ ...evidenceOf(), report })).toEqual(['reported: reported: a reserved byte is not zero']);
  });

  test('what is no certificate is named, and the report explained all the same', () => {
    expect(wrongIn(withCertificates(Buffer.from('x')))).toEqual([expect.stringMatching(/^certificate: /)]);
    expect(wrongIn(withCertificates(MAKERS.amd.Milan.ask.certificate))).toEqual([
      'certificate: the subject is neither SEV-VCEK nor SEV-VLEK',
    ]);
    const before3 = { ...evidenceOf({ version: 2 }), certificates: [] };
    expect(wrongIn(before3)).toEqual([expect.stringMatching(/^generation: /)]);
  });
});

test('it throws MalformedError only, and only for another length', () => {
  expect(() => explainSnp({ ...evidenceOf(), report: Buffer.alloc(1183) })).toThrow(MalformedError);
  const bytes = fc.uint8Array({ minLength: 1184, maxLength: 1184 }).map((report) => Buffer.from(report));
  fc.assert(
    fc.property(bytes, fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 }), (report, certificates) => {
      expect(
        explainSnp({ report, certificates: certificates.map((der) => Buffer.from(der)) }).length,
      ).toBeLessThanOrEqual(12);
    }),
  );
});
