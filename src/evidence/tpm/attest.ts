import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import { reject, type Rejection, type Result } from '../../reason/reason.js';
import {
  ATTEST_NAMES,
  MAX_DIGEST_BYTES,
  MAX_TPMT_HA_BYTES,
  TPM_GENERATED_VALUE,
  TPM_ST_ATTEST_QUOTE,
} from './constants.js';
import { orMalformed } from './malformed.js';
import { parsePcrSelections } from './pcr-selection.js';
import type { ClockInfo, QuoteAttest } from './structures.js';

const HEADER_BYTES = 6;

/**
 * TPMS_ATTEST of a quote; nothing is verified. quote.magic when it does not start with TPM_GENERATED_VALUE, quote.type
 * when it is another kind of attestation (whatever follows), evidence.malformed when it is cut short, has trailing
 * bytes, or a field is out of its bounds: qualifiedSigner and extraData up to 66 bytes, pcrDigest up to 64, safe 0 or 1.
 */
export function parseAttest(quoted: Buffer): Result<QuoteAttest> {
  return checkHeader(quoted) ?? orMalformed(() => parseBody(quoted));
}

/** Magic and type first: of another structure nothing more can be said than that it is one. */
function checkHeader(quoted: Buffer): Rejection | undefined {
  if (quoted.length >= 4 && quoted.readUInt32BE(0) !== TPM_GENERATED_VALUE) {
    return reject('quote.magic', 'the quoted structure does not start with ff544347: no TPM made it as an attestation');
  }
  if (quoted.length < HEADER_BYTES) return undefined;
  const type = quoted.readUInt16BE(4);
  if (type === TPM_ST_ATTEST_QUOTE) return undefined;
  const found = ATTEST_NAMES.get(type) ?? `0x${type.toString(16).padStart(4, '0')}`;
  return reject('quote.type', `the attestation is not a quote but of type ${found}`, {
    claim: 'quote.type',
    operator: 'equals',
    expected: 'quote',
    found,
  });
}

function parseBody(quoted: Buffer): QuoteAttest {
  const r = new Reader(quoted);
  r.take(HEADER_BYTES, 'TPMS_ATTEST.magic and type');
  const qualifiedSigner = r.sized16(MAX_TPMT_HA_BYTES, 'qualifiedSigner');
  const extraData = r.sized16(MAX_TPMT_HA_BYTES, 'extraData');
  const clockInfo = parseClockInfo(r);
  const firmwareVersion = r.u64be('firmwareVersion');
  const pcrSelect = parsePcrSelections(r);
  const pcrDigest = r.sized16(MAX_DIGEST_BYTES, 'pcrDigest');
  r.end('TPMS_ATTEST');
  return { qualifiedSigner, extraData, clockInfo, firmwareVersion, pcrSelect, pcrDigest };
}

function parseClockInfo(r: Reader): ClockInfo {
  const clock = r.u64be('clockInfo.clock');
  const resetCount = r.u32be('clockInfo.resetCount');
  const restartCount = r.u32be('clockInfo.restartCount');
  const safe = r.u8('clockInfo.safe');
  if (safe > 1) throw new MalformedError('clockInfo.safe: neither 0 nor 1');
  return { clock, resetCount, restartCount, safe: safe === 1 };
}
