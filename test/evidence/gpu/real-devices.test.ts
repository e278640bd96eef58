/** Reports of GPUs and switches that NVIDIA made, held against the values that are known of them. */
import { describe, expect, test } from '@jest/globals';
import { toHex } from '../../../src/bytes/hex.js';
import { claimAt } from '../../../src/claims/claims.js';
import { findRim } from '../../../src/endorsement/rim/verify.js';
import { verifyDevice } from '../../../src/evidence/gpu/device.js';
import { type GpuEvidence, SAFE_GPU_RULES } from '../../../src/evidence/gpu/evidence.js';
import { explainGpu } from '../../../src/evidence/gpu/explain.js';
import { matchMeasurements } from '../../../src/evidence/gpu/measurements.js';
import { parseGpuReport } from '../../../src/evidence/gpu/report.js';
import { verifyGpus } from '../../../src/evidence/gpu/verify.js';
import type { HardwareTrust } from '../../../src/endorsement/collateral.js';
import {
  bytesOf,
  describeWithVectors,
  evidenceIn,
  evidenceList,
  type Expected,
  expected,
  invalid,
  LISTS,
  present,
  RIMS,
  single,
  trustAt,
} from './vectors.js';

const NOW = '2026-11-21T00:00:00Z';
const FLAGS: Readonly<Record<string, string>> = { '0000': 'SPT', '0100': 'MPT', '0200': 'PPCIE' };

/** Every piece of evidence of which field values are known. */
const known: readonly { readonly name: string; readonly evidence: GpuEvidence; readonly want: Expected }[] = present
  ? Object.entries(expected).flatMap(([name, want]) => {
      if (name === 'rims') return [];
      const pieces = single[name] === undefined ? evidenceList(name) : [single[name]()];
      const wants = Array.isArray(want) ? (want as readonly Expected[]) : [want as Expected];
      return pieces.map((evidence, at) => ({ name: `${name} ${String(at)}`, evidence, want: wants[at]! }));
    })
  : [];

function accepted(evidence: GpuEvidence, trust = trustAt(NOW)) {
  const result = verifyDevice(evidence, trust, undefined, false);
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return result.value;
}

/** The reason of the refusal, or `accepted`. */
function verdict(
  evidence: readonly GpuEvidence[],
  trust: HardwareTrust = trustAt(NOW),
  nonce?: Buffer,
  rules = SAFE_GPU_RULES,
) {
  const result = verifyGpus(evidence, trust, { nonce, rules });
  return result.ok ? 'accepted' : result.reason;
}

describeWithVectors('genuine devices', () => {
  test('there are 25 of which the fields are known', () => {
    expect(known).toHaveLength(25);
  });

  test.each(known)(
    '$name: report, chain, signature, nonce and firmware are good, and every field is the known one',
    ({ evidence, want }) => {
      const { device, report, facts } = accepted(evidence);
      expect(evidence.report.length).toBe(want.len);
      expect(toHex(report.nonce)).toBe(want.nonceReq);
      expect(report.measurements).toHaveLength(want.blocks);
      expect(report.trailing).toBe(want.trailing);
      expect(toHex(report.measurements[0]!.value)).toBe(want.meas1);
      expect(toHex(report.measurements[9]!.value)).toBe(want.meas10);
      expect(facts.driverVersion).toBe(want.driver);
      expect(facts.vbiosVersion).toBe(want.vbios);
      if (device.kind === 'gpu') {
        expect([facts.project, facts.projectSku, facts.chipSku]).toEqual([want.project, want.projectSku, want.chipSku]);
      }
      expect(facts.fwid === undefined ? undefined : toHex(facts.fwid)).toBe(want.fwid);
      expect(facts.nvdec).toBe(want.nvdec0 === undefined ? undefined : 'off');
      expect(facts.protectedPcie).toBe(want.ppcie === undefined ? undefined : want.ppcie === 'aa');
      expect(facts.mode).toBe(want.featureFlag === undefined ? undefined : FLAGS[want.featureFlag]);
      expect(device.ueid).toBe(want.ueidDecimal);
      expect(device.leaf.serial).toBe(want.leafSerial.toLowerCase());
      expect(`CN=${device.model}`).toBe(want.chainCNs[1]);
      expect(device.pdi).toMatch(/^[0-9a-f]{16}$/);
      expect(device.identities).toContain(`chip/${device.pdi!}`);
    },
  );

  test('the architecture is that of the boot ROM, also for switches, which hang below the identity of GH100', () => {
    const of = (name: string) => accepted(single[name]!()).device;
    expect(of('nvtrust-hopper')).toMatchObject({ kind: 'gpu', architecture: 'HOPPER', chip: 'GH100' });
    expect(of('nvat-blackwell')).toMatchObject({ kind: 'gpu', architecture: 'BLACKWELL', chip: 'GB100' });
    expect(of('nvat-LS10-switch')).toMatchObject({ kind: 'switch', architecture: 'LS10', chip: 'LS_10' });
  });

  test('the number in the boot ROM of a switch is the one that it reports itself', () => {
    const { device, facts } = accepted(single['nvat-LS10-switch']!());
    expect(device.pdi).toBe(facts.ownPdi);
  });

  test('evidence whose certificate is on hold is good, as that cannot be seen offline', () => {
    const [held] = evidenceList(LISTS.hopperHold);
    expect(accepted(held!).facts.driverVersion).toBe('570.86.10');
  });

  test('the root among the certificates is no harm, nor that it is left out, nor another order behind the leaf', () => {
    const evidence = single['nvtrust-hopper']!();
    const [leaf, ...others] = evidence.certificates;
    for (const certificates of [evidence.certificates.slice(0, 4), [leaf!, ...others.reverse()]]) {
      expect(accepted({ ...evidence, certificates }).device.ueid).toBe(
        '478176379286082186618948445787393647364802107249',
      );
    }
  });

  test('a nonce is answered or not', () => {
    const evidence = single['nvtrust-hopper']!();
    const nonce = parseGpuReport(evidence.report).nonce;
    expect(verdict([evidence], trustAt(NOW), nonce)).toBe('collateral.unavailable');
    const other = Buffer.from(nonce);
    other[31]! ^= 1;
    expect(verdict([evidence], trustAt(NOW), other)).toBe('gpu.nonce');
  });

  test('one byte behind the report is ignored, two are not', () => {
    const evidence = single['nvtrust-hopper']!();
    const longer = (count: number) => ({ ...evidence, report: Buffer.concat([evidence.report, Buffer.alloc(count)]) });
    expect(accepted(longer(1)).report.trailing).toBe(1);
    expect(verdict([longer(2)])).toBe('evidence.malformed');
  });

  test('every report can be explained, and nothing is found to be wrong', () => {
    for (const { evidence } of known) {
      const sections = explainGpu(evidence, 3);
      expect(sections).toHaveLength(5);
      expect(sections.flatMap(({ fields }) => fields).filter(({ wrong }) => wrong === true)).toEqual([]);
    }
  });
});

