import { MalformedError } from '../../bytes/malformed-error.js';
import type { ClaimValue } from '../../claims/claims.js';

interface Setting {
  /** The name of the claim below `hcl`. */
  readonly claim: string;
  readonly type: 'boolean' | 'number' | 'string';
  readonly meaning: string;
}

/** Settings of the machine, by their names in the runtime data (openvmm, AttestationVmConfig). */
export const VM_SETTINGS: ReadonlyMap<string, Setting> = new Map<string, Setting>([
  ['console-enabled', { claim: 'console_enabled', type: 'boolean', meaning: 'The machine has a serial console.' }],
  [
    'interactive-console-enabled',
    { claim: 'interactive_console_enabled', type: 'boolean', meaning: 'Its serial console takes input.' },
  ],
  ['ipmi-enabled', { claim: 'ipmi_enabled', type: 'boolean', meaning: 'The machine has an IPMI device.' }],
  ['secure-boot', { claim: 'secure_boot', type: 'boolean', meaning: 'UEFI Secure Boot is on.' }],
  ['tpm-enabled', { claim: 'tpm_enabled', type: 'boolean', meaning: 'The machine has a virtual TPM.' }],
  ['tpm-version', { claim: 'tpm_version', type: 'string', meaning: 'Revision of the TPM library in the virtual TPM.' }],
  [
    'tpm-persisted',
    { claim: 'tpm_persisted', type: 'boolean', meaning: 'The state of the virtual TPM outlives the machine.' },
  ],
  [
    'filtered-vpci-devices-allowed',
    { claim: 'filtered_vpci_devices_allowed', type: 'boolean', meaning: 'Some virtual PCI devices pass the filter.' },
  ],
  [
    'hardware-sealing-policy',
    {
      claim: 'hardware_sealing_policy',
      type: 'string',
      meaning: 'What the state of the machine is sealed to: none, hash or signer.',
    },
  ],
  [
    'key-release-context-hash',
    {
      claim: 'key_release_context_hash',
      type: 'string',
      meaning: 'Lower-case hex; what the key of the state of the machine was released for.',
    },
  ],
  [
    'vmgs-provisioner',
    { claim: 'vmgs_provisioner', type: 'string', meaning: 'Who made the file with the state of the machine.' },
  ],
  [
    'root-cert-thumbprint',
    { claim: 'root_cert_thumbprint', type: 'string', meaning: 'base64url; hash of the provisioning certificate.' },
  ],
  [
    'current-time',
    { claim: 'current_time', type: 'number', meaning: 'Seconds since the Unix epoch, as the host told them.' },
  ],
  ['vmUniqueId', { claim: 'vm_unique_id', type: 'string', meaning: 'Lower case; the id of the machine in its cloud.' }],
]);

/** Claims below `hcl`, by name. */
export type VmConfiguration = Readonly<Record<string, ClaimValue>>;

const MAX_TEXT = 256;
/** Texts that are the same in either case. */
const CASELESS: ReadonlySet<string> = new Set(['key-release-context-hash', 'vmUniqueId']);

/** The settings that are known and not null; others are passed over. Throws MalformedError for a value of another type. */
export function vmConfiguration(value: unknown): VmConfiguration {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedError('vm-configuration: not an object');
  }
  const found: Record<string, ClaimValue> = {};
  for (const [name, setting] of Object.entries(value)) {
    const known = VM_SETTINGS.get(name);
    if (known === undefined || setting === null) continue;
    found[known.claim] = checked(name, known.type, setting);
  }
  return found;
}

function checked(name: string, type: Setting['type'], value: unknown): ClaimValue {
  switch (type) {
    case 'boolean':
      if (typeof value === 'boolean') return value;
      break;
    case 'number':
      if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
      break;
    case 'string':
      if (typeof value === 'string' && value.length <= MAX_TEXT)
        return CASELESS.has(name) ? value.toLowerCase() : value;
      break;
  }
  throw new MalformedError(`vm-configuration: ${name} is not a ${type}, or too large`);
}
