import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import {
  ALL_MEASUREMENTS,
  DMTF_MEASUREMENT,
  GET_MEASUREMENTS,
  MEASUREMENTS,
  RAW_MEASUREMENT,
  SIGNATURE_REQUESTED,
  SPDM_NONCE_BYTES,
  SPDM_SIGNATURE_BYTES,
  SPDM_VERSION,
} from './constants.js';

/** The largest report that is read; NVML hands over at most so much. */
export const MAX_GPU_REPORT_BYTES = 8192;
const MAX_MEASUREMENT_BYTES = 64;
const MAX_OPAQUE_ENTRIES = 64;
const MAX_SLOT = 7;
/** Some drivers write one byte too many. */
const MAX_TRAILING_BYTES = 1;

/** One record of the response; the digest is as the device wrote it. */
export interface GpuMeasurement {
  /** Of the DMTF; bit 7 is never set. */
  readonly type: number;
  readonly value: Buffer;
}

/** A measurement report, parsed: nothing in it is verified. */
export interface GpuReport {
  /** The nonce of the request: whoever asked chose it, and the signature covers it. */
  readonly nonce: Buffer;
  /** Of the certificate chain, 0 to 7. */
  readonly slot: number;
  /** Counted from 0, as NVIDIA's manifests do; SPDM counts from 1. */
  readonly measurements: readonly GpuMeasurement[];
  readonly responderNonce: Buffer;
  /** By type, in their order; no type stands there twice. */
  readonly opaque: ReadonlyMap<number, Buffer>;
  /** Request and response up to the signature: what is signed. */
  readonly signed: Buffer;
  /** r and s, 48 bytes each, big-endian. */
  readonly signature: Buffer;
  /** Bytes behind the signature, 0 or 1. */
  readonly trailing: number;
}

/**
 * Parses an SPDM 1.1 GET_MEASUREMENTS request and its MEASUREMENTS response (DMTF DSP0274), one behind the other, with the opaque
 * data of NVIDIA's devices. Taken is only a request for all measurements, signed; records count from 1 without a gap; all
 * declared lengths are exact; one byte more behind the signature is ignored. Throws only MalformedError.
 */
export function parseGpuReport(bytes: Buffer): GpuReport {
  if (bytes.length > MAX_GPU_REPORT_BYTES) {
    throw new MalformedError(`measurement report: more than ${String(MAX_GPU_REPORT_BYTES)} bytes`);
  }
  const reader = new Reader(bytes);
  demand(reader.u8('request version'), SPDM_VERSION, 'request: not SPDM 1.1');
  demand(reader.u8('request code'), GET_MEASUREMENTS, 'request: not GET_MEASUREMENTS');
  demand(reader.u8('request param1'), SIGNATURE_REQUESTED, 'request: asks for no signature, or for more than one');
  demand(reader.u8('request param2'), ALL_MEASUREMENTS, 'request: does not ask for all measurements');
  const nonce = reader.take(SPDM_NONCE_BYTES, 'request nonce');
  const slot = reader.u8('request slot');
  if (slot > MAX_SLOT) throw new MalformedError('request slot: more than 7');

  demand(reader.u8('response version'), SPDM_VERSION, 'response: not SPDM 1.1');
  demand(reader.u8('response code'), MEASUREMENTS, 'response: not MEASUREMENTS');
  demand(reader.u8('response param1'), 0, 'response param1: not zero');
  demand(reader.u8('response param2'), slot, 'response param2: not the slot that was asked for');
  const count = reader.u8('number of blocks');
  const records = new Reader(reader.take(u24le(reader, 'record length'), 'measurement record'));
  const measurements = Array.from({ length: count }, (_, index) => readMeasurement(records, index));
  records.end('measurement record');
  const responderNonce = reader.take(SPDM_NONCE_BYTES, 'response nonce');
  const opaque = readOpaque(reader.take(reader.u16le('opaque length'), 'opaque data'));
  const signed = bytes.subarray(0, reader.offset);
  const signature = reader.take(SPDM_SIGNATURE_BYTES, 'signature');
  const trailing = reader.remaining;
  if (trailing > MAX_TRAILING_BYTES) reader.end('measurement report');
  return { nonce, slot, measurements, responderNonce, opaque, signed, signature, trailing };
}

function demand(found: number, expected: number, message: string): void {
  if (found !== expected) throw new MalformedError(message);
}

function u24le(reader: Reader, field: string): number {
  return reader.take(3, field).readUIntLE(0, 3);
}

/** index, specification, size of what follows; then type, size of the value, value. */
function readMeasurement(reader: Reader, index: number): GpuMeasurement {
  const field = `measurement ${String(index)}`;
  demand(reader.u8(`${field} index`), index + 1, `${field}: does not stand in its place`);
  demand(reader.u8(`${field} specification`), DMTF_MEASUREMENT, `${field}: not by the DMTF specification`);
  const size = reader.u16le(`${field} size`);
  const type = reader.u8(`${field} type`);
  if ((type & RAW_MEASUREMENT) !== 0) throw new MalformedError(`${field}: a raw value, no digest`);
  const valueSize = reader.u16le(`${field} value size`);
  demand(size, valueSize + 3, `${field}: sizes that do not agree`);
  if (valueSize === 0 || valueSize > MAX_MEASUREMENT_BYTES) throw new MalformedError(`${field}: value of this size`);
  return { type, value: reader.take(valueSize, `${field} value`) };
}

function readOpaque(bytes: Buffer): ReadonlyMap<number, Buffer> {
  const reader = new Reader(bytes);
  const opaque = new Map<number, Buffer>();
  while (reader.remaining > 0) {
    const type = reader.u16le('opaque type');
    if (opaque.has(type)) throw new MalformedError(`opaque data: type ${String(type)} stands there twice`);
    if (opaque.size === MAX_OPAQUE_ENTRIES) throw new MalformedError('opaque data: too many entries');
    opaque.set(type, reader.take(reader.u16le('opaque size'), `opaque data ${String(type)}`));
  }
  return opaque;
}
