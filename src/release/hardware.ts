import { quoteBinding, releaseBinding } from '../challenge/binding.js';
import type { HardwareTrust } from '../endorsement/collateral.js';
import type { RevocableIdentity } from '../endorsement/identity.js';
import {
  appraiseCvm,
  type CvmAppraisal,
  expectedReportData,
  hasCvm,
  type HardwareRules,
  namesAk,
  SAFE_HARDWARE_RULES,
  wantsDevices,
} from '../evidence/appraise.js';
import { checkSameDevices, deviceIdentity } from '../evidence/authority/same-devices.js';
import { type AuthorityKeys, type VerifiedTokens, verifyTokens } from '../evidence/authority/verify.js';
import type { Evidence } from '../evidence/evidence.js';
import { type VerifiedGpus, verifyGpus } from '../evidence/gpu/verify.js';
import type { AkIdentity } from '../evidence/tpm/ak.js';
import type { Deployment } from '../policy/deployment.js';
import type { Rejection, Result } from '../reason/reason.js';
import type { ReleaseRequest } from './broker.js';
import type { CvmVouching } from './vouchers.js';

/** What everything but the quote of one request has been found to say. What refused it is kept, and told where its turn comes. */
export interface BesidesQuote {
  /** SHA-256 of the binding: what devices and tokens answer. */
  readonly base: Buffer;
  /** What the quote must hold. */
  readonly extraData: Buffer;
  /** undefined: no report of a confidential VM was sent. */
  readonly cvm: Result<CvmAppraisal> | undefined;
  /** undefined: none was sent and none is asked for; or nobody has looked yet. */
  readonly devices: Result<VerifiedGpus> | undefined;
  readonly tokens: Result<VerifiedTokens> | undefined;
}

/** One request, what its bytes decode to, the AK that it is presented with, and the rules that it is for. */
interface Asked {
  readonly broker: string;
  readonly request: ReleaseRequest;
  readonly recipient: { readonly thumbprint: string };
  readonly evidence: Evidence;
  readonly ak: AkIdentity | undefined;
  readonly deployment: Deployment;
}

/** Whether there is anything beside the quote, or should be. */
export function hasOthers(evidence: Evidence, deployment: Deployment): boolean {
  return hasCvm(evidence) || hasDevicesOrTokens(evidence, deployment);
}

/** Whether there is what `verifyDevicesAndTokens` is for. */
export function hasDevicesOrTokens(evidence: Evidence, deployment: Deployment): boolean {
  return evidence.tokens.length > 0 || wantsDevices(evidence, rulesOf(deployment).gpus);
}

/** Whether anything that was sent, or is asked for, was not looked at: then nothing may be released. */
export function isUnverified(evidence: Evidence, besides: BesidesQuote | undefined, deployment: Deployment): boolean {
  const { cvm, devices, tokens } = besides ?? {};
  return (
    (hasCvm(evidence) && cvm === undefined) ||
    (wantsDevices(evidence, rulesOf(deployment).gpus) && devices === undefined) ||
    (evidence.tokens.length > 0 && tokens === undefined)
  );
}

/** Verifies the report of the confidential VM by the rules of the deployment, and that it answers this very request. */
export function verifyCvmReport(
  { broker, request, recipient, evidence, ak, deployment }: Asked,
  trust: HardwareTrust,
): BesidesQuote {
  const { deployment: name, key, version = 'latest', nonce } = request;
  const base = releaseBinding({ broker, deployment: name, key, version, nonce, recipient: recipient.thumbprint });
  const reports = evidence.gpus.map(({ report }) => report);
  const reportData = expectedReportData(base, ak?.spki);
  return {
    base,
    extraData: quoteBinding(base, reports),
    cvm: hasCvm(evidence) ? appraiseCvm(evidence, trust, rulesOf(deployment), reportData) : undefined,
    devices: undefined,
    tokens: undefined,
  };
}

/**
 * Verifies devices and tokens too, and that tokens name none but the devices that were sent (evidence.unbound), where any of their
 * kind were. Dear, and for anybody's evidence: ask for it once the quote has been accepted.
 */
export async function verifyDevicesAndTokens(
  besides: BesidesQuote,
  { evidence, deployment }: Pick<Asked, 'evidence' | 'deployment'>,
  trust: HardwareTrust,
  authorities: AuthorityKeys,
): Promise<BesidesQuote> {
  const { gpus, tokens } = evidence;
  const rules = rulesOf(deployment).gpus;
  const { base: nonce } = besides;
  const devices = wantsDevices(evidence, rules) ? verifyGpus(gpus, trust, { nonce, rules }) : undefined;
  const verified =
    tokens.length === 0 ? undefined : await verifyTokens(tokens, authorities, { nonce, atMs: trust.atMs });
  if (devices?.ok !== true || verified?.ok !== true) return { ...besides, devices, tokens: verified };
  const same = checkSameDevices(verified.value.gpus, devices.value.devices);
  return { ...besides, devices, tokens: same.ok ? verified : same };
}

/** The safe defaults, and what the deployment says beyond them. A VLEK counts for the providers that it names alone. */
export function rulesOf({ platform: { snp, tdx, gpus } }: Deployment): HardwareRules {
  const safe = SAFE_HARDWARE_RULES;
  return {
    snp: { ...safe.snp, cspIds: [], ...snp },
    tdx: { ...safe.tdx, ...tdx },
    gpus: { ...safe.gpus, ...gpus },
  };
}

/** What the report of a confidential VM says of the AK; why it was refused; undefined where none was sent. */
export function vouchingOf(
  { cvm: appraised }: Pick<BesidesQuote, 'cvm'>,
  ak: AkIdentity | undefined,
): CvmVouching | Rejection | undefined {
  if (appraised?.ok !== true) return appraised;
  const { cvm } = appraised.value;
  const { measurement, idKeyDigest, vmpl, identities } = cvm;
  return {
    akSpki: ak !== undefined && namesAk(cvm, ak.spki) ? ak.spki : undefined,
    isParavisorAk: cvm.hasRuntimeData,
    measurement,
    ...(idKeyDigest === undefined ? {} : { idKeyDigest }),
    vmpl,
    identities,
  };
}

/** Everything that the hardware evidence hangs on, each of which may have been revoked. */
export function hardwareIdentities({ cvm, devices, tokens }: BesidesQuote): readonly RevocableIdentity[] {
  const named = [
    ...(devices?.ok === true ? devices.value.devices : []),
    ...(tokens?.ok === true ? tokens.value.gpus : []),
  ].flatMap((device) => deviceIdentity(device) ?? []);
  return [
    ...(cvm?.ok === true ? cvm.value.cvm.identities : []),
    ...(devices?.ok === true ? devices.value.identities : []),
    ...new Set(named),
  ];
}
