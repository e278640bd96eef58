import { describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../../src/crypto/digest.js';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { NO_COLLATERAL } from '../../../src/endorsement/collateral.js';
import { KnownPaths, type RevocationLists } from '../../../src/endorsement/known-paths.js';
import type { PathRequest } from '../../../src/endorsement/path.js';
import { findRim, parseRim, unusedRims, verifyRim } from '../../../src/endorsement/rim/verify.js';
import { MAX_ELEMENTS, MAX_RIM_BYTES } from '../../../src/endorsement/rim/xml.js';
import {
  caConstraints,
  caUsage,
  type CertificateDraft,
  derivedKey,
  extension,
  issueCertificate,
  issueCrl,
  signingUsage,
  simulatorName,
  subordinate,
  type SimulatedIssuer,
} from '../../../src/simulator/certificate.js';
import { bitString } from '../../../src/simulator/der.js';
import { AT, HASH, makers, MANIFEST, signedRim, trust } from './signed-rim.js';

const { signer, ca, root } = makers.nvidiaRims;
const DAY = 86_400_000;
const ID = 'NV_GPU_DRIVER_GH100_550.144.03';
let serial = 1000n;

function leafOf(issuer: SimulatedIssuer, changes: Partial<CertificateDraft> = {}): Buffer {
  return issueCertificate(issuer, {
    subject: simulatorName('Signer'),
    spki: signer.spki,
    serial: ++serial,
    notBeforeMs: AT - DAY,
    notAfterMs: AT + DAY,
    extensions: [signingUsage()],
    ...changes,
  });
}
const rimOf = (...certificates: readonly Buffer[]) => Buffer.from(signedRim(MANIFEST, { certificates }));
const genuine = () => Buffer.from(signedRim());
const crlOf = (issuer: SimulatedIssuer, revoked: readonly bigint[], nextUpdateMs = AT + DAY) =>
  parseCrl(issueCrl(issuer, { thisUpdateMs: AT - DAY, nextUpdateMs, number: 1, revoked }));
const withCrls = (...crls: ReturnType<typeof crlOf>[]) => trust({ collateral: { ...NO_COLLATERAL, crls } });

/** Counts the searches for a path that were not answered from memory. */
class CountedPaths extends KnownPaths {
  readonly asked: number[] = [];

  override validate(
    name: string,
    request: Omit<PathRequest, 'crls' | 'crlPolicy' | 'enforceAnchorValidity'>,
    crls: RevocationLists,
  ) {
    this.asked.push(request.atMs);
    return super.validate(name, request, crls);
  }
}

describe('the path of the signer', () => {
  test.each([
    [
      'nobody knows',
      () => rimOf(leafOf(makers.nvidiaDevices.provisioner), makers.nvidiaDevices.provisioner.certificate),
    ],
    ['is missing', () => rimOf(signer.certificate)],
    ['is of a CA that is none', () => rimOf(leafOf(signer), signer.certificate, ca.certificate)],
    ['ends at a CA', () => rimOf(ca.certificate)],
    [
      'is for signing certificates',
      () => rimOf(leafOf(ca, { extensions: [caConstraints(), caUsage()] }), ca.certificate),
    ],
    ['has no keyUsage', () => rimOf(leafOf(ca, { extensions: [] }), ca.certificate)],
    [
      'has another keyUsage',
      () =>
        rimOf(
          leafOf(ca, { extensions: [extension('2.5.29.15', true, bitString(Buffer.of(0x08), 3))] }),
          ca.certificate,
        ),
    ],
    [
      'has a critical extension',
      () =>
        rimOf(leafOf(ca, { extensions: [signingUsage(), extension('1.2.3', true, Buffer.of(5, 0))] }), ca.certificate),
    ],
  ])('that %s is refused', (_, make) => {
    const result = verifyRim(make(), trust());
    expect(result).toMatchObject({ ok: false, reason: 'gpu.rim' });
    expect(result).toHaveProperty('detail', expect.stringContaining(`${ID}: the signer has no good path: `));
  });

  test.each([
    ['one that is not of the path', [signer, ca, root, makers.nvidiaDevices.root]],
    ['the root twice', [signer, ca, root, root]],
    ['another order', [signer, root, ca]],
    ['another root in place of the root', [signer, ca, makers.nvidiaDevices.root]],
  ])('with %s is refused', (_, authorities) => {
    expect(verifyRim(rimOf(...authorities.map(({ certificate }) => certificate)), trust())).toMatchObject({
      ok: false,
      reason: 'gpu.rim',
      detail: `the manifest ${ID}: it brings certificates that are not those of its path`,
    });
  });

  test('any bit of a certificate flipped is refused, that of the copy of the root too', () => {
    const certificates = [leafOf(ca), ca.certificate, root.certificate];
    const shared = trust();
    for (const [which, certificate] of certificates.entries()) {
      for (let at = 0; at < certificate.length; at += 3) {
        const changed = Buffer.from(certificate);
        changed[at] = certificate[at]! ^ (1 << (at % 8));
        const result = verifyRim(rimOf(...certificates.with(which, changed)), shared);
        expect(result).toMatchObject({ ok: false, reason: 'gpu.rim' });
      }
    }
  }, 60_000);
});

describe('the clock', () => {
  test.each([
    ['expired', AT + DAY + 1, 'until 2026-11-22T00:00:00.000Z'],
    ['is not yet valid', AT - DAY - 1, 'from 2026-11-20T00:00:00.000Z'],
  ])('a signer who %s is no verdict', (_, atMs, when) => {
    expect(verifyRim(rimOf(leafOf(ca), ca.certificate), trust({ atMs }))).toEqual({
      ok: false,
      reason: 'collateral.unavailable',
      detail: `the signer of the manifest ${ID} is valid ${when}: fetch the manifest anew`,
    });
  });

  test('both ends of the validity are within it', () => {
    const rim = rimOf(leafOf(ca), ca.certificate);
    for (const atMs of [AT - DAY, AT + DAY]) expect(verifyRim(rim, trust({ atMs })).ok).toBe(true);
  });

  test('a CA that expired is no verdict either', () => {
    const pair = derivedKey(Buffer.alloc(32, 9), 'short', 'P-384');
    const dates = { serial: 9n, notBeforeMs: AT - 9 * DAY, notAfterMs: AT - 2 * DAY };
    const short = subordinate(root, simulatorName('Short CA'), 'P-384', pair, {
      ...dates,
      extensions: [caConstraints(0), caUsage()],
    });
    const leaf = leafOf(short, { notBeforeMs: AT - 5 * DAY });
    expect(verifyRim(rimOf(leaf, short.certificate), trust())).toMatchObject({ reason: 'collateral.unavailable' });
    expect(verifyRim(rimOf(leaf, short.certificate), trust({ atMs: AT - 3 * DAY })).ok).toBe(true);
    // Of which signer and CA were never valid together, nothing can be fetched anew.
    expect(verifyRim(rimOf(leafOf(short), short.certificate), trust())).toMatchObject({
      reason: 'gpu.rim',
      detail: `the manifest ${ID}: its certificates are never valid together`,
    });
  });

  test('what is forged is refused, not called stale', () => {
    const atMs = AT + 2 * DAY;
    const certificates = [leafOf(ca), ca.certificate];
    const forged = signedRim(MANIFEST, { certificates }).replace(HASH, HASH.replace('a', 'b'));
    const unsigned = signedRim(MANIFEST, { certificates, key: root.key });
    const elsewhere = rimOf(leafOf(makers.nvidiaDevices.root), makers.nvidiaDevices.root.certificate);
    for (const bytes of [Buffer.from(forged), Buffer.from(unsigned), elsewhere]) {
      expect(verifyRim(bytes, trust({ atMs }))).toMatchObject({ ok: false, reason: 'gpu.rim' });
    }
  });

  test.each([NaN, Infinity, -Infinity])('a clock at %d verifies nothing', (atMs) => {
    expect(verifyRim(genuine(), trust({ atMs })).ok).toBe(false);
  });
});

describe('a manifest that is good', () => {
  test('is known by the digest of its bytes, also where another one says the same', () => {
    const [one, other] = [genuine(), rimOf(leafOf(ca), ca.certificate)];
    for (const bytes of [one, other]) {
      expect(verifyRim(bytes, trust())).toMatchObject({ ok: true, value: { id: ID, sha256: sha256Hex(bytes) } });
    }
    expect(sha256Hex(one)).not.toBe(sha256Hex(other));
  });
});

describe('revocation', () => {
  test('a CRL at hand revokes a signer, and a CA', () => {
    const leaf = leafOf(ca);
    for (const crl of [
      crlOf(ca, [serial]),
      crlOf(root, [BigInt(`0x${parseRim(genuine()).signature.certificates[1]!.serial}`)]),
    ]) {
      const result = verifyRim(rimOf(leaf, ca.certificate), withCrls(crl));
      expect(result).toMatchObject({ ok: false, reason: 'gpu.rim' });
      expect(result).toHaveProperty('detail', expect.stringContaining('revoked by its issuer'));
    }
  });

  test('a revoked signer who expired too is refused', () => {
    const rim = rimOf(leafOf(ca), ca.certificate);
    const revoked = { ...withCrls(crlOf(ca, [serial])), atMs: AT + 3 * DAY };
    expect(verifyRim(rim, revoked)).toMatchObject({ reason: 'gpu.rim' });
  });

  test('a CRL that is stale is no verdict; none at all is no fault', () => {
    expect(verifyRim(genuine(), withCrls(crlOf(ca, [], AT - 1)))).toMatchObject({
      ok: false,
      reason: 'collateral.unavailable',
      detail: `the signer of the manifest ${ID} cannot be checked: the leaf: the CRL of its issuer is past its nextUpdate`,
    });
    expect(verifyRim(genuine(), withCrls(crlOf(ca, []))).ok).toBe(true);
    expect(verifyRim(genuine(), trust({ requireCrls: true })).ok).toBe(true);
  });

  test('what could be revoked of signer and CAs is named', () => {
    const result = verifyRim(genuine(), trust());
    if (!result.ok) throw new Error(result.detail);
    const kinds = result.value.identities.map((identity) => identity.split('/')[0]);
    expect(kinds).toEqual(['certificate', 'certificate', 'ca', 'ca']);
  });
});

describe('the manifests at hand', () => {
  const collateralOf = (...rims: readonly Buffer[]) => ({ ...NO_COLLATERAL, rims });
  const older = () => rimOf(leafOf(ca, { notBeforeMs: AT - 9 * DAY, notAfterMs: AT - DAY }), ca.certificate);
  const newer = () => rimOf(leafOf(ca, { notBeforeMs: AT - 2 * DAY }), ca.certificate);

  test('the newest of an id is taken, in whatever order they stand', () => {
    const [old, recent] = [older(), newer()];
    for (const rims of [
      [old, recent],
      [recent, old],
    ]) {
      const collateral = collateralOf(...rims);
      expect(findRim(ID, trust({ collateral }))).toMatchObject({ ok: true, value: { sha256: sha256Hex(recent) } });
    }
  });

  test('one that is not good gives way to an older one that is', () => {
    const forged = Buffer.from(signedRim(MANIFEST, { certificates: [leafOf(ca), ca.certificate], key: root.key }));
    const future = rimOf(leafOf(ca, { notBeforeMs: AT + DAY }), ca.certificate);
    for (const bad of [forged, future]) {
      expect(findRim(ID, trust({ collateral: collateralOf(bad, newer()) })).ok).toBe(true);
    }
  });

  test('where all are refused, it is for lack of collateral if one was only too old', () => {
    const forged = Buffer.from(signedRim(MANIFEST, { key: root.key }));
    expect(findRim(ID, trust({ collateral: collateralOf(forged) }))).toMatchObject({ reason: 'gpu.rim' });
    for (const rims of [
      [forged, older()],
      [older(), forged],
    ]) {
      expect(findRim(ID, trust({ collateral: collateralOf(...rims) }))).toMatchObject({
        reason: 'collateral.unavailable',
      });
    }
  });

  describe('that are broken', () => {
    const found = (...texts: readonly string[]) =>
      findRim(ID, trust({ collateral: collateralOf(...texts.map((text) => Buffer.from(text))) }));
    const broken: readonly (readonly [string, (text: string) => string])[] = [
      ['a hash is another one', (text) => text.replace(HASH, HASH.replace('a', 'b'))],
      ['a hash is no hash', (text) => text.replace(HASH, 'x')],
      ['a measurement is of no known form', (text) => text.replace('index="7"', 'index="x"')],
      ['there is no Payload', (text) => text.replaceAll('ns0:Payload', 'ns0:Other')],
      ['there is no signature', (text) => text.replace(/<ds:Signature .*<\/ds:Signature>/s, '')],
      ['the digest is of something else', (text) => text.replace(/<ds:DigestValue>./, '<ds:DigestValue>!')],
      ['a certificate does not parse', (text) => text.replace(/<ds:X509Certificate>..../, '<ds:X509Certificate>AAAA')],
    ];

    test.each(broken)('where %s, are refused as what they say they are', (_, change) => {
      const text = signedRim();
      expect(change(text)).not.toBe(text);
      expect(found(change(text))).toMatchObject({ ok: false, reason: 'gpu.rim' });
      expect(found(change(text))).toHaveProperty(
        'detail',
        expect.stringContaining(`the manifest ${ID} is not what it should be: `),
      );
    });

    test.each(broken)('where %s, do no harm to a good one, nor hide that one is only too old', (_, change) => {
      const old = older().toString();
      for (const texts of [
        [change(signedRim()), signedRim()],
        [signedRim(), change(signedRim())],
      ]) {
        expect(found(...texts).ok).toBe(true);
      }
      expect(found(change(signedRim()), old)).toMatchObject({ reason: 'collateral.unavailable' });
    });

    test.each([
      ['are no XML', (text: string) => text.replace('</SoftwareIdentity>', '')],
      ['say nothing of their version', (text: string) => text.replace('550.144.03', '')],
      ['have two Metas', (text: string) => text.replace('<ns0:Meta', '<ns0:Meta/><ns0:Meta')],
      ['are no tag of this kind', (text: string) => text.replace(/ns0="[^"]*"/, 'ns0="urn:x"')],
    ])('and %s are missing: nothing tells what they were', (_, change) => {
      const text = signedRim();
      expect(change(text)).not.toBe(text);
      expect(found(change(text))).toEqual({
        ok: false,
        reason: 'collateral.unavailable',
        detail: `there is no manifest ${ID} at hand`,
      });
    });

    test('give way to a good one', () => {
      const forged = Buffer.from(signedRim().replace(HASH, HASH.replace('a', 'b')));
      const found = (...rims: readonly Buffer[]) => findRim(ID, trust({ collateral: collateralOf(...rims) }));
      expect(found(forged)).toMatchObject({ reason: 'gpu.rim' });
      const good = newer();
      expect(found(forged, good)).toMatchObject({ ok: true, value: { sha256: sha256Hex(good) } });
    });
  });

  test('those that are good and were not used are told, each once', () => {
    const [one, other] = [newer(), genuine()];
    const forged = Buffer.from(signedRim(MANIFEST, { key: root.key }));
    const trusted = trust({
      collateral: collateralOf(other, one, forged, older(), Buffer.from(other), Buffer.from(one)),
    });
    const used = findRim(ID, trusted);
    if (!used.ok) throw new Error(used.detail);
    expect(used.value.sha256).toBe(sha256Hex(one));
    expect(unusedRims(used.value, trusted)).toEqual([sha256Hex(other)]);
    expect(unusedRims(used.value, trust({ collateral: collateralOf(one) }))).toEqual([]);
  });

  test('where there is none, it is for lack of collateral', () => {
    const trusted = trust({ collateral: collateralOf(Buffer.from('no XML'), genuine()) });
    expect(findRim('NV_GPU_VBIOS_GH100_96005E0001', trusted)).toMatchObject({ reason: 'collateral.unavailable' });
  });
});

describe('the second time', () => {
  test('the same Buffer is neither parsed nor verified again, and the clock is looked at each time', () => {
    const rim = rimOf(leafOf(ca), ca.certificate);
    const paths = new CountedPaths(8);
    const first = verifyRim(rim, trust({ paths }));
    // What is remembered for the Buffer, not what is in it now, is what is answered: it must not change.
    rim.fill(0);
    expect(verifyRim(rim, trust({ paths }))).toBe(first);
    expect(verifyRim(rim, trust({ paths, atMs: AT + 2 * DAY }))).toMatchObject({ reason: 'collateral.unavailable' });
    expect(verifyRim(rim, trust({ paths }))).toBe(first);
    expect(paths.asked).toEqual([AT, AT, AT + DAY, AT]);
  });

  test('what is good under one set of roots is not under another', () => {
    const rim = genuine();
    const trusted = trust();
    expect(verifyRim(rim, trusted).ok).toBe(true);
    const roots = { ...trusted.roots, nvidiaRims: trusted.roots.nvidiaDevices };
    expect(verifyRim(rim, { ...trusted, roots }).ok).toBe(false);
    expect(verifyRim(rim, trusted).ok).toBe(true);
  });
});

describe('no input of permitted size takes long', () => {
  const filled = (unit: string, before = '<a>', after = '</a>') => {
    const count = Math.floor((MAX_RIM_BYTES - before.length - after.length) / Buffer.byteLength(unit));
    return `${before}${unit.repeat(count)}${after}`;
  };
  const tags = (attributes: string) =>
    `<b${attributes}/>`.repeat(Math.min(MAX_ELEMENTS - 1, Math.floor((MAX_RIM_BYTES - 99) / (attributes.length + 4))));
  const names = (count: number, of: (n: number) => string) => Array.from({ length: count }, (_, n) => of(n)).join('');
  const signed = signedRim();
  const inflated = (unit: string, at: string) =>
    signed.replace(at, at + unit.repeat(Math.floor((MAX_RIM_BYTES - signed.length) / unit.length)));

  test.each([
    ['references', filled('&amp;')],
    ['ampersands', filled('&')],
    ['references that are not closed', filled('&#0000001')],
    ['comments', filled('<!---->')],
    ['comments that are not closed', filled('<!--')],
    ['hyphens', filled('-', '<a><!--')],
    ['brackets', filled(']]')],
    ['start tags', filled('<a>')],
    ['end tags', filled('</a>')],
    ['letters of a name', filled('a', '<')],
    ['letters of a prefix', filled('a', '<', ':b/>')],
    ['colons', filled('a:', '<')],
    ['spaces in a tag', filled(' ', '<a', '/>')],
    ['spaces in a declaration', filled(' ', '<?xml version="1.0"', '?><a/>')],
    ['spaces in front', filled(' ', '', '<a/>')],
    ['ends of lines', filled('\r')],
    ['quotes', filled('"', '<a x=')],
    ['characters of four bytes', filled('\u{1F600}')],
    ['elements', `<a>${tags('')}</a>`],
    ['attributes', `<a>${tags(names(60, (n) => ` x${String(n)}=""`))}</a>`],
    ['namespaces', `<a>${tags(names(30, (n) => ` xmlns:p${String(n)}="urn:x"`))}</a>`],
    ['namespaces of the default', `<a>${tags(' xmlns="urn:x"')}</a>`],
    ['spaces between signed elements', inflated(' ', '<ns0:Payload>')],
    ['spaces in a certificate', inflated('\n', '<ds:X509Certificate>')],
    ['spaces in the signature value', inflated(' ', '<ds:SignatureValue>')],
    ['letters in a certificate', inflated('A', '<ds:X509Certificate>')],
    ['certificates', inflated('<ds:X509Certificate>AAAA</ds:X509Certificate>', '<ds:X509Data>')],
    ['alternatives', inflated(` ns2:Hash1="${HASH}"`, 'alternatives="1"')],
  ])('%s', (_, text) => {
    const bytes = Buffer.from(text);
    expect(bytes.length).toBeLessThanOrEqual(MAX_RIM_BYTES);
    const trusted = trust();
    // The better of three, so that a pause of the machine is not taken for the parser's.
    const costs = [0, 1, 2].map(() => {
      const start = process.cpuUsage();
      verifyRim(Buffer.from(bytes), trusted);
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000;
    });
    expect(Math.min(...costs)).toBeLessThan(100);
  });
});
