import { describe, expect, test } from '@jest/globals';
import { claimAt } from '../../../src/claims/claims.js';
import { sha256Hex } from '../../../src/crypto/digest.js';
import { OPAQUE } from '../../../src/evidence/gpu/constants.js';
import { gpu, issued, NONCE, numbered, opaque, soundRims, trust, verdict, verify } from './simulated.js';

describe('the manifests that were used', () => {
  test('are claims by their digests, those of driver and VBIOS, or of the BIOS of a switch', () => {
    const devices = [gpu(), numbered(2, { chip: 'LS_10' })];
    const [driverRim, vbiosRim, switchRim] = devices
      .flatMap((device) => device.reference())
      .flatMap((rim) => issued(rim));
    const result = verify(
      devices.map((device) => device.evidence(NONCE)),
      { count: 1 },
      trust([switchRim!, vbiosRim!, driverRim!]),
    );
    if (!result.ok) throw new Error(result.detail);
    const at = (path: string) => claimAt(result.value.claims, path);
    expect(at('0.rim.driver_sha256')).toBe(sha256Hex(driverRim!));
    expect(at('0.rim.vbios_sha256')).toBe(sha256Hex(vbiosRim!));
    expect(at('1.rim.vbios_sha256')).toBe(sha256Hex(switchRim!));
    expect(at('1.rim.driver_sha256')).toBeUndefined();
  });
});

describe('collateral.unavailable', () => {
  test('where a manifest of this driver or VBIOS is not at hand, by the name NVIDIA has for it', () => {
    expect(verdict({ vbiosVersion: '96.00.9f.00.02' })).toBe(
      'collateral.unavailable: device 0: there is no manifest NV_GPU_VBIOS_1010_0200_882_96009F0002 at hand',
    );
    expect(verdict({ driverVersion: '580.95.06' })).toMatch(/^collateral\.unavailable/);
    expect(verdict({ chip: 'LS_10', vbiosVersion: '96.10.55.00.01' })).toBe(
      'collateral.unavailable: device 0: there is no manifest NV_SWITCH_BIOS_5612_0002_890_9610550001 at hand',
    );
  });

  test('names all that are missing, each by one id', () => {
    const at = (vbios: string, driver: string) =>
      'collateral.unavailable: device 0: ' +
      `there is no manifest ${driver} at hand; there is no manifest NV_GPU_VBIOS_1010_0200_882_${vbios} at hand`;
    expect(verdict({}, {}, trust([]))).toBe(at('96009F0001', 'NV_GPU_DRIVER_GH100_580.95.05'));
    expect(verdict({ chip: 'GB100' }, {}, trust([]))).toMatch(
      /no manifest NV_GPU_CC_DRIVER_GB100_580\.95\.05 at hand; /,
    );
  });

  test('does not hide behind it that another is not of NVIDIA', () => {
    for (const rim of soundRims.slice(0, 2)) {
      expect(verdict({}, {}, trust([changedSignature(rim)]))).toMatch(/^gpu\.rim/);
    }
  });

  test('after everything that the devices say for themselves', () => {
    expect(verdict({ nonce: Buffer.alloc(32) }, {}, trust([]))).toMatch(/^gpu\.nonce/);
    expect(verdict(opaque(OPAQUE.featureFlag, null), {}, trust([]))).toMatch(/^gpu\.debug/);
    expect(verdict({}, { count: 2 }, trust([]))).toMatch(/^gpu\.count/);
  });
});

