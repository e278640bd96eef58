import { equalBytes } from '../../bytes/equal.js';
import { quoteBinding } from '../../challenge/binding.js';
import type { VerifiedCvm } from '../../evidence/appraise.js';
import type { Evidence } from '../../evidence/evidence.js';
import { parseGpuReport } from '../../evidence/gpu/report.js';
import type { VerifiedQuote } from '../../evidence/tpm/quote.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { refuseUnbound } from '../../release/refuse-unbound.js';

/** Which pieces a condition has tied to the challenge already; undefined: not this one. */
export interface GivenTies {
  readonly extraData: Buffer | undefined;
  readonly gpuNonce: Buffer | undefined;
  readonly reportData: Buffer | undefined;
}

/**
 * That verified pieces answer one and the same challenge, whatever that was: devices and report name its `base`, the quote too (with the
 * hashes of the device reports behind it where there are any). Two pieces that were both given conditions of their own are not compared.
 * A certificate of the AK must be one of the AK. Refuses with evidence.unbound. Report data under HCL is made at boot, and names no challenge.
 */
export function checkTies(
  { tpm, gpus }: Evidence,
  cvm: VerifiedCvm | undefined,
  quote: Pick<VerifiedQuote, 'quote' | 'ak'> | undefined,
  given: GivenTies,
): Result<undefined> {
  const certified = quote === undefined ? accept(undefined) : refuseUnbound(tpm?.akCertificates ?? [], quote.ak.spki);
  if (!certified.ok) return certified;
  const nonces = gpus.map(({ report }) => parseGpuReport(report).nonce);
  const [nonce] = nonces;
  if (nonce !== undefined && !nonces.every((each) => equalBytes(each, nonce))) {
    return unbound('the devices answered different nonces');
  }
  const reported = cvm === undefined || cvm.hasRuntimeData ? undefined : cvm.reportData.subarray(0, 32);
  const devicesGiven = given.gpuNonce !== undefined;
  const reportGiven = given.reportData !== undefined;
  if (nonce !== undefined && reported !== undefined && !(devicesGiven && reportGiven)) {
    if (!equalBytes(nonce, reported))
      return unbound('the devices answered another challenge than the report of the VM');
  }
  const base = nonce ?? reported;
  const baseGiven = nonce === undefined ? reportGiven : devicesGiven;
  if (quote === undefined || base === undefined || (given.extraData !== undefined && baseGiven))
    return accept(undefined);
  const bound = quoteBinding(
    base,
    gpus.map(({ report }) => report),
  );
  return equalBytes(quote.quote.extraData, bound)
    ? accept(undefined)
    : unbound('extraData of the quote does not name the challenge, and the device reports, of the other evidence');
}

function unbound(detail: string): Result<undefined> {
  return reject('evidence.unbound', detail);
}
