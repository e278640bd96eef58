/** One condition at a time, on simulated evidence: what else is good, and what is refused with which code. */
import { describe, expect, test } from '@jest/globals';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { claimAt } from '../../../src/claims/claims.js';
import { NO_COLLATERAL } from '../../../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { isRevocable } from '../../../src/endorsement/identity.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { SAFE_SNP_RULES, type SnpEvidence } from '../../../src/evidence/snp/evidence.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import { issueCertificate, issueCrl, type SimulatedCa } from '../../../src/simulator/certificate.js';
import { SIMULATED_GENERATIONS } from '../../../src/simulator/makers.js';
import { issueVek, vekDraft } from '../../../src/simulator/snp-vek.js';
import { AT, codeOf, CSP, DATES, evidenceOf, guest, MAKERS, REPORT_DATA, trust, vlekEvidenceOf } from './simulated.js';

const { ark, ask, asvk } = MAKERS.amd.Milan;
const DAY = 86_400_000;

const verify = (evidence: SnpEvidence, under = trust()) => {
  const result = verifySnp(evidence, under, SAFE_SNP_RULES);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return result.value;
};
const detailOf = (evidence: SnpEvidence, under = trust()) => {
  const result = verifySnp(evidence, under, SAFE_SNP_RULES);
  return result.ok ? 'good' : `${result.reason}: ${result.detail}`;
};
const withChain = (...above: readonly Buffer[]): SnpEvidence => {
  const { report, certificates } = evidenceOf();
  return { report, certificates: [...certificates, ...above] };
};

