import { describe, expect, test } from '@jest/globals';
import { explainGpu } from '../../../src/evidence/gpu/explain.js';
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
    expect(field('featureFlag')!.note).toBe('SPT');
    expect(field('nvdec0Status')!.note).toBe('off');
    expect(field('leaf')!.value).toBe('GH100 A01 GSP FMC LF');
    expect(field('type 200')).toBeUndefined();
    const unknown = explainGpu(gpu(opaque(200, Buffer.of(1))).evidence(NONCE), 0);
    expect(unknown.flatMap(({ fields }) => fields).find(({ name }) => name === 'type 200')!.note).toBe(
      'not known here',
    );
  });
});
