import type { ReleasePolicy } from './release-policy.js';

/** The PCR banks that a policy can be measured into. */
export type PolicyBank = 'sha256' | 'sha384';

/** What can make an AK believable, as in `attesters.trust`. */
export type TrustKind = 'pinned' | 'ek-certificate' | 'ak-certificate' | 'cvm-report' | 'simulator';

/** Where the policy hash is measured. */
export interface Measurement {
  readonly source: 'tpm' | 'snp.host_data' | 'tdx.mrconfigid';
  readonly bank: PolicyBank;
  /** 0 to 23. */
  readonly pcr: number;
  readonly allowResettable: boolean;
}

/** Reference values of the boot chain: for each PCR (decimal index) of `measurement.bank`, the accepted values in lower-case hex. */
export interface Platform {
  readonly pcrs: Readonly<Record<string, readonly string[]>>;
  readonly unmeasuredBoot: boolean;
  /** What is accepted beyond the safe defaults, or asked for beyond them, of each kind of hardware evidence. */
  readonly snp?: SnpPlatform;
  readonly tdx?: TdxPlatform;
  readonly gpus?: GpuPlatform;
}

export interface SnpPlatform {
  readonly debug?: boolean;
  readonly migrationAgent?: boolean;
  readonly maskedChip?: boolean;
  /** Cloud providers whose VLEKs are accepted, as the certificates name them; none unless said. */
  readonly cspIds?: readonly string[];
}

export interface TdxPlatform {
  readonly debug?: boolean;
  readonly serviceTd?: boolean;
  readonly tcbStatus?: readonly AcceptableTcbStatus[];
}

/** TCB statuses that a deployment may accept; Intel's Revoked is never one. */
export type AcceptableTcbStatus =
  | 'UpToDate'
  | 'SWHardeningNeeded'
  | 'ConfigurationNeeded'
  | 'ConfigurationAndSWHardeningNeeded'
  | 'OutOfDate'
  | 'OutOfDateConfigurationNeeded';

export interface GpuPlatform {
  /** How many GPUs must have answered, 0 to 16. */
  readonly count?: number;
  readonly debug?: boolean;
}

export interface CvmAllowance {
  readonly measurement?: string;
  readonly idKeyDigest?: string;
  readonly vmpl?: number;
}

/** Who may attest. Hashes are SHA-256 of SubjectPublicKeyInfo DER, lower-case hex; roots are PEM text. */
export interface AttesterRules {
  readonly trust: readonly TrustKind[];
  readonly roots: readonly string[];
  readonly allow: {
    readonly ek: readonly string[];
    readonly ak: readonly string[];
    readonly instance: readonly Readonly<Record<string, string>>[];
    readonly cvm: readonly CvmAllowance[];
  };
  readonly anyFromRoots: boolean;
}

/** A deployment document with its defaults filled in. The policies it accepts stand beside it, as PolicyLink. */
export interface Deployment {
  readonly name: string;
  readonly description?: string;
  readonly measurement: Measurement;
  readonly platform: Platform;
  readonly attesters: AttesterRules;
  readonly release?: ReleasePolicy;
}

/**
 * A runtime policy that a deployment accepts, with its dates (ms since the Unix epoch; from notBeforeMs on, before
 * notAfterMs). `sha384` is needed where the bank is SHA-384, since a policy is measured as H(bytes), H the bank's hash.
 */
export interface AcceptedPolicy {
  readonly sha256: string;
  readonly sha384?: string;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}
