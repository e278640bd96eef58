import type { NonceKey } from '../challenge/nonce.js';
import type { Evidence } from '../evidence/evidence.js';
import type { TrustedAks } from '../evidence/tpm/trusted-aks.js';
import type { Recipient } from '../keys/recipient.js';
import type { Result } from '../reason/reason.js';
import type { ReleaseRequest } from './broker.js';
import type { BesidesQuote } from './hardware.js';
import type { Profile } from './records.js';
import type { Vouchers } from './vouchers.js';

/** A request as it was received, what its bytes decode to, and what everything in it but the quote has been found to say. */
export interface Presented {
  readonly request: ReleaseRequest;
  readonly recipient: Recipient;
  readonly evidence: Result<Evidence>;
  /** undefined: there is nothing but a quote, and nothing else is asked for. */
  readonly besides: BesidesQuote | undefined;
}

/** What an appraisal depends on beside the request and the facts of the store. */
export interface Circumstances extends Vouchers {
  readonly broker: string;
  readonly profile: Profile;
  readonly challengeTtlMs: number;
  readonly nonceKey: (epoch: number) => NonceKey;
  /** Random, hex: stands with the decision, so that its hash in the public log confirms no guess of what it holds. */
  readonly salt: string;
  /** AKs that were trusted before; those trusted now are put in. */
  readonly aks: TrustedAks;
}
