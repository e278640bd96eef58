import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { VEK_EXTENSION } from '../../../src/evidence/snp/constants.js';
import { parseVek } from '../../../src/evidence/snp/vek.js';
import {
  type CertificateDraft,
  derivedKey,
  extension,
  issueCertificate,
  simulatorName,
} from '../../../src/simulator/certificate.js';
import { ia5String, integer, octetString } from '../../../src/simulator/der.js';
import { type VekDraft, vekDraft } from '../../../src/simulator/snp-vek.js';
import { CSP, DATES, MAKERS } from './simulated.js';

const KEY = derivedKey(Buffer.alloc(32, 3), 'vek', 'P-384');
const HW_ID = Buffer.alloc(64, 0x11);
const NO_CHIP: VekDraft = {
  generation: 'Milan',
  spki: KEY.spki,
  kind: 'VCEK',
  tcb: { bootloader: 4, tee: 0, snp: 24, microcode: 219 },
  ...DATES,
  productName: 'Milan-B0',
};
const MILAN: VekDraft = { ...NO_CHIP, hwId: HW_ID };
const TURIN: VekDraft = {
  ...MILAN,
  generation: 'Turin',
  productName: 'Turin',
  tcb: { fmc: 1, bootloader: 2, tee: 3, snp: 4, microcode: 81 },
  hwId: Buffer.alloc(8, 0x22),
};
const VLEK: VekDraft = { ...NO_CHIP, kind: 'VLEK', cspId: CSP };

type Cas = (typeof MAKERS.amd)['Milan'];

/** Issued with changed fields, by any CA. */
function vekOf(draft: VekDraft, changes: Partial<CertificateDraft> = {}, ca?: Cas['ask']) {
  const { ask, asvk } = MAKERS.amd[draft.generation];
  const issuer = ca ?? (draft.kind === 'VCEK' ? ask : asvk);
  return parseVek(parseCertificate(issueCertificate(issuer, { ...vekDraft(draft), ...changes })));
}

/** Its extensions, those with the OID replaced. */
function extensionsWith(
  draft: VekDraft,
  oid: string,
  ...others: readonly Buffer[]
): Pick<CertificateDraft, 'extensions'> {
  const written = vekDraft(draft).extensions;
  const empty = extension(oid, false, Buffer.alloc(0));
  // SEQUENCE { OID, … }: the OID follows two bytes of header, or three.
  const oidDer = empty.subarray(2, 4 + (empty[3] ?? 0));
  return { extensions: [...written.filter((one) => one.indexOf(oidDer) > 3 || one.indexOf(oidDer) < 0), ...others] };
}

describe('what a certificate says', () => {
  test('a VCEK is of a chip', () => {
    const { key, ...vek } = vekOf(MILAN);
    expect(vek).toEqual({
      kind: 'VCEK',
      generation: 'Milan',
      productName: 'Milan-B0',
      tcb: MILAN.tcb,
      hwId: HW_ID,
      cspId: undefined,
    });
    expect(key.export({ format: 'der', type: 'spki' })).toEqual(KEY.spki);
  });

  test('a VLEK is of a cloud provider', () => {
    expect(vekOf(VLEK)).toMatchObject({ kind: 'VLEK', generation: 'Milan', hwId: undefined, cspId: CSP });
  });

  test('Turin has another TCB, and 8 bytes of chip', () => {
    expect(vekOf(TURIN)).toMatchObject({ generation: 'Turin', tcb: TURIN.tcb, hwId: TURIN.hwId });
  });

  test.each([MILAN, TURIN])('the chip may stand in an OCTET STRING', (draft) => {
    const wrapped = extension(VEK_EXTENSION.hwId, false, octetString(draft.hwId!));
    expect(vekOf(draft, extensionsWith(draft, VEK_EXTENSION.hwId, wrapped)).hwId).toEqual(draft.hwId);
  });
});

