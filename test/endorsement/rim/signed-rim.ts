/** Authors manifests of any shape, signed as they are: to find what is refused although its signature is good. */
import { sign, type KeyObject } from 'node:crypto';
import { digest } from '../../../src/crypto/digest.js';
import { NO_COLLATERAL, type HardwareTrust } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { canonicalXml } from '../../../src/endorsement/rim/c14n.js';
import { parseXml, type XmlElement } from '../../../src/endorsement/rim/xml.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';

export const AT = Date.UTC(2026, 10, 21);
export const makers = simulatedMakers(Buffer.alloc(32, 7));
const ROOTS = withSimulator(makerRoots(makers));
const { signer, ca, root } = makers.nvidiaRims;

export function trust(changes: Partial<HardwareTrust> = {}): HardwareTrust {
  const paths = new KnownPaths(8);
  return { roots: ROOTS, collateral: NO_COLLATERAL, paths, atMs: AT, requireCrls: false, ...changes };
}

export const HASH = 'ab'.repeat(48);
export const RESOURCE = `<ns0:Resource type="Measurement" index="7" active="True" alternatives="1" ns2:Hash0="${HASH}" name="M" size="48"/>`;
export const META = '<ns0:Meta colloquialVersion="550.144.03" edition="GPU" product="GH100" PayloadType="direct"/>';
export const PAYLOAD = `<ns0:Payload>${RESOURCE}</ns0:Payload>`;
/** Where the Signature goes. */
const SIGNATURE = '@signature@';
const START =
  '<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd" xmlns:ns0="http://standards.iso.org/iso/19770/-2/2015/schema.xsd" xmlns:ns2="http://www.w3.org/2001/04/xmlenc#sha384" name="GH100" tagId="t1">';
export const MANIFEST = `${START}<ns0:Entity name="N" role="tagCreator"/>${META}${PAYLOAD}${SIGNATURE}</SoftwareIdentity>`;

export interface Signing {
  /** Changes the Signature before it is made. */
  readonly edit?: (signature: string) => string;
  readonly certificates?: readonly Buffer[];
  readonly key?: KeyObject;
  readonly hash?: 'sha384' | 'sha256';
}

/** The manifest with its signature, where `@signature@` stands. */
export function signedRim(manifest = MANIFEST, signing: Signing = {}): string {
  const { edit = (text: string) => text, certificates = [signer, ca, root].map((one) => one.certificate) } = signing;
  const digestValue = digest('sha384', canonicalXml(parseXml(Buffer.from(manifest.replace(SIGNATURE, '')))));
  const signature = edit(signatureText(digestValue, certificates));
  const unsigned = manifest.replace(SIGNATURE, signature);
  const signedInfo = find(parseXml(Buffer.from(unsigned.replace('@value@', ''))), 'SignedInfo');
  const key = { key: signing.key ?? signer.key, dsaEncoding: 'ieee-p1363' } as const;
  const value = sign(signing.hash ?? 'sha384', canonicalXml(signedInfo), key);
  return unsigned.replace('@value@', value.toString('base64'));
}

function signatureText(digestValue: Buffer, certificates: readonly Buffer[]): string {
  const x509 = certificates.map((der) => `<ds:X509Certificate>${der.toString('base64')}</ds:X509Certificate>`).join('');
  return (
    '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>' +
    '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2006/12/xml-c14n11"/>' +
    '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"/>' +
    '<ds:Reference URI=""><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>' +
    '<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"/></ds:Transforms>' +
    '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#sha384"/>' +
    `<ds:DigestValue>${digestValue.toString('base64')}</ds:DigestValue></ds:Reference></ds:SignedInfo>` +
    `<ds:SignatureValue>@value@</ds:SignatureValue><ds:KeyInfo><ds:X509Data>${x509}</ds:X509Data></ds:KeyInfo></ds:Signature>`
  );
}

function find(element: XmlElement, local: string): XmlElement {
  const found = findOrNot(element, local);
  if (found === undefined) throw new Error(`no ${local}`);
  return found;
}

function findOrNot(element: XmlElement, local: string): XmlElement | undefined {
  if (element.local === local) return element;
  for (const child of element.children) {
    const found = typeof child === 'string' ? undefined : findOrNot(child, local);
    if (found !== undefined) return found;
  }
  return undefined;
}
