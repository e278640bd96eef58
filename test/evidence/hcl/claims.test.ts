import { describe, expect, test } from '@jest/globals';
import { claimAt } from '../../../src/claims/claims.js';
import { sha256Hex } from '../../../src/crypto/digest.js';
import { hclClaims, HCL_CLAIMS } from '../../../src/evidence/hcl/claims.js';
import { explainHcl } from '../../../src/evidence/hcl/explain.js';
import { parseHclReport } from '../../../src/evidence/hcl/report.js';
import { readHclReport } from '../../../src/evidence/hcl/verify.js';
import { AK_SPKI, EK_SPKI, patched, snpHcl, tdxHcl } from './samples.js';

const fieldsOf = (report: Buffer) =>
  explainHcl({ report, certificates: [], quote: undefined }).flatMap(({ fields }) => fields);

/** A report of which the runtime data is a configuration alone. */
function ofConfiguration(settings: object) {
  const runtimeData = Buffer.from(JSON.stringify({ 'vm-configuration': settings }));
  const report = snpHcl({ overrides: { runtimeData } });
  const read = readHclReport(report);
  if (!read.ok) throw new Error(read.detail);
  return { report, claims: hclClaims(read.value) };
}

describe('the claims of an HCL report', () => {
  test('say what the runtime data says, and by what hash', () => {
    const hcl = parseHclReport(snpHcl({ vmConfiguration: { 'secure-boot': false } }));
    expect({ ...hclClaims(hcl) }).toEqual({
      type: 'snp',
      runtime_data_sha256: sha256Hex(hcl.runtimeData),
      ak_spki_sha256: sha256Hex(AK_SPKI),
      ek_spki_sha256: sha256Hex(EK_SPKI),
      user_data: Buffer.concat([Buffer.from('what the guest wrote'), Buffer.alloc(44)]).toString('hex'),
      console_enabled: true,
      root_cert_thumbprint: '',
      secure_boot: false,
      tpm_enabled: true,
      tpm_persisted: true,
      vm_unique_id: '5e1f0a7c-3b52-4d0e-9a61-0c0ffee00001',
    });
  });

  test('name who provisioned the state of the machine, as paravisors of today write it', () => {
    const { claims } = ofConfiguration({
      'vmgs-provisioner': { id: 'AB-01', signer: 'did:x509:0:sha256:00:subject:x' },
    });
    expect(claimAt(claims, 'vmgs_provisioner.id')).toBe('ab-01');
    expect(claimAt(claims, 'vmgs_provisioner.signer')).toBe('did:x509:0:sha256:00:subject:x');
    for (const part of ['id', 'signer']) {
      expect(HCL_CLAIMS.filter(({ name }) => name === `hcl.vmgs_provisioner.${part}`)).toHaveLength(1);
    }
  });

  test('compare nothing with a setting of another type than is known, and the report is good', () => {
    const { claims, report } = ofConfiguration({ 'secure-boot': 'on', 'tpm-enabled': true });
    expect(Object.keys(claims).sort()).toEqual(['runtime_data_sha256', 'secure_boot', 'tpm_enabled', 'type']);
    expect(claimAt(claims, 'secure_boot')).toBeUndefined();
    expect(fieldsOf(report).filter(({ name }) => name === 'secure-boot')).toEqual([
      { name: 'secure-boot', value: 'not read', note: 'no boolean, or too long: nothing can be compared with it' },
    ]);
  });

  test('leave out what is not said', () => {
    const claims = hclClaims(parseHclReport(snpHcl({ overrides: { runtimeData: Buffer.from('{}') } })));
    expect(Object.keys(claims).sort()).toEqual(['runtime_data_sha256', 'type']);
  });

  test('are all described, with their types', () => {
    const claims = hclClaims(parseHclReport(tdxHcl()));
    for (const name of Object.keys(claims)) {
      const described = HCL_CLAIMS.find((claim) => claim.name === `hcl.${name}`);
      expect(described?.type).toBe(typeof claimAt(claims, name));
    }
    expect(new Set(HCL_CLAIMS.map(({ name }) => name)).size).toBe(HCL_CLAIMS.length);
  });
});

describe('the explanation of an HCL report', () => {
  test('of a good one finds nothing wrong', () => {
    for (const report of [snpHcl(), tdxHcl()]) expect(fieldsOf(report).filter(({ wrong }) => wrong)).toEqual([]);
  });

  test('shows keys, configuration and the fields of a TD report', () => {
    const found = Object.fromEntries(fieldsOf(tdxHcl()).map(({ name, value }) => [name, value]));
    expect(found['HCLAkPub']).toContain(sha256Hex(AK_SPKI));
    expect(found['secure-boot']).toBe('true');
    expect(found['MRTD']).toBe('08'.repeat(48));
    expect(found['report type']).toBe('4 (TDX)');
  });

  test.each([
    ['the type is another', snpHcl({ overrides: { reportType: 3 } }), 'report type'],
    ['the hash is another', snpHcl({ overrides: { hashType: 3 } }), 'hash type'],
    ['the runtime data was changed', patched(snpHcl(), 0x20 + 0x50, 1), 'report data of the hardware report'],
    ['there is no AK', snpHcl({ akSpki: undefined }), 'HCLAkPub'],
    ['the runtime data does not parse', snpHcl({ overrides: { runtimeData: Buffer.from('[]') } }), 'malformed'],
    ['the TD report does not parse', patched(tdxHcl(), 0x20 + 600, 1), 'malformed'],
  ])('says so where %s', (_name, report, field) => {
    expect(fieldsOf(report).filter(({ wrong }) => wrong)).toEqual([expect.objectContaining({ name: field })]);
  });

  test('of what is no HCL report is malformed', () => {
    expect(() => fieldsOf(Buffer.alloc(100))).toThrow(/HCLA/);
  });
});
