import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { rimId, verifyRim, type ReferenceManifest } from '../../../src/endorsement/rim/verify.js';
import { issueRim } from '../../../src/simulator/rim.js';
import { HASH, makers, MANIFEST, META, PAYLOAD, RESOURCE, signedRim, trust } from './signed-rim.js';

/** What a manifest with this change says, signed with it in place; or why it is refused. */
function changed(from: string, to: string): ReferenceManifest | string {
  if (!MANIFEST.includes(from)) throw new Error(`nothing like ${from}`);
  const result = verifyRim(Buffer.from(signedRim(MANIFEST.replace(from, to))), trust());
  if (result.ok) return result.value;
  expect(result.reason).toBe('gpu.rim');
  return result.detail;
}
const resource = (from: string, to: string) => changed(RESOURCE, RESOURCE.replace(from, to));
const hashes = (count: number) => Array.from({ length: count }, (_, n) => `ns2:Hash${String(n)}="${HASH}"`).join(' ');
const alternatives = (stated: string, attributes: string) =>
  changed(RESOURCE, RESOURCE.replace('alternatives="1"', `alternatives="${stated}"`).replace(hashes(1), attributes));
const meta = (edition: string, version: string, product = 'GH100') =>
  changed(
    META,
    `<ns0:Meta colloquialVersion="${version}" edition="${edition}" product="${product}" PayloadType="direct"/>`,
  );

describe('what a manifest is of', () => {
  test.each([
    ['GPU', '545.00', 'GH100', 'driver', 'NV_GPU_DRIVER_GH100_545.00'],
    ['GPU', '580.159.03', 'GB100', 'driver', 'NV_GPU_DRIVER_GB100_580.159.03'],
    ['GPU', '97.00.83.00.09', 'GB100', 'vbios', 'NV_GPU_VBIOS_GB100_9700830009'],
    ['SWITCH', '96.10.55.00.0A', 'LS10', 'switch', 'NV_SWITCH_BIOS_LS10_961055000A'],
  ])('%s %s of %s is a %s', (edition, version, product, kind, id) => {
    expect(meta(edition, version, product)).toMatchObject({ kind, id, version, meta: { product, tagId: 't1' } });
    if (kind !== 'driver') expect(rimId(kind as 'vbios', product, version.toLowerCase())).toBe(id);
  });

  test.each([
    ['SWITCH', '550.144.03'],
    ['GPU', '550'],
    ['GPU', '550.144.03 '],
    ['GPU', '550.144.03.1.2.3'],
    ['GPU', '96.00.5E.00'],
    ['GPU', '96.00.5e.00.01'],
    ['GPU', '96.00.5E.00.01.02'],
    ['GPU', '../../x'],
    ['GPU', ''],
    ['CPU', '550.144.03'],
    ['gpu', '550.144.03'],
  ])('%s %s is of nothing that is known', (edition, version) => {
    expect(meta(edition, version)).toContain('an edition or version that is not known');
  });

  test.each(['', 'gh100', 'GH100/', 'G'.repeat(17)])('the product %j is refused', (product) => {
    expect(meta('GPU', '550.144.03', product)).toContain('product: not of its form');
  });
});

describe('the tag', () => {
  test.each([
    [
      'another root',
      'SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"',
      'SoftwareIdentity xmlns="urn:x"',
      'not a SWID tag',
    ],
    ['a supplemental one', 'name="GH100"', 'supplemental="true"', 'not a primary tag'],
    ['a patch', 'name="GH100"', 'patch="1"', 'not a primary tag'],
    ['a corpus', 'name="GH100"', 'corpus="true"', 'not a primary tag'],
    ['no tagId', 'tagId="t1"', '', 'tagId: not of its form'],
    ['measurements that are elsewhere', 'PayloadType="direct"', 'PayloadType="indirect"', 'somewhere else'],
    ['no Meta', META, '', 'not exactly one Meta'],
    ['Meta twice', META, META + META, 'not exactly one Meta'],
    ['Meta with something in it', META, META.replace('/>', '>x</ns0:Meta>'), 'not known'],
    ['no Payload', PAYLOAD, '', 'not exactly one Payload'],
    ['two Payloads', PAYLOAD, PAYLOAD + PAYLOAD, 'not exactly one Payload'],
    ['Payload of another namespace', '<ns0:Payload>', '<ns0:Payload xmlns:ns0="urn:x">', 'not known'],
    ['an element that is not known', META, `${META}<ns0:Evidence/>`, 'not known'],
    ['text', META, `${META}x`, 'text where elements'],
  ])('%s is refused', (_, from, to, why) => {
    expect(changed(from, to)).toContain(why);
  });

  test.each(['corpus', 'patch', 'supplemental'])('%s="false" is a primary tag', (name) => {
    expect(changed('name="GH100"', `${name}="false"`)).toHaveProperty('id');
  });
});

