/**
 * All kinds of hardware evidence under one binding. This room may assume nothing about its input; which makers are believed,
 * with what collateral and when, it is told. Each kind has a folder, and only here do they meet.
 */
import { equalBytes } from '../bytes/equal.js';
import { toHex } from '../bytes/hex.js';
import { claimTree, type ClaimTree } from '../claims/claims.js';
import { sha256 } from '../crypto/digest.js';
import type { HardwareTrust } from '../endorsement/collateral.js';
import type { RevocableIdentity } from '../endorsement/identity.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { Evidence } from './evidence.js';
import { type GpuRules, SAFE_GPU_RULES } from './gpu/evidence.js';
import { type VerifiedGpus, verifyGpus } from './gpu/verify.js';
import { hclClaims } from './hcl/claims.js';
import type { HclEvidence } from './hcl/evidence.js';
import type { HclReport } from './hcl/report.js';
import { bindRuntimeData, matchTdQuote, readHclReport } from './hcl/verify.js';
import { SAFE_SNP_RULES, type SnpEvidence, type SnpRules } from './snp/evidence.js';
import { verifySnp } from './snp/verify.js';
import { SAFE_TDX_RULES, type TdxRules } from './tdx/evidence.js';
import { verifyTdx } from './tdx/verify.js';

/** What of a deployment says more, or less, than the safe defaults do. */
export interface HardwareRules {
  readonly snp: SnpRules;
  readonly tdx: TdxRules;
  readonly gpus: GpuRules;
}

export const SAFE_HARDWARE_RULES: HardwareRules = { snp: SAFE_SNP_RULES, tdx: SAFE_TDX_RULES, gpus: SAFE_GPU_RULES };

/** What evidence must be tied to; a member that is undefined is not checked, which is for offline use only. */
export interface HardwareBinding {
  /** The 64 bytes of report data, where there is no HCL report. */
  readonly reportData: Buffer | undefined;
  /** What the devices must have answered. */
  readonly gpuNonce: Buffer | undefined;
}

/** The report of a confidential VM that has been verified, and what ties it to the rest. */
export interface VerifiedCvm {
  readonly kind: 'snp' | 'tdx';
  /** Launch measurement (MRTD of a trust domain), lower-case hex. */
  readonly measurement: string;
  /** SEV-SNP only. */
  readonly idKeyDigest: string | undefined;
  /** 0 for a trust domain. */
  readonly vmpl: number;
  /** 64 bytes. */
  readonly reportData: Buffer;
  /** The AK in the runtime data of an HCL report, SubjectPublicKeyInfo in DER; undefined without such a report, or where it names none. */
  readonly runtimeAk: Buffer | undefined;
  /** Whether there is an HCL report: then the AK is in its runtime data, else in the report data. */
  readonly hasRuntimeData: boolean;
  /** The chip, and what its certificates hang on. */
  readonly identities: readonly RevocableIdentity[];
}

/** The report of a confidential VM, and what it says. */
export interface CvmAppraisal {
  readonly cvm: VerifiedCvm;
  /** Below the name of its kind, and `hcl`. */
  readonly claims: ClaimTree;
}

/** What hardware evidence has been found to say. */
export interface HardwareAppraisal {
  readonly claims: ClaimTree;
  readonly cvm: VerifiedCvm | undefined;
  readonly devices: VerifiedGpus | undefined;
}

/** Whether there is a report of a confidential VM. */
export function hasCvm({ hcl, snp, tdx }: Evidence): boolean {
  return hcl !== undefined || snp !== undefined || tdx !== undefined;
}

/** Whether devices were sent, or are asked for. */
export function wantsDevices({ gpus }: Evidence, rules: GpuRules): boolean {
  return gpus.length > 0 || rules.count !== undefined;
}

/**
 * Verifies the report of the confidential VM, where there is one, then the devices, where there are any or the rules ask for some.
 * Refusals: those of each kind, and of appraiseCvm. NOT checked: that the AK which the report names is the one of the
 * quote (`namesAk`), and that its measurement is one to believe: anybody on a genuine chip can name a key of his own.
 */
export function appraiseHardware(
  evidence: Evidence,
  trust: HardwareTrust,
  rules: HardwareRules,
  binding: HardwareBinding,
): Result<HardwareAppraisal> {
  const cvm = hasCvm(evidence) ? appraiseCvm(evidence, trust, rules, binding.reportData) : undefined;
  if (cvm?.ok === false) return cvm;
  const devices = wantsDevices(evidence, rules.gpus)
    ? verifyGpus(evidence.gpus, trust, { nonce: binding.gpuNonce, rules: rules.gpus })
    : undefined;
  if (devices?.ok === false) return devices;
  const claims = { ...cvm?.value.claims, gpu: devices?.value.claims };
  return accept({ claims: claimTree(claims), cvm: cvm?.value.cvm, devices: devices?.value });
}

/**
 * Verifies the report of the confidential VM. Refusals: those of its kind; evidence.unbound for reports of several machines, and
 * for report data that is not what is expected (undefined: not checked; of an HCL report it is never, its runtime data is). All that
 * ties the report comes before collateral.unavailable and what collateral says.
 */
export function appraiseCvm(
  evidence: Evidence,
  trust: HardwareTrust,
  rules: HardwareRules,
  reportData: Buffer | undefined,
): Result<CvmAppraisal> {
  const verified = verifyCvm(evidence, trust, rules, reportData);
  if (!verified.ok) return verified;
  const { cvm, claims } = verified.value;
  return accept({ cvm, claims: claimTree(claims) });
}

