import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { ClaimDescription } from '../../src/claims/claim-description.js';
import type { ClaimTree, ClaimValue } from '../../src/claims/claims.js';
import { decodeEvidenceFile, NO_EVIDENCE } from '../../src/cli/evidence/evidence-file.js';
import { NO_CONDITIONS, verifyEvidenceOffline } from '../../src/cli/evidence/evidence-verify.js';
import { type Collateral, type HardwareTrust, NO_COLLATERAL } from '../../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../src/endorsement/known-paths.js';
import type { Evidence } from '../../src/evidence/evidence.js';
import { CLAIM_DESCRIPTIONS } from '../../src/evidence/claim-names.js';
import { BASE, believing, device, hclMachine, machine, reportData, tdxEvidence } from '../cli/evidence-simulated.js';
import { azure, file, gpu, HAVE_VECTORS, kinvolkTpm, snp } from '../cli/evidence-vectors.js';

const FILE = 'docs/CLAIMS.md';
const CLAIMS: readonly ClaimDescription[] = CLAIM_DESCRIPTIONS;
const HEAD = '| Claim | Type | Meaning |\n|---|---|---|\n';

function row({ name, type, meaning }: ClaimDescription): string {
  return `| \`${name}\` | ${type} | ${meaning.replaceAll('|', '\\|')} |\n`;
}

/** The page with its one table made anew; `UPDATE_CLAIMS=1 npm test -- test/docs/claims.test.ts` writes it. */
function rendered(page: string): string {
  const start = page.indexOf(HEAD);
  if (start === -1) throw new Error(`${FILE} has no table of claims`);
  const behind = /^(?!\|)/m.exec(page.slice(start));
  const end = behind === null ? page.length : start + behind.index;
  return page.slice(0, start) + HEAD + CLAIMS.map(row).join('') + page.slice(end);
}

describe('docs/CLAIMS.md', () => {
  test('has exactly the claims that the verifiers describe, in their order', () => {
    const page = readFileSync(FILE, 'utf8');
    if (process.env['UPDATE_CLAIMS'] === '1') writeFileSync(FILE, rendered(page));
    else expect(page).toBe(rendered(page));
  });

  test('names each claim once, with a path that policies can write, and one sentence about it', () => {
    const names = CLAIMS.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
    for (const { name, meaning } of CLAIMS) {
      expect(name).toMatch(/^[a-zA-Z0-9_-]+(?:\.(?:[a-zA-Z0-9_-]+|<[in]>))*$/);
      expect(meaning).toMatch(/\S\.$/);
    }
  });

  test('names no claim that stands below another one: a value has no members', () => {
    const names = new Set(CLAIMS.map(({ name }) => name));
    const below = [...names].filter((name) => {
      const parts = name.split('.');
      return parts.some((_, length) => length > 0 && names.has(parts.slice(0, length).join('.')));
    });
    expect(below).toEqual([]);
  });
});

/** Claims with their dotted names, indexes and numbers as the lists write them. */
function flatten(claims: ClaimTree, prefix = ''): readonly (readonly [string, ClaimValue])[] {
  return Object.entries(claims).flatMap(([name, value]): readonly (readonly [string, ClaimValue])[] => {
    if (value === undefined) return [];
    const place = prefix === 'gpu.' ? '<i>' : '<n>';
    const path = `${prefix}${/^\d+$/.test(name) ? place : name}`;
    return typeof value === 'object' ? flatten(value, `${path}.`) : [[path, value]];
  });
}

const NVAT = 'gpu/nvat/testdata';
const LS10 = `${NVAT}/sample_attestation_data/switch/switch`;
const TODAY = Date.UTC(2026, 10, 1);

/** Real evidence that is accepted: when, and with which collateral. */
const ACCEPTED: readonly (readonly [string, () => object, number, (() => Collateral)?])[] = [
  ['Milan', () => snp(file('snp/ms-milan/attestation_report.bin'), 'snp/ms-milan/vcek.pem'), TODAY],
  ['Turin', () => snp(file('snp/ms-turin/attestation_report.bin'), 'snp/ms-turin/vcek.pem'), TODAY],
  ['Genoa', () => snp(file('snp/trustee-e2e/report.reconstructed.bin'), 'snp/trustee-e2e/vcek.der'), TODAY],
  ['version 2', () => snp(file('snp/trustee-milan-vcek/report.bin'), 'snp/trustee-milan-vcek/vcek.der'), TODAY],
  [
    'VLEK',
    () => snp(file('snp/trustee-milan-vlek/report.bin'), 'snp/trustee-milan-vlek/vlek.der'),
    Date.UTC(2025, 5, 1),
  ],
  ['Azure', () => azure('trustee-snp'), TODAY],
  ['TPM', () => ({ tpm: kinvolkTpm() }), TODAY],
  [
    'LS10',
    () => ({ gpus: [gpu(`${LS10}AttestationReport.txt`, `${LS10}CertChain.txt`)] }),
    TODAY,
    () => ({ ...NO_COLLATERAL, rims: [file(`${NVAT}/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml`)] }),
  ],
];

/** The claims that are not on the list, or of another type there. */
function unlisted(evidence: Evidence, trust: HardwareTrust): readonly (readonly [string, ClaimValue])[] {
  const verdict = verifyEvidenceOffline(evidence, trust, NO_CONDITIONS);
  if (!verdict.ok) throw new Error(`${verdict.reason}: ${verdict.detail}`);
  const types = new Map(CLAIMS.map(({ name, type }) => [name, type as string]));
  const made = flatten(verdict.value);
  expect(made.length).toBeGreaterThan(5);
  return made.filter(([name, value]) => types.get(name) !== typeof value);
}

(HAVE_VECTORS ? describe : describe.skip)('a claim that a verifier makes of real evidence', () => {
  test.each(ACCEPTED)(
    'of %s is on the list, with its type',
    (_name, evidence, atMs, collateral = () => NO_COLLATERAL) => {
      const decoded = decodeEvidenceFile(Buffer.from(JSON.stringify(evidence())));
      if (!decoded.ok) throw new Error(decoded.detail);
      const paths = new KnownPaths(8);
      const trust = { roots: PINNED_ROOTS, collateral: collateral(), paths, atMs, requireCrls: false };
      expect(unlisted(decoded.value, trust)).toEqual([]);
    },
  );
});

describe('a claim that a verifier makes of simulated evidence', () => {
  const gpus = [device(3), device(4)];
  test.each([
    ['SEV-SNP, TPM and GPU', machine(gpus)],
    ['TDX 1.0 and GPUs', { ...NO_EVIDENCE, ...tdxEvidence(reportData(BASE, null)), gpus }],
    ['TDX 1.5', { ...NO_EVIDENCE, ...tdxEvidence(undefined, 5) }],
    ['Azure', { ...NO_EVIDENCE, ...hclMachine(BASE) }],
  ] as const)('of %s is on the list, with its type', (_name, evidence) => {
    expect(unlisted(evidence, believing())).toEqual([]);
  });
});