describe('measurements', () => {
  test.each([
    ['no measurement', RESOURCE, '', 'no measurement is active'],
    ['none that is active', 'active="True"', 'active="False"', 'no measurement is active'],
    ['an index twice', RESOURCE, RESOURCE + RESOURCE, 'an index that stands twice'],
    ['another element', RESOURCE, `${RESOURCE}<ns0:File/>`, 'more than measurements'],
    ['something in a measurement', RESOURCE, RESOURCE.replace('/>', '> </ns0:Resource>'), 'more than measurements'],
    [
      'a measurement in another',
      RESOURCE,
      RESOURCE.replace('/>', `>${RESOURCE}</ns0:Resource>`),
      'more than measurements',
    ],
    ['text', RESOURCE, `${RESOURCE}x`, 'text where elements'],
  ])('%s is refused', (_, from, to, why) => {
    expect(changed(from, to)).toContain(why);
  });

  test.each([
    ['another type', 'type="Measurement"', 'type="File"', 'other attributes'],
    ['no name', ' name="M"', '', 'other attributes'],
    ['an attribute that is not known', ' name="M"', ' name="M" mask="0"', 'other attributes'],
    ['a hash of another namespace', ' name="M"', ` name="M" ns0:Hash1="${HASH}"`, 'other attributes'],
    ['a hash of no namespace', 'ns2:Hash0', 'Hash0', 'other attributes'],
    ['an active that is neither', 'active="True"', 'active="true"', 'neither active nor not'],
    ['an index that is too large', 'index="7"', 'index="254"', 'index: more than 253'],
    ['an index with a sign', 'index="7"', 'index="-7"', 'index: not of its form'],
    ['an index with zeros in front', 'index="7"', 'index="07"', 'index: not of its form'],
    ['an index in hex', 'index="7"', 'index="0x7"', 'index: not of its form'],
    ['an index with a space', 'index="7"', 'index="7 "', 'index: not of its form'],
    ['another size', 'size="48"', 'size="32"', 'not of the size of its hashes'],
    ['a size that is too large', 'size="48"', 'size="49"', 'size: more than 48'],
    ['a short hash', HASH, HASH.slice(2), 'not a SHA-384 hash'],
    ['a long hash', HASH, `${HASH}ab`, 'not a SHA-384 hash'],
    ['a hash that is not hex', HASH, HASH.replace('a', 'g'), 'not a SHA-384 hash'],
  ])('%s is refused', (_, from, to, why) => {
    expect(resource(from, to)).toContain(why);
  });

  test('the last index that SPDM can have is 253 here', () => {
    expect((resource('index="7"', 'index="253"') as ReferenceManifest).measurements.has(253)).toBe(true);
  });

  test.each([
    ['0', hashes(1)],
    ['0', ''],
    ['1', hashes(2)],
    ['2', hashes(1)],
    ['2', `${hashes(1)} ns2:Hash2="${HASH}"`],
    ['1', `ns2:Hash1="${HASH}"`],
    ['1', `ns2:hash0="${HASH}"`],
    ['2', `${hashes(1)} ns2:Hash01="${HASH}"`],
    ['33', hashes(33)],
  ])('%s alternatives with other hashes than Hash0 and on are refused', (stated, attributes) => {
    expect(alternatives(stated, attributes)).toMatch(/Resource: not |alternatives: more than 32/);
  });

  test.each([1, 2, 12, 32])('%i alternatives are read', (count) => {
    const manifest = alternatives(String(count), hashes(count)) as ReferenceManifest;
    expect(manifest.measurements.get(7)?.alternatives).toHaveLength(count);
  });
});

test('what the simulator says is what is read', () => {
  const hash = fc.uint8Array({ minLength: 48, maxLength: 48 }).map((bytes) => Buffer.from(bytes));
  const measurements = fc
    .uniqueArray(fc.tuple(fc.nat(253), fc.array(hash, { minLength: 1, maxLength: 12 })), {
      minLength: 1,
      maxLength: 10,
      selector: ([index]) => index,
    })
    .map((entries) => new Map(entries));
  fc.assert(
    fc.property(measurements, (expected) => {
      const draft = { kind: 'driver', version: '550.144.03', meta: { product: 'GH100' } } as const;
      const result = verifyRim(issueRim(makers.nvidiaRims, { ...draft, measurements: expected }), trust());
      if (!result.ok) throw new Error(result.detail);
      const active = [...result.value.measurements].filter(([, measurement]) => measurement.active);
      expect(new Map(active.map(([index, one]) => [index, one.alternatives]))).toEqual(expected);
    }),
    { numRuns: 20 },
  );
});
