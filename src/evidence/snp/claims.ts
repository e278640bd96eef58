import { toHex } from '../../bytes/hex.js';
import type { ClaimDescription } from '../../claims/claim-description.js';
import { claimTree, type ClaimTree } from '../../claims/claims.js';
import { sha256Hex } from '../../crypto/digest.js';
import { type Flag, PLATFORM_FLAGS, POLICY_FLAGS, TCB_COMPONENTS, type TcbComponent } from './constants.js';
import { type FirmwareVersion, hasBit, hasMigrationAgent, isZero, type SnpReport } from './report.js';
import { isAtMost, type Tcb, tcbDifferences } from './tcb.js';
import type { Vek } from './vek.js';

/** The four TCBs of a report, by its generation. */
export interface SnpTcbs {
  /** What the VCEK or VLEK is derived for. */
  readonly reported: Tcb;
  readonly current: Tcb;
  readonly committed: Tcb;
  readonly launch: Tcb;
}

/** The claims below `snp` of a report that has been verified, as SNP_CLAIMS describes them. */
export function snpClaims(report: SnpReport, tcbs: SnpTcbs, vek: Vek, vekSpki: Buffer): ClaimTree {
  const { currentFirmware, committedFirmware, mitigation } = report;
  return claimTree({
    version: report.version,
    generation: vek.generation,
    signing_key: vek.kind,
    guest_svn: report.guestSvn,
    policy: claimTree({
      abi_major: Number((report.policy >> 8n) & 0xffn),
      abi_minor: Number(report.policy & 0xffn),
      ...flagClaims(report.policy, POLICY_FLAGS),
    }),
    family_id: toHex(report.familyId),
    image_id: toHex(report.imageId),
    vmpl: report.vmpl,
    platform: claimTree(flagClaims(report.platformInfo, PLATFORM_FLAGS)),
    author_key_enabled: report.authorKeyEnabled,
    mask_chip_key: report.maskChipKey,
    report_data: toHex(report.reportData),
    measurement: toHex(report.measurement),
    host_data: toHex(report.hostData),
    id_key_digest: toHex(report.idKeyDigest),
    author_key_digest: toHex(report.authorKeyDigest),
    report_id: toHex(report.reportId),
    report_id_ma: toHex(report.reportIdMa),
    migration_agent: hasMigrationAgent(report),
    tcb: claimTree({
      reported: claimTree(tcbs.reported),
      current: claimTree(tcbs.current),
      committed: claimTree(tcbs.committed),
      launch: claimTree(tcbs.launch),
      ordered: isAtMost(tcbs.reported, tcbs.committed) && isAtMost(tcbs.committed, tcbs.current),
      provisional: isProvisional(report, tcbs),
    }),
    cpuid: report.cpuid && claimTree({ ...report.cpuid }),
    chip_id: toHex(report.chipId),
    chip_hidden: isZero(report.chipId),
    firmware: claimTree({ current: claimTree({ ...currentFirmware }), committed: claimTree({ ...committedFirmware }) }),
    mitigation:
      mitigation &&
      claimTree({
        launch: mitigation.launch.toString(),
        current: mitigation.current.toString(),
        launch_bits: bitClaims(mitigation.launch),
        current_bits: bitClaims(mitigation.current),
      }),
    vek: claimTree({
      product: vek.productName,
      key_sha256: sha256Hex(vekSpki),
      hw_id: vek.hwId && toHex(vek.hwId),
      csp_id: vek.cspId,
    }),
  });
}

/** Whether the host may still go back to older firmware than runs now. */
function isProvisional({ currentFirmware, committedFirmware }: SnpReport, { current, committed }: SnpTcbs): boolean {
  const parts: readonly (keyof FirmwareVersion)[] = ['major', 'minor', 'build'];
  const isOther = parts.some((part) => currentFirmware[part] !== committedFirmware[part]);
  return isOther || tcbDifferences(current, committed).length > 0;
}

function flagClaims(bits: bigint, flags: readonly Flag[]): Record<string, boolean> {
  return Object.fromEntries(flags.map(({ bit, name }) => [name, hasBit(bits, bit)]));
}

/** Those that are set: a condition on one that is not set finds nothing, and is not met. */
function bitClaims(bits: bigint): ClaimTree {
  const set = Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => hasBit(bits, bit));
  return claimTree(Object.fromEntries(set.map((bit) => [String(bit), true])));
}

const TCB_MEANING: Readonly<Record<string, string>> = {
  reported: 'that the signing key was derived for: the one to set floors on',
  current: 'that runs now',
  committed: 'below which the host can no longer go',
  launch: 'that ran when the guest was launched or imported',
};
const COMPONENT_MEANING: Readonly<Record<TcbComponent, string>> = {
  fmc: 'the first mutable code (Turin alone)',
  bootloader: 'the boot loader of the secure processor',
  tee: 'the operating system of the secure processor',
  snp: 'the SEV-SNP firmware',
  microcode: 'the microcode',
};