describeWithVectors('devices that are refused', () => {
  test.each(Object.entries(invalid))('a changed report of a %s is refused for its signature', (_, evidence) => {
    expect(verdict([evidence()])).toBe('gpu.signature');
  });

  test.each(['case2', 'case3', 'case4'])('the chain of %s is refused', (name) => {
    const good = evidenceIn('trustee/hopperAttestationReport.txt', 'trustee/hopper_cert_chain_case1.txt');
    expect(accepted(good).facts.driverVersion).toBe('550.90.07');
    const bad = evidenceIn('trustee/hopperAttestationReport.txt', `trustee/hopper_cert_chain_${name}.txt`);
    expect(verdict([bad])).toBe('gpu.chain');
  });

  test('a leaf alone is refused, since no CA below the root is pinned', () => {
    const evidence = single['nvtrust-hopper']!();
    expect(verdict([{ ...evidence, certificates: evidence.certificates.slice(0, 1) }])).toBe('gpu.chain');
    expect(verdict([{ ...evidence, certificates: [] }])).toBe('gpu.chain');
  });

  test('a report beside the chain of another device is refused', () => {
    const report = single['nvtrust-hopper']!().report;
    expect(verdict([{ ...single['nvat-hopper']!(), report }])).toBe('gpu.signature');
  });

  test('a chain that is not yet valid is refused', () => {
    expect(verdict([single['nvtrust-hopper']!()], trustAt('2019-01-01T00:00:00Z'))).toBe('gpu.chain');
  });

  test('one device four times is a duplicate', () => {
    const list = evidenceList(LISTS.multiSwitch);
    expect(list).toHaveLength(4);
    expect(verdict(list, trustAt(NOW, [RIMS.switch55]))).toBe('gpu.duplicate');
  });

  test('a device twice is a duplicate although the second report is another one', () => {
    const [first] = evidenceList(LISTS.multiHopper);
    const again = evidenceList(LISTS.ppcieGpus)[0]!;
    expect(first!.report.equals(again.report)).toBe(false);
    expect(verdict([first!, again])).toBe('gpu.duplicate');
  });
});

