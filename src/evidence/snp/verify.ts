/**
 * AMD SEV-SNP attestation reports. What is here assumes nothing: report and certificates are a stranger's bytes, only the roots,
 * the collateral and the clock of HardwareTrust are not.
 */
import { MalformedError } from '../../bytes/malformed-error.js';
import { toHex } from '../../bytes/hex.js';
import type { ClaimTree } from '../../claims/claims.js';
import { verifyEcdsa } from '../../crypto/signature.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import type { AmdGeneration } from '../../endorsement/hardware-roots.js';
import { certificateIdentity, pathIdentities, type RevocableIdentity } from '../../endorsement/identity.js';
import { accept, reject, type Rejection, type Result } from '../../reason/reason.js';
import { snpClaims, type SnpTcbs } from './claims.js';
import {
  CHIP_ID_BYTES,
  HW_ID_BYTES,
  MAX_VMPL,
  POLICY_DEBUG,
  POLICY_MIGRATE_MA,
  type SigningKey,
  SNP_SIGNED_BYTES,
  VMPL_HOST,
} from './constants.js';
import { endorsedKey, type EndorsedKey, generationOf } from './endorsed-key.js';
import type { SnpEvidence, SnpRules } from './evidence.js';
import {
  hasBit,
  hasMigrationAgent,
  isZero,
  readSnpReport,
  reservedFaults,
  type SnpReport,
  versionFault,
} from './report.js';
import { parseTcb, tcbDifferences, tcbText } from './tcb.js';
import type { Vek } from './vek.js';

declare const verified: unique symbol;

/** A report that passed every check of verifySnp, the only place where one comes from. */
export interface VerifiedSnp {
  readonly [verified]: true;
  readonly report: SnpReport;
  readonly generation: AmdGeneration;
  readonly signingKey: SigningKey;
  /** The tree below `snp`. */
  readonly claims: ClaimTree;
  /** The chip, where it is known, and what the path stands on. */
  readonly identities: readonly RevocableIdentity[];
}

/** What the caller demands of a report. It is genuine; only a CRL may be missing. */
export type SnpReportCheck = (report: SnpReport) => Result<undefined>;

/**
 * Verifies an attestation report: its structure (evidence.malformed, snp.version), the VCEK or VLEK below the pinned ARK of its
 * generation (snp.chain, a revoked certificate too), its signature (snp.signature), that the key is the one of the TCB
 * (snp.tcb_mismatch; evidence.malformed where it has reserved bytes set) and of the chip that the report names (snp.chip), and of
 * an accepted provider (snp.csp), who asked for it (snp.vmpl), and what the host may do to the guest (snp.debug, snp.migration).
 * Then what `check` demands, by default nothing. Last, collateral.unavailable where a CRL is stale, or missing where it must be
 * there: a splice is never told to try again. NOT verified, but claims for policies:
 * measurement, report data, host data, ID keys, the privilege level, how new the TCB is, whether its firmware is committed, what
 * the platform has switched on. A report has no date: only its report data can say how fresh it is.
 */
export function verifySnp(
  evidence: SnpEvidence,
  trust: HardwareTrust,
  rules: SnpRules,
  check: SnpReportCheck = () => accept(undefined),
): Result<VerifiedSnp> {
  const parsed = checkedReport(evidence.report);
  if (!parsed.ok) return parsed;
  const report = parsed.value;
  const endorsed = signingKeyOf(report, evidence, trust);
  if (!endorsed.ok) return endorsed;
  const { vek, path, withoutCrl } = endorsed.value;
  // Not before: in a report without CPUID it is the certificate that says how a TCB is laid out.
  const tcbs = tcbsOf(report, vek.generation);
  if (!tcbs.ok) return tcbs;

  const refusal =
    checkTcb(vek, tcbs.value) ??
    checkChip(report, vek, rules) ??
    checkProvider(vek, rules) ??
    checkRequester(report) ??
    checkHost(report, rules);
  if (refusal !== undefined) return refusal;
  const checked = check(report);
  if (!checked.ok) return checked;
  if (withoutCrl !== undefined) return withoutCrl;
  const { generation, kind: signingKey } = vek;
  const claims = snpClaims(report, tcbs.value, vek, path.leaf.spki);
  const identities = identitiesOf(report.chipId, endorsed.value);
  return accept({ report, generation, signingKey, claims, identities } as VerifiedSnp);
}

function checkedReport(bytes: Buffer): Result<SnpReport> {
  const read = orMalformed(() => readSnpReport(bytes));
  if (!read.ok) return read;
  const unknown = versionFault(read.value);
  if (unknown !== undefined) return reject('snp.version', unknown);
  const [fault] = reservedFaults(bytes, read.value);
  return fault === undefined ? read : reject('evidence.malformed', fault);
}

