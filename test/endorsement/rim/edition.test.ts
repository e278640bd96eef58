/** The edition of a manifest says what it is of; the form of a version never makes up for one that is not known. */
import { describe, expect, test } from '@jest/globals';
import { verifyRim } from '../../../src/endorsement/rim/verify.js';
import { MANIFEST, META, signedRim, trust } from './signed-rim.js';

const VBIOS = '96.10.55.00.0A';
const DRIVER = '550.144.03';

/** The kind of a manifest with these attributes of Meta, signed as any other one; or why it is refused. */
function kindOf(edition: string | undefined, version: string, product = 'LS10'): string {
  const stated = edition === undefined ? '' : ` edition="${edition}"`;
  const meta = `<ns0:Meta colloquialVersion="${version}"${stated} product="${product}" PayloadType="direct"/>`;
  const result = verifyRim(Buffer.from(signedRim(MANIFEST.replace(META, meta))), trust());
  return result.ok ? result.value.kind : `${result.reason}: ${result.detail}`;
}

describe('the edition of a manifest', () => {
  test.each([
    ['SWITCH', VBIOS, 'switch'],
    ['GPU', VBIOS, 'vbios'],
    ['GPU', DRIVER, 'driver'],
  ])('%s with the version %s makes a %s', (edition, version, kind) => {
    expect(kindOf(edition, version)).toBe(kind);
  });

  test.each(['CPU', 'NVSWITCH', 'SWITCHES', 'switch', 'Switch', 'gpu', 'SWITCH ', ' GPU', 'GPU SWITCH', ''])(
    '%j is neither GPU nor switch: refused with the version of either',
    (edition) => {
      for (const version of [VBIOS, DRIVER])
        for (const product of ['LS10', 'GH100'])
          expect(kindOf(edition, version, product)).toMatch(/^gpu\.rim: .*an edition or version that is not known/);
    },
  );

  test('must be there', () => {
    for (const version of [VBIOS, DRIVER])
      expect(kindOf(undefined, version)).toMatch(/^gpu\.rim: .*an edition or version that is not known/);
  });

  test('of a switch does not go with the version of a driver', () => {
    expect(kindOf('SWITCH', DRIVER)).toMatch(/^gpu\.rim: .*an edition or version that is not known/);
  });
});
