import { describe, expect, test } from '@jest/globals';
import { claimAt } from '../../../src/claims/claims.js';
import { isRevocable } from '../../../src/endorsement/identity.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { GPU_CLAIMS } from '../../../src/evidence/gpu/claims.js';
import { GPU_MODES, OPAQUE } from '../../../src/evidence/gpu/constants.js';
import { verifyGpus } from '../../../src/evidence/gpu/verify.js';
import { gpu, issued, NONCE, numbered, opaque, sound, told, trust, verdict, verify } from './simulated.js';

describe('a sound device', () => {
  test('is verified, and all that it says are claims', () => {
    const result = verify([gpu().evidence(NONCE)], { count: 1 });
    if (!result.ok) throw new Error(result.detail);
    const at = (path: string) => claimAt(result.value.claims, path);
    expect(at('count')).toBe(1);
    expect(at('switches')).toBe(0);
    expect(at('topology')).toBeUndefined();
    expect(at('0.kind')).toBe('gpu');
    expect(at('0.architecture')).toBe('HOPPER');
    expect(at('0.model')).toBe('GH100 A01 GSP BROM');
    expect(at('0.ueid')).toMatch(/^[1-9][0-9]{40,50}$/);
    expect(at('0.pdi')).toBe(gpu().pdi.toString('hex'));
    expect(at('0.driver_version')).toBe('580.95.05');
    expect(at('0.vbios_version')).toBe('96.00.9f.00.01');
    expect([at('0.project'), at('0.project_sku'), at('0.chip_sku')]).toEqual(['1010', '0200', '882']);
    expect(at('0.fwid.present')).toBe(true);
    expect(at('0.fwid.sha384')).toMatch(/^[0-9a-f]{96}$/);
    expect([at('0.mode'), at('0.protected_pcie'), at('0.nvdec')]).toEqual(['SPT', false, 'off']);
    expect(at('0.measurements.matched')).toBe(true);
    expect(at('0.measurements.compared')).toBe(32);
    expect(at('0.measurements.unlisted')).toBe(0);
    expect(at('0.measurement.9')).toMatch(/^[0-9a-f]{96}$/);
    expect(at('0.rim.driver')).toBe('NV_GPU_DRIVER_GH100_580.95.05');
    expect(at('0.rim.vbios')).toBe('NV_GPU_VBIOS_1010_0200_882_96009F0001');
  });

  test('shows by what it can be revoked: its number, its certificates, those of its manifests', () => {
    const result = verify([gpu().evidence(NONCE)]);
    if (!result.ok) throw new Error(result.detail);
    expect(result.value.identities).toContain(`chip/${gpu().pdi.toString('hex')}`);
    expect(result.value.identities.filter((identity) => identity.startsWith('certificate/')).length).toBeGreaterThan(4);
    expect(result.value.identities.every(isRevocable)).toBe(true);
  });

  test('may be a Blackwell or a switch', () => {
    const result = verify(
      [gpu({ chip: 'GB100' }), numbered(2, { chip: 'LS_10' })].map((one) => one.evidence(NONCE)),
      {
        count: 1,
      },
    );
    if (!result.ok) throw new Error(result.detail);
    expect(claimAt(result.value.claims, '0.architecture')).toBe('BLACKWELL');
    expect(claimAt(result.value.claims, '0.rim.driver')).toBe('NV_GPU_CC_DRIVER_GB100_580.95.05');
    expect(claimAt(result.value.claims, '1.architecture')).toBe('LS10');
    expect(claimAt(result.value.claims, '1.driver_version')).toBeUndefined();
    expect(claimAt(result.value.claims, 'switches')).toBe(1);
  });

  test('says only what the table of claims lists, in the type that is listed', () => {
    const devices = [
      numbered(1, { mode: 'PPCIE', linkedTo: [numbered(2).pdi] }),
      numbered(2, { chip: 'LS_10', linkedTo: [numbered(1).pdi] }),
    ];
    const result = verify(devices.map((one) => one.evidence(NONCE)));
    if (!result.ok) throw new Error(result.detail);
    const listed = new Map(GPU_CLAIMS.map(({ name, type }) => [name, type]));
    const seen = new Set<string>();
    const walk = (node: unknown, path: string) => {
      if (typeof node === 'object' && node !== null) {
        for (const [name, value] of Object.entries(node)) walk(value, `${path}.${name}`);
        return;
      }
      const name = path.replace(/^gpu\.\d+\./, 'gpu.<i>.').replace(/\.measurement\.\d+$/, '.measurement.<n>');
      expect([name, listed.get(name)]).toEqual([name, typeof node]);
      seen.add(name);
    };
    walk(result.value.claims, 'gpu');
    expect([...listed.keys()].filter((name) => !seen.has(name))).toEqual([]);
  });

  test('is believed by nobody who does not believe in simulators', () => {
    const believed = { ...sound, roots: PINNED_ROOTS };
    expect(verdict({}, {}, believed)).toMatch(/^gpu\.chain/);
  });

  test('old firmware names no firmware, no mode and no protected PCIe: the claims are absent or say so', () => {
    const old = {
      [OPAQUE.fwid]: null,
      [OPAQUE.protectedPcie]: null,
      [OPAQUE.opaqueDataVersion]: null,
      [OPAQUE.featureFlag]: null,
    };
    const result = verify([gpu({ opaque: old }).evidence(NONCE)]);
    if (!result.ok) throw new Error(result.detail);
    const at = (path: string) => claimAt(result.value.claims, path);
    expect(at('0.fwid.present')).toBe(false);
    expect([at('0.fwid.sha384'), at('0.mode'), at('0.protected_pcie')]).toEqual([undefined, undefined, undefined]);
  });

  test.each([1, 2, 4, 5, 7, 8])('may write its mode in %d bytes', (length) => {
    const flag = Buffer.alloc(length);
    flag[0] = GPU_MODES.indexOf('MPT');
    const result = verify([gpu(opaque(OPAQUE.featureFlag, flag)).evidence(NONCE)]);
    expect(result.ok && claimAt(result.value.claims, '0.mode')).toBe('MPT');
    // Of a mode that is not known, however large its number.
    if (length > 1) expect(verdict(opaque(OPAQUE.featureFlag, flag.fill(1, 1, 2)))).toMatch(/^gpu\.debug/);
  });

  test('may be an RTX PRO, whose chip has a letter in its name', () => {
    const rtx = gpu({ chip: 'GB20X' });
    const believed = trust(issued(...rtx.reference()));
    const result = verify([rtx.evidence(NONCE)], { count: 1 }, believed);
    if (!result.ok) throw new Error(result.detail);
    const at = (path: string) => claimAt(result.value.claims, path);
    expect([at('0.architecture'), at('0.chip')]).toEqual(['BLACKWELL', 'GB20X']);
    expect(at('0.model')).toBe('GB20X A01 GSP BROM');
    expect(at('0.rim.driver')).toBe('NV_GPU_CC_DRIVER_GB20X_580.95.05');
    expect(verdict({ chip: 'GB20X', fwid: Buffer.alloc(48, 5) }, {}, believed)).toMatch(/^gpu\.fwid/);
  });

  test('is named as tokens name it', () => {
    const result = verify([numbered(2, { chip: 'LS_10' }), gpu()].map((one) => one.evidence(NONCE)));
    if (!result.ok) throw new Error(result.detail);
    const ueid = (index: number) => claimAt(result.value.claims, `${String(index)}.ueid`);
    expect(result.value.devices).toEqual([
      { kind: 'switch', ueid: ueid(0) },
      { kind: 'gpu', ueid: ueid(1) },
    ]);
  });

  test('is verified again with the paths that are known', () => {
    const evidence = [gpu().evidence(NONCE)];
    expect(verify(evidence).ok && verify(evidence).ok).toBe(true);
  });
});

