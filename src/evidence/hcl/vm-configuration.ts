import { MalformedError } from '../../bytes/malformed-error.js';
import { type ClaimTree, claimTree, type ClaimValue, mergeClaims } from '../../claims/claims.js';

interface Setting {
  /** Where it stands in the runtime data, below `vm-configuration`. */
  readonly path: readonly string[];
  /** The name of the claim below `hcl`. */
  readonly claim: string;
  readonly type: 'boolean' | 'number' | 'string';
  /** A text that is the same in either case. */
  readonly caseless?: true;
  readonly meaning: string;
}

/** Settings of the machine (openvmm, AttestationVmConfig; some are of paravisors before it). */
export const VM_SETTINGS: readonly Setting[] = [
  boolean('console-enabled', 'The machine has a serial console.'),
  boolean('interactive-console-enabled', 'Its serial console takes input.'),
  boolean('ipmi-enabled', 'The machine has an IPMI device.'),
  boolean('secure-boot', 'UEFI Secure Boot is on.'),
  boolean('tpm-enabled', 'The machine has a virtual TPM.'),
  text('tpm-version', 'Revision of the TPM library in the virtual TPM.'),
  boolean(
    'tpm-persisted',
    'The machine is not run stateless; whether the state of its virtual TPM outlives it, this does not say.',
  ),
  boolean('filtered-vpci-devices-allowed', 'Some virtual PCI devices pass the filter.'),
  text('hardware-sealing-policy', 'What the state of the machine is sealed to: none, hash or signer.'),
  {
    ...text('key-release-context-hash', 'Lower-case hex; what the key of the state of the machine was released for.'),
    caseless: true,
  },
  {
    path: ['vmgs-provisioner', 'id'],
    claim: 'vmgs_provisioner.id',
    type: 'string',
    caseless: true,
    meaning: 'Lower case; the GUID of the file with the state of the machine, where its provisioner signed that.',
  },
  {
    path: ['vmgs-provisioner', 'signer'],
    claim: 'vmgs_provisioner.signer',
    type: 'string',
    meaning: 'Who signed for that file, a did:x509: the hash of the root and the subject of the leaf.',
  },
  text('root-cert-thumbprint', 'base64url; hash of the provisioning certificate.'),
  {
    path: ['current-time'],
    claim: 'current_time',
    type: 'number',
    meaning: 'Seconds since the Unix epoch, as the host told them.',
  },
  {
    path: ['vmUniqueId'],
    claim: 'vm_unique_id',
    type: 'string',
    caseless: true,
    meaning: 'Lower case; the id of the machine in its cloud.',
  },
];

function boolean(name: string, meaning: string): Setting {
  return { path: [name], claim: name.replaceAll('-', '_'), type: 'boolean', meaning };
}

function text(name: string, meaning: string): Setting {
  return { path: [name], claim: name.replaceAll('-', '_'), type: 'string', meaning };
}

export interface VmConfiguration {
  /** Those below `hcl`. */
  readonly claims: ClaimTree;
  /** Names of those that have no value, since that of the runtime data is not of the type that is known, or too long a text. */
  readonly unread: readonly string[];
}

/** Of a text; what a condition of a release policy can be compared with is no longer. */
const MAX_TEXT = 1024;
const UNREAD = Symbol('unread');

/**
 * The settings that are known and not null; others are passed over. One whose type a newer paravisor has changed is a tree without
 * members: it exists, and nothing can be compared with it. Throws MalformedError where the whole is no object.
 */
export function vmConfiguration(value: unknown): VmConfiguration {
  if (value === undefined) return { claims: claimTree({}), unread: [] };
  if (!isObject(value)) throw new MalformedError('vm-configuration: not an object');
  const trees: ClaimTree[] = [];
  const unread: string[] = [];
  for (const setting of VM_SETTINGS) {
    const found = readAt(value, setting.path, setting);
    if (found === undefined) continue;
    if (found === UNREAD) unread.push(setting.claim);
    trees.push(treeOf(setting.claim, found === UNREAD ? claimTree({}) : found));
  }
  return { claims: mergeClaims(...trees), unread };
}

function readAt(
  node: unknown,
  [name, ...below]: readonly string[],
  setting: Setting,
): ClaimValue | typeof UNREAD | undefined {
  if (node === undefined || node === null) return undefined;
  if (name === undefined) return typed(node, setting) ?? UNREAD;
  if (!isObject(node)) return UNREAD;
  return Object.hasOwn(node, name) ? readAt(node[name], below, setting) : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typed(value: unknown, { type, caseless }: Setting): ClaimValue | undefined {
  switch (type) {
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined;
    case 'number':
      return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
    case 'string':
      if (typeof value !== 'string' || value.length > MAX_TEXT) return undefined;
      return caseless === true ? value.toLowerCase() : value;
  }
}

/** One node under its dotted name. */
function treeOf(claim: string, value: ClaimValue | ClaimTree): ClaimTree {
  const [name = claim, ...below] = claim.split('.');
  return claimTree({ [name]: below.length === 0 ? value : treeOf(below.join('.'), value) });
}
