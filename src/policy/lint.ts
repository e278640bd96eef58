import type { AcceptedPolicy, Deployment } from './deployment.js';
import { type Profile, RESETTABLE_PCRS } from './admit.js';
import { claimsAskedFor, lintReleasePolicy } from './lint-release-policy.js';
import { validAt } from './policy-pcr.js';

const DAY_MS = 86_400_000;
const SOON_MS = 14 * DAY_MS;

/** What is to be looked at: a deployment, what it accepts, and where and when it is to serve. */
export interface LintSubject {
  readonly deployment: Deployment;
  readonly policies: readonly AcceptedPolicy[];
  readonly profile: Profile;
  readonly nowMs: number;
  /** Whether a verifier can make a claim of this name. */
  readonly isClaim: (name: string) => boolean;
}

/**
 * What is allowed and yet probably not meant: sentences for the person who applies the deployment. They never refuse
 * anything; what must be refused is `admitDeployment`'s, and what it tolerates is not said here again.
 */
export function lintDeployment(subject: LintSubject): readonly string[] {
  return [
    ...lintPolicyPcr(subject.deployment),
    ...lintReferences(subject.deployment),
    ...lintAttesters(subject),
    ...lintHardware(subject),
    ...lintDates(subject),
    ...lintReleasePolicy(subject.deployment, subject.isClaim),
  ];
}

/** Who else extends a PCR on common machines, so that the policy would not be alone in it. */
function extendedBy(pcr: number): string | undefined {
  if (pcr <= 7) return 'the firmware extends it';
  if (pcr <= 9) return 'GRUB extends it';
  if (pcr === 10) return 'the IMA of Linux extends it';
  if (pcr >= 11 && pcr <= 13) return 'systemd-stub extends it in unified kernel images';
  if (pcr === 14) return 'shim extends it';
  if (pcr === 15) return 'systemd extends it with machine and volume identities';
  return undefined;
}

function lintPolicyPcr({ measurement }: Deployment): readonly string[] {
  const { pcr, source } = measurement;
  const other = source === 'tpm' ? extendedBy(pcr) : undefined;
  if (other === undefined) return [];
  return [
    `measurement.pcr ${String(pcr)}: ${other} on many machines, and then no policy ever matches; make sure that nothing but the policy is measured into it on yours, or choose another PCR`,
  ];
}

function lintReferences({ measurement, platform }: Deployment): readonly string[] {
  const names = Object.keys(platform.pcrs);
  const has = (pcr: string): boolean => names.includes(pcr);
  const warnings: string[] = [];
  if (has('11') && !has('12')) {
    warnings.push(
      'platform.pcrs has 11 without 12: the command line and credentials given to a unified kernel image are measured into 12; name it too, all zeros where there are none',
    );
  }
  if (has('7') && !has('4')) {
    warnings.push(
      'platform.pcrs has 7 without 4: PCR 7 holds the Secure Boot keys alone, so anything that they have ever signed boots; name 4 too',
    );
  }
  if (has('4') && !['8', '9', '11'].some(has)) {
    warnings.push(
      `platform.pcrs has 4, but none of 8, 9 and 11: PCR 4 ends at the boot loader; under GRUB name 8 and 9 (kernel, initrd, command line), with a unified kernel image 11 and 12${
        measurement.pcr === 8 || measurement.pcr === 9 ? ', and measure the policy into another PCR' : ''
      }`,
    );
  }
  for (const [pcr, values] of Object.entries(platform.pcrs)) {
    const blank = values.some((value) => /^(?:0+|f+)$/.test(value));
    if (blank && pcr !== '12' && pcr !== '13') {
      warnings.push(
        `platform.pcrs ${pcr} accepts a value of all zeros or all ones, which says that nothing was measured there`,
      );
    }
    if (RESETTABLE_PCRS.includes(Number(pcr))) {
      warnings.push(`platform.pcrs ${pcr} can be reset by the guest, so its value proves nothing; remove it`);
    }
  }
  return warnings;
}

function lintAttesters({ deployment, profile }: LintSubject): readonly string[] {
  const { trust, roots, allow, anyFromRoots } = deployment.attesters;
  const warnings: string[] = [];
  if (anyFromRoots && profile === 'production') {
    warnings.push(
      'attesters.anyFromRoots accepts every machine below the roots, other customers of a cloud and a TPM on a bench included; list attesters in attesters.allow instead',
    );
  }
  const byReport = trust.includes('cvm-report');
  if (byReport && allow.cvm.length === 0) {
    warnings.push('attesters.allow.cvm is empty, so no report of a confidential VM is ever believed');
  }
  if (!byReport && allow.cvm.length > 0) {
    warnings.push('attesters.allow.cvm has no effect, since attesters.trust does not name cvm-report');
  }
  if (byReport && profile === 'production') {
    warnings.push(
      'attesters.allow.cvm: whoever runs at the privilege level of a rule names the AK of its choice, so a rule must be of a paravisor that keeps the vTPM to itself, or of a launch measurement that covers kernel, initrd and command line; the measurement of plain firmware is everybody’s',
    );
  }
  const certified = trust.some((kind) => kind === 'ek-certificate' || kind === 'ak-certificate');
  if (certified)
    return roots.length > 0 ? warnings : [...warnings, 'attesters.roots is empty, so no certificate is ever accepted'];
  const { ek, ak, instance } = allow;
  const lists = Object.entries({ ek, ak, instance }).map(
    ([list, entries]) => [`allow.${list}`, entries.length > 0] as const,
  );
  const idle = [...lists, ['roots', roots.length > 0] as const, ['anyFromRoots', anyFromRoots] as const];
  for (const [member, set] of idle) {
    if (set) warnings.push(`attesters.${member} has no effect, since attesters.trust names no kind that it belongs to`);
  }
  return warnings;
}

