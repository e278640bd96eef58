import { toHex } from '../../bytes/hex.js';
import type { ClaimDescription } from '../../claims/claim-description.js';
import { claimTree, type ClaimTree } from '../../claims/claims.js';
import { sha256Hex } from '../../crypto/digest.js';
import type { HclReport } from './report.js';
import { VM_SETTINGS } from './vm-configuration.js';

/**
 * The claims below `hcl`. True only once the hardware report is verified, names the runtime data, and its measurement is one
 * of a paravisor that is believed. Settings that the runtime data leaves out, or has in
 * another type than is known, are no claims.
 */
export function hclClaims(hcl: HclReport): ClaimTree {
  const { akSpki, ekSpki, userData } = hcl;
  return claimTree({
    ...hcl.vmConfiguration.claims,
    type: hcl.hardware.kind,
    runtime_data_sha256: sha256Hex(hcl.runtimeData),
    ak_spki_sha256: akSpki === undefined ? undefined : sha256Hex(akSpki),
    ek_spki_sha256: ekSpki === undefined ? undefined : sha256Hex(ekSpki),
    user_data: userData === undefined ? undefined : toHex(userData),
  });
}

/** What the claims below `hcl` mean. */
export const HCL_CLAIMS: readonly ClaimDescription[] = [
  { name: 'hcl.type', type: 'string', meaning: 'snp or tdx: the kind of hardware report that vouches for the rest.' },
  {
    name: 'hcl.runtime_data_sha256',
    type: 'string',
    meaning: 'Lower-case hex; the hash of the runtime data, which the hardware report names.',
  },
  {
    name: 'hcl.ak_spki_sha256',
    type: 'string',
    meaning: 'Lower-case hex; SHA-256 of the SubjectPublicKeyInfo of the AK that the paravisor made.',
  },
  {
    name: 'hcl.ek_spki_sha256',
    type: 'string',
    meaning: 'Lower-case hex; SHA-256 of the SubjectPublicKeyInfo of the EK that the paravisor made.',
  },
  {
    name: 'hcl.user_data',
    type: 'string',
    meaning: '128 lower-case hex digits; what the guest had written to NV index 0x01400002 when the report was made.',
  },
  ...VM_SETTINGS.map(({ claim, type, meaning }) => ({ name: `hcl.${claim}`, type, meaning })),
];
