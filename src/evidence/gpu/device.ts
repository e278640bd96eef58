import { equalBytes } from '../../bytes/equal.js';
import { toHex } from '../../bytes/hex.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { verifyEcdsa } from '../../crypto/signature.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import { type GpuDevice, verifyDeviceChain } from './chain.js';
import type { GpuEvidence } from './evidence.js';
import { type GpuFacts, gpuFacts } from './facts.js';
import { matchFwid } from './fwid.js';
import { modeFault } from './mode.js';
import { type GpuReport, parseGpuReport } from './report.js';

/** A device that signed its report in answer to the nonce; its measurements are not yet compared with anything. */
export interface AnsweringDevice {
  readonly device: GpuDevice;
  readonly report: GpuReport;
  readonly facts: GpuFacts;
}

const COORDINATE_BYTES = 48;

/**
 * Verifies all of the evidence of one device that needs no manifest. Refusals in this order: evidence.malformed, gpu.chain,
 * gpu.signature, evidence.malformed (opaque data), gpu.nonce, gpu.fwid, gpu.debug. NOT refused: a stale CRL, `device.withoutCrl`.
 */
export function verifyDevice(
  { report: bytes, certificates }: GpuEvidence,
  trust: HardwareTrust,
  nonce: Buffer | undefined,
  debug: boolean,
): Result<AnsweringDevice> {
  const report = parsed(() => parseGpuReport(bytes));
  if (!report.ok) return report;
  const device = verifyDeviceChain(certificates, trust);
  if (!device.ok) return device;
  if (!isSigned(report.value, device.value)) return reject('gpu.signature', 'the report is not signed by its device');
  const facts = parsed(() => gpuFacts(report.value, device.value));
  if (!facts.ok) return facts;
  const stale = checkNonce(report.value.nonce, nonce);
  if (stale !== undefined) return stale;
  const fwid = matchFwid(facts.value.fwid, device.value.leaf);
  if (!fwid.ok) return fwid;
  const fault = debug ? undefined : modeFault(facts.value);
  if (fault !== undefined) return reject('gpu.debug', fault);
  return accept({ device: device.value, report: report.value, facts: facts.value });
}

function parsed<T>(parse: () => T): Result<T> {
  try {
    return accept(parse());
  } catch (error) {
    if (error instanceof MalformedError) return reject('evidence.malformed', error.message);
    throw error;
  }
}

/** Whether the device's key signed request and response, with SHA-384. */
export function isSigned({ signed, signature }: GpuReport, { key }: GpuDevice): boolean {
  const rs = { r: signature.subarray(0, COORDINATE_BYTES), s: signature.subarray(COORDINATE_BYTES) };
  return verifyEcdsa('sha384', 'P-384', key.key, signed, rs);
}

function checkNonce(found: Buffer, expected: Buffer | undefined): Rejection | undefined {
  if (expected === undefined || equalBytes(found, expected)) return undefined;
  return reject('gpu.nonce', 'the report answers another nonce', {
    claim: 'gpu.nonce',
    operator: 'equals',
    expected: toHex(expected),
    found: toHex(found),
  });
}
