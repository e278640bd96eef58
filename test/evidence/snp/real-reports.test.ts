/** Reports of real machines, by the verdicts and values that stand beside them. */
import { describe, expect, test } from '@jest/globals';
import { claimAt } from '../../../src/claims/claims.js';
import { SAFE_SNP_RULES, type SnpEvidence } from '../../../src/evidence/snp/evidence.js';
import { verifySnp } from '../../../src/evidence/snp/verify.js';
import { AT, certificatesIn, fileOf, present, trustAt, vector } from './vectors.js';

const describeWithVectors = present ? describe : describe.skip;

/** One set of expected.json. */
interface Expected {
  readonly version: number;
  readonly generation: string;
  readonly guestSvn: number;
  readonly policy: string;
  readonly debugAllowed: boolean;
  readonly migrateMA: boolean;
  readonly smtAllowed: boolean;
  readonly vmpl: number;
  readonly signingKey: string;
  readonly maskChipKey: boolean;
  readonly authorKeyEn: boolean;
  readonly platformInfo: string;
  readonly tcb: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly fw: { readonly current: string; readonly committed: string };
  readonly reportData: string;
  readonly measurement: string;
  readonly hostData: string;
  readonly idKeyDigest: string;
  readonly authorKeyDigest: string;
  readonly reportIdMaAllFF: boolean;
  readonly chipId: string;
  readonly mitigation: { readonly launch: string; readonly current: string };
  readonly verify: { readonly chip: boolean | string; readonly vekProduct: string; readonly vekValid: string };
}

const EXPECTED = (present ? JSON.parse(fileOf('expected.json').toString('utf8')) : {}) as Record<string, Expected>;
const TCB_NAMES = { fmc: 'fmc', bl: 'bootloader', tee: 'tee', snp: 'snp', ucode: 'microcode' } as const;
/** In the year in which the VLEK was valid. */
const VLEK_AT = Date.UTC(2025, 5, 1);
const clockOf = (name: string) => (name === 'trustee-milan-vlek' ? VLEK_AT : AT);
const SETS = Object.keys(EXPECTED);

const verdict = (evidence: SnpEvidence, atMs = AT) => {
  const result = verifySnp(evidence, trustAt(atMs), SAFE_SNP_RULES);
  return result.ok ? 'good' : `${result.reason}: ${result.detail}`;
};
/** The certificates of the set that stand above the leaf, where it has any. */
const sent = (name: string, file: string): SnpEvidence => ({
  report: vector(name).report,
  certificates: [...vector(name).certificates, ...certificatesIn(file)],
});