/**
 * Whether a verified report names the AK (SubjectPublicKeyInfo, DER): in its runtime data, or with its SHA-256 in the second half of
 * the report data.
 */
export function namesAk({ hasRuntimeData, runtimeAk, reportData }: VerifiedCvm, akSpki: Buffer): boolean {
  if (hasRuntimeData) return runtimeAk !== undefined && equalBytes(runtimeAk, akSpki);
  return equalBytes(reportData.subarray(32), sha256(akSpki));
}

/** The report data of a machine without HCL: the base of the binding, then the SHA-256 of the AK, or zeros where there is no TPM. */
export function expectedReportData(base: Buffer, akSpki: Buffer | undefined): Buffer {
  return Buffer.concat([base, akSpki === undefined ? Buffer.alloc(32) : sha256(akSpki)]);
}

interface CvmOutcome {
  readonly cvm: VerifiedCvm;
  readonly claims: Readonly<Record<string, ClaimTree>>;
}

/** What the report data of a report must name: the runtime data of the HCL report that it came in, or what is expected. */
interface Tie {
  readonly hcl: HclReport | undefined;
  readonly reportData: Buffer | undefined;
}

function verifyCvm(
  evidence: Evidence,
  trust: HardwareTrust,
  rules: HardwareRules,
  reportData: Buffer | undefined,
): Result<CvmOutcome> {
  const { hcl, snp, tdx } = evidence;
  if ([hcl, snp, tdx].filter((kind) => kind !== undefined).length > 1) {
    return reject(
      'evidence.unbound',
      'evidence.hcl, snp and tdx are of different machines: send the one of this machine',
    );
  }
  if (hcl !== undefined) return verifyHcl(hcl, trust, rules);
  const tie = { hcl: undefined, reportData };
  if (snp !== undefined) return verifySnpCvm(snp, trust, rules.snp, tie);
  if (tdx !== undefined) return verifyTdxCvm(tdx.quote, trust, rules.tdx, tie);
  return reject('evidence.malformed', 'there is no report of a confidential VM');
}

function verifySnpCvm(evidence: SnpEvidence, trust: HardwareTrust, rules: SnpRules, tie: Tie): Result<CvmOutcome> {
  const { hcl } = tie;
  const snp = verifySnp(evidence, trust, rules, (report) => checkTie(tie, report.reportData));
  if (!snp.ok) return snp;
  const { report, claims, identities } = snp.value;
  return accept({
    cvm: {
      kind: 'snp',
      measurement: toHex(report.measurement),
      idKeyDigest: toHex(report.idKeyDigest),
      vmpl: report.vmpl,
      reportData: report.reportData,
      runtimeAk: hcl?.akSpki,
      hasRuntimeData: hcl !== undefined,
      identities,
    },
    claims: { snp: claims },
  });
}

function verifyTdxCvm(quote: Buffer, trust: HardwareTrust, rules: TdxRules, tie: Tie): Result<CvmOutcome> {
  const { hcl } = tie;
  const tdx = verifyTdx({ quote }, trust, rules, (body) => {
    const same = hcl?.hardware.kind === 'tdx' ? matchTdQuote(hcl.hardware.tdReport, body) : accept(undefined);
    return same.ok ? checkTie(tie, body.reportData) : same;
  });
  if (!tdx.ok) return tdx;
  const { body } = tdx.value.quote;
  return accept({
    cvm: {
      kind: 'tdx',
      measurement: toHex(body.mrTd),
      idKeyDigest: undefined,
      vmpl: 0,
      reportData: body.reportData,
      runtimeAk: hcl?.akSpki,
      hasRuntimeData: hcl !== undefined,
      identities: tdx.value.identities,
    },
    claims: { tdx: tdx.value.claims },
  });
}

/** The hardware report inside, verified as one of its kind, and the runtime data that it names. */
function verifyHcl(evidence: HclEvidence, trust: HardwareTrust, rules: HardwareRules): Result<CvmOutcome> {
  const parsed = readHclReport(evidence.report);
  if (!parsed.ok) return parsed;
  const hcl = parsed.value;
  const { hardware } = hcl;
  const tie = { hcl, reportData: undefined };
  let outcome: Result<CvmOutcome>;
  if (hardware.kind === 'snp') {
    if (evidence.quote !== undefined) {
      return reject('hcl.quote_mismatch', 'the HCL report is of an SEV-SNP machine: leave evidence.hcl.quote out');
    }
    outcome = verifySnpCvm({ report: hardware.report, certificates: evidence.certificates }, trust, rules.snp, tie);
  } else {
    if (evidence.quote === undefined) {
      return reject(
        'evidence.malformed',
        'evidence.hcl.quote is missing: a TD report proves nothing without its TD quote',
      );
    }
    // The quote has its own certificates: others beside it are not looked at.
    outcome = verifyTdxCvm(evidence.quote, trust, rules.tdx, tie);
  }
  if (!outcome.ok) return outcome;
  return accept({ ...outcome.value, claims: { ...outcome.value.claims, hcl: hclClaims(hcl) } });
}

function checkTie({ hcl, reportData }: Tie, found: Buffer): Result<undefined> {
  return hcl === undefined ? checkReportData(found, reportData) : bindRuntimeData(hcl, found);
}

function checkReportData(found: Buffer, expected: Buffer | undefined): Result<undefined> {
  if (expected === undefined || equalBytes(found, expected)) return accept(undefined);
  return reject('evidence.unbound', 'the report data is not made of this request and this AK', {
    claim: 'report_data',
    operator: 'equals',
    expected: toHex(expected),
    found: toHex(found),
  });
}
