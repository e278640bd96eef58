import { MalformedError } from '../../bytes/malformed-error.js';
import { toHex } from '../../bytes/hex.js';
import { parseCertificate } from '../../crypto/x509.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import { MAX_CHAIN_CERTIFICATES } from '../../endorsement/path.js';
import type { AmdGeneration } from '../../endorsement/hardware-roots.js';
import type { ExplainedField, ExplainedSection } from '../explained.js';
import {
  type Flag,
  MAX_VMPL,
  PLATFORM_FLAGS,
  POLICY_DEBUG,
  POLICY_FLAGS,
  POLICY_MIGRATE_MA,
  VMPL_HOST,
} from './constants.js';
import type { SnpEvidence } from './evidence.js';
import {
  generationOfCpuid,
  hasBit,
  hasMigrationAgent,
  isZero,
  readSnpReport,
  reservedFaults,
  type SnpReport,
  versionFault,
} from './report.js';
import { parseTcb, type Tcb, tcbDifferences, tcbText } from './tcb.js';
import { issuerOf, parseVek, type Vek } from './vek.js';

/** What was found out about the first certificate, or why nothing was. */
interface Leaf {
  readonly generation?: AmdGeneration;
  readonly vek?: Vek;
}

/**
 * The fields of a report and of its certificates, for a person, with what is wrong with them by themselves. NOT verified:
 * signatures, chains, dates. Throws MalformedError only, where the report is not of its length.
 */
export function explainSnp(evidence: SnpEvidence): readonly ExplainedSection[] {
  const report = readSnpReport(evidence.report);
  const certificates = evidence.certificates.slice(0, MAX_CHAIN_CERTIFICATES).map(explainCertificate);
  const leaf: Leaf = certificates[0]?.leaf ?? {};
  const byCpuid = report.cpuid && generationOfCpuid(report.cpuid);
  const generation = report.cpuid === undefined ? leaf.generation : byCpuid;
  return [
    { title: 'SEV-SNP report', fields: identityFields(report, evidence.report, generation, leaf.vek) },
    { title: 'SEV-SNP guest policy', fields: policyFields(report) },
    {
      title: 'SEV-SNP platform',
      fields: [...flagFields(report.platformInfo, PLATFORM_FLAGS), ...firmwareFields(report)],
    },
    { title: 'SEV-SNP TCB', fields: tcbFields(report, generation, leaf.vek) },
    ...certificates.map(({ fields }, index) => ({ title: `SEV-SNP certificate ${String(index + 1)}`, fields })),
  ];
}

function identityFields(
  report: SnpReport,
  bytes: Buffer,
  generation: AmdGeneration | undefined,
  vek: Vek | undefined,
): readonly ExplainedField[] {
  const unknown = versionFault(report);
  return [
    unknown === undefined
      ? field('version', String(report.version))
      : wrong('version', String(report.version), unknown),
    generation === undefined
      ? wrong('generation', 'unknown', 'no root is pinned for this processor, or no certificate says which it is')
      : field('generation', generation, report.cpuid === undefined ? 'by the certificate' : 'by the CPUID'),
    ...reservedFaults(bytes, report).map((fault) => wrong('reserved', 'not as it must be', fault)),
    field('guest svn', String(report.guestSvn)),
    field('family id', toHex(report.familyId)),
    field('image id', toHex(report.imageId)),
    vmplField(report.vmpl),
    signingKeyField(report, vek),
    field('author key', String(report.authorKeyEnabled)),
    field('report data', toHex(report.reportData), 'chosen by whoever asked for the report'),
    field('measurement', toHex(report.measurement), 'launch digest'),
    field('host data', toHex(report.hostData), 'chosen by the host at launch'),
    field('id key digest', toHex(report.idKeyDigest)),
    field('author key digest', toHex(report.authorKeyDigest)),
    field('report id', toHex(report.reportId)),
    hasMigrationAgent(report)
      ? wrong('report id of agent', toHex(report.reportIdMa), 'a migration agent is bound to the guest')
      : field('report id of agent', toHex(report.reportIdMa), 'none'),
    chipField(report, vek),
  ];
}

function vmplField(vmpl: number): ExplainedField {
  if (vmpl <= MAX_VMPL)
    return field('vmpl', String(vmpl), vmpl === 0 ? 'the highest privilege' : 'not the highest privilege');
  return wrong(
    'vmpl',
    String(vmpl),
    vmpl === VMPL_HOST ? 'the host asked for the report' : 'no privilege level of a guest',
  );
}

function signingKeyField({ signingKey, signingKeyNumber }: SnpReport, vek: Vek | undefined): ExplainedField {
  if (signingKey === undefined) return wrong('signing key', String(signingKeyNumber), 'no key has signed the report');
  if (vek === undefined || vek.kind === signingKey) return field('signing key', signingKey);
  return wrong('signing key', signingKey, `the certificate is a ${vek.kind}`);
}

