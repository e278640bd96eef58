/** What can go wrong on the workload's side. Each failure of a release is one of these, and then nothing is returned. */
import type { ReasonCode } from '../reason/reason.js';

/** The broker refused. `reason` is the machine-readable code of the problem document (`docs/REASONS.md`). */
export class ReleaseDeniedError extends Error {
  override readonly name = 'ReleaseDeniedError';
  /** HTTP status. */
  readonly status: number;
  readonly reason: string;
  readonly detail: string;
  /** The decision tree: which condition was not met, what was expected and what was found; once nonce, AK, signature and binding were accepted. */
  readonly decision: Readonly<Record<string, unknown>> | undefined;
  /** Finds the request in the broker's log. */
  readonly requestId: string | undefined;
  /** Set where the broker said when to come back (`Retry-After`). */
  readonly retryAfterSeconds: number | undefined;

  constructor(denial: {
    readonly status: number;
    readonly reason: string;
    readonly detail: string;
    readonly decision?: Readonly<Record<string, unknown>> | undefined;
    readonly requestId?: string | undefined;
    readonly retryAfterSeconds?: number | undefined;
    /** What else failed on the way. */
    readonly cause?: unknown;
  }) {
    super(`${denial.reason}: ${denial.detail}`, 'cause' in denial ? { cause: denial.cause } : {});
    this.status = denial.status;
    this.reason = denial.reason;
    this.detail = denial.detail;
    this.decision = denial.decision;
    this.requestId = denial.requestId;
    this.retryAfterSeconds = denial.retryAfterSeconds;
  }
}

/** No answer: the broker does not listen, its certificate is not trusted, or the time was up. `cause` says which. */
export class BrokerUnreachableError extends Error {
  override readonly name = 'BrokerUnreachableError';
}

/** An answer that is not what was asked for, or not what the interface promises: nothing of it is used. */
export class BrokerAnswerError extends Error {
  override readonly name = 'BrokerAnswerError';
  /** Why its receipt was refused (`docs/REASONS.md`); undefined where something else was wrong. */
  readonly reason: ReasonCode | undefined;

  constructor(message: string, options: { readonly cause?: unknown; readonly reason?: ReasonCode } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.reason = options.reason;
  }
}

/** The evidence could not be made: tools are missing, the TPM does not answer, the AK is unfit. */
export class AttesterError extends Error {
  override readonly name = 'AttesterError';
}
