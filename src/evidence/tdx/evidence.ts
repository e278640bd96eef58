import type { TcbStatus } from '../../endorsement/intel/tcb-status.js';

/** Intel TDX evidence as it was received; nothing in it is verified. */
export interface TdxEvidence {
  /** A quote of version 4 or 5; up to 4096 bytes behind the signature data are ignored. */
  readonly quote: Buffer;
}

/** What of a deployment says more, or less, than the safe defaults do. */
export interface TdxRules {
  /** Whether a trust domain that its host may debug is accepted. */
  readonly debug: boolean;
  /** Whether a trust domain with a service TD bound to it is accepted. */
  readonly serviceTd: boolean;
  /** The TCB statuses that are accepted; Revoked never is. */
  readonly tcbStatus: readonly TcbStatus[];
}

/** What is accepted unless somebody says otherwise. */
export const SAFE_TDX_RULES: TdxRules = {
  debug: false,
  serviceTd: false,
  tcbStatus: ['UpToDate', 'SWHardeningNeeded', 'ConfigurationNeeded', 'ConfigurationAndSWHardeningNeeded'],
};
