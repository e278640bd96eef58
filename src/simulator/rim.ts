import { createHash, sign } from 'node:crypto';
import { toBase64 } from '../bytes/base64.js';
import type { SimulatedMakers } from './makers.js';

/** What a simulated manifest says; it is taken as it is. */
export interface SimulatedRim {
  readonly kind: 'driver' | 'vbios' | 'switch';
  /** `550.144.03` of a driver, `96.00.5E.00.01` of others, hex digits in upper case. */
  readonly version: string;
  /** `product`: the chip, `GH100`. */
  readonly meta: { readonly product: string };
  /** By index, from 0: the hashes (SHA-384) of which one is to be found. All of them are active. */
  readonly measurements: ReadonlyMap<number, readonly Buffer[]>;
}

const SWID = 'http://standards.iso.org/iso/19770/-2/2015/schema.xsd';
const SHA384 = 'http://www.w3.org/2001/04/xmlenc#sha384';
const TCG_RIM = 'https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/';
const DS = 'http://www.w3.org/2000/09/xmldsig#';
const C14N_11 = 'http://www.w3.org/2006/12/xml-c14n11';

type Pairs = readonly (readonly [string, string])[];

interface Element {
  readonly name: string;
  /** Declared namespaces by prefix, '' for the default one. */
  readonly namespaces?: Pairs;
  readonly attributes?: Pairs;
  /** Text is of characters that are not escaped. */
  readonly children?: readonly (Element | string)[];
}

/**
 * Issues a reference integrity manifest in the layout of NVIDIA's (SWID tag, enveloped XML signature, Canonical XML 1.1, ECDSA with
 * SHA-384), signed by the simulated signer. Measurements that are not named stand there too, up to 64, as inactive zeros.
 */
export function issueRim(makers: SimulatedMakers['nvidiaRims'], draft: SimulatedRim): Buffer {
  const manifest = manifestOf(draft);
  const hash = createHash('sha384').update(written(manifest, true)).digest();
  // In its context: it shows the namespaces of the root and of the Signature.
  const namespaces: Pairs = [...(manifest.namespaces ?? []), ['ds', DS]];
  const toBeSigned = Buffer.from(written({ ...signedInfoOf(hash), namespaces }, true));
  const value = sign('sha384', toBeSigned, { key: makers.signer.key, dsaEncoding: 'ieee-p1363' });
  const certificates = [makers.signer, makers.ca, makers.root].map(({ certificate }) =>
    ds('X509Certificate', [], lines(toBase64(certificate))),
  );
  const keyInfo = ds('KeyInfo', [], ds('X509Data', [], ...certificates));
  const signature: Element = {
    ...ds('Signature', [], signedInfoOf(hash), ds('SignatureValue', [], toBase64(value)), keyInfo),
    namespaces: [['ds', DS]],
  };
  return Buffer.from(`${written({ ...manifest, children: [...(manifest.children ?? []), signature] }, false)}\n`);
}

function manifestOf({ kind, version, meta: { product }, measurements }: SimulatedRim): Element {
  const count = Math.max(64, ...[...measurements.keys()].map((index) => index + 1));
  const resources = Array.from({ length: count }, (_, index) => resource(index, measurements.get(index)));
  const tagId = createHash('sha384').update(`${kind} ${product} ${version}`).digest('hex');
  return {
    name: 'SoftwareIdentity',
    namespaces: [
      ['', SWID],
      ['ns0', SWID],
      ['ns2', SHA384],
    ],
    attributes: Object.entries({
      corpus: 'false',
      name: product,
      patch: 'false',
      supplemental: 'false',
      tagId,
      version: '1.0',
      tagVersion: '0',
    }),
    children: [
      '\n    ',
      {
        name: 'ns0:Entity',
        attributes: [
          ['name', 'Portcullis simulator (development only)'],
          ['role', 'softwareCreator tagCreator'],
        ],
      },
      '\n    ',
      metaOf(kind === 'switch' ? 'SWITCH' : 'GPU', product, version),
      '\n    ',
      {
        name: 'ns0:Payload',
        namespaces: [['SHA384', SHA384]],
        children: [...resources.flatMap((one) => ['\n        ', one]), '\n    '],
      },
      '\n',
    ],
  };
}

function metaOf(edition: string, product: string, colloquialVersion: string): Element {
  const attributes = {
    colloquialVersion,
    edition,
    product,
    revision: 'r1',
    PayloadType: 'direct',
    'ns1:BindingSpec': 'RIMIM',
    'ns1:BindingSpecVersion': '1.01',
    'ns1:PlatformModel': product,
  };
  return { name: 'ns0:Meta', namespaces: [['ns1', TCG_RIM]], attributes: Object.entries(attributes) };
}

function resource(index: number, alternatives: readonly Buffer[] | undefined): Element {
  const hashes = alternatives ?? [Buffer.alloc(48)];
  return {
    name: 'ns0:Resource',
    attributes: [
      ['type', 'Measurement'],
      ['index', String(index)],
      ['active', alternatives === undefined ? 'False' : 'True'],
      ['alternatives', String(hashes.length)],
      ...hashes.map((hash, n) => [`ns2:Hash${String(n)}`, hash.toString('hex')] as const),
      ['name', `Measurement_${String(index)}`],
      ['size', '48'],
    ],
  };
}

function signedInfoOf(hash: Buffer): Element {
  const algorithm = (name: string, uri: string) => ds(name, [['Algorithm', uri]]);
  const transforms = ds(
    'Transforms',
    [],
    algorithm('Transform', 'http://www.w3.org/2000/09/xmldsig#enveloped-signature'),
    algorithm('Transform', C14N_11),
  );
  return ds(
    'SignedInfo',
    [],
    algorithm('CanonicalizationMethod', C14N_11),
    algorithm('SignatureMethod', 'http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384'),
    ds(
      'Reference',
      [['URI', '']],
      transforms,
      algorithm('DigestMethod', 'http://www.w3.org/2001/04/xmldsig-more#sha384'),
      ds('DigestValue', [], toBase64(hash)),
    ),
  );
}

function ds(name: string, attributes: Pairs, ...children: readonly (Element | string)[]): Element {
  return { name: `ds:${name}`, attributes, children };
}

/** As the document has it, or in canonical form: names in order, those with a prefix last, and no empty-element tags. No namespace is declared twice on the way down. */
function written({ name, namespaces = [], attributes = [], children = [] }: Element, canonical: boolean): string {
  const inOrder = (pairs: Pairs) => (canonical ? [...pairs].sort(byName) : pairs);
  const start = [
    name,
    ...inOrder(namespaces).map(([prefix, uri]) => `${prefix === '' ? 'xmlns' : `xmlns:${prefix}`}="${uri}"`),
    ...inOrder(attributes).map(([attribute, value]) => `${attribute}="${value}"`),
  ].join(' ');
  if (children.length === 0 && !canonical) return `<${start}/>`;
  const content = children.map((child) => (typeof child === 'string' ? child : written(child, canonical)));
  return `<${start}>${content.join('')}</${name}>`;
}

/** No element here has two prefixes among its attributes: so those with one stand behind, in the order of their names. */
function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  const key = (name: string) => `${name.includes(':') ? '1' : '0'}${name}`;
  return key(a) < key(b) ? -1 : 1;
}

/** Lines of 64 characters, as those of PEM. */
function lines(base64: string): string {
  return `${(base64.match(/.{1,64}/g) ?? []).join('\n')}\n`;
}
