import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { AMD_GENERATIONS, PINNED_ROOTS, withSimulator } from '../../src/endorsement/hardware-roots.js';
import { makerRoots, simulatedMakers } from '../../src/simulator/makers.js';

const hashesOf = (anchors: { readonly certificates: readonly { readonly der: Buffer }[] }) =>
  anchors.certificates.map(({ der }) => sha256Hex(der));

describe('the pinned roots', () => {
  test('are those that AMD, Intel and NVIDIA publish, one each', () => {
    const { amd, intel, nvidiaDevices, nvidiaRims } = PINNED_ROOTS;
    expect(hashesOf(amd.Milan.anchors)).toEqual(['69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd']);
    expect(hashesOf(amd.Genoa.anchors)).toEqual(['4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1']);
    expect(hashesOf(amd.Turin.anchors)).toEqual(['1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a']);
    expect(hashesOf(intel)).toEqual(['44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3']);
    expect(hashesOf(nvidiaDevices)).toEqual(['102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48']);
    expect(hashesOf(nvidiaRims)).toEqual(['12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1']);
  });

  test('have signed themselves, and both intermediates of their generation, but none of another', () => {
    const verifies = (der: Buffer, by: Buffer) => new X509Certificate(der).verify(new X509Certificate(by).publicKey);
    for (const generation of AMD_GENERATIONS) {
      const { anchors, intermediates } = PINNED_ROOTS.amd[generation];
      expect(intermediates).toHaveLength(2);
      for (const other of AMD_GENERATIONS) {
        const ark = PINNED_ROOTS.amd[other].anchors.certificates[0]?.der ?? Buffer.alloc(0);
        const own = anchors.certificates[0]?.der ?? Buffer.alloc(0);
        for (const der of [own, ...intermediates]) expect(verifies(der, ark)).toBe(other === generation);
      }
    }
    const { intel, nvidiaDevices, nvidiaRims } = PINNED_ROOTS;
    for (const { der } of [intel, nvidiaDevices, nvidiaRims].flatMap(({ certificates }) => certificates)) {
      expect(verifies(der, der)).toBe(true);
    }
  });
});

describe('the roots of a simulator', () => {
  const makers = simulatedMakers(Buffer.alloc(32, 7));
  const roots = withSimulator(makerRoots(makers));

  test('stand beside the pinned ones, of which none is missing', () => {
    for (const generation of AMD_GENERATIONS) {
      expect(hashesOf(roots.amd[generation].anchors)).toEqual([
        ...hashesOf(PINNED_ROOTS.amd[generation].anchors),
        sha256Hex(makers.amd[generation].ark.certificate),
      ]);
    }
    expect(hashesOf(roots.intel)).toHaveLength(2);
    expect(hashesOf(roots.nvidiaDevices)).toHaveLength(2);
    expect(hashesOf(roots.nvidiaRims)).toHaveLength(2);
  });

  test('have other names than the genuine ones, so that neither is looked for in place of the other', () => {
    for (const anchors of [roots.intel, roots.nvidiaDevices, roots.nvidiaRims, roots.amd.Milan.anchors]) {
      expect(anchors.bySubject.size).toBe(2);
    }
  });

  test('are the same keys for the same seed, in every process, and others for another', () => {
    const again = simulatedMakers(Buffer.alloc(32, 7));
    expect(again.amd.Genoa.ask.spki).toEqual(makers.amd.Genoa.ask.spki);
    expect(again.intel.root.name).toEqual(makers.intel.root.name);
    expect(simulatedMakers(Buffer.alloc(32, 8)).amd.Genoa.ask.spki).not.toEqual(makers.amd.Genoa.ask.spki);
  });
});