/** The key that AMD vouches for and that signed the report. */
function signingKeyOf(report: SnpReport, evidence: SnpEvidence, trust: HardwareTrust): Result<EndorsedKey> {
  if (report.signingKey === undefined) return reject('snp.signature', 'the report says that no key has signed it');
  const generation = generationOf(report, evidence.certificates);
  if (!generation.ok) return generation;
  const endorsed = endorsedKey(evidence.certificates, generation.value, trust);
  if (!endorsed.ok) return endorsed;
  const { kind, key } = endorsed.value.vek;
  if (kind !== report.signingKey) {
    return reject('snp.chain', `the certificate is a ${kind}, but a ${report.signingKey} has signed the report`);
  }
  const signed = evidence.report.subarray(0, SNP_SIGNED_BYTES);
  if (verifyEcdsa('sha384', 'P-384', key, signed, report.signature)) return endorsed;
  return reject('snp.signature', `the report is not signed by the ${kind} of the certificate`);
}

function tcbsOf(report: SnpReport, generation: AmdGeneration): Result<SnpTcbs> {
  return orMalformed(() => ({
    reported: parseTcb(report.reportedTcb, generation, 'REPORTED_TCB'),
    current: parseTcb(report.currentTcb, generation, 'CURRENT_TCB'),
    committed: parseTcb(report.committedTcb, generation, 'COMMITTED_TCB'),
    launch: parseTcb(report.launchTcb, generation, 'LAUNCH_TCB'),
  }));
}

function orMalformed<T>(parse: () => T): Result<T> {
  try {
    return accept(parse());
  } catch (error) {
    if (error instanceof MalformedError) return reject('evidence.malformed', error.message);
    throw error;
  }
}

/** Equal in each part, not only as new: the key of any other TCB, a newer one too, did not sign for this one. */
function checkTcb(vek: Vek, { reported }: SnpTcbs): Rejection | undefined {
  const others = tcbDifferences(vek.tcb, reported);
  if (others.length === 0) return undefined;
  const detail = `the ${vek.kind} was derived for another TCB than the one reported, which differs in ${others.join(', ')}`;
  const finding = {
    claim: 'snp.tcb.reported',
    operator: 'equals',
    expected: tcbText(vek.tcb),
    found: tcbText(reported),
  } as const;
  return reject('snp.tcb_mismatch', detail, finding);
}

/** A VLEK is of no chip. A hidden chip is one whose key is masked, or, under a VCEK, whose id is left out. */
function checkChip({ chipId, maskChipKey }: SnpReport, { hwId }: Vek, { maskedChip }: SnpRules): Rejection | undefined {
  const isHidden = maskChipKey || (hwId !== undefined && isZero(chipId));
  if (isHidden && !maskedChip)
    return reject('snp.chip', 'the host hides the chip, which the deployment does not accept');
  if (hwId === undefined || isZero(chipId) || chipId.equals(padded(hwId))) return undefined;
  return reject('snp.chip', 'the report is of another chip than the VCEK');
}

function padded(hwId: Buffer): Buffer {
  return Buffer.concat([hwId], CHIP_ID_BYTES);
}

function checkProvider({ cspId }: Vek, { cspIds }: SnpRules): Rejection | undefined {
  if (cspId === undefined || cspIds === undefined || cspIds.includes(cspId)) return undefined;
  const finding = { claim: 'snp.vek.csp_id', operator: 'in', expected: cspIds, found: cspId } as const;
  return reject('snp.csp', 'the VLEK is of a cloud provider that the deployment does not accept', finding);
}

function checkRequester({ vmpl }: SnpReport): Rejection | undefined {
  if (vmpl <= MAX_VMPL) return undefined;
  return reject('snp.vmpl', vmpl === VMPL_HOST ? 'the host asked for the report' : 'no privilege level of a guest');
}

function checkHost(report: SnpReport, rules: SnpRules): Rejection | undefined {
  if (!rules.debug && hasBit(report.policy, POLICY_DEBUG))
    return reject('snp.debug', 'the policy of the guest allows debugging');
  if (rules.migrationAgent) return undefined;
  if (hasBit(report.policy, POLICY_MIGRATE_MA))
    return reject('snp.migration', 'the policy of the guest allows a migration agent');
  return hasMigrationAgent(report) ? reject('snp.migration', 'a migration agent is bound to the guest') : undefined;
}

/**
 * The chip as the VCEK proves it, whether the report hides it or not, and under a VLEK as the report says; where the id is
 * shorter than its field, in both lengths, so that neither way of writing it is missed. The serials of AMD's leaves are all
 * zero: they name nobody, and are left out.
 */
function identitiesOf(chipId: Buffer, { vek, path }: EndorsedKey): readonly RevocableIdentity[] {
  const id = vek.hwId ?? chipId.subarray(0, HW_ID_BYTES[vek.generation]);
  const ids = vek.hwId === undefined ? [id, padded(id), chipId] : [id, padded(id)];
  const chips = new Set(ids.filter((bytes) => !isZero(bytes)).map((bytes) => `chip/${toHex(bytes)}`));
  const nobody = path.leaf.serial === '00' ? certificateIdentity(path.leaf) : undefined;
  return [...chips, ...pathIdentities(path).filter((identity) => identity !== nobody)];
}
