import type { Json } from '../bytes/canonical-json.js';
import { MAX_DEVICES } from '../challenge/binding.js';
import type { GpuEvidence } from './gpu/evidence.js';
import type { HclEvidence } from './hcl/evidence.js';
import type { SnpEvidence } from './snp/evidence.js';
import type { TdxEvidence } from './tdx/evidence.js';
import type { TpmEvidence } from './tpm/evidence.js';

/** The most devices that are taken, and the most tokens: one for each, one over all, and some of others. */
export const MAX_GPUS = MAX_DEVICES;
export const MAX_TOKENS = 24;

/** The member `evidence` of a release request, as received: bytes are base64url without padding, certificates DER. Empty members count as absent. */
export interface EvidenceMember {
  readonly tpm?: {
    readonly quoted: string;
    readonly signature: string;
    readonly ak?: string;
    readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
    readonly ak_certificates?: readonly string[];
    readonly event_log?: string;
  };
  readonly hcl?: { readonly report?: string; readonly certificates?: readonly string[]; readonly quote?: string };
  readonly snp?: { readonly report?: string; readonly certificates?: readonly string[] };
  readonly tdx?: { readonly quote?: string };
  readonly gpus?: readonly { readonly report?: string; readonly certificates?: readonly string[] }[];
  readonly tokens?: readonly Json[];
}

/** The same, decoded. Nothing in it is parsed or verified. */
export interface Evidence {
  readonly tpm: TpmEvidence | undefined;
  readonly hcl: HclEvidence | undefined;
  readonly snp: SnpEvidence | undefined;
  readonly tdx: TdxEvidence | undefined;
  readonly gpus: readonly GpuEvidence[];
  /** Compact JWTs. */
  readonly tokens: readonly string[];
}
