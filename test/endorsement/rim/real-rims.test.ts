/** The manifests that NVIDIA publishes with its verifiers, and their broken ones, where those vectors are at hand. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { NO_COLLATERAL, type HardwareTrust } from '../../../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { findRim, parseRim, verifyRim } from '../../../src/endorsement/rim/verify.js';

const VECTORS = join(import.meta.dirname, '../../../../shared/vectors/gpu');
const present = existsSync(VECTORS);
const describeWithVectors = present ? describe : describe.skip;
const NOW = Date.UTC(2026, 10, 21);
/** A moment at which nearly all signers were valid. */
const IN_2024 = Date.UTC(2024, 0, 15);

const DRIVER = 'nvat/testdata/NV_GPU_DRIVER_GH100_550.144.03.xml';
const SWITCH = 'nvat/testdata/switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml';
const VBIOS = 'vbios-rims/1010_0200_882_96005E0001_PROD.swidtag';
const VALIDLY_SIGNED_MISMATCH =
  'nvat/testdata/sample_rims/NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml';
const BROKEN = [
  { file: 'incorrect_signature_driver_rim.xml', why: /is not signed by its signer$/ },
  { file: 'incorrect_cert_chain_driver_rim.xml', why: /the signer has no good path: / },
  {
    file: 'sample_rims/NV_GPU_DRIVER_GH100_535.86.09_measurement_mismatch.xml',
    why: /changed after it had been signed$/,
  },
  { file: 'sample_rims/NV_GPU_DRIVER_GH100_570.124.03_expired.xml', why: /changed after it had been signed$/ },
  {
    file: 'sample_rims/NV_SWITCH_BIOS_5612_0002_890_9610550001_measurement_mismatch.xml',
    why: /changed after it had been signed$/,
  },
  {
    file: 'sample_rims/NV_SWITCH_BIOS_5612_0002_890_9610550001_invalid_signature.xml',
    why: /changed after it had been signed$/,
  },
].map(({ file, why }) => ({ file: `nvat/testdata/${file}`, why }));

interface Expected {
  readonly version: string;
  readonly product: string;
  readonly active: number;
  /** Dates, `2023-06-23..2025-06-22`. */
  readonly signerValid: string;
  readonly earliestChainExpiry: string;
}

const read = (file: string): Buffer => readFileSync(join(VECTORS, file));
const expected: Readonly<Record<string, Expected>> = present
  ? (JSON.parse(read('expected.json').toString()) as { rims: Record<string, Expected> }).rims
  : {};
const vbiosFiles = present ? readdirSync(join(VECTORS, 'vbios-rims')).map((name) => `vbios-rims/${name}`) : [];
const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);

function trustAt(atMs: number, rims: readonly Buffer[] = []): HardwareTrust {
  const collateral = { ...NO_COLLATERAL, rims };
  return { roots: PINNED_ROOTS, collateral, paths: new KnownPaths(64), atMs, requireCrls: false };
}

