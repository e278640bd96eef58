import { equalBytes } from '../../bytes/equal.js';
import { toHex } from '../../bytes/hex.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { claimAt } from '../../claims/claims.js';
import { sha256, sha256Hex } from '../../crypto/digest.js';
import type { ExplainedField, ExplainedSection } from '../explained.js';
import { HASH_TYPE_NAMES, HASH_TYPE_SHA256, REPORT_TYPE_NAMES, REPORT_TYPE_SNP, REPORT_TYPE_TDX } from './constants.js';
import type { HclEvidence } from './evidence.js';
import { hardwareOf, type HclFrame, parseHclFrame } from './report.js';
import { parseRuntimeData, type RuntimeData } from './runtime-data.js';
import type { TdReport } from './td-report.js';
import { reportDataIn } from './verify.js';
import { VM_SETTINGS } from './vm-configuration.js';

/**
 * What an HCL report says, for a person; nothing is verified. A hardware report or runtime data that does not parse is said so
 * in its place; throws MalformedError where the frame itself does not parse.
 */
export function explainHcl({ report, certificates, quote }: HclEvidence): readonly ExplainedSection[] {
  const frame = parseHclFrame(report);
  const beside: readonly ExplainedField[] = [
    { name: 'certificates', value: String(certificates.length) },
    { name: 'TD quote', value: quote === undefined ? 'none' : `${String(quote.length)} bytes` },
  ];
  return [
    { title: 'HCL report (not signed by itself)', fields: [...frameFields(frame), ...beside] },
    ...section('TD report inside', () => {
      if (frame.reportType !== REPORT_TYPE_TDX) return undefined;
      const hardware = hardwareOf(frame);
      return hardware.kind === 'tdx' ? tdFields(hardware.tdReport) : undefined;
    }),
    ...section('Runtime data (believed where the hardware report names its hash)', () => [
      ...bindingFields(frame),
      ...runtimeFields(parseRuntimeData(frame.runtimeData)),
    ]),
  ];
}

function section(title: string, make: () => readonly ExplainedField[] | undefined): readonly ExplainedSection[] {
  try {
    const fields = make();
    return fields === undefined ? [] : [{ title, fields }];
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return [{ title, fields: [{ name: 'malformed', value: 'does not parse', note: error.message, wrong: true }] }];
  }
}

function frameFields(frame: HclFrame): readonly ExplainedField[] {
  const { reportType, hashType } = frame;
  const type = {
    name: 'report type',
    value: `${String(reportType)} (${REPORT_TYPE_NAMES.get(reportType) ?? 'unknown'})`,
  };
  const hash = { name: 'hash type', value: `${String(hashType)} (${HASH_TYPE_NAMES.get(hashType) ?? 'unknown'})` };
  return [
    { name: 'version', value: String(frame.version) },
    { name: 'request version', value: String(frame.requestVersion) },
    { name: 'capabilities', value: `0x${frame.capabilities.toString(16)}` },
    isKnown(frame) ? type : { ...type, note: 'only SEV-SNP and TDX machines are verified', wrong: true },
    hashType === HASH_TYPE_SHA256 ? hash : { ...hash, note: 'only SHA-256 is accepted', wrong: true },
    { name: 'runtime data', value: `${String(frame.runtimeData.length)} bytes` },
  ];
}

function isKnown({ reportType }: HclFrame): boolean {
  return reportType === REPORT_TYPE_SNP || reportType === REPORT_TYPE_TDX;
}

function bindingFields(frame: HclFrame): readonly ExplainedField[] {
  if (!isKnown(frame)) return [];
  const found = sha256(frame.runtimeData);
  const named = reportDataIn(frame);
  const fits = equalBytes(named, Buffer.concat([found, Buffer.alloc(32)]));
  const hash = { name: 'SHA-256 of the runtime data', value: toHex(found) };
  return [
    hash,
    {
      name: 'report data of the hardware report',
      value: toHex(named),
      ...(fits ? {} : { note: 'is not this hash and 32 zero bytes', wrong: true }),
    },
  ];
}

function runtimeFields({ akSpki, ekSpki, userData, vmConfiguration }: RuntimeData): readonly ExplainedField[] {
  const ak =
    akSpki === undefined ? { value: 'none', note: 'no quote can be tied to it', wrong: true as const } : undefined;
  const { claims, unread } = vmConfiguration;
  const settings = VM_SETTINGS.flatMap(({ path, claim, type, meaning }): readonly ExplainedField[] => {
    const name = path.join('.');
    if (unread.includes(claim))
      return [{ name, value: 'not read', note: `no ${type}, or too long: nothing can be compared with it` }];
    const value = claimAt(claims, claim);
    return value === undefined ? [] : [{ name, value: JSON.stringify(value), note: meaning }];
  });
  return [
    { name: 'HCLAkPub', ...(ak ?? { value: keyName(akSpki) }) },
    { name: 'HCLEkPub', value: keyName(ekSpki) },
    { name: 'user-data', value: userData === undefined ? 'none' : toHex(userData) },
    ...settings,
  ];
}

function keyName(spki: Buffer | undefined): string {
  return spki === undefined ? 'none' : `SHA-256 of the key ${sha256Hex(spki)}`;
}

function tdFields(td: TdReport): readonly ExplainedField[] {
  const hex = (name: string, value: Buffer, note?: string): ExplainedField => {
    return { name, value: toHex(value), ...(note === undefined ? {} : { note }) };
  };
  return [
    hex('MRTD', td.mrTd),
    hex('MRCONFIGID', td.mrConfigId),
    hex('MROWNER', td.mrOwner),
    hex('MROWNERCONFIG', td.mrOwnerConfig),
    ...td.rtmrs.map((rtmr, n) => hex(`RTMR${String(n)}`, rtmr)),
    hex('ATTRIBUTES', td.tdAttributes),
    hex('XFAM', td.xfam),
    hex('MRSEAM', td.mrSeam),
    hex('MRSIGNERSEAM', td.mrSignerSeam),
    hex('TEE_TCB_SVN', td.teeTcbSvn),
    hex('SERVTD_HASH', td.mrServiceTd),
    hex('CPUSVN', td.cpuSvn, 'in no quote'),
    hex('MAC', td.mac, 'only the machine itself can verify it'),
  ];
}