describeWithVectors('several devices behind protected PCIe', () => {
  const gpus = () => evidenceList(LISTS.ppcieGpus);
  const switches = () => evidenceList(LISTS.ppcieSwitches);

  test('eight GPUs and four switches that are linked with each other are one machine', () => {
    expect(verdict([...gpus(), ...switches()])).toBe('collateral.unavailable');
  });

  test('GPUs alone are not compared with switches', () => {
    expect(verdict(gpus())).toBe('collateral.unavailable');
    expect(verdict(evidenceList(LISTS.multiHopper))).toBe('collateral.unavailable');
  });

  test('a GPU that is missing, or a switch, or a switch of another machine, is refused', () => {
    expect(verdict([...gpus().slice(1), ...switches()])).toBe('gpu.count');
    expect(verdict([...gpus(), ...switches().slice(1)])).toBe('gpu.count');
    expect(verdict([...gpus(), ...switches().slice(1), ...evidenceList(LISTS.switch)])).toBe('gpu.count');
  });

  test('a GPU of another machine instead of one is refused', () => {
    expect(verdict([...gpus().slice(1), single['nvtrust-hopper']!(), ...switches()])).toBe('gpu.count');
  });

  test('the rules count GPUs, not switches', () => {
    const all = [...gpus(), ...switches()];
    expect(verdict(all, trustAt(NOW), undefined, { ...SAFE_GPU_RULES, count: 12 })).toBe('gpu.count');
    expect(verdict(all, trustAt(NOW), undefined, { ...SAFE_GPU_RULES, count: 8 })).toBe('collateral.unavailable');
    expect(verdict([], trustAt(NOW), undefined, { ...SAFE_GPU_RULES, count: 1 })).toBe('gpu.count');
  });

  test('GPUs in different modes are refused, unless development is allowed', () => {
    const mixed = [...evidenceList(LISTS.hopper590), single['nvat-testdata-hopper']!()];
    expect(verdict(mixed)).toBe('gpu.debug');
    expect(verdict(mixed, trustAt(NOW), undefined, { ...SAFE_GPU_RULES, debug: true })).toBe('collateral.unavailable');
  });
});

describeWithVectors('manifests for genuine devices', () => {
  const lone = () => evidenceList(LISTS.switch);

  test('the measurements of a switch are those of its manifest', () => {
    const result = verifyGpus(lone(), trustAt(NOW, [RIMS.switch55]), { nonce: undefined, rules: SAFE_GPU_RULES });
    if (!result.ok) throw new Error(result.detail);
    const at = (path: string) => claimAt(result.value.claims, path);
    expect([at('count'), at('switches'), at('topology')]).toEqual([0, 1, undefined]);
    expect([at('0.kind'), at('0.architecture'), at('0.vbios_version')]).toEqual(['switch', 'LS10', '96.10.55.00.01']);
    expect(at('0.measurements.matched')).toBe(true);
    expect(at('0.measurements.compared')).toBe(31);
    expect(at('0.measurements.unlisted')).toBe(0);
    expect(at('0.fwid.present')).toBe(false);
    expect(at('0.rim.vbios')).toBe('NV_SWITCH_BIOS_5612_0002_890_9610550001');
    expect(result.value.identities).toContain('chip/203eb31ad9ed0008');
  });

  test('without a manifest, with one that is not valid any more, or with one for other versions there is no verdict', () => {
    expect(verdict(lone(), trustAt(NOW))).toBe('collateral.unavailable');
    expect(verdict(lone(), trustAt('2029-01-01T00:00:00Z', [RIMS.switch55]))).toBe('collateral.unavailable');
    expect(verdict(lone(), trustAt(NOW, [RIMS.driver550, RIMS.vbios5e01]))).toBe('collateral.unavailable');
    expect(verdict([single['nvat-hopper']!()], trustAt('2025-01-15T00:00:00Z', [RIMS.driver550, RIMS.vbios5e01]))).toBe(
      'collateral.unavailable',
    );
  });

  test('a manifest that was changed is no manifest', () => {
    expect(verdict(lone(), trustAt(NOW, [RIMS.switch55Invalid]))).toBe('gpu.rim');
    // Named after the switch, and by its words of the VBIOS of a GPU.
    expect(verdict(lone(), trustAt(NOW, [RIMS.switch55Edited]))).toBe('collateral.unavailable');
  });

  describe('of the VBIOS of a GPU', () => {
    const AT = '2025-01-15T00:00:00Z';
    const compared = (rim: string, atTime = AT) => {
      const trust = trustAt(atTime, [rim]);
      const { report, facts } = accepted(single['nvat-hopper']!(), trust);
      const manifest = findRim('NV_GPU_VBIOS_GH100_96005E0001', trust);
      if (!manifest.ok) throw new Error(manifest.detail);
      return matchMeasurements(report, facts, [manifest.value], 'gpu.0');
    };

    test('the twelve measurements that it lists are those of the device', () => {
      expect(compared(RIMS.vbios5e01)).toMatchObject({ ok: true, value: { compared: 12 } });
    });

    test('one with another value for a measurement, signed by NVIDIA, refuses the device for that one alone', () => {
      expect(bytesOf(RIMS.vbios5e01Other).length).toBeGreaterThan(0);
      expect(compared(RIMS.vbios5e01Other, '2025-12-01T00:00:00Z')).toMatchObject({
        ok: false,
        reason: 'gpu.measurement',
        detail: 'not as the manifests list them: measurements 9 (other firmware, or devtools mode)',
        findings: [{ claim: 'gpu.0.measurement.9', operator: 'in' }],
      });
    });
  });
});
