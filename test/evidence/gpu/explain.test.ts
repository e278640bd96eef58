import { describe, expect, test } from '@jest/globals';
import { explainGpu } from '../../../src/evidence/gpu/explain.js';
import { OPAQUE } from '../../../src/evidence/gpu/constants.js';
import { gpu, NONCE, opaque } from './simulated.js';

describe('an explanation', () => {
  test('shows what is wrong where it stands, and never throws', () => {
    const evidence = gpu().evidence(NONCE);
    const broken = explainGpu({ report: evidence.report.subarray(0, 100), certificates: [Buffer.of(1)] }, 0);
    expect(broken.flatMap(({ fields }) => fields).every(({ wrong }) => wrong === true)).toBe(true);
    const sections = explainGpu({ ...evidence, report: Buffer.concat([evidence.report, Buffer.of(0)]) }, 4);
    const field = (name: string) => sections.flatMap(({ fields }) => fields).find((one) => one.name === name);
    expect(sections[0]!.title).toMatch(/^Device 4: /);
    expect(field('request.nonce')!.value).toBe(NONCE.toString('hex'));
    expect(field('trailing')!.value).toBe('1 byte');
    expect(field('driverVersion')!.value).toBe('580.95.05');
    expect(field('vbiosVersion')).toEqual({
      name: 'vbiosVersion',
      value: '96.00.9F.00.01',
      note: 'in lower case where it is a claim',
    });
    expect(field('featureFlag')!.note).toBe('SPT');
    expect(field('nvdec0Status')!.note).toBe('off');
    expect(field('leaf')!.value).toBe('GH100 A01 GSP FMC LF');
    expect(field('type 200')).toBeUndefined();
    const unknown = explainGpu(gpu(opaque(200, Buffer.of(1))).evidence(NONCE), 0);
    expect(unknown.flatMap(({ fields }) => fields).find(({ name }) => name === 'type 200')!.note).toBe(
      'not known here',
    );
  });

  const fields = (...given: Parameters<typeof gpu>) =>
    Object.fromEntries(
      explainGpu(gpu(...given).evidence(NONCE), 0)
        .flatMap((section) => section.fields)
        .map(({ name, value }) => [name, value]),
    );

  test('names the manifests as NVIDIA serves them, with the command that fetches them', () => {
    expect(fields()).toMatchObject({
      driver: 'NV_GPU_DRIVER_GH100_580.95.05',
      vbios: 'NV_GPU_VBIOS_1010_0200_882_96009F0001',
      'to get them':
        'portcullis collateral fetch --rim NV_GPU_DRIVER_GH100_580.95.05,NV_GPU_VBIOS_1010_0200_882_96009F0001',
    });
    expect(fields({ chip: 'GB100' })['driver']).toBe('NV_GPU_CC_DRIVER_GB100_580.95.05');
    const ofSwitch = fields({ chip: 'LS_10' });
    expect(ofSwitch['switch']).toMatch(/^NV_SWITCH_BIOS_5612_0002_890_[0-9A-F]{10}$/);
    expect(ofSwitch['vbiosVersion']).toMatch(/^[0-9A-F]{2}(?:\.[0-9A-F]{2}){4}$/);
    expect(ofSwitch).not.toHaveProperty('driver');
  });

  test('names no manifest where the chip or the versions are not known', () => {
    const { report, certificates } = gpu().evidence(NONCE);
    const last = (evidence: Parameters<typeof explainGpu>[0]) => explainGpu(evidence, 0).at(-1)!;
    expect(last({ report, certificates })).toMatchObject({ title: 'Device 0: manifests that it needs' });
    const [alone] = last({ report, certificates: [Buffer.of(1)] }).fields;
    expect(alone).toMatchObject({ value: '(not known)', note: expect.stringContaining('boot ROM') });
    const odd = fields(opaque(OPAQUE.vbiosVersion, Buffer.of(1, 2)));
    expect(odd).toMatchObject({ vbiosVersion: '0102', manifests: '(not known)' });
  });
});