describeWithVectors('the manifests of NVIDIA', () => {
  test('24 of VBIOS are there, and all of them are expected', () => {
    expect(vbiosFiles).toHaveLength(24);
    expect(vbiosFiles.every((file) => file in expected)).toBe(true);
  });

  test.each(Object.keys(expected))('%s says what it should while its signer is valid', (file) => {
    const { version, product, active, signerValid, earliestChainExpiry } = expected[file]!;
    const bytes = read(file);
    const { fromMs, untilMs } = parseRim(bytes);
    expect(day(fromMs)).toBe(signerValid.slice(0, 10));
    expect(day(untilMs)).toBe(earliestChainExpiry);
    for (const atMs of [fromMs, untilMs]) {
      const result = verifyRim(bytes, trustAt(atMs));
      if (!result.ok) throw new Error(result.detail);
      expect(result.value).toMatchObject({ version, meta: { product } });
      expect([...result.value.measurements.keys()]).toEqual(Array.from({ length: 64 }, (_, index) => index));
      expect([...result.value.measurements.values()].filter((one) => one.active)).toHaveLength(active);
      expect(result.value.identities).toHaveLength(6);
    }
  });

  test.each(Object.keys(expected))('%s is no verdict when its signer is not valid', (file) => {
    const bytes = read(file);
    const { fromMs, untilMs } = parseRim(bytes);
    for (const atMs of [untilMs + 1, fromMs - 1]) {
      const result = verifyRim(bytes, trustAt(atMs));
      expect(result).toMatchObject({ ok: false, reason: 'collateral.unavailable' });
      expect(result).toHaveProperty('detail', expect.stringMatching(/fetch the manifest anew$/));
    }
  });

  test('a driver, a VBIOS and a switch are told apart, and named', () => {
    const ids = [DRIVER, VBIOS, SWITCH].map((file) => parseRim(read(file)).manifest);
    expect(ids.map(({ kind, id }) => `${kind} ${id}`)).toEqual([
      'driver NV_GPU_DRIVER_GH100_550.144.03',
      'vbios NV_GPU_VBIOS_GH100_96005E0001',
      'switch NV_SWITCH_BIOS_LS10_9610550001',
    ]);
  });

  test('a measurement has its alternatives in their order', () => {
    const measurement = parseRim(read(DRIVER)).manifest.measurements.get(36)!;
    expect(measurement).toMatchObject({ active: true, sizeBytes: 48 });
    expect(measurement.alternatives.map((hash) => hash.toString('hex').slice(0, 8))).toEqual([
      '10570f64',
      'e33b54c2',
      expect.any(String),
    ]);
  });

  test.each(BROKEN)('$file is refused at any time', ({ file, why }) => {
    for (const atMs of [NOW, IN_2024, Date.UTC(2025, 5, 1), Date.UTC(2035, 0, 1)]) {
      const result = verifyRim(read(file), trustAt(atMs));
      expect(result).toMatchObject({ ok: false, reason: 'gpu.rim' });
      expect(result).toHaveProperty('detail', expect.stringMatching(why));
    }
  });

  test('the VBIOS manifest of another measurement has a good signature: what it says is for others to compare', () => {
    const [good, other] = [VBIOS, VALIDLY_SIGNED_MISMATCH].map((file) => verifyRim(read(file), trustAt(IN_2024)));
    if (good?.ok !== true || other?.ok !== true) throw new Error('refused');
    const differing = [...good.value.measurements].filter(([index, { active, alternatives }]) => {
      const there = other.value.measurements.get(index);
      return there?.active !== active || !alternatives.every((hash, n) => there.alternatives[n]?.equals(hash));
    });
    expect(other.value.id).toBe(good.value.id);
    expect(differing.map(([index]) => index)).toEqual([9]);
  });

  test('one that is broken is not told as if there was none', () => {
    const files = [...BROKEN.map(({ file }) => file), ...vbiosFiles, DRIVER, SWITCH];
    const trust = trustAt(NOW, files.map(read));
    expect(findRim('NV_GPU_DRIVER_GH100_535.86.09', trust)).toMatchObject({
      reason: 'gpu.rim',
      detail: 'the manifest NV_GPU_DRIVER_GH100_535.86.09 is not what it should be: changed after it had been signed',
    });
    expect(findRim('NV_GPU_DRIVER_GH100_535.86.10', trust)).toMatchObject({
      reason: 'collateral.unavailable',
      detail: 'there is no manifest NV_GPU_DRIVER_GH100_535.86.10 at hand',
    });
  });

  test('a forged manifest beside a good one of the same id does no harm', () => {
    const [forged, good] = ['nvat/testdata/incorrect_signature_driver_rim.xml', DRIVER].map(read);
    const trust = trustAt(NOW, [forged!, good!]);
    expect(verifyRim(forged!, trust).ok).toBe(false);
    expect(findRim('NV_GPU_DRIVER_GH100_550.144.03', trust).ok).toBe(true);
  });

  test('of today, the driver manifest is good, those of VBIOS of 2023 are to be fetched anew', () => {
    const trust = trustAt(NOW, [DRIVER, VBIOS].map(read));
    expect(findRim('NV_GPU_DRIVER_GH100_550.144.03', trust)).toMatchObject({ ok: true });
    expect(findRim('NV_GPU_VBIOS_GH100_96005E0001', trust)).toMatchObject({
      ok: false,
      reason: 'collateral.unavailable',
      detail:
        'the signer of the manifest NV_GPU_VBIOS_GH100_96005E0001 is valid until 2025-06-22T09:30:33.000Z: fetch the manifest anew',
    });
  });

  test('a bit flipped in any byte is refused; of measurements that are not active, in every 16th', () => {
    const bytes = read(VBIOS);
    const trust = trustAt(IN_2024);
    const inactive = [...bytes.toString('latin1').matchAll(/<ns0:Resource [^>]* active="False"[^>]*>/g)].map(
      ({ index, 0: { length } }) => ({ from: index, to: index + length }),
    );
    const outcomes = new Set<string>();
    for (let at = 0; at < bytes.length; at++) {
      if (at % 16 !== 0 && inactive.some(({ from, to }) => at >= from && at < to)) continue;
      const changed = Buffer.from(bytes);
      changed[at] = bytes[at]! ^ (1 << (at % 8));
      const result = verifyRim(changed, trust);
      outcomes.add(result.ok ? `byte ${String(at)} is accepted` : result.reason);
    }
    expect(inactive).toHaveLength(52);
    expect([...outcomes]).toEqual(['gpu.rim']);
  }, 240_000);

  test('every truncation is refused', () => {
    const bytes = read(VBIOS);
    const end = bytes.lastIndexOf('>');
    for (let length = 0; length <= end; length += length < 1000 || length > end - 1000 ? 1 : 61) {
      const result = verifyRim(bytes.subarray(0, length), trustAt(IN_2024));
      expect(result).toMatchObject({ ok: false, reason: 'gpu.rim' });
    }
  });
});