describeWithVectors('a report of a real machine', () => {
  test('all nine sets are here', () => {
    expect(SETS).toHaveLength(9);
  });

  test.each(SETS)('%s is good with its leaf alone', (name) => {
    expect(verdict(vector(name), clockOf(name))).toBe('good');
  });

  test.each([
    ['ms-milan', 'ms-milan/ask.pem'],
    ['ms-turin', 'ms-turin/ask.pem'],
    ['ms-crypto-milan', 'ms-crypto-milan/ask.pem'],
    ['dstack', 'dstack/ask.pem'],
    ['virtee-milan', 'virtee-milan/cert_chain.pem'],
    ['trustee-e2e', 'roots/genoa_ask_ark_asvk.pem'],
    ['trustee-milan-vlek', 'roots/milan_ask_ark_asvk.pem'],
  ])('%s is good with what was sent beside it', (name, file) => {
    expect(verdict(sent(name, file), clockOf(name))).toBe('good');
  });

  test('aci-sidecar is good with the chain that the host had cached', () => {
    const certificates = certificatesIn('aci-sidecar/uvm_host_amd_certificate.pem');
    expect(certificates).toHaveLength(3);
    expect(verdict({ ...vector('aci-sidecar'), certificates })).toBe('good');
  });

  test.each(SETS)('%s says what it must', (name) => {
    const result = verifySnp(vector(name), trustAt(clockOf(name)), SAFE_SNP_RULES);
    if (!result.ok) throw new Error(result.detail);
    const expected = EXPECTED[name]!;
    const claim = (path: string) => claimAt(result.value.claims, path);
    const policy = BigInt(expected.policy);
    const platform = BigInt(expected.platformInfo);
    expect({
      version: claim('version'),
      generation: String(claim('generation')).toLowerCase(),
      guestSvn: claim('guest_svn'),
      debugAllowed: claim('policy.debug'),
      migrateMA: claim('policy.migrate_ma'),
      smtAllowed: claim('policy.smt'),
      vmpl: claim('vmpl'),
      signingKey: claim('signing_key'),
      maskChipKey: claim('mask_chip_key'),
      authorKeyEn: claim('author_key_enabled'),
      reportData: claim('report_data'),
      measurement: claim('measurement'),
      hostData: claim('host_data'),
      idKeyDigest: claim('id_key_digest'),
      authorKeyDigest: claim('author_key_digest'),
      reportIdMaAllFF: !(claim('migration_agent') as boolean),
      chipId: claim('chip_id'),
      mitigation: { launch: claim('mitigation.launch') ?? '0', current: claim('mitigation.current') ?? '0' },
      vekProduct: claim('vek.product'),
    }).toEqual({
      version: expected.version,
      generation: expected.generation,
      guestSvn: expected.guestSvn,
      debugAllowed: expected.debugAllowed,
      migrateMA: expected.migrateMA,
      smtAllowed: expected.smtAllowed,
      vmpl: expected.vmpl,
      signingKey: expected.signingKey,
      maskChipKey: expected.maskChipKey,
      authorKeyEn: expected.authorKeyEn,
      reportData: expected.reportData,
      measurement: expected.measurement,
      hostData: expected.hostData,
      idKeyDigest: expected.idKeyDigest,
      authorKeyDigest: expected.authorKeyDigest,
      reportIdMaAllFF: expected.reportIdMaAllFF,
      chipId: expected.chipId,
      mitigation: expected.mitigation,
      vekProduct: expected.verify.vekProduct,
    });
    for (const [tcb, parts] of Object.entries(expected.tcb)) {
      for (const [part, known] of Object.entries(TCB_NAMES)) {
        expect([tcb, part, claim(`tcb.${tcb}.${known}`)]).toEqual([tcb, part, parts[part]]);
      }
    }
    for (const which of ['current', 'committed'] as const) {
      const version = ['major', 'minor', 'build'].map((part) => claim(`firmware.${which}.${part}`)).join('.');
      expect(version).toBe(expected.fw[which]);
    }
    expect(claim('policy.abi_major')).toBe(Number((policy >> 8n) & 0xffn));
    expect(claim('policy.abi_minor')).toBe(Number(policy & 0xffn));
    expect(claim('platform.smt')).toBe((platform & 1n) === 1n);
    expect(claim('platform.alias_check_complete')).toBe((platform & 0x20n) !== 0n);
    expect(claim('platform.iommu_write_safe')).toBe((platform & 0x40n) !== 0n);
    const csp = typeof expected.verify.chip === 'string' ? expected.verify.chip.replace('csp=', '') : undefined;
    expect(claim('vek.csp_id')).toBe(csp);
    if (csp === undefined) expect(expected.chipId.startsWith(String(claim('vek.hw_id')))).toBe(true);
  });

  test.each(SETS)('the leaf of %s is good as long as it is valid, and not a day more', (name) => {
    const [from, to] = EXPECTED[name]!.verify.vekValid.split('..').map((day) => Date.parse(day)) as [number, number];
    const DAY = 86_400_000;
    expect(verdict(vector(name), from + DAY)).toBe('good');
    expect(verdict(vector(name), to - DAY)).toBe('good');
    expect(verdict(vector(name), from - DAY)).toBe('snp.chain: the leaf is not yet valid');
    expect(verdict(vector(name), to + DAY)).toBe('snp.chain: the leaf is expired');
  });

  test('the VLEK of a cloud provider is past its year today', () => {
    expect(verdict(vector('trustee-milan-vlek'))).toBe('snp.chain: the leaf is expired');
  });

  test.each(['vcek-legacy-hwid', 'vcek-new-hwid'])('the doctored %s is refused', (name) => {
    const certificates = certificatesIn(`trustee-milan-vcek/${name}.der`);
    const evidence = { ...vector('trustee-milan-vcek'), certificates };
    expect(verdict(evidence)).toBe('snp.chain: the leaf is not signed by the key of its issuer');
  });

  test('firmware that runs, and is not committed, is provisional', () => {
    const provisional = SETS.map((name) => {
      const result = verifySnp(vector(name), trustAt(clockOf(name)), SAFE_SNP_RULES);
      return result.ok && claimAt(result.value.claims, 'tcb.provisional') === true ? name : '';
    });
    expect(provisional.filter((name) => name !== '')).toEqual(['trustee-milan-vcek', 'trustee-milan-vlek']);
  });

  test.each(SETS.flatMap((report) => SETS.filter((leaf) => leaf !== report).map((leaf) => [report, leaf] as const)))(
    '%s is refused with the certificate of %s, unless that is the same chip',
    (report, leaf) => {
      const evidence = { report: vector(report).report, certificates: vector(leaf).certificates };
      const atMs = leaf === 'trustee-milan-vlek' ? VLEK_AT : AT;
      const chips = [report, leaf].map((name) => EXPECTED[name]!.chipId);
      expect(verdict(evidence, atMs)).toMatch(chips[0] === chips[1] ? /^good$/ : /^snp\.(?:chain|signature): /);
    },
  );

  test('a genuine leaf of a machine whose report is not at hand is no leaf of another', () => {
    const genoa = { ...vector('trustee-e2e'), certificates: certificatesIn('ms-crypto-genoa/vcek.pem') };
    expect(verdict(genoa)).toMatch(/^snp\.signature: /);
    const turin = { ...vector('ms-turin'), certificates: certificatesIn('virtee-turin/vcek.der') };
    expect(verdict(turin)).toMatch(/^snp\.signature: /);
  });
});