const SNP_FLOOR = 'snp.tcb.reported.';

/** Whether SEV-SNP machines may draw: where reports are believed, unless all that is said of processors is said of TDX. */
function mayBeSnp({ measurement, platform, attesters }: Deployment, asked: readonly string[]): boolean {
  const isOf = (kind: 'snp' | 'tdx') =>
    measurement.source.startsWith(`${kind}.`) ||
    platform[kind] !== undefined ||
    asked.some((claim) => claim.startsWith(`${kind}.`));
  return isOf('snp') || (attesters.trust.includes('cvm-report') && !isOf('tdx'));
}

const OF_ONE_DEVICE = /^gpu\.[0-9]+\./;

function lintHardware({ deployment, profile }: LintSubject): readonly string[] {
  const { snp, tdx, gpus } = deployment.platform;
  const warnings: string[] = [];
  const asked = claimsAskedFor(deployment);
  const ofDevice = asked.find((claim) => OF_ONE_DEVICE.test(claim));
  if (ofDevice !== undefined && gpus?.count === undefined && !asked.includes('gpu.count')) {
    warnings.push(
      `release: ${ofDevice} is of one device, and any number of others beside it is not judged; say in platform.gpus.count how many there are, and ask the same of each`,
    );
  }
  if (mayBeSnp(deployment, asked) && !asked.some((claim) => claim.startsWith(SNP_FLOOR))) {
    warnings.push(
      `release: no condition on ${SNP_FLOOR}*, and nothing else judges the firmware of an SEV-SNP processor: one with known holes is accepted too; ask for the least that you accept, such as snp.tcb.reported.snp greaterOrEquals 24, or say platform.tdx where all machines are of TDX`,
    );
  }
  if (tdx?.tcbStatus?.includes('UpToDate') === false) {
    warnings.push(
      'platform.tdx.tcbStatus lacks UpToDate, and it replaces the default: platforms that are up to date are refused; add it',
    );
  }
  if (profile === 'development') return warnings;
  const loose: readonly (readonly [boolean | undefined, string])[] = [
    [snp?.debug, 'platform.snp.debug accepts guests whose host reads and changes their memory'],
    [snp?.migrationAgent, 'platform.snp.migrationAgent accepts guests that another guest, the agent, can read'],
    [snp?.maskedChip, 'platform.snp.maskedChip accepts reports of any chip of the owner, so that none can be revoked'],
    [tdx?.debug, 'platform.tdx.debug accepts trust domains whose host reads and changes their memory'],
    [tdx?.serviceTd, 'platform.tdx.serviceTd accepts trust domains that another one, the service TD, can migrate'],
    [gpus?.debug, 'platform.gpus.debug accepts devices that do not say that they are in a mode that protects memory'],
    [
      tdx?.tcbStatus?.some((status) => status.startsWith('OutOfDate')),
      'platform.tdx.tcbStatus accepts platforms with known holes that an update mends',
    ],
  ];
  return [...warnings, ...loose.flatMap(([isSet, warning]) => (isSet === true ? [warning] : []))];
}

function lintDates({ policies, profile, nowMs }: LintSubject): readonly string[] {
  const warnings = policies.flatMap(({ sha256, notBeforeMs, notAfterMs }) => {
    const name = `policy ${sha256.slice(0, 12)}…`;
    if (notAfterMs === undefined) {
      return profile === 'development' ? [] : [`${name} has no notAfter: it is accepted until somebody retires it`];
    }
    const until = new Date(notAfterMs).toISOString();
    if (notAfterMs <= nowMs) return [`${name} expired at ${until}; remove it, or move its notAfter`];
    if (notBeforeMs !== undefined && notBeforeMs > nowMs) return [];
    return notAfterMs - nowMs <= SOON_MS ? [`${name} expires at ${until}, within 14 days; register its successor`] : [];
  });
  if (policies.some((policy) => validAt(policy, nowMs))) return warnings;
  return [...warnings, 'no policy is valid now, so nothing is released until one is'];
}