/** Every claim that a verified report makes, in the order of docs/CLAIMS.md. */
export const SNP_CLAIMS: readonly ClaimDescription[] = [
  number('version', 'Version of the attestation report: 2, 3, 4 or 5.'),
  text('generation', 'Family of the processor: Milan, Genoa or Turin.'),
  text('signing_key', 'VCEK, the key of the chip, or VLEK, a key that its cloud provider had loaded.'),
  number('guest_svn', 'Security version number of the guest, from its ID block.'),
  number('policy.abi_major', 'Major version of the firmware ABI that the guest demands at least.'),
  number('policy.abi_minor', 'Minor version of the firmware ABI that the guest demands at least.'),
  ...POLICY_FLAGS.map(({ name, meaning }) => flag(`policy.${name}`, meaning)),
  text('family_id', 'Hex, 16 bytes; chosen by the author of the ID block.'),
  text('image_id', 'Hex, 16 bytes; chosen by the author of the ID block.'),
  number('vmpl', 'Privilege level, 0 to 3, of the code that asked for the report; 0 is the highest.'),
  ...PLATFORM_FLAGS.map(({ name, meaning }) => flag(`platform.${name}`, meaning)),
  flag('author_key_enabled', 'The ID key is signed by an author key, of which author_key_digest is the digest.'),
  flag('mask_chip_key', 'The host hides the key of the chip (MASK_CHIP_KEY).'),
  text('report_data', 'Hex, 64 bytes; chosen by the code that asked for the report.'),
  text('measurement', 'Hex, 48 bytes: the launch digest.'),
  text('host_data', 'Hex, 32 bytes; chosen by the host at launch, and fixed since.'),
  text('id_key_digest', 'Hex, SHA-384 of the key that signed the ID block; zero without one.'),
  text('author_key_digest', 'Hex, SHA-384 of the author key; zero without one.'),
  text('report_id', 'Hex, 32 bytes, unlike that of every other guest.'),
  text('report_id_ma', 'Hex, 32 bytes: the report id of the migration agent; all ones without one.'),
  flag('migration_agent', 'A migration agent is bound to the guest.'),
  ...Object.entries(TCB_MEANING).flatMap(([tcb, which]) =>
    TCB_COMPONENTS.map((part) =>
      number(`tcb.${tcb}.${part}`, `Security version of ${COMPONENT_MEANING[part]}, in the TCB ${which}.`),
    ),
  ),
  flag('tcb.ordered', 'In every part, reported is at most committed, and committed at most current.'),
  flag('tcb.provisional', 'The firmware that runs is not committed: the host may still go back to an older one.'),
  number('cpuid.family', 'Family of the processor with its extension; from version 3.'),
  number('cpuid.model', 'Model of the processor with its extension; from version 3.'),
  number('cpuid.stepping', 'Stepping of the processor; from version 3.'),
  text('chip_id', 'Hex, 64 bytes, of Turin 8 and zeros: the chip, as the report says; zero where it is hidden.'),
  flag('chip_hidden', 'chip_id is zero.'),
  ...(['current', 'committed'] as const).flatMap((which) =>
    (['major', 'minor', 'build'] as const).map((part) =>
      number(`firmware.${which}.${part}`, `${part} of the version of the SEV-SNP firmware, ${which}.`),
    ),
  ),
  text('mitigation.launch', 'Decimal: the mitigations that were verified at launch, one bit each; from version 5.'),
  text('mitigation.current', 'Decimal: the mitigations that are verified now, one bit each; from version 5.'),
  flag('mitigation.launch_bits.<n>', 'True for each bit n, 0 to 63, of mitigation.launch that is set.'),
  flag('mitigation.current_bits.<n>', 'True for each bit n, 0 to 63, of mitigation.current that is set.'),
  text('vek.product', 'Product name in the certificate of the signing key: Milan-B0.'),
  text('vek.key_sha256', 'Hex, SHA-256 of the SubjectPublicKeyInfo of the signing key.'),
  text('vek.hw_id', 'Hex, 64 bytes, of Turin 8: the chip that the VCEK is of, where the report hides it too.'),
  text('vek.csp_id', 'The cloud provider that the VLEK is of: CN=cc-us-east-2.amazonaws.com.'),
];

function number(name: string, meaning: string): ClaimDescription {
  return { name: `snp.${name}`, type: 'number', meaning };
}

function text(name: string, meaning: string): ClaimDescription {
  return { name: `snp.${name}`, type: 'string', meaning };
}

function flag(name: string, meaning: string): ClaimDescription {
  return { name: `snp.${name}`, type: 'boolean', meaning };
}
