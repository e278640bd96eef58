import { equalBytes } from '../bytes/equal.js';
import { claimTree, type ClaimTree } from '../claims/claims.js';
import type { Certificate } from '../crypto/x509.js';
import { instanceOf } from '../endorsement/instance.js';
import { ekIdentity, pathIdentities } from '../endorsement/identity.js';
import type { PathFault } from '../endorsement/path.js';
import { verifySimulatorCertificate } from '../endorsement/simulator.js';
import { tpmIdentity } from '../endorsement/tpm-identity.js';
import type { AkIdentity, AkVouching } from '../evidence/tpm/ak.js';
import type { CvmAllowance, Deployment } from '../policy/deployment.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import type { DecidingFacts } from './entitlement.js';
import type { AttesterRecord } from './records.js';
import { akPath, type CvmVouching, ekPath, enrolmentFor, verifiedCvm, type Vouchers } from './vouchers.js';

/** Which rule of the deployment lets a certified AK in; a root alone never does. */
export type AllowedBy = 'ek' | 'ak' | 'instance' | 'administrator' | 'any-from-roots';

/** What of the facts decides whether an AK is believed. */
export type TrustFacts = Pick<DecidingFacts, 'attester' | 'akRevoked' | 'revoked'>;

/** Why an AK is believed. */
export interface AkTrusted extends AkVouching {
  readonly allowedBy?: AllowedBy;
  /** Where its EK vouches for it. */
  readonly ekSpkiSha256?: string;
}

/**
 * What makes an AK believable to a deployment, the first that does: pinned by an administrator (SPKI and Name both match);
 * enrolled by its EK, whose certificate has a good path now; its own certificate; a confidential-VM report; or, in the
 * development profile, the simulator CA. Without a public area an AK has no Name, and neither pin nor enrolment is for it.
 * Refusals: ak.revoked for what was revoked, or what vouches for it (first, and by SPKI, so that changing free attributes,
 * and with them the Name, does not dodge it); ak.pending for an AK that is vouched for, but that no rule lets in, and
 * for one in quarantine; collateral.unavailable where a CRL is missing; what is wrong with the report of the VM, where the
 * deployment goes by it, evidence.unbound where that is about another AK; else ak.untrusted. A pin ends with the revocation of
 * the AK, of the EK that it was enrolled by for this deployment, and, where the deployment goes by EK certificates, of
 * anything on that EK's path. Revoked certificates of the AK itself end it where they are sent: who leaves them out keeps the
 * pin. NOT verified: the quote's signature.
 */
export function akTrust(
  vouchers: Vouchers,
  facts: TrustFacts,
  deployment: Deployment,
  certificates: readonly Buffer[],
): (ak: AkIdentity) => Result<AkTrusted> {
  return (ak) => {
    if (facts.akRevoked) return reject('ak.revoked', 'this AK has been revoked');
    const { quarantinedAtMs } = facts.attester ?? {};
    const ek = enrolmentFor(facts.attester, deployment.name)?.ek;
    const ekRevoked = ek === undefined ? undefined : revokedOf(facts, [ekIdentity(ek.spkiSha256)]);
    if (ekRevoked !== undefined) return ekRevoked;
    if (quarantinedAtMs !== undefined) {
      return reject('ak.pending', 'this AK is in quarantine until an administrator ends that');
    }
    const refusals: Rejection[] = [];
    let believed: Outcome;
    for (const kind of [pinned, byEk, byCertificate, byCvmReport, bySimulator]) {
      // Certificates that the deployment goes by are looked at for a pinned AK too: what is revoked of them ends the pin.
      if (believed !== undefined && kind !== byEk && kind !== byCertificate) continue;
      const outcome = kind({ vouchers, facts, deployment, certificates, ak });
      if (outcome?.ok === true) believed ??= outcome;
      else if (outcome !== undefined) refusals.push(outcome);
    }
    if (believed !== undefined && !refusals.some(({ reason }) => reason === 'ak.revoked')) return believed;
    const worst = REFUSALS.map((reason) => refusals.find((refusal) => refusal.reason === reason));
    const ofHardware = refusals.find(({ reason }) => reason !== 'ak.untrusted');
    return (
      worst.find((refusal) => refusal !== undefined) ??
      ofHardware ??
      refusals[0] ??
      reject(
        'ak.untrusted',
        `nothing that the deployment trusts vouches for the AK with Name ${ak.name}; an administrator can pin it with: portcullis attester trust`,
      )
    );
  };
}

/** Of several refusals the one that is told: what an administrator decided, then what he still has to; then what is wrong with a report. */
const REFUSALS = ['ak.revoked', 'ak.pending', 'collateral.unavailable'] as const;