function chipField({ chipId, maskChipKey }: SnpReport, vek: Vek | undefined): ExplainedField {
  const hex = toHex(chipId);
  const hwId = vek?.hwId;
  if (maskChipKey || (isZero(chipId) && hwId !== undefined)) return wrong('chip id', hex, 'the host hides the chip');
  if (isZero(chipId)) return field('chip id', hex, 'not shown');
  const isOther = hwId !== undefined && !chipId.equals(Buffer.concat([hwId], chipId.length));
  return isOther ? wrong('chip id', hex, 'not the chip of the certificate') : field('chip id', hex);
}

function policyFields({ policy }: SnpReport): readonly ExplainedField[] {
  const abi = `${String((policy >> 8n) & 0xffn)}.${String(policy & 0xffn)}`;
  const flags = flagFields(policy, POLICY_FLAGS, [POLICY_DEBUG, POLICY_MIGRATE_MA]);
  return [field('abi', abi, 'of the firmware, at least'), ...flags];
}

/** Those of `against` are refused by the safe defaults where they are set. */
function flagFields(bits: bigint, flags: readonly Flag[], against: readonly number[] = []): readonly ExplainedField[] {
  return flags.map(({ bit, name, meaning }) => {
    const label = name.replaceAll('_', ' ');
    if (!hasBit(bits, bit)) return field(label, 'no');
    return against.includes(bit) ? wrong(label, 'yes', meaning) : field(label, 'yes', meaning);
  });
}

function firmwareFields({
  currentFirmware,
  committedFirmware,
  cpuid,
  mitigation,
}: SnpReport): readonly ExplainedField[] {
  const text = ({ major, minor, build }: SnpReport['currentFirmware']) => [major, minor, build].map(String).join('.');
  const current = text(currentFirmware);
  const committed = text(committedFirmware);
  return [
    field('firmware', current),
    field('firmware committed', committed, current === committed ? undefined : 'the host may still go back to it'),
    ...(cpuid === undefined
      ? []
      : [field('cpuid', `family ${hex(cpuid.family)}, model ${hex(cpuid.model)}, stepping ${hex(cpuid.stepping)}`)]),
    ...(mitigation === undefined
      ? []
      : [
          field('mitigations at launch', mitigation.launch.toString(2), 'bits, the lowest last'),
          field('mitigations now', mitigation.current.toString(2), 'bits, the lowest last'),
        ]),
  ];
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

function tcbFields(
  report: SnpReport,
  generation: AmdGeneration | undefined,
  vek: Vek | undefined,
): readonly ExplainedField[] {
  const rows = [
    ['reported', report.reportedTcb],
    ['committed', report.committedTcb],
    ['current', report.currentTcb],
    ['launch', report.launchTcb],
  ] as const;
  return rows.map(([name, bytes]) => {
    if (generation === undefined) return field(name, toHex(bytes), 'bytes, since the generation is not known');
    let tcb: Tcb;
    try {
      tcb = parseTcb(bytes, generation, name);
    } catch (error) {
      return wrong(name, toHex(bytes), messageOf(error));
    }
    if (name === 'reported' && vek?.generation === generation && tcbDifferences(vek.tcb, tcb).length > 0) {
      return wrong(name, tcbText(tcb), `the key of the certificate was derived for ${tcbText(vek.tcb)}`);
    }
    return field(name, tcbText(tcb));
  });
}

function explainCertificate(
  der: Buffer,
  index: number,
): { readonly fields: readonly ExplainedField[]; readonly leaf: Leaf } {
  const fields: ExplainedField[] = [];
  let leaf: Leaf = {};
  try {
    const certificate = parseCertificate(der);
    const name = ({ attributes }: typeof certificate.subject) =>
      onlyAttribute(attributes, COMMON_NAME) ?? 'no common name';
    const date = (ms: number) => new Date(ms).toISOString();
    fields.push(
      field('subject', name(certificate.subject)),
      field('issuer', name(certificate.issuer)),
      field('serial', certificate.serial),
      field('valid', `${date(certificate.notBeforeMs)} to ${date(certificate.notAfterMs)}`),
    );
    if (index > 0) return { fields, leaf };
    leaf = { generation: issuerOf(certificate).generation };
    const vek = parseVek(certificate);
    leaf = { generation: vek.generation, vek };
    fields.push(field('product', vek.productName), field('tcb', tcbText(vek.tcb)));
    if (vek.hwId !== undefined) fields.push(field('hardware id', toHex(vek.hwId)));
    if (vek.cspId !== undefined) fields.push(field('cloud provider', vek.cspId));
  } catch (error) {
    fields.push(wrong('certificate', `${String(der.length)} bytes`, messageOf(error)));
  }
  return { fields, leaf };
}

/** Why something does not parse; any other error passes through. */
function messageOf(error: unknown): string {
  if (error instanceof MalformedError) return error.message;
  throw error;
}

function field(name: string, value: string, note?: string): ExplainedField {
  return note === undefined ? { name, value } : { name, value, note };
}

function wrong(name: string, value: string, note: string): ExplainedField {
  return { name, value, note, wrong: true };
}