describe('evidence.malformed', () => {
  test('for a report that does not parse, and for more devices than one binding covers', () => {
    const evidence = gpu().evidence(NONCE);
    expect(told(verify([{ ...evidence, report: Buffer.alloc(0) }]))).toMatch(/^evidence\.malformed: device 0: /);
    expect(told(verify(Array.from({ length: 17 }, () => evidence)))).toMatch(/^evidence\.malformed/);
  });

  test.each([
    ['no driver version', opaque(OPAQUE.driverVersion, null)],
    ['a driver version that is a path', opaque(OPAQUE.driverVersion, Buffer.from('../../550.90\0'))],
    ['no VBIOS version', opaque(OPAQUE.vbiosVersion, null)],
    ['a VBIOS version with bits behind it', opaque(OPAQUE.vbiosVersion, Buffer.from('00a5009601000001', 'hex'))],
    ['a VBIOS version that is too short', opaque(OPAQUE.vbiosVersion, Buffer.alloc(7))],
    ['a project that is no name', opaque(OPAQUE.project, Buffer.from('10_10\0'))],
    ['no chip SKU', opaque(OPAQUE.chipSku, null)],
    ['a firmware id of another length', opaque(OPAQUE.fwid, Buffer.alloc(32))],
    ['a feature flag of no bytes', opaque(OPAQUE.featureFlag, Buffer.alloc(0))],
    ['a feature flag of nine bytes', opaque(OPAQUE.featureFlag, Buffer.alloc(9))],
    ['a feature flag of 2^53', opaque(OPAQUE.featureFlag, Buffer.from('0000000000002000', 'hex'))],
    ['opaque data of a newer version', opaque(OPAQUE.opaqueDataVersion, Buffer.of(2, 0))],
    ['part of a PDI', opaque(OPAQUE.switchPdi, Buffer.alloc(12))],
  ])('for %s', (_, options) => {
    expect(verdict(options)).toMatch(/^evidence\.malformed: device 0: /);
  });

  test.each([
    ['a BIOS version of another form', opaque(OPAQUE.vbiosVersion, Buffer.from('96.10'))],
    ['a number of another length', opaque(OPAQUE.switchPdi, Buffer.alloc(16))],
    ['a list of GPUs that is too short', opaque(OPAQUE.gpuPdis, Buffer.alloc(56))],
  ])('for a switch with %s', (_, options) => {
    expect(verdict({ chip: 'LS_10', ...options })).toMatch(/^evidence\.malformed: device 0: /);
  });
});

