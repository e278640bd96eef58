import { createECDH, createPrivateKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { parseRim, verifyRim } from '../../../src/endorsement/rim/verify.js';
import { derivedKey, issueCertificate, signingUsage, simulatorName } from '../../../src/simulator/certificate.js';
import { AT, HASH, makers, MANIFEST, META, PAYLOAD, RESOURCE, signedRim, trust, type Signing } from './signed-rim.js';

const { signer, ca, root } = makers.nvidiaRims;
const EVIL = 'cd'.repeat(48);
const EVIL_PAYLOAD = PAYLOAD.replace(HASH, EVIL);
const GOOD = signedRim();
const SIGNATURE = /<ds:Signature .*<\/ds:Signature>/.exec(GOOD)![0];
const C14N_11 = 'http://www.w3.org/2006/12/xml-c14n11';
const TRANSFORM_11 = `<ds:Transform Algorithm="${C14N_11}"/>`;

const outcome = (text: string): string => {
  const result = verifyRim(Buffer.from(text), trust());
  return result.ok ? 'accepted' : `${result.reason}: ${result.detail}`;
};
const replaced = (from: string, to: string, text = GOOD): string => {
  if (!text.includes(from)) throw new Error(`nothing like ${from}`);
  return text.replace(from, to);
};
/** Signed with the change in place. */
const withEdit = (from: string, to: string, more: Signing = {}): string =>
  signedRim(MANIFEST, { ...more, edit: (signature) => replaced(from, to, signature) });

test('what is authored here is good as it is', () => {
  const result = verifyRim(Buffer.from(GOOD), trust());
  if (!result.ok) throw new Error(result.detail);
  expect(result.value.measurements.get(7)?.alternatives.map((hash) => hash.toString('hex'))).toEqual([HASH]);
});

describe('what means the same to XML is as good', () => {
  test.each([
    ['white space in tags', replaced('<ns0:Payload>', '<ns0:Payload  >')],
    ['quotes of the other kind', replaced('size="48"', "size='48'")],
    ['an element that is closed on its own', replaced('size="48"/>', 'size="48"></ns0:Resource>')],
    ['attributes in another order', replaced('index="7" active="True"', 'active="True" index="7"')],
    ['a comment between elements', replaced(META, `<!-- x -->${META}`)],
    ['an XML declaration', `<?xml version="1.0"?>\n${GOOD}`],
    ['references', replaced(' name="M"', ' name="&#77;"')],
    ['white space in base64', replaced('<ds:X509Certificate>', '<ds:X509Certificate>\r\n ')],
    ['white space in the parts that are not signed', replaced('<ds:KeyInfo>', '\n<ds:KeyInfo>')],
    ['no copy of the root', signedRim(MANIFEST, { certificates: [signer.certificate, ca.certificate] })],
    [
      'the signature in front of the rest',
      signedRim(MANIFEST.replace('@signature@', '').replace(META, `@signature@${META}`)),
    ],
  ])('%s', (_, text) => {
    expect(outcome(text)).toBe('accepted');
  });
});

describe('a signature that is wrapped, moved or multiplied is refused', () => {
  /** The genuine document below another root, or beside what is to be read. */
  const inner = GOOD.replace(/^<SoftwareIdentity /, '<ns0:SoftwareIdentity ').replace(
    /SoftwareIdentity>$/,
    'ns0:SoftwareIdentity>',
  );
  const wrapper = (content: string) => MANIFEST.replace(PAYLOAD, EVIL_PAYLOAD).replace('@signature@', content);
  test.each([
    ['no signature', GOOD.replace(SIGNATURE, ''), 'not exactly one Signature'],
    ['the payload changed', replaced(HASH, EVIL), 'changed after it had been signed'],
    ['a second payload in front', replaced(PAYLOAD, EVIL_PAYLOAD + PAYLOAD), 'changed after'],
    ['a second payload behind', replaced(PAYLOAD, PAYLOAD + EVIL_PAYLOAD), 'changed after'],
    [
      'a second payload in the signature',
      replaced('</ds:KeyInfo>', `</ds:KeyInfo>${EVIL_PAYLOAD}`),
      'Signature: other elements',
    ],
    [
      'a payload in an Object of the signature',
      replaced('</ds:KeyInfo>', `</ds:KeyInfo><ds:Object>${EVIL_PAYLOAD}</ds:Object>`),
      'Signature: other elements',
    ],
    ['a payload in KeyInfo', replaced('<ds:X509Data>', `${EVIL_PAYLOAD}<ds:X509Data>`), 'KeyInfo: other elements'],
    [
      'a payload in X509Data',
      replaced('<ds:X509Data>', `<ds:X509Data>${EVIL_PAYLOAD}`),
      'X509Data: more than certificates',
    ],
    ['text in the signature', replaced('<ds:KeyInfo>', 'x<ds:KeyInfo>'), 'text where elements'],
    ['the signature twice', replaced(SIGNATURE, SIGNATURE + SIGNATURE), 'not exactly one Signature'],
    [
      'the signature in the payload',
      GOOD.replace(SIGNATURE, '').replace('</ns0:Payload>', `${SIGNATURE}</ns0:Payload>`),
      'not exactly one Signature',
    ],
    ['a second signature in the payload', replaced('</ns0:Payload>', `${SIGNATURE}</ns0:Payload>`), 'changed after'],
    [
      'a second signature in Entity',
      replaced('role="tagCreator"/>', `role="tagCreator">${SIGNATURE}</ns0:Entity>`),
      'changed after',
    ],
    ['the genuine document within another', wrapper(inner), 'not exactly one Signature'],
    [
      'the genuine document within another, whose signature it is',
      wrapper(inner.replace(SIGNATURE, '') + SIGNATURE),
      'changed after',
    ],
    [
      'the genuine document in the signature of another',
      wrapper(
        replaced('</ds:KeyInfo>', `</ds:KeyInfo><ds:Object>${inner.replace(SIGNATURE, '')}</ds:Object>`, SIGNATURE),
      ),
      'Signature: other elements',
    ],
    ['the signature as root', SIGNATURE, 'not exactly one Signature'],
    [
      'a signature of another namespace',
      replaced('xmlns:ds="http://www.w3.org/2000/09/xmldsig#"', 'xmlns:ds="http://www.w3.org/2000/09/xmldsig"'),
      'not exactly one Signature',
    ],
    ['a namespace redefined', replaced('<ns0:Payload>', '<ns0:Payload xmlns:ns0="urn:x">'), 'changed after'],
    ['the default namespace redefined', replaced('<ns0:Payload>', '<ns0:Payload xmlns="urn:x">'), 'changed after'],
    [
      'a namespace added for the signature',
      replaced('<ds:Signature ', '<ds:Signature xmlns:x="urn:x" '),
      'not signed by its signer',
    ],
    [
      'a namespace redefined for SignedInfo',
      replaced('<ds:SignedInfo>', '<ds:SignedInfo xmlns:ns0="urn:x">'),
      'not signed by its signer',
    ],
    ['a comment in a value', replaced('<ds:DigestValue>', '<ds:DigestValue><!-- x -->'), 'a comment beside text'],
    [
      'a comment in a certificate',
      replaced('<ds:X509Certificate>', '<ds:X509Certificate><!---->'),
      'a comment beside text',
    ],
    ['CDATA', replaced('<ds:SignatureValue>', '<ds:SignatureValue><![CDATA[]]>'), 'XML: '],
    ['an element in a value', replaced('<ds:DigestValue>', '<ds:DigestValue><x/>'), 'an element where text'],
    ['a DTD', `<!DOCTYPE SoftwareIdentity [<!ATTLIST SoftwareIdentity Id ID #IMPLIED>]>${GOOD}`, 'XML: '],
    ['an entity', `<!DOCTYPE SoftwareIdentity [<!ENTITY e SYSTEM "file:///etc/passwd">]>${GOOD}`, 'XML: '],
  ])('%s', (_, text, why) => {
    expect(outcome(text)).toMatch(/^gpu\.rim: /);
    expect(outcome(text)).toContain(why);
  });
});

describe('another kind of signature is refused, although its signer made it', () => {
  const extra = '<ds:Reference URI="#x"><ds:DigestMethod Algorithm="x"/></ds:Reference>';
  test.each([
    ['a reference to an ID', 'URI=""', 'URI="#t1"', 'Reference: not of the whole document'],
    ['an XPointer to the root', 'URI=""', 'URI="#xpointer(/)"', 'Reference: not of the whole document'],
    ['a reference to a file', 'URI=""', 'URI="file:///x"', 'Reference: not of the whole document'],
    ['no URI', ' URI=""', '', 'Reference: other attributes'],
    [
      'a reference with a type',
      'URI=""',
      'URI="" Type="http://www.w3.org/2000/09/xmldsig#Manifest"',
      'Reference: other attributes',
    ],
    ['an Id of the reference', 'URI=""', 'URI="" Id="r"', 'Reference: other attributes'],
    ['an Id of SignedInfo', '<ds:SignedInfo>', '<ds:SignedInfo Id="s">', 'SignedInfo: other attributes'],
    ['an Id of the signature', '<ds:Signature ', '<ds:Signature Id="s" ', 'Signature: other attributes'],
    ['a second reference', '</ds:Reference>', `</ds:Reference>${extra}`, 'SignedInfo: other elements'],
    ['no reference', /<ds:Reference.*<\/ds:Reference>/, '', 'SignedInfo: other elements'],
    ['one transform', TRANSFORM_11, '', 'Transforms: other elements'],
    ['three transforms', TRANSFORM_11, TRANSFORM_11 + TRANSFORM_11, 'Transforms: other elements'],
    [
      'the first transform twice',
      TRANSFORM_11,
      '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>',
      'Transform: an algorithm',
    ],
    [
      'XPath',
      TRANSFORM_11,
      '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>1</ds:XPath></ds:Transform>',
      'Transform: an algorithm',
    ],
    [
      'XSLT',
      TRANSFORM_11,
      '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>',
      'Transform: an algorithm',
    ],
    [
      'exclusive canonicalization',
      TRANSFORM_11,
      '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>',
      'Transform: an algorithm',
    ],
    [
      'canonicalization with comments',
      TRANSFORM_11,
      `<ds:Transform Algorithm="${C14N_11}#WithComments"/>`,
      'Transform: an algorithm',
    ],
    [
      'a parameter of a transform',
      TRANSFORM_11,
      `<ds:Transform Algorithm="${C14N_11}"><x/></ds:Transform>`,
      'Transform: an algorithm',
    ],
    [
      'SignedInfo in Canonical XML 1.0',
      `Method Algorithm="${C14N_11}"`,
      'Method Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"',
      'CanonicalizationMethod: an algorithm',
    ],
    ['SHA-256 as digest', 'xmldsig-more#sha384"', 'xmlenc#sha256"', 'DigestMethod: an algorithm'],
    [
      'SHA-1 as digest',
      'http://www.w3.org/2001/04/xmldsig-more#sha384',
      'http://www.w3.org/2000/09/xmldsig#sha1',
      'DigestMethod: an algorithm',
    ],
    ['ECDSA with SHA-256', 'ecdsa-sha384', 'ecdsa-sha256', 'SignatureMethod: an algorithm'],
    [
      'HMAC',
      'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384',
      'http://www.w3.org/2000/09/xmldsig#hmac-sha1',
      'SignatureMethod: an algorithm',
    ],
    [
      'a short HMAC',
      'ecdsa-sha384"/>',
      'ecdsa-sha384"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>',
      'SignatureMethod: an algorithm',
    ],
    ['a bare key', '<ds:X509Data>', '<ds:KeyValue/><ds:X509Data>', 'KeyInfo: other elements'],
    ['no certificate', /<ds:X509Certificate>.*<\/ds:X509Certificate>/, '', 'X509Data: no certificates'],
    ['a CRL', '</ds:X509Data>', '<ds:X509CRL/></ds:X509Data>', 'X509Data: more than certificates'],
    [
      'an Id of a certificate',
      '<ds:X509Certificate>',
      '<ds:X509Certificate Id="x">',
      'X509Certificate: other attributes',
    ],
    ['a value with another line', '@value@', '@value@AAAA', 'SignatureValue: not '],
    ['base64 of another alphabet', '<ds:DigestValue>', '<ds:DigestValue>_', 'DigestValue: not '],
  ] as const)('%s', (_, from, to, why) => {
    const text = signedRim(MANIFEST, {
      edit: (signature) => {
        const edited = signature.replace(from, to);
        if (edited === signature) throw new Error('nothing was changed');
        return edited;
      },
    });
    expect(outcome(text)).toMatch(/^gpu\.rim: /);
    expect(outcome(text)).toContain(why);
  });

  test('no references, as a list that is empty, are no signature of anything', () => {
    expect(outcome(withEdit('<ds:Reference URI="">', '<ds:Reference URI=""/><ds:Reference URI="">'))).toContain(
      'SignedInfo: other elements',
    );
  });

  test('ECDSA with SHA-256 that says SHA-384', () => {
    expect(outcome(signedRim(MANIFEST, { hash: 'sha256' }))).toContain('not signed by its signer');
  });

  test('a signature in DER, and one of zeros', () => {
    const value = /<ds:SignatureValue>(.*)<\/ds:SignatureValue>/.exec(GOOD)![1]!;
    expect(outcome(replaced(value, Buffer.alloc(104, 0x30).toString('base64')))).toContain(
      'not of the expected length',
    );
    expect(outcome(replaced(value, Buffer.alloc(96).toString('base64')))).toContain('not signed by its signer');
  });

  test('a signer with a key of another curve', () => {
    const pair = derivedKey(Buffer.alloc(32, 3), 'p256', 'P-256');
    const leaf = issueCertificate(ca, {
      subject: simulatorName('P-256 signer'),
      spki: pair.spki,
      serial: 77n,
      notBeforeMs: AT,
      notAfterMs: AT,
      extensions: [signingUsage()],
    });
    const text = signedRim(MANIFEST, { certificates: [leaf, ca.certificate] });
    expect(outcome(text)).toContain('not signed by its signer');
  });

  test('a stranger who brings his own key below the genuine certificates', () => {
    const ecdh = createECDH('secp384r1');
    const point = ecdh.generateKeys();
    const jwk = {
      kty: 'EC',
      crv: 'P-384',
      d: ecdh.getPrivateKey().toString('base64url'),
      x: point.subarray(1, 49).toString('base64url'),
      y: point.subarray(49).toString('base64url'),
    };
    const key = createPrivateKey({ key: jwk, format: 'jwk' });
    expect(outcome(signedRim(MANIFEST.replace(HASH, EVIL), { key }))).toContain('not signed by its signer');
  });
});

test('nine certificates are refused before they are parsed', () => {
  const nine = Array.from({ length: 9 }, () => root.certificate);
  expect(() => parseRim(Buffer.from(signedRim(MANIFEST, { certificates: nine })))).toThrow('too many');
});

test('the measurements that are read are those that were signed', () => {
  const two = RESOURCE + RESOURCE.replace('index="7"', 'index="8"').replace(HASH, EVIL);
  const result = verifyRim(Buffer.from(signedRim(MANIFEST.replace(RESOURCE, two))), trust());
  if (!result.ok) throw new Error(result.detail);
  expect([...result.value.measurements.keys()]).toEqual([7, 8]);
});
