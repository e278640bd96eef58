import { MalformedError } from '../../bytes/malformed-error.js';
import { attributesIn, elementsIn, isNamed } from './elements.js';
import { DS } from './signature.js';
import type { XmlElement } from './xml.js';

const SWID = 'http://standards.iso.org/iso/19770/-2/2015/schema.xsd';
/** In this namespace stand the hashes. */
const SHA384 = 'http://www.w3.org/2001/04/xmlenc#sha384';
const SHA384_BYTES = 48;

/** Indexes are one less than those of an SPDM report, of one byte, of which 255 asks for all. */
const MAX_INDEX = 253;
const MAX_ALTERNATIVES = 32;

/** What a manifest is of: the driver that a GPU runs, its VBIOS, or the firmware of a switch. */
export type RimKind = 'driver' | 'vbios' | 'switch';

export interface ReferenceMeasurement {
  /** Whether it is to be compared. */
  readonly active: boolean;
  /** Of each alternative, and of what is measured. */
  readonly sizeBytes: number;
  /** One of these must be found. */
  readonly alternatives: readonly Buffer[];
}

/** What a reference integrity manifest says. */
export interface ReferenceManifest {
  /** As rimId makes it of what is signed. */
  readonly id: string;
  readonly kind: RimKind;
  /** Of driver (`550.144.03`) or VBIOS (`96.00.5E.00.01`, hex digits in upper case). */
  readonly version: string;
  /** By index, from 0: one less than the index in an SPDM report. At least one is active. */
  readonly measurements: ReadonlyMap<number, ReferenceMeasurement>;
  readonly meta: {
    /** The chip: `GH100`, `GB100`, `LS10`. */
    readonly product: string;
    /** The tagId of the SWID tag, as it stands there. */
    readonly tagId: string;
  };
}

const PRODUCT = /^[A-Z0-9]{1,16}$/;
const DRIVER_VERSION = /^[0-9]{3,4}(?:\.[0-9]{1,4}){1,3}$/;
const VBIOS_VERSION = /^[0-9A-F]{2}(?:\.[0-9A-F]{2}){4}$/;
const TAG_ID = /^[0-9A-Za-z._-]{1,128}$/;
const INDEX = /^(?:0|[1-9][0-9]{0,2})$/;
const HEX = /^[0-9A-Fa-f]+$/;

/**
 * The name by which a manifest is looked up: kind, chip and version, since nothing else of a manifest is signed. That of a Hopper driver
 * is the one under which NVIDIA serves it, `NV_GPU_DRIVER_GH100_550.144.03`. NVIDIA has project and SKUs in the names of VBIOS
 * manifests (`NV_GPU_VBIOS_1010_0200_882_96005E0001`), but says nothing of them in the manifest: here it is `NV_GPU_VBIOS_GH100_96005E0001`,
 * and for switches `NV_SWITCH_BIOS_LS10_9610550001`. The versions of two SKUs differ. Hex digits may be in either case.
 */
export function rimId(kind: RimKind, product: string, version: string): string {
  const digits = version.replaceAll('.', '').toUpperCase();
  switch (kind) {
    case 'driver':
      return `NV_GPU_DRIVER_${product}_${version}`;
    case 'vbios':
      return `NV_GPU_VBIOS_${product}_${digits}`;
    case 'switch':
      return `NV_SWITCH_BIOS_${product}_${digits}`;
  }
}

/**
 * Reads a SWID tag (ISO/IEC 19770-2:2015) of the one shape that NVIDIA's manifests have: a primary tag with Entity, Meta and Payload
 * and its signature, all measurements in the Payload itself, all hashes SHA-384. Throws MalformedError for anything else: an
 * index twice, hashes that are not exactly Hash0 to Hash<alternatives - 1>, a size that is not theirs, nothing that is active.
 */
export function readManifest(root: XmlElement): ReferenceManifest {
  if (!isNamed(root, SWID, 'SoftwareIdentity')) throw new MalformedError('not a SWID tag');
  const identity = attributesIn(root, '');
  for (const kind of ['corpus', 'patch', 'supplemental']) {
    if ((identity.get(kind) ?? 'false') !== 'false') throw new MalformedError('not a primary tag');
  }
  const meta = only(root, 'Meta');
  if (attributesIn(meta, '').get('PayloadType') !== 'direct') {
    throw new MalformedError('Meta: the measurements are somewhere else');
  }
  const { product, ...named } = readMeta(meta);
  return {
    ...named,
    measurements: readMeasurements(only(root, 'Payload')),
    meta: { product, tagId: matching(identity.get('tagId'), TAG_ID, 'tagId') },
  };
}

/**
 * What a manifest says it is of, whatever else is wrong with it: its id, as rimId makes it; undefined where that cannot be read. For
 * saying which manifest is broken, never for believing one.
 */