interface Candidate {
  readonly vouchers: Vouchers;
  readonly facts: TrustFacts;
  readonly deployment: Deployment;
  readonly certificates: readonly Buffer[];
  readonly ak: AkIdentity;
}

/** Undefined where the kind does not come into question. */
type Outcome = Result<AkTrusted> | undefined;

function pinned({ facts, deployment, ak }: Candidate): Outcome {
  const pin = facts.attester;
  const trusted = deployment.attesters.trust.includes('pinned') && pin?.deployments.includes(deployment.name) === true;
  return trusted && hasName(ak, pin) ? accept({ kind: 'pinned' }) : undefined;
}

/** Only a public area has a Name: a record that has none either is not for whoever shows none. */
function hasName({ area, name }: AkIdentity, { akName }: Pick<AttesterRecord, 'akName'>): boolean {
  return area !== undefined && akName === name;
}

function byEk(candidate: Candidate): Outcome {
  const { vouchers, facts, deployment, ak } = candidate;
  const enrolment = enrolmentFor(facts.attester, deployment.name);
  if (!deployment.attesters.trust.includes('ek-certificate') || enrolment === undefined) return undefined;
  if (!hasName(ak, enrolment)) return undefined;
  const { spkiSha256, certificates } = enrolment.ek;
  const path = ekPath(vouchers, deployment, certificates);
  if (!path.ok) return pathRefusal('EK', path);
  const revoked = revokedOf(facts, pathIdentities(path));
  if (revoked !== undefined) return revoked;
  const by = allowedBy(candidate, path.leaf, spkiSha256);
  if (by === undefined) return pending(ak);
  return accept({
    kind: 'ek-certificate',
    allowedBy: by,
    ekSpkiSha256: spkiSha256,
    claims: ekClaims(path.leaf, spkiSha256),
  });
}

function byCertificate(candidate: Candidate): Outcome {
  const { vouchers, facts, deployment, certificates, ak } = candidate;
  if (!deployment.attesters.trust.includes('ak-certificate') || certificates.length === 0) return undefined;
  const path = akPath(vouchers, deployment, certificates);
  if (!path.ok) return pathRefusal('AK', path);
  if (!equalBytes(path.leaf.spki, ak.spki)) return reject('ak.untrusted', 'the AK certificate is for another key');
  const revoked = revokedOf(facts, pathIdentities(path));
  if (revoked !== undefined) return revoked;
  const by = allowedBy(candidate, path.leaf, undefined);
  const known = ak.area !== undefined && (by === 'ak' || by === 'administrator');
  if (!saysAk(path.leaf) && !known) {
    return reject(
      'ak.untrusted',
      'the certificate does not say that its key is an AK; list the SHA-256 of its SPKI in attesters.allow.ak if you know that it is',
    );
  }
  if (by === undefined) return pending(ak);
  return accept({ kind: 'ak-certificate', allowedBy: by, claims: certificateClaims('certificate', path.leaf) });
}

/**
 * It is the issuer alone who says that the key signs nothing but attestations: by the purpose of the certificate, or by naming
 * the machine of its cloud. Makers certify unrestricted signing keys too, and a public area beside one says what its sender likes.
 */
function saysAk(leaf: Certificate): boolean {
  return leaf.extendedKeyUsage !== undefined || Object.keys(instanceOf(leaf)).length > 0;
}

function byCvmReport({ vouchers, facts, deployment, ak }: Candidate): Outcome {
  if (!deployment.attesters.trust.includes('cvm-report')) return undefined;
  const believed = cvmTrust(vouchers, facts, deployment);
  if (!believed.ok) return believed;
  const { akSpki, isParavisorAk } = verifiedCvm(vouchers) ?? {};
  if (akSpki === undefined || !equalBytes(akSpki, ak.spki)) {
    return reject('evidence.unbound', 'the report of the VM is about another AK');
  }
  // Report data is the guest's to choose: only of the AK in runtime data has anybody vouched for what it may sign.
  return ak.area !== undefined || isParavisorAk === true
    ? believed
    : reject(
        'ak.untrusted',
        'the report names the AK, but nothing says that it signs quotes alone; send its public area in tpm.ak',
      );
}

/**
 * That the report of the confidential VM was verified, that nothing of it was revoked, and that a rule of the deployment is for
 * it: what stands in for an AK where there is no TPM. What refused the report; ak.revoked, ak.untrusted.
 */
