import { KekError } from '../keys/kek.js';
import { REASONS, reject, type ReasonCode, type Rejection } from '../reason/reason.js';
import type { Denial } from '../release/broker.js';
import { UnwitnessedError } from '../release/receipt.js';
import { RolledBackError, StoreIntegrityError, StoreUnavailableError } from '../release/store.js';

/** The status of each reason: the only place of the native face that knows statuses. Complete, or it does not compile. */
const STATUS: Readonly<Record<ReasonCode, number>> = {
  'request.malformed': 400,
  'request.too_large': 413,
  'request.rate_limited': 429,
  'route.unknown': 404,
  'auth.missing': 401,
  'auth.invalid': 401,
  'auth.role': 403,
  'resource.exists': 409,
  'resource.unknown': 404,
  'resource.state': 409,
  'deployment.unknown': 404,
  'deployment.frozen': 403,
  'deployment.unmeasured_boot': 422,
  'deployment.resettable_pcr': 422,
  'deployment.simulator_trust': 422,
  'deployment.unsupported': 422,
  'key.unknown': 404,
  'key.disabled': 403,
  'key.frozen': 403,
  'challenge.invalid': 403,
  'challenge.expired': 403,
  'challenge.replayed': 403,
  'evidence.malformed': 400,
  'evidence.unbound': 403,
  'quote.magic': 403,
  'quote.type': 403,
  'quote.algorithm': 403,
  'quote.signature': 403,
  'quote.binding': 403,
  'quote.pcr_selection': 403,
  'quote.pcr_values': 403,
  'quote.pcr_digest': 403,
  'ak.attributes': 403,
  'ak.untrusted': 403,
  'ak.pending': 403,
  'ak.revoked': 403,
  'ek.chain': 403,
  'ek.revoked': 403,
  'enrolment.secret': 403,
  'enrolment.expired': 403,
  'attester.conflict': 409,
  'snp.version': 403,
  'snp.chain': 403,
  'snp.signature': 403,
  'snp.tcb_mismatch': 403,
  'snp.chip': 403,
  'snp.csp': 403,
  'snp.vmpl': 403,
  'snp.debug': 403,
  'snp.migration': 403,
  'tdx.version': 403,
  'tdx.chain': 403,
  'tdx.qe': 403,
  'tdx.signature': 403,
  'tdx.module': 403,
  'tdx.tcb': 403,
  'tdx.debug': 403,
  'tdx.attributes': 403,
  'tdx.service_td': 403,
  'hcl.type': 403,
  'hcl.runtime_data': 403,
  'hcl.ak_mismatch': 403,
  'hcl.quote_mismatch': 403,
  'gpu.chain': 403,
  'gpu.signature': 403,
  'gpu.nonce': 403,
  'gpu.fwid': 403,
  'gpu.rim': 403,
  'gpu.measurement': 403,
  'gpu.debug': 403,
  'gpu.duplicate': 403,
  'gpu.count': 403,
  'token.untrusted': 403,
  'token.invalid': 403,
  'policy.hash': 403,
  'policy.validity': 403,
  'policy.pcr': 403,
  'policy.claims': 403,
  'checkpoint.malformed': 400,
  'checkpoint.origin': 403,
  'checkpoint.signature': 403,
  'checkpoint.cosignature': 403,
  'receipt.malformed': 400,
  'receipt.proof': 403,
  'receipt.jwe': 403,
  'receipt.mismatch': 403,
  'log.unwitnessed': 503,
  'collateral.unavailable': 503,
  'store.unavailable': 503,
  'store.integrity': 503,
  internal: 500,
};

/** What Node's HTTP parser refuses before there is a request: error code to status. All are `request.malformed`, with the status that HTTP has for them. */
const TRANSPORT: Readonly<Record<string, { readonly status: number; readonly detail: string }>> = {
  HPE_HEADER_OVERFLOW: { status: 431, detail: 'the header section is too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: 'the request did not arrive in time' },
};

/** An answer of RFC 9457. */
export interface Problem {
  readonly reason: ReasonCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
}

export const PROBLEM_TYPE = 'application/problem+json';

export function statusOf(reason: ReasonCode): number {
  return STATUS[reason];
}

/**
 * The problem document of a refusal. The decision of a denial goes in as it is; findings of a refusal without decision
 * go in as the member `findings`. The use case has left out what this caller may not see.
 */
export function problem(refusal: Denial, requestId: string, status: number = STATUS[refusal.reason]): Problem {
  const { reason, detail, decision, findings } = refusal;
  const body = {
    type: `urn:portcullis:problem:${reason}`,
    title: REASONS[reason],
    status,
    detail,
    reason,
    ...(decision === undefined ? {} : { decision }),
    ...(decision !== undefined || findings === undefined ? {} : { findings }),
    request_id: requestId,
  };
  return { reason, status, headers: headersOf(reason, status), body: JSON.stringify(body) };
}

function headersOf(reason: ReasonCode, status: number): Record<string, string> {
  switch (status) {
    case 401:
      return { 'www-authenticate': reason === 'auth.missing' ? CHALLENGE : `${CHALLENGE}, error="invalid_token"` };
    case 429:
      return { 'retry-after': '1' };
    case 503:
      return { 'retry-after': '5' };
    default:
      return {};
  }
}

/** RFC 6750 section 3. */
const CHALLENGE = 'Bearer realm="portcullis"';

/**
 * The refusal that a fault is answered with. A store that cannot record, or a row that fails its authentication, is
 * named; anything else, a failing KEK included, is `internal`. The message of the error goes to the log, never out.
 */
export function refusalOfFault(error: unknown): Rejection {
  if (error instanceof StoreUnavailableError) {
    return reject('store.unavailable', 'the store cannot be written or read now; try again later');
  }
  if (error instanceof RolledBackError) {
    return reject(
      'store.integrity',
      'the database lacks entries of its log that were seen before; nothing is released or changed until an administrator restores the newer database, or accepts the loss: portcullis log accept-rollback',
    );
  }
  if (error instanceof StoreIntegrityError) {
    return reject('store.integrity', 'stored state fails its authentication; an administrator must look at the log');
  }
  if (error instanceof UnwitnessedError) {
    return reject(
      'log.unwitnessed',
      'the release is recorded, but too few witnesses have cosigned it; ask again with a new challenge',
    );
  }
  if (error instanceof KekError)
    return reject('internal', 'a key could not be unwrapped; the request id finds the fault in the log');
  return reject('internal', 'the request id finds the fault in the log');
}

/** The problem of a connection that Node's parser gave up on; `code` is the error's. */
export function transportProblem(code: string | undefined, requestId: string): Problem {
  const known = code !== undefined && Object.hasOwn(TRANSPORT, code) ? TRANSPORT[code] : undefined;
  const refusal = reject('request.malformed', known?.detail ?? 'the request is not valid HTTP/1.1');
  return problem(refusal, requestId, known?.status ?? STATUS['request.malformed']);
}