describe('gpu.signature', () => {
  test('for a report by another key, and for one beside the certificates of another device', () => {
    expect(verdict({ forged: true })).toMatch(/^gpu\.signature/);
    const spliced = { ...gpu().evidence(NONCE), certificates: numbered(1).certificates };
    expect(told(verify([spliced]))).toMatch(/^gpu\.signature/);
  });
});

describe('gpu.nonce', () => {
  test('for a report that answers another nonce; without an expected one it is not looked at', () => {
    const evidence = gpu({ nonce: Buffer.alloc(32, 1) }).evidence(NONCE);
    const result = verify([evidence]);
    expect(result).toMatchObject({ ok: false, reason: 'gpu.nonce' });
    expect(result).toHaveProperty('findings.0.expected', NONCE.toString('hex'));
    expect(verifyGpus([evidence], sound, { nonce: undefined, rules: { count: 1, debug: false } }).ok).toBe(true);
  });
});

describe('gpu.fwid', () => {
  const other = Buffer.alloc(48, 5);

  test.each(['GH100', 'GB100', 'LS_10'] as const)('for firmware of a %s that its certificate is not for', (chip) => {
    const certified = gpu({ chip }).certificates;
    expect(certified).toHaveLength(5);
    if (chip === 'LS_10') {
      expect(verdict({ chip, certifiedFwid: other, ...opaque(OPAQUE.fwid, Buffer.alloc(48, 6)) })).toMatch(
        /^gpu\.fwid/,
      );
      expect(verdict({ chip, certifiedFwid: other, ...opaque(OPAQUE.fwid, other) })).toBe('accepted');
      return;
    }
    expect(verdict({ chip, fwid: other })).toMatch(/^gpu\.fwid/);
    expect(verdict({ chip, certifiedFwid: other })).toMatch(/^gpu\.fwid/);
    expect(verdict({ chip, certifiedFwid: other, fwid: other })).toBe('accepted');
  });

  test('for firmware that its certificate does not name', () => {
    expect(verdict({ certifiedFwid: null })).toMatch(/^gpu\.fwid/);
  });
});

describe('gpu.debug', () => {
  test.each([
    ['a feature flag that is not known', opaque(OPAQUE.featureFlag, Buffer.of(3, 0))],
    ['no feature flag where there must be one', opaque(OPAQUE.featureFlag, null)],
    ['a status of protected PCIe that is neither on nor off', opaque(OPAQUE.protectedPcie, Buffer.of(0))],
    ['two flags that contradict each other', opaque(OPAQUE.featureFlag, Buffer.of(2, 0))],
  ])('for %s, unless development is allowed', (_, options) => {
    expect(verdict(options)).toMatch(/^gpu\.debug/);
    expect(verdict(options, { debug: true })).toBe('accepted');
  });

  test('for GPUs in different modes', () => {
    const mixed = [numbered(1, { mode: 'SPT' }), numbered(2, { mode: 'MPT' })].map((one) => one.evidence(NONCE));
    expect(told(verify(mixed))).toMatch(/^gpu\.debug/);
    expect(told(verify(mixed, { debug: true }))).toBe('accepted');
    expect(told(verify(mixed.slice(1)))).toBe('accepted');
  });

  test('for a device whose confidential computing is off and that answers all the same', () => {
    expect(verdict({ confidentialComputing: 'off' })).toMatch(/^gpu\.debug/);
    expect(verdict({ confidentialComputing: 'off' }, { debug: true })).toMatch(/^gpu\.measurement/);
    expect(verdict({ confidentialComputing: 'devtools' }, { debug: true })).toMatch(/^gpu\.measurement/);
  });
});