describe('good evidence', () => {
  test.each(
    SIMULATED_GENERATIONS.flatMap((generation) => [2, 3, 4, 5].map((version) => [generation, version] as const)),
  )('of %s in version %i', (generation, version) => {
    const verified = verify(evidenceOf({ version }, generation));
    expect(verified).toMatchObject({ generation, signingKey: 'VCEK', report: { version, reportData: REPORT_DATA } });
  });

  test('of version 4, whatever it says where version 5 has its mitigation vectors, and without a claim of that', () => {
    const report = Buffer.from(evidenceOf({ version: 4 }).report).fill(0x5a, 0x1f8, 0x208);
    const verified = verify({ ...evidenceOf(), report: guest().sign(report) });
    expect([claimAt(verified.claims, 'version'), verified.claims['mitigation']]).toEqual([4, undefined]);
    expect(codeOf({ ...evidenceOf(), report })).toBe('snp.signature');
  });

  test('with a VLEK', () => {
    expect(verify(vlekEvidenceOf())).toMatchObject({ generation: 'Milan', signingKey: 'VLEK' });
  });

  test('with the CA, with the ARK, and with what else is pinned', () => {
    expect(detailOf(withChain(ask.certificate))).toBe('good');
    expect(detailOf(withChain(ark.certificate, ask.certificate))).toBe('good');
    expect(detailOf(withChain(ask.certificate, ark.certificate, asvk.certificate, ask.certificate))).toBe('good');
  });

  test('at every privilege level of a guest', () => {
    expect([0, 1, 2, 3].map((vmpl) => claimAt(verify(evidenceOf({ vmpl })).claims, 'vmpl'))).toEqual([0, 1, 2, 3]);
  });

  test('names the chip, however long its field is, and the CAs; the serial that all leaves share names nobody', () => {
    const { identities } = verify(evidenceOf());
    const chip = guest().fields.chipId.toString('hex');
    expect(identities).toEqual([
      `chip/${chip}`,
      expect.stringMatching(/^certificate\//),
      expect.stringMatching(/^ca\//),
      expect.stringMatching(/^ca\//),
    ]);
    expect(identities.every(isRevocable)).toBe(true);
    expect(identities.filter((identity) => identity.endsWith('/00'))).toEqual([]);
    const turin = verify(evidenceOf({}, 'Turin')).identities;
    const long = guest('Turin').fields.chipId.toString('hex');
    expect(turin.slice(0, 2)).toEqual([`chip/${long.slice(0, 16)}`, `chip/${long}`]);
  });

  test('names the chip of the VCEK where the report hides it, and none under a VLEK that hides it', () => {
    const hidden = evidenceOf({ chipId: Buffer.alloc(64), maskChipKey: true });
    const result = verifySnp(hidden, trust(), { ...SAFE_SNP_RULES, maskedChip: true });
    const chip = `chip/${guest().fields.chipId.toString('hex')}`;
    expect(result.ok && result.value.identities[0]).toBe(chip);
    expect(verify(vlekEvidenceOf()).identities.filter((identity) => identity.startsWith('chip/'))).toEqual([]);
    const { chipId } = guest().fields;
    expect(verify(vlekEvidenceOf({ chipId })).identities[0]).toBe(chip);
  });
});

describe('evidence.malformed', () => {
  test('a report of another length', () => {
    expect(codeOf({ ...evidenceOf(), report: Buffer.alloc(0) })).toBe('evidence.malformed');
    expect(codeOf({ ...evidenceOf(), report: Buffer.concat([evidenceOf().report, Buffer.alloc(1)]) })).toBe(
      'evidence.malformed',
    );
  });

  test('a signed report with a reserved byte, bit or value', () => {
    const report = Buffer.from(evidenceOf().report);
    report[0x18b] = 1;
    expect(codeOf({ ...evidenceOf(), report: guest().sign(report) })).toBe('evidence.malformed');
    expect(codeOf(evidenceOf({ policy: 0x1001fn }))).toBe('evidence.malformed');
    expect(codeOf(evidenceOf({ policy: 0x3001fn | (1n << 26n) }))).toBe('evidence.malformed');
    expect(codeOf(evidenceOf({ platformInfo: 0x100n }))).toBe('evidence.malformed');
    expect(codeOf(evidenceOf({ signingKey: 2 }))).toBe('evidence.malformed');
  });

  test.each([0x03a, 0x182, 0x1e2, 0x1f2])('a signed report with a reserved byte of the TCB at %i', (offset) => {
    const report = Buffer.from(evidenceOf().report);
    report[offset] = 1;
    expect(codeOf({ ...evidenceOf(), report: guest().sign(report) })).toBe('evidence.malformed');
  });
});

describe('snp.version', () => {
  test.each([0, 1, 6])('version %i', (version) => {
    expect(codeOf(evidenceOf({ version }))).toBe('snp.version');
  });

  test('another signature algorithm', () => {
    expect(codeOf(evidenceOf({ signatureAlgorithm: 2 }))).toBe('snp.version');
  });

  test.each([3, 4, 5])('a processor of a generation that is not known, in version %i', (version) => {
    expect(codeOf(evidenceOf({ version, cpuid: [0x1a, 0x50, 0] }))).toBe('snp.version');
    expect(codeOf(evidenceOf({ version, cpuid: [0, 0, 0] }))).toBe('snp.version');
  });
});

describe('snp.chain', () => {
  test('no certificate at all', () => {
    expect(codeOf({ ...evidenceOf(), certificates: [] })).toBe('snp.chain');
    expect(codeOf({ ...evidenceOf({ version: 2 }), certificates: [] })).toBe('snp.chain');
  });

  test('what is no certificate', () => {
    for (const version of [2, 3]) {
      expect(codeOf({ ...evidenceOf({ version }), certificates: [Buffer.alloc(0)] })).toBe('snp.chain');
      expect(codeOf({ ...evidenceOf({ version }), certificates: [ask.certificate.subarray(1)] })).toBe('snp.chain');
    }
  });

  test('a simulated chain, for whoever trusts the makers alone', () => {
    expect(codeOf(evidenceOf(), {}, trust({ roots: PINNED_ROOTS }))).toBe('snp.chain');
    expect(codeOf(withChain(ask.certificate, ark.certificate), {}, trust({ roots: PINNED_ROOTS }))).toBe('snp.chain');
  });

  test('another CA than was sent is never filled in', () => {
    expect(codeOf(withChain(asvk.certificate))).toBe('snp.chain');
    expect(codeOf(withChain(ark.certificate))).toBe('snp.chain');
  });

  test('more certificates than any path has', () => {
    expect(codeOf(withChain(...Array.from({ length: 8 }, () => ask.certificate)))).toBe('snp.chain');
  });

  test('a certificate that is not on the path', () => {
    const stranger = MAKERS.amd.Genoa.ask.certificate;
    expect(detailOf(withChain(ask.certificate, stranger))).toBe(
      'snp.chain: a certificate was sent that is not on the path of the leaf',
    );
  });

  test('a leaf that is not valid yet, or no longer', () => {
    expect(detailOf(evidenceOf(), trust({ atMs: DATES.notBeforeMs - 1 }))).toMatch(/^snp\.chain: .*not yet valid/);
    expect(detailOf(evidenceOf(), trust({ atMs: DATES.notAfterMs + 1 }))).toMatch(/^snp\.chain: .*expired/);
  });

  test('a path that was good is not good for ever', () => {
    const paths = new KnownPaths(4);
    expect(codeOf(evidenceOf(), {}, trust({ paths }))).toBe('good');
    expect(codeOf(evidenceOf(), {}, trust({ paths, atMs: DATES.notAfterMs + 1 }))).toBe('snp.chain');
    expect(codeOf(evidenceOf(), {}, trust({ paths }))).toBe('good');
  });

  test('a report of another generation than its certificate', () => {
    const { certificates } = evidenceOf({}, 'Genoa');
    expect(codeOf({ report: evidenceOf().report, certificates })).toBe('snp.chain');
    const genoa = guest('Genoa');
    const asMilan = { ...evidenceOf(), report: genoa.report(REPORT_DATA, { cpuid: [0x19, 0x01, 0x01] }), certificates };
    expect(codeOf(asMilan)).toBe('snp.chain');
    expect(codeOf({ ...asMilan, certificates: [...certificates, MAKERS.amd.Genoa.ask.certificate] })).toBe('snp.chain');
  });

  test('a certificate for the other kind of key than the report says', () => {
    expect(codeOf(evidenceOf({ signingKey: 1 }))).toBe('snp.chain');
    expect(codeOf(vlekEvidenceOf({ signingKey: 0 }))).toBe('snp.chain');
  });

  test('a leaf by the CA of the other kind, by the ARK, and one that says two things', () => {
    const { report, certificates } = evidenceOf();
    const snp = guest();
    const draft = {
      generation: 'Milan',
      kind: 'VCEK',
      spki: snp.spki,
      tcb: snp.fields.reportedTcb,
      hwId: snp.fields.chipId,
      ...DATES,
    } as const;
    const issued = (ca: SimulatedCa) => ({ report, certificates: [issueCertificate(ca, vekDraft(draft))] });
    expect([ask, asvk, ark, MAKERS.amd.Genoa.ask].map((ca) => codeOf(issued(ca)))).toEqual([
      'good',
      'snp.chain',
      'snp.chain',
      'snp.chain',
    ]);
    const doubled = issueVek(MAKERS.amd.Milan, { ...draft, cspId: CSP });
    expect(codeOf({ report, certificates: [doubled, ...certificates.slice(1)] })).toBe('snp.chain');
  });

  test('a CA in the place of the leaf', () => {
    const { report, certificates } = evidenceOf();
    expect(codeOf({ report, certificates: [ask.certificate, ...certificates] })).toBe('snp.chain');
  });

  test('the key of another machine in the place of an intermediate', () => {
    const other = guest('Milan', 2).certificate(MAKERS, DATES);
    expect(codeOf(withChain(other))).toBe('snp.chain');
  });
});

describe('snp.signature', () => {
  test('the report of another machine', () => {
    const { report } = { report: guest('Milan', 2).report(REPORT_DATA, { chipId: guest().fields.chipId }) };
    expect(codeOf({ ...evidenceOf(), report })).toBe('snp.signature');
  });

  test('a report that no key has signed, by its own word or by its bytes', () => {
    expect(codeOf(evidenceOf({ signingKey: 7 }))).toBe('snp.signature');
    for (const [from, to] of [
      [0x2a0, 0x2d0],
      [0x2e8, 0x318],
      [0x2a0, 0x318],
    ] as const) {
      const report = Buffer.from(evidenceOf().report).fill(0, from, to);
      expect(codeOf({ ...evidenceOf(), report })).toBe('snp.signature');
    }
  });

  test('r and s that are as large as can be', () => {
    const report = Buffer.from(evidenceOf().report).fill(0xff, 0x2a0, 0x2d0).fill(0xff, 0x2e8, 0x318);
    expect(codeOf({ ...evidenceOf(), report })).toBe('snp.signature');
  });
});

describe('snp.tcb_mismatch', () => {
  const tcb = guest().fields.reportedTcb;

  test.each(['bootloader', 'tee', 'snp', 'microcode'] as const)('%s is another, higher or lower', (part) => {
    const reportedTcb = { ...tcb, [part]: (tcb[part] ?? 0) + 1 };
    const { certificates } = evidenceOf();
    expect(codeOf({ report: guest().report(REPORT_DATA, { reportedTcb }), certificates })).toBe('snp.tcb_mismatch');
    const higher = guest('Milan', 3).set({ reportedTcb });
    const evidence = {
      report: higher.report(REPORT_DATA, { reportedTcb: tcb }),
      certificates: [higher.certificate(MAKERS, DATES)],
    };
    expect(codeOf(evidence)).toBe('snp.tcb_mismatch');
    expect(codeOf({ ...evidence, report: higher.report(REPORT_DATA) })).toBe('good');
  });

  test('the first mutable code of Turin counts', () => {
    const turin = guest('Turin');
    const reportedTcb = { ...turin.fields.reportedTcb, fmc: 0 };
    expect(codeOf(evidenceOf({ reportedTcb }, 'Turin'))).toBe('snp.tcb_mismatch');
  });

  test('another current, committed or launch TCB is a claim', () => {
    const lower = { ...tcb, snp: 8 };
    const { claims } = verify(evidenceOf({ currentTcb: { ...tcb, microcode: 255 }, launchTcb: lower }));
    expect(
      ['tcb.current.microcode', 'tcb.launch.snp', 'tcb.provisional', 'tcb.ordered'].map((name) =>
        claimAt(claims, name),
      ),
    ).toEqual([255, 8, true, true]);
    const below = verify(evidenceOf({ committedTcb: lower })).claims;
    expect([claimAt(below, 'tcb.ordered'), claimAt(below, 'tcb.provisional')]).toEqual([false, true]);
  });
});

describe('snp.chip', () => {
  test('another chip than that of the VCEK', () => {
    expect(codeOf(evidenceOf({ chipId: Buffer.alloc(64, 1) }))).toBe('snp.chip');
    expect(codeOf(evidenceOf({ chipId: Buffer.alloc(64, 1) }), { maskedChip: true })).toBe('snp.chip');
    expect(codeOf(evidenceOf({ chipId: Buffer.alloc(64, 1), maskChipKey: true }), { maskedChip: true })).toBe(
      'snp.chip',
    );
  });

  test('in Turin the rest of the field is zero', () => {
    const chipId = Buffer.from(guest('Turin').fields.chipId);
    chipId[63] = 1;
    expect(codeOf(evidenceOf({ chipId }, 'Turin'))).toBe('snp.chip');
  });

  test('a chip that is hidden, by its key or by its id, unless the rules allow it', () => {
    for (const fields of [
      { maskChipKey: true },
      { chipId: Buffer.alloc(64) },
      { maskChipKey: true, chipId: Buffer.alloc(64) },
    ]) {
      expect(codeOf(evidenceOf(fields))).toBe('snp.chip');
      expect(codeOf(evidenceOf(fields), { maskedChip: true })).toBe('good');
    }
    expect(codeOf(vlekEvidenceOf({ maskChipKey: true }))).toBe('snp.chip');
    expect(codeOf(vlekEvidenceOf({ maskChipKey: true }), { maskedChip: true })).toBe('good');
  });
});

describe('snp.csp', () => {
  test('a provider that is not named', () => {
    expect(codeOf(vlekEvidenceOf(), { cspIds: [CSP] })).toBe('good');
    expect(codeOf(vlekEvidenceOf(), { cspIds: ['CN=other.example', `${CSP} `, CSP.slice(3)] })).toBe('snp.csp');
    expect(codeOf(vlekEvidenceOf(), { cspIds: [] })).toBe('snp.csp');
  });

  test('a VCEK is of no provider', () => {
    expect(codeOf(evidenceOf(), { cspIds: [] })).toBe('good');
  });
});

describe('snp.vmpl', () => {
  test.each([4, 0x7fffffff, 0xffffffff])('%i is no level of a guest', (vmpl) => {
    expect(codeOf(evidenceOf({ vmpl }))).toBe('snp.vmpl');
  });
});

describe('snp.debug', () => {
  const debug = evidenceOf({ policy: 0x3001fn | (1n << 19n) });

  test('a guest that its host may debug, unless the rules allow it', () => {
    expect(codeOf(debug)).toBe('snp.debug');
    expect(codeOf(debug, { debug: true })).toBe('good');
  });
});

describe('snp.migration', () => {
  test('a guest that may have an agent, or has one, unless the rules allow it', () => {
    const reportIdMa = Buffer.alloc(32, 0xff);
    reportIdMa[31] = 0xfe;
    for (const fields of [{ policy: 0x3001fn | (1n << 18n) }, { reportIdMa }, { reportIdMa: Buffer.alloc(32) }]) {
      expect(codeOf(evidenceOf(fields))).toBe('snp.migration');
      expect(codeOf(evidenceOf(fields), { migrationAgent: true })).toBe('good');
    }
  });
});

describe('revocation', () => {
  const crl = (
    issuer: SimulatedCa,
    revoked: readonly bigint[] = [],
    dates = { thisUpdateMs: AT - DAY, nextUpdateMs: AT + DAY },
  ) => parseCrl(issueCrl(issuer, { ...dates, number: 1, revoked }));
  const serialOf = (ca: SimulatedCa) => BigInt(`0x${identityOf(ca)}`);
  const identityOf = (ca: SimulatedCa) => {
    const evidence = ca === asvk ? vlekEvidenceOf() : evidenceOf();
    return (
      verify(evidence)
        .identities.find((name) => name.startsWith('certificate/'))
        ?.split('/')[2] ?? ''
    );
  };
  const under = (...crls: readonly ReturnType<typeof crl>[]) => trust({ collateral: { ...NO_COLLATERAL, crls } });
  const stale = crl(ark, [], { thisUpdateMs: AT - 2 * DAY, nextUpdateMs: AT - DAY });

  test('a CA that its ARK has revoked is snp.chain, and says so', () => {
    expect(detailOf(evidenceOf(), under(crl(ark, [serialOf(ask)])))).toMatch(/^snp\.chain: .*revoked/);
    expect(detailOf(vlekEvidenceOf(), under(crl(ark, [serialOf(ask)])))).toBe('good');
    expect(detailOf(vlekEvidenceOf(), under(crl(ark, [serialOf(asvk)])))).toMatch(/^snp\.chain: .*revoked/);
  });

  test('a leaf that its CA has revoked is, too', () => {
    expect(detailOf(evidenceOf(), under(crl(ask, [0n])))).toMatch(/^snp\.chain: .*revoked/);
  });

  test('it acts on a path that was good before', () => {
    const paths = new KnownPaths(4);
    expect(detailOf(evidenceOf(), trust({ paths }))).toBe('good');
    const revoked = { ...under(crl(ark, [serialOf(ask)])), paths };
    expect(detailOf(evidenceOf(), revoked)).toMatch(/revoked/);
  });

  test('collateral.unavailable where a CRL is stale, or from the future, or missing where it must be there', () => {
    const future = crl(ark, [], { thisUpdateMs: AT + DAY, nextUpdateMs: AT + 2 * DAY });
    expect(codeOf(evidenceOf(), {}, under(stale))).toBe('collateral.unavailable');
    expect(codeOf(evidenceOf(), {}, under(future))).toBe('collateral.unavailable');
    expect(codeOf(evidenceOf(), {}, trust({ requireCrls: true }))).toBe('collateral.unavailable');
    expect(codeOf(evidenceOf(), {}, { ...under(crl(MAKERS.amd.Genoa.ark)), requireCrls: true })).toBe(
      'collateral.unavailable',
    );
  });

  test('one CRL of the ARK is enough where one must be there', () => {
    expect(codeOf(evidenceOf(), {}, { ...under(crl(ark)), requireCrls: true })).toBe('good');
    expect(codeOf(vlekEvidenceOf(), {}, { ...under(crl(ark)), requireCrls: true })).toBe('good');
  });

  test('a forgery, or what is refused anyway, is never told to try again', () => {
    const short = under(stale);
    const forged = { ...evidenceOf(), report: guest('Milan', 2).report(REPORT_DATA) };
    expect(codeOf(forged, {}, short)).toBe('snp.signature');
    expect(codeOf(evidenceOf({ policy: 0x3001fn | (1n << 19n) }), {}, short)).toBe('snp.debug');
    expect(codeOf(evidenceOf({ chipId: Buffer.alloc(64, 1) }), {}, short)).toBe('snp.chip');
    expect(codeOf(withChain(asvk.certificate), {}, short)).toBe('snp.chain');
  });

  test('a stale CRL still revokes', () => {
    const revoking = crl(ark, [serialOf(ask)], { thisUpdateMs: AT - 2 * DAY, nextUpdateMs: AT - DAY });
    expect(detailOf(evidenceOf(), under(revoking))).toMatch(/^snp\.chain: .*revoked/);
  });
});
