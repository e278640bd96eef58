import { fromBase64 } from '../../bytes/base64.js';
import { equalBytes } from '../../bytes/equal.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { digest, DIGEST_BYTES } from '../../crypto/digest.js';
import { FIELD_BYTES, verifyEcdsa } from '../../crypto/signature.js';
import { MAX_CERTIFICATE_BYTES, parseCertificate, type Certificate } from '../../crypto/x509.js';
import { MAX_CHAIN_CERTIFICATES } from '../path.js';
import { canonicalXml } from './c14n.js';
import { attributesNamed, childrenNamed, elementsIn, isNamed, textIn } from './elements.js';
import type { XmlElement } from './xml.js';

export const DS = 'http://www.w3.org/2000/09/xmldsig#';
const C14N_11 = 'http://www.w3.org/2006/12/xml-c14n11';
const ENVELOPED_SIGNATURE = 'http://www.w3.org/2000/09/xmldsig#enveloped-signature';
const SHA384 = 'http://www.w3.org/2001/04/xmldsig-more#sha384';
const ECDSA_SHA384 = 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384';

/** A signature whose digest is that of the tree it was read from; whether it is one by its signer is not yet verified. */
export interface XmlSignature {
  /** SignedInfo in canonical form. */
  readonly signedInfo: Buffer;
  /** P-384, r || s, 48 bytes each. */
  readonly value: Buffer;
  /** The signer first; 1 to 8. */
  readonly certificates: readonly Certificate[];
}

/**
 * Reads the one enveloped signature (XML Signature 1.1) right below the root, of the one shape that is accepted: a single Reference
 * with URI "", that is the whole document, of which only this signature is taken out before Canonical XML 1.1; SHA-384 and ECDSA with
 * SHA-384; the signer's certificates in X509Data. Nothing else may stand in it, neither Id attributes nor an Object: so there is
 * nothing that a reference could point to but the tree that is read, and the digest is that of this very tree. Throws MalformedError.
 */
export function readSignature(root: XmlElement): XmlSignature {
  const signatures = elementsIn(root).filter((child) => isNamed(child, DS, 'Signature'));
  const [element] = signatures;
  if (element === undefined || signatures.length !== 1) throw new MalformedError('not exactly one Signature');
  attributesNamed(element, []);
  const [signedInfo, signatureValue, keyInfo] = childrenNamed(element, DS, ['SignedInfo', 'SignatureValue', 'KeyInfo']);
  attributesNamed(signatureValue, []);
  attributesNamed(keyInfo, []);
  const [x509Data] = childrenNamed(keyInfo, DS, ['X509Data']);
  attributesNamed(x509Data, []);
  if (!equalBytes(digest('sha384', canonicalXml(root, element)), readSignedInfo(signedInfo))) {
    throw new MalformedError('changed after it had been signed');
  }
  return {
    signedInfo: canonicalXml(signedInfo),
    value: base64In(signatureValue, 2 * FIELD_BYTES['P-384']),
    certificates: readCertificates(x509Data),
  };
}

/** The digest in it. */
function readSignedInfo(signedInfo: XmlElement): Buffer {
  attributesNamed(signedInfo, []);
  const [canonicalization, method, reference] = childrenNamed(signedInfo, DS, [
    'CanonicalizationMethod',
    'SignatureMethod',
    'Reference',
  ]);
  requireAlgorithm(canonicalization, C14N_11);
  requireAlgorithm(method, ECDSA_SHA384);
  if (attributesNamed(reference, ['URI']).URI !== '') throw new MalformedError('Reference: not of the whole document');
  const [transforms, digestMethod, digestValue] = childrenNamed(reference, DS, [
    'Transforms',
    'DigestMethod',
    'DigestValue',
  ]);
  attributesNamed(transforms, []);
  const [first, second] = childrenNamed(transforms, DS, ['Transform', 'Transform']);
  requireAlgorithm(first, ENVELOPED_SIGNATURE);
  requireAlgorithm(second, C14N_11);
  requireAlgorithm(digestMethod, SHA384);
  attributesNamed(digestValue, []);
  return base64In(digestValue, DIGEST_BYTES.sha384);
}

/** Also that it has no parameters. */
function requireAlgorithm(element: XmlElement, algorithm: string): void {
  if (attributesNamed(element, ['Algorithm']).Algorithm !== algorithm || element.children.length > 0) {
    throw new MalformedError(`${element.local}: an algorithm that is not accepted`);
  }
}

function readCertificates(x509Data: XmlElement): Certificate[] {
  const elements = elementsIn(x509Data);
  if (elements.length === 0 || elements.length > MAX_CHAIN_CERTIFICATES) {
    throw new MalformedError('X509Data: no certificates, or too many');
  }
  return elements.map((element) => {
    if (!isNamed(element, DS, 'X509Certificate')) throw new MalformedError('X509Data: more than certificates');
    attributesNamed(element, []);
    return parseCertificate(base64In(element, undefined));
  });
}

/** xsd:base64Binary, in which white space is allowed; of exactly so many bytes, or at most those of a certificate. */
function base64In(element: XmlElement, length: number | undefined): Buffer {
  const bytes = fromBase64(textIn(element).replace(/[ \t\n\r]+/g, ''), element.local);
  if (length === undefined ? bytes.length > MAX_CERTIFICATE_BYTES : bytes.length !== length) {
    throw new MalformedError(`${element.local}: not of the expected length`);
  }
  return bytes;
}

/** Whether the first certificate's key signed it; that key must be one of P-384. Whether the certificate is believed is not looked at. */
export function isSignedBySigner({ signedInfo, value, certificates }: XmlSignature): boolean {
  const key = certificates[0]?.publicKey();
  if (key?.type !== 'ec' || key.curve !== 'P-384') return false;
  const size = FIELD_BYTES['P-384'];
  const rs = { r: value.subarray(0, size), s: value.subarray(size) };
  return verifyEcdsa('sha384', 'P-384', key.key, signedInfo, rs);
}