describe('gpu.rim', () => {
  const [driver, vbios] = gpu().reference();

  test('for a manifest that is not signed by the maker', () => {
    const changed = soundRims.map((rim) => changedSignature(rim));
    expect(verdict({}, {}, trust(changed))).toMatch(/^gpu\.rim/);
  });

  test('for a manifest that was altered or cannot be read, not as if there was none', () => {
    const altered = soundRims.map((rim) =>
      Buffer.from(rim.toString('latin1').replace(/Hash0="./, 'Hash0="0'), 'latin1'),
    );
    expect(verdict({}, {}, trust(altered))).toMatch(
      /^gpu\.rim: device 0: .*the manifest NV_GPU_(?:DRIVER_GH100|VBIOS)_.* is not what it should be: changed after it had been signed$/,
    );
    const cut = soundRims.map((rim) => Buffer.from(rim.toString('latin1').replace(/Hash0="./, 'Hash0="x'), 'latin1'));
    expect(verdict({}, {}, trust(cut))).toMatch(/^gpu\.rim/);
    expect(verdict({}, {}, trust([...altered, ...cut, ...soundRims]))).toBe('accepted');
  });

  test('for two manifests that list the same measurement', () => {
    const both = { ...vbios!, measurements: new Map([...vbios!.measurements, ...driver!.measurements]) };
    expect(verdict({}, {}, trust(issued(driver!, both)))).toMatch(
      /^gpu\.rim: device 0: two manifests list measurement/,
    );
  });
});

describe('gpu.measurement', () => {
  const [driver, vbios] = gpu().reference();

  test('for a measurement that is none of those listed, by its number', () => {
    const result = verify([
      numbered(1).evidence(NONCE),
      numbered(2, { measurements: { 21: Buffer.alloc(48, 1) } }).evidence(NONCE),
    ]);
    expect(result).toMatchObject({
      ok: false,
      reason: 'gpu.measurement',
      detail: 'device 1: not as the manifests list them: measurements 21 (other firmware, or devtools mode)',
      findings: [{ claim: 'gpu.1.measurement.21', operator: 'in', found: '01'.repeat(48) }],
    });
  });

  test('says that other good manifests of the same name were not used', () => {
    const other = {
      ...driver!,
      measurements: new Map([...driver!.measurements, [21, [Buffer.alloc(48, 7)]] as const]),
    };
    const rims = issued(other, driver!, vbios!);
    const told = verdict({}, {}, trust(rims));
    expect(told).toMatch(/^gpu\.measurement: device 0: not as the manifests list them: measurements 21 /);
    expect(told).toContain(
      `; not used: 1 more good of NV_GPU_DRIVER_GH100_580.95.05, since the signer of sha256 ${sha256Hex(rims[0]!)} is the newest`,
    );
    expect(told).not.toContain('NV_GPU_VBIOS');
    expect(verdict({}, {}, trust([rims[1]!, rims[0]!, rims[2]!]))).toBe('accepted');
  });

  test('for each measurement that a manifest lists, and for no other', () => {
    const listed = new Set([...driver!.measurements.keys(), ...vbios!.measurements.keys()]);
    listed.delete(35);
    for (let index = 0; index < 64; index++) {
      const expected = listed.has(index) ? 'gpu.measurement' : 'accepted';
      expect(verdict({ measurements: { [index]: Buffer.alloc(48, 1) } }).split(':')[0]).toBe(expected);
    }
  });

  test('number 35 is compared unless its unit is off', () => {
    const measurements = { 35: Buffer.alloc(48, 1) };
    expect(verdict({ measurements })).toBe('accepted');
    for (const status of [Buffer.of(0xaa), Buffer.of(0), null]) {
      expect(verdict({ measurements, ...opaque(OPAQUE.nvdec0Status, status) })).toMatch(/^gpu\.measurement/);
    }
    expect(verdict(opaque(OPAQUE.nvdec0Status, Buffer.of(0xaa)))).toBe('accepted');
  });

  test('any alternative will do', () => {
    const other = Buffer.alloc(48, 8);
    const measurements = new Map([...driver!.measurements].map(([index, [value]]) => [index, [other, value!]]));
    const believed = trust(issued({ ...driver!, measurements }, vbios!));
    expect(verdict({}, {}, believed)).toBe('accepted');
    expect(verdict({ measurements: { 21: other } }, {}, believed)).toBe('accepted');
    expect(verdict({ measurements: { 21: Buffer.alloc(48, 9) } }, {}, believed)).toMatch(/^gpu\.measurement/);
  });

  test('for a measurement of another size, also where it begins as the one that is listed', () => {
    const value = driver!.measurements.get(21)![0]!;
    expect(verdict({ measurements: { 21: value.subarray(0, 47) } })).toMatch(/^gpu\.measurement/);
    expect(verdict({ measurements: { 21: Buffer.concat([value, Buffer.alloc(1)]) } })).toMatch(/^gpu\.measurement/);
  });

  test('for a measurement that is listed and not in the report', () => {
    const measurements = new Map([...driver!.measurements, [70, [Buffer.alloc(48)]] as const]);
    const result = verify([gpu().evidence(NONCE)], {}, trust(issued({ ...driver!, measurements }, vbios!)));
    expect(result).toMatchObject({ reason: 'gpu.measurement', findings: [{ found: null }] });
  });

  test('for a device in devtools mode, which nothing but the measurement tells', () => {
    expect(verdict({ confidentialComputing: 'devtools' })).toBe(
      'gpu.measurement: device 0: not as the manifests list them: measurements 9 (other firmware, or devtools mode)',
    );
  });

  test('what no manifest lists is counted', () => {
    const result = verify([gpu({ measurements: { 50: Buffer.alloc(48, 1) } }).evidence(NONCE)]);
    expect(result.ok && claimAt(result.value.claims, '0.measurements.unlisted')).toBe(1);
  });
});

/** The first character of the SignatureValue is another one: the digest of the document stays right. */
function changedSignature(rim: Buffer): Buffer {
  const text = rim.toString('latin1');
  const at = text.indexOf('<ds:SignatureValue>') + '<ds:SignatureValue>'.length;
  return Buffer.from(`${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`, 'latin1');
}