export function cvmTrust(
  { cvm }: Pick<Vouchers, 'cvm'>,
  facts: Pick<TrustFacts, 'revoked'>,
  { attesters }: Deployment,
): Result<AkTrusted> {
  if (cvm === undefined) return reject('ak.untrusted', 'no report of a confidential VM was sent');
  if ('ok' in cvm) return cvm;
  const revoked = revokedOf(facts, cvm.identities);
  if (revoked !== undefined) return revoked;
  return attesters.allow.cvm.some((rule) => isAllowedCvm(rule, cvm))
    ? accept({ kind: 'cvm-report' })
    : reject('ak.untrusted', 'no rule in attesters.allow.cvm is for this VM');
}

/** Every member of the rule is what the report says, vmpl too. Zeros are those of every machine that was launched without. */
function isAllowedCvm({ measurement, idKeyDigest, vmpl = 0 }: CvmAllowance, cvm: CvmVouching): boolean {
  if (measurement === undefined && idKeyDigest === undefined) return false;
  if ([measurement, idKeyDigest].some((member) => member !== undefined && /^0*$/.test(member))) return false;
  return (
    (measurement === undefined || measurement === cvm.measurement) &&
    (idKeyDigest === undefined || idKeyDigest === cvm.idKeyDigest) &&
    vmpl === cvm.vmpl
  );
}

function bySimulator({ vouchers, deployment, certificates, ak }: Candidate): Outcome {
  const { simulatorCa, nowMs } = vouchers;
  if (!deployment.attesters.trust.includes('simulator') || simulatorCa === undefined) return undefined;
  const vouched = verifySimulatorCertificate(certificates[0], ak.spki, simulatorCa, nowMs);
  return vouched.ok ? accept({ kind: 'simulator' }) : vouched;
}

function pathRefusal(whose: 'EK' | 'AK', { fault, detail }: PathFault): Rejection {
  const text = `the ${whose} certificate is not good: ${detail}`;
  if (fault === 'revoked') return reject('ak.revoked', text);
  return fault === 'collateral' ? reject('collateral.unavailable', text) : reject('ak.untrusted', text);
}

function revokedOf({ revoked }: Pick<TrustFacts, 'revoked'>, identities: readonly string[]): Rejection | undefined {
  const [identity] = identities.filter((each) => revoked.includes(each));
  return identity === undefined
    ? undefined
    : reject('ak.revoked', `what vouches for this AK has been revoked: ${identity}`);
}

function pending({ spkiSha256 }: AkIdentity): Rejection {
  return reject(
    'ak.pending',
    `the AK is genuine, but nothing in attesters.allow lets it in; an administrator can: portcullis attester trust ${spkiSha256} --deployment NAME`,
  );
}

/** The first rule that lets a certified AK in. `ekSpkiSha256` where the certificate is the EK's. */
function allowedBy(
  { facts, deployment, ak }: Pick<Candidate, 'facts' | 'deployment' | 'ak'>,
  leaf: Certificate,
  ekSpkiSha256: string | undefined,
): AllowedBy | undefined {
  const { allow, anyFromRoots } = deployment.attesters;
  if (ekSpkiSha256 !== undefined && allow.ek.includes(ekSpkiSha256)) return 'ek';
  if (allow.ak.includes(ak.spkiSha256)) return 'ak';
  if (allow.instance.length > 0 && isAllowedInstance(allow.instance, instanceOf(leaf))) return 'instance';
  if (facts.attester?.deployments.includes(deployment.name) === true) return 'administrator';
  return anyFromRoots ? 'any-from-roots' : undefined;
}

/** Every member of one rule is what the certificate says. */
function isAllowedInstance(
  rules: readonly Readonly<Record<string, string>>[],
  instance: Readonly<Record<string, string>>,
): boolean {
  return rules.some((rule) => {
    const members = Object.entries(rule);
    return (
      members.length > 0 && members.every(([name, value]) => Object.hasOwn(instance, name) && instance[name] === value)
    );
  });
}

function ekClaims(leaf: Certificate, spkiSha256: string): ClaimTree {
  const { manufacturer, model, version } = tpmIdentity(leaf) ?? {};
  return claimTree({
    ...certificateClaims('ek', leaf),
    ek: claimTree({
      spki_sha256: spkiSha256,
      serial: leaf.serial,
      ...(manufacturer === undefined ? {} : { manufacturer }),
      ...(model === undefined ? {} : { model }),
      ...(version === undefined ? {} : { version }),
    }),
  });
}

function certificateClaims(name: 'ek' | 'certificate', leaf: Certificate): ClaimTree {
  const instance = instanceOf(leaf);
  return claimTree({
    [name]: claimTree({ serial: leaf.serial }),
    ...(Object.keys(instance).length === 0 ? {} : { instance: claimTree(instance) }),
  });
}
