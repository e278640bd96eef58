import { describe, expect, test } from '@jest/globals';
import { isSameRim, servedAs } from '../../src/collateral/rim-names.js';
import { servedDriver } from '../../src/endorsement/rim/served-driver.js';

describe('the name under which NVIDIA serves a manifest', () => {
  test.each([
    ['NV_GPU_DRIVER_GH100_550.144.03', 'NV_GPU_DRIVER_GH100_550.144.03'],
    ['NV_GPU_DRIVER_GB100_580.95.05', 'NV_GPU_CC_DRIVER_GB100_580.95.05'],
    ['NV_GPU_DRIVER_GB202_580.95.05', 'NV_GPU_CC_DRIVER_GB202_580.95.05'],
    ['NV_GPU_CC_DRIVER_GB100_580.95.05', 'NV_GPU_CC_DRIVER_GB100_580.95.05'],
    ['NV_GPU_VBIOS_1010_0200_882_96005E0001', 'NV_GPU_VBIOS_1010_0200_882_96005E0001'],
  ])('for %s is %s', (id, served) => {
    expect(servedDriver(id)).toBe(served);
    expect(isSameRim(served, id)).toBe(true);
  });

  const GPU = 'NV_GPU_VBIOS_GH100_9600740014';
  const SWITCH = 'NV_SWITCH_BIOS_LS10_9610550001';
  test.each([
    ['rim/NV_GPU_VBIOS_G520_0202_885_9600740014.swidtag', GPU, 'NV_GPU_VBIOS_G520_0202_885_9600740014'],
    ['rim/NV_GPU_VBIOS_G520_0202_885_9600740014', GPU, 'NV_GPU_VBIOS_G520_0202_885_9600740014'],
    ['g520_0202_885_9600740014_PROD.swidtag', GPU, 'NV_GPU_VBIOS_G520_0202_885_9600740014'],
    ['rim/NV_SWITCH_BIOS_5612_0002_890_9610550001.json', SWITCH, 'NV_SWITCH_BIOS_5612_0002_890_9610550001'],
    ['switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml', SWITCH, 'NV_SWITCH_BIOS_5612_0002_890_9610550001'],
    ['rim/anything', 'NV_GPU_DRIVER_GB100_580.95.05', 'NV_GPU_CC_DRIVER_GB100_580.95.05'],
    // Of another version, of another kind, of tests, and none at all.
    ['g520_0202_885_9600740018_PROD.swidtag', GPU, undefined],
    ['5612_0002_890_9610550001_PROD.swidtag', SWITCH, undefined],
    ['g520_0202_885_9600740014_test_no_gpu.swidtag', GPU, undefined],
    ['NV_GPU_VBIOS_G520_0202_885_9600740014_measurement_mismatch.xml', GPU, undefined],
    ['NV_GPU_VBIOS_GH100_9600740014.swidtag', GPU, undefined],
    ['mine.xml', GPU, undefined],
  ])('of the file %s with %s is %s', (file, id, served) => {
    expect(servedAs(file, id)).toBe(served);
  });

  test('is of one manifest alone', () => {
    expect(isSameRim('NV_GPU_CC_DRIVER_GB100_580.95.05', 'NV_GPU_DRIVER_GB102_580.95.05')).toBe(false);
    expect(isSameRim('NV_GPU_CC_DRIVER_GB100_580.95.05', 'NV_GPU_DRIVER_GB100_580.95.06')).toBe(false);
    expect(isSameRim('NV_SWITCH_BIOS_5612_0002_890_9610550001', 'NV_GPU_VBIOS_GH100_9610550001')).toBe(false);
  });
});