describe('a certificate is refused', () => {
  const malformed = (why: RegExp, ...[draft, changes, ca]: Parameters<typeof vekOf>) => {
    expect(() => vekOf(draft, changes, ca)).toThrow(why);
    expect(() => vekOf(draft, changes, ca)).toThrow(MalformedError);
  };
  const { amd } = MAKERS;

  test('by a common name that is another', () => {
    for (const name of ['VCEK', 'SEV-VCEKX', 'sev-vcek', 'SEV-Milan']) {
      malformed(/neither SEV-VCEK nor SEV-VLEK/, MILAN, { subject: simulatorName(name) });
    }
  });

  test('by a CA for the other kind', () => {
    malformed(/no CA for a VCEK/, MILAN, {}, amd.Milan.asvk);
    malformed(/no CA for a VLEK/, VLEK, {}, amd.Milan.ask);
  });

  test('by a CA that is none for keys', () => {
    malformed(/no CA for a VCEK/, MILAN, {}, amd.Milan.ark);
  });

  test('by a product of another generation, or none', () => {
    malformed(/another generation/, MILAN, {}, amd.Genoa.ask);
    for (const productName of ['Genoa', 'milan', 'Milan-', 'Milan-B0 ', 'MilanX', 'Milan-B00']) {
      malformed(/another generation/, { ...MILAN, productName });
    }
    malformed(/productName: missing/, MILAN, extensionsWith(MILAN, VEK_EXTENSION.productName));
    const doubled = extension(VEK_EXTENSION.productName, false, Buffer.concat([ia5String('Milan'), ia5String('x')]));
    malformed(/trailing/, MILAN, extensionsWith(MILAN, VEK_EXTENSION.productName, doubled));
  });

  test('by a layout that is not known', () => {
    const other = extension(VEK_EXTENSION.structVersion, false, integer(2));
    malformed(/structVersion: not known/, MILAN, extensionsWith(MILAN, VEK_EXTENSION.structVersion, other));
    malformed(/structVersion: missing/, MILAN, extensionsWith(MILAN, VEK_EXTENSION.structVersion));
  });

  test('by a key on another curve', () => {
    malformed(/not on P-384/, MILAN, { spki: derivedKey(Buffer.alloc(32, 3), 'vek', 'P-256').spki });
  });

  test('by a point off its curve', () => {
    const spki = Buffer.from(KEY.spki);
    spki[spki.length - 1] = (spki.at(-1) ?? 0) ^ 1;
    malformed(/no point of P-384/, MILAN, { spki });
  });

  test('as a VCEK without a chip or with a provider, as a VLEK without a provider or with a chip', () => {
    malformed(/hwID: missing/, NO_CHIP);
    malformed(/a VCEK with a cloud provider/, { ...MILAN, cspId: CSP });
    malformed(/CSP id: missing/, { ...NO_CHIP, kind: 'VLEK' });
    malformed(/a VLEK with a chip/, { ...VLEK, hwId: HW_ID });
  });

  test.each([0, 7, 8, 9, 10, 63, 65, 66, 67])('with a chip of %i bytes', (length) => {
    malformed(/hwID: /, { ...MILAN, hwId: Buffer.alloc(length, 1) });
  });

  test.each([7, 9, 10, 64, 66])('with a chip of %i bytes in Turin', (length) => {
    malformed(/hwID: /, { ...TURIN, hwId: Buffer.alloc(length, 1) });
  });

  test('without a part of the TCB, with one more, or with one that is out of range', () => {
    const { tcb } = VEK_EXTENSION;
    for (const part of [1, 2, 3, 8])
      malformed(/not those of the generation/, MILAN, extensionsWith(MILAN, `${tcb}.${String(part)}`));
    malformed(/not those of the generation/, TURIN, extensionsWith(TURIN, `${tcb}.9`));
    malformed(
      /not those of the generation/,
      MILAN,
      extensionsWith(MILAN, `${tcb}.9`, extension(`${tcb}.9`, false, integer(0))),
    );
    malformed(/not known/, MILAN, extensionsWith(MILAN, `${tcb}.10`, extension(`${tcb}.10`, false, integer(0))));
    malformed(/out of range/, { ...MILAN, tcb: { ...MILAN.tcb, snp: 256 } });
    malformed(/out of range/, MILAN, extensionsWith(MILAN, `${tcb}.5`, extension(`${tcb}.5`, false, integer(1))));
    const negative = extension(`${tcb}.3`, false, Buffer.of(0x02, 0x01, 0xff));
    malformed(/negative/, MILAN, extensionsWith(MILAN, `${tcb}.3`, negative));
  });

  test('with a provider that is no printable text, or too long', () => {
    const withId = (text: string) => ({ ...VLEK, cspId: text });
    for (const text of ['', 'a\nb', 'a\u0000', '\u00e9', 'x'.repeat(257)])
      malformed(/CSP id: not a printable text/, withId(text));
    expect(vekOf(withId('x'.repeat(256))).cspId).toHaveLength(256);
  });
});

test('whatever TCB is certified is read again', () => {
  const u8 = fc.integer({ min: 0, max: 255 });
  const milan = fc.record({ bootloader: u8, tee: u8, snp: u8, microcode: u8 });
  const turin = fc.record({ fmc: u8, bootloader: u8, tee: u8, snp: u8, microcode: u8 });
  fc.assert(
    fc.property(milan, turin, (ofMilan, ofTurin) => {
      expect(vekOf({ ...MILAN, tcb: ofMilan }).tcb).toEqual(ofMilan);
      expect(vekOf({ ...TURIN, tcb: ofTurin }).tcb).toEqual(ofTurin);
    }),
    { numRuns: 20 },
  );
});
