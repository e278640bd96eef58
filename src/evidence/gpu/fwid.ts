import { MalformedError } from '../../bytes/malformed-error.js';
import { equalBytes } from '../../bytes/equal.js';
import { contextTag, DerReader, TAG } from '../../crypto/der.js';
import { derOid } from '../../crypto/der-values.js';
import type { Certificate } from '../../crypto/x509.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { DICE_COMPOSITE_DEVICE_ID, DICE_TCB_INFO, MEASUREMENT_BYTES } from './constants.js';

const SHA_384 = '2.16.840.1.101.3.4.2.2';
const FWIDS = contextTag(6);

/**
 * The ids of the firmware that holds the leaf's key, as its DICE extensions name them: the composite device id of Hopper and
 * LS10 (version, key of the device, one id), the TCB info of Blackwell (the first of its ids). Empty where it has neither.
 * Throws only MalformedError.
 */
export function certifiedFwids(leaf: Certificate): readonly Buffer[] {
  const composite = leaf.extensions.get(DICE_COMPOSITE_DEVICE_ID);
  const tcbInfo = leaf.extensions.get(DICE_TCB_INFO);
  return [
    ...(composite === undefined ? [] : [readCompositeDeviceId(composite.value)]),
    ...(tcbInfo === undefined ? [] : [readTcbInfo(tcbInfo.value)]),
  ];
}

/**
 * Checks that the firmware which signed is the one that its certificate is for: each id in the certificate equals the one in the
 * report. Accepted as undefined where the report has none, as old firmware writes no id. Refusal: gpu.fwid.
 */
export function matchFwid(reported: Buffer | undefined, leaf: Certificate): Result<Buffer | undefined> {
  if (reported === undefined) return accept(undefined);
  let certified: readonly Buffer[];
  try {
    certified = certifiedFwids(leaf);
  } catch (error) {
    if (error instanceof MalformedError) return reject('gpu.fwid', error.message);
    throw error;
  }
  if (certified.length === 0) return reject('gpu.fwid', 'the certificate names no firmware');
  if (!certified.every((fwid) => equalBytes(fwid, reported))) {
    return reject('gpu.fwid', 'the report is by another firmware than the certificate is for');
  }
  return accept(reported);
}

function readCompositeDeviceId(value: Buffer): Buffer {
  const outer = new DerReader(value);
  const id = outer.enter(TAG.sequence, 'CompositeDeviceID');
  outer.end('CompositeDeviceID');
  id.value(TAG.integer, 'CompositeDeviceID version');
  id.value(TAG.sequence, 'CompositeDeviceID key');
  const fwid = readFwid(id);
  id.end('CompositeDeviceID');
  return fwid;
}

function readTcbInfo(value: Buffer): Buffer {
  const outer = new DerReader(value);
  const info = outer.enter(TAG.sequence, 'DiceTcbInfo');
  outer.end('DiceTcbInfo');
  let fwid: Buffer | undefined;
  while (info.more) {
    if (info.nextTag !== FWIDS) {
      info.any('DiceTcbInfo');
      continue;
    }
    if (fwid !== undefined) throw new MalformedError('DiceTcbInfo: fwids stand there twice');
    const fwids = info.enter(FWIDS, 'fwids');
    fwid = readFwid(fwids);
  }
  if (fwid === undefined) throw new MalformedError('DiceTcbInfo: no fwids');
  return fwid;
}

/** FWID ::= SEQUENCE { hashAlg OBJECT IDENTIFIER, digest OCTET STRING } */
function readFwid(reader: DerReader): Buffer {
  const fwid = reader.enter(TAG.sequence, 'FWID');
  const hash = derOid(fwid.content(TAG.oid, 'FWID hashAlg'), 'FWID hashAlg');
  const digest = fwid.content(TAG.octetString, 'FWID digest');
  fwid.end('FWID');
  if (hash !== SHA_384 || digest.length !== MEASUREMENT_BYTES) throw new MalformedError('FWID: not a SHA-384 digest');
  return digest;
}