export function idOfBroken(root: XmlElement): string | undefined {
  const [meta, second] = root.children.filter((child) => typeof child !== 'string' && isNamed(child, SWID, 'Meta'));
  if (meta === undefined || typeof meta === 'string' || second !== undefined) return undefined;
  try {
    return readMeta(meta).id;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function readMeta(
  element: XmlElement,
): Pick<ReferenceManifest, 'id' | 'kind' | 'version'> & { readonly product: string } {
  const meta = attributesIn(element, '');
  const product = matching(meta.get('product'), PRODUCT, 'product');
  const version = meta.get('colloquialVersion') ?? '';
  const kind = kindOf(meta.get('edition'), version);
  return { id: rimId(kind, product, version), kind, version, product };
}

/** The one child of that name; beside it only what a manifest has. */
function only(root: XmlElement, name: 'Meta' | 'Payload'): XmlElement {
  const children = elementsIn(root);
  const isKnown = (child: XmlElement) =>
    isNamed(child, DS, 'Signature') ||
    isNamed(child, SWID, 'Payload') ||
    (child.children.length === 0 && ['Entity', 'Meta'].some((local) => isNamed(child, SWID, local)));
  if (!children.every(isKnown)) throw new MalformedError('SoftwareIdentity: an element that is not known');
  const [child, second] = children.filter((one) => isNamed(one, SWID, name));
  if (child === undefined || second !== undefined) throw new MalformedError(`not exactly one ${name}`);
  return child;
}

/** A driver and a VBIOS are told apart by nothing but the form of their versions. */
function kindOf(edition: string | undefined, version: string): RimKind {
  const isVbios = VBIOS_VERSION.test(version);
  if (edition === 'SWITCH' && isVbios) return 'switch';
  if (edition === 'GPU' && isVbios) return 'vbios';
  if (edition === 'GPU' && DRIVER_VERSION.test(version)) return 'driver';
  throw new MalformedError('Meta: an edition or version that is not known');
}

function readMeasurements(payload: XmlElement): ReadonlyMap<number, ReferenceMeasurement> {
  const measurements = new Map<number, ReferenceMeasurement>();
  for (const resource of elementsIn(payload)) {
    if (!isNamed(resource, SWID, 'Resource') || resource.children.length > 0) {
      throw new MalformedError('Payload: more than measurements');
    }
    const { index, measurement } = readMeasurement(resource);
    if (measurements.has(index)) throw new MalformedError('Resource: an index that stands twice');
    measurements.set(index, measurement);
  }
  // One without would find every device good.
  if (![...measurements.values()].some(({ active }) => active)) throw new MalformedError('no measurement is active');
  return measurements;
}

const RESOURCE_ATTRIBUTES = ['type', 'index', 'active', 'alternatives', 'name', 'size'] as const;

function readMeasurement(resource: XmlElement): { readonly index: number; readonly measurement: ReferenceMeasurement } {
  const plain = attributesIn(resource, '');
  const hashes = attributesIn(resource, SHA384);
  if (
    !RESOURCE_ATTRIBUTES.every((name) => plain.has(name)) ||
    plain.size !== RESOURCE_ATTRIBUTES.length ||
    plain.size + hashes.size !== resource.attributes.length ||
    plain.get('type') !== 'Measurement'
  ) {
    throw new MalformedError('Resource: other attributes than those of a measurement');
  }
  const count = decimal(plain.get('alternatives'), MAX_ALTERNATIVES, 'alternatives');
  if (count === 0 || hashes.size !== count) throw new MalformedError('Resource: not as many hashes as alternatives');
  const sizeBytes = decimal(plain.get('size'), SHA384_BYTES, 'size');
  if (sizeBytes !== SHA384_BYTES) throw new MalformedError('Resource: not of the size of its hashes');
  return {
    index: decimal(plain.get('index'), MAX_INDEX, 'index'),
    measurement: {
      active: isTrue(plain.get('active')),
      sizeBytes,
      alternatives: Array.from({ length: count }, (_, n) => hash(hashes.get(`Hash${String(n)}`))),
    },
  };
}

function isTrue(text: string | undefined): boolean {
  if (text !== 'True' && text !== 'False') throw new MalformedError('Resource: neither active nor not');
  return text === 'True';
}

function hash(text: string | undefined): Buffer {
  if (text?.length !== 2 * SHA384_BYTES || !HEX.test(text)) throw new MalformedError('Resource: not a SHA-384 hash');
  return Buffer.from(text, 'hex');
}

function decimal(text: string | undefined, max: number, field: string): number {
  const value = Number(matching(text, INDEX, field));
  if (value > max) throw new MalformedError(`${field}: more than ${String(max)}`);
  return value;
}

function matching(text: string | undefined, form: RegExp, field: string): string {
  if (text === undefined || !form.test(text)) throw new MalformedError(`${field}: not of its form`);
  return text;
}
