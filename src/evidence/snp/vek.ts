import { createPublicKey, type KeyObject } from 'node:crypto';
import { MalformedError } from '../../bytes/malformed-error.js';
import { DerReader, TAG } from '../../crypto/der.js';
import { derSmallUnsigned } from '../../crypto/der-values.js';
import { ecSpki, FIELD_BYTES } from '../../crypto/signature.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import type { Certificate } from '../../crypto/x509.js';
import { AMD_GENERATIONS, type AmdGeneration } from '../../endorsement/hardware-roots.js';
import {
  HW_ID_BYTES,
  SIGNING_KEYS,
  type SigningKey,
  TCB_COMPONENTS,
  TCB_EXTENSION,
  TCB_LAYOUT,
  TCB_RESERVED_EXTENSIONS,
  type TcbComponent,
  VEK_EXTENSION,
  VEK_NAMES,
} from './constants.js';
import type { Tcb } from './tcb.js';

const MAX_CSP_ID = 256;
/** A generation, by itself or with a stepping: `Milan-B0`. */
const PRODUCT = /^([A-Z][a-z]+)(?:-[A-Z][0-9])?$/;
const OCTET_STRING_HEADER = 2;

/** A versioned endorsement key: of a chip (VCEK), or loaded by a cloud provider (VLEK). What its certificate says. */
export interface Vek {
  readonly kind: SigningKey;
  readonly generation: AmdGeneration;
  /** As in the certificate: `Milan-B0`. */
  readonly productName: string;
  /** The TCB that the key was derived for. */
  readonly tcb: Tcb;
  /** Of a VCEK alone: 64 bytes, of Turin 8. */
  readonly hwId: Buffer | undefined;
  /** Of a VLEK alone: `CN=cc-us-east-2.amazonaws.com`. */
  readonly cspId: string | undefined;
  /** P-384. */
  readonly key: KeyObject;
}

/**
 * What a VCEK or VLEK certificate says of its key (AMD's Versioned Chip Endorsement Key Certificate and KDS Interface
 * Specification, as of what its certificates hold). Nothing is verified, but that it says one thing only: common names of
 * subject and issuer, product and parts of the TCB are of one kind and generation; a VCEK has a chip and no provider, a VLEK a
 * provider and no chip; the key is on P-384. Throws only MalformedError.
 */
export function parseVek(certificate: Certificate): Vek {
  const { kind, generation } = issuerOf(certificate);
  const productName = ia5(extension(certificate, VEK_EXTENSION.productName, 'productName'), 'productName');
  if (PRODUCT.exec(productName)?.[1] !== generation) {
    throw new MalformedError('productName: of another generation than the issuer');
  }
  const structVersion = integer(extension(certificate, VEK_EXTENSION.structVersion, 'structVersion'), 'structVersion');
  if (structVersion > 1) throw new MalformedError('structVersion: not known');
  const isChip = kind === 'VCEK';
  if (certificate.extensions.has(isChip ? VEK_EXTENSION.cspId : VEK_EXTENSION.hwId)) {
    throw new MalformedError(`a ${kind} with ${isChip ? 'a cloud provider' : 'a chip'}`);
  }
  return {
    kind,
    generation,
    productName,
    tcb: tcbOf(certificate, generation),
    hwId: isChip ? hwIdOf(extension(certificate, VEK_EXTENSION.hwId, 'hwID'), generation) : undefined,
    cspId: isChip ? undefined : ia5(extension(certificate, VEK_EXTENSION.cspId, 'CSP id'), 'CSP id'),
    key: p384Key(certificate.spki),
  };
}

/** Kind and generation by the common names of subject and issuer. Throws only MalformedError. */
export function issuerOf({ subject, issuer }: Certificate): {
  readonly kind: SigningKey;
  readonly generation: AmdGeneration;
} {
  const name = onlyAttribute(subject.attributes, COMMON_NAME);
  const kind = SIGNING_KEYS.find((known) => VEK_NAMES[known].subject === name);
  if (kind === undefined) throw new MalformedError('the subject is neither SEV-VCEK nor SEV-VLEK');
  const issuerName = onlyAttribute(issuer.attributes, COMMON_NAME);
  const generation = AMD_GENERATIONS.find((known) => issuerName === VEK_NAMES[kind].issuer + known);
  if (generation === undefined)
    throw new MalformedError(`the issuer is no CA for a ${kind} of a generation known here`);
  return { kind, generation };
}

function tcbOf({ extensions }: Certificate, generation: AmdGeneration): Tcb {
  const tcb: Partial<Record<TcbComponent, number>> = {};
  for (const [oid, { value }] of extensions) {
    if (!oid.startsWith(`${VEK_EXTENSION.tcb}.`)) continue;
    const component = TCB_COMPONENTS.find((known) => TCB_EXTENSION[known] === oid);
    const isReserved = TCB_RESERVED_EXTENSIONS.includes(oid);
    if (component === undefined && !isReserved) throw new MalformedError('a part of the TCB that is not known');
    const svn = integer(value, component ?? 'reserved part of the TCB');
    if (svn > (isReserved ? 0 : 0xff)) throw new MalformedError('a part of the TCB that is out of range');
    if (component !== undefined) tcb[component] = svn;
  }
  const parts = TCB_LAYOUT[generation];
  if (TCB_COMPONENTS.some((component) => (tcb[component] !== undefined) !== parts.includes(component))) {
    throw new MalformedError('the parts of the TCB are not those of the generation');
  }
  return tcb;
}

/**
 * Through SPKI, which for this curve costs a quarter of JWK. That skips multiplying the point by the order of the group, which
 * says nothing new of a point on a curve with cofactor 1.
 */
function p384Key(spki: Buffer): KeyObject {
  const point = spki.subarray(-2 * FIELD_BYTES['P-384']);
  const [x, y] = [point.subarray(0, point.length / 2), point.subarray(point.length / 2)];
  if (point.length !== 2 * FIELD_BYTES['P-384'] || !ecSpki('P-384', x, y).equals(spki)) {
    throw new MalformedError('the key is not on P-384');
  }
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' });
  } catch {
    throw new MalformedError('the key is no point of P-384');
  }
}

/** Older certificates hold the bytes as they are, others in an OCTET STRING: told apart by their length. */
function hwIdOf(value: Buffer, generation: AmdGeneration): Buffer {
  const length = HW_ID_BYTES[generation];
  if (value.length === length) return value;
  if (value.length !== OCTET_STRING_HEADER + length)
    throw new MalformedError('hwID: not of the length of the generation');
  return whole(value, TAG.octetString, 'hwID');
}

function extension({ extensions }: Certificate, oid: string, field: string): Buffer {
  const found = extensions.get(oid);
  if (found === undefined) throw new MalformedError(`${field}: missing`);
  return found.value;
}

function integer(value: Buffer, field: string): number {
  return derSmallUnsigned(whole(value, TAG.integer, field), field);
}

const IA5_STRING = 0x16;
const PRINTABLE = /^[ -~]+$/;

function ia5(value: Buffer, field: string): string {
  const text = whole(value, IA5_STRING, field).toString('latin1');
  if (text.length > MAX_CSP_ID || !PRINTABLE.test(text)) throw new MalformedError(`${field}: not a printable text`);
  return text;
}

/** The content of the one DER value that an extension holds. */
function whole(value: Buffer, tag: number, field: string): Buffer {
  const reader = new DerReader(value);
  const content = reader.content(tag, field);
  reader.end(field);
  return content;
}
