import { fromBase64url } from '../bytes/base64url.js';
import { equalBytes } from '../bytes/equal.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { MAX_AHEAD_MS } from '../challenge/nonce.js';
import { sha256Hex } from '../crypto/digest.js';
import { type AkIdentity, parseAk } from '../evidence/tpm/ak.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { akTrust } from './ak-trust.js';
import type { Activated, ActivationRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { examine, type Examined, hasName, isGood, refuse, type Refusal } from './enrolment-checks.js';
import { type Enrolment, openEnrolment } from './enrolment-token.js';
import type { AttesterRecord } from './records.js';
import type { StoreChange, StoreView } from './store.js';
import type { ActivationView } from './views.js';
import { enrolmentFor, type Vouchers, vouchersOf } from './vouchers.js';

/** AKs of one EK that no administrator trusts: the oldest is forgotten for a new one, so that a TPM that makes one at each boot fills nothing. */
export const MAX_UNTRUSTED_AKS = 16;

/**
 * Completes an enrolment: whoever has the credential has a TPM with both the EK and the AK in it. Everything that may have
 * changed since it was asked for is examined anew, in the transaction that records it. Again for the same AK it gives the same
 * answer and writes nothing. An AK that was revoked or put in quarantine stays so. Refusals: enrolment.secret (not our token,
 * or not its secret), enrolment.expired (its time or its epoch is over), request.rate_limited (this EK has changed too
 * much), those of `examine`.
 */
export async function activateEnrolment(
  context: BrokerContext,
  request: ActivationRequest,
): Promise<Result<Activated>> {
  const opened = openEnrolment(context, request.enrolment);
  if (!opened.ok) return opened;
  const { enrolment, credential } = opened.value;
  const { issuedAtMs } = enrolment;
  const vouchers = vouchersOf(context);
  const isLate = issuedAtMs + context.challengeTtlMs <= vouchers.nowMs || issuedAtMs > vouchers.nowMs + MAX_AHEAD_MS;
  const isProved = isSecret(request.secret, credential);
  credential.fill(0);
  if (isLate) return expired();
  if (!isProved) return reject('enrolment.secret', 'the secret is not the one in the credential of this enrolment');
  const ak = parseAk(enrolment.akPublic);
  if (!ak.ok) return ak;

  const outcome = await context.store.change<Result<Activated> | Refusal>(async (change) => {
    const { epoch, nonceFloorMs } = await change.state();
    if (enrolment.epoch !== epoch || issuedAtMs <= nonceFloorMs) return expired();
    const candidate = { deployment: enrolment.deployment, ak: ak.value, certificates: enrolment.ekCertificates };
    const ek = { spkiSha256: enrolment.ekSpkiSha256 };
    const examined = await examine(change, vouchers, candidate, () => accept(ek));
    if (!examined.ok) return examined;
    return record(context, change, { ...examined.value, vouchers, enrolment, ak: ak.value });
  });
  return outcome.ok ? outcome : refuse(context, outcome);
}

function isSecret(secret: string, credential: Buffer): boolean {
  try {
    return equalBytes(fromBase64url(secret, 'secret'), credential);
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
}

function expired(): Rejection {
  return reject('enrolment.expired', 'the enrolment is too old; ask for a new one');
}

interface Proved extends Examined<{ readonly spkiSha256: string }> {
  readonly vouchers: Vouchers;
  readonly enrolment: Enrolment;
  readonly ak: AkIdentity;
}

async function record(context: BrokerContext, change: StoreChange, proved: Proved): Promise<Result<Activated>> {
  const { deployment, known, ek, enrolment, ak, vouchers } = proved;
  const before = enrolmentFor(known, deployment.name);
  const answer = (attester: AttesterRecord): Result<Activated> =>
    accept({ created: before === undefined, answer: present(attester, proved) });
  // What is kept stays while it is good, so that two certificates of one EK do not take turns.
  if (known !== undefined && before !== undefined && (await isGood(change, vouchers, deployment, before.ek))) {
    return answer(known);
  }
  if (!context.enrolmentLimits.changes.take(ek.spkiSha256, vouchers.nowMs)) {
    return reject('request.rate_limited', 'the TPM of this EK enrols too often');
  }

  const certificates = enrolment.ekCertificates;
  const base = known === undefined ? await newRecord(change, ak, vouchers.nowMs) : withName(known, deployment.name, ak);
  const enrolled = { deployment: deployment.name, akName: ak.name, ek: { spkiSha256: ek.spkiSha256, certificates } };
  const others = (base.enrolments ?? []).filter((each) => each !== before);
  const attester: AttesterRecord = { ...base, enrolments: [...others, enrolled] };
  const isNewOfEk = known?.enrolments?.at(-1)?.ek.spkiSha256 !== ek.spkiSha256;
  const replaced = isNewOfEk && mayBeForgotten(attester) ? await oldestInExcess(change, ek.spkiSha256) : undefined;
  const [certificate = Buffer.alloc(0)] = certificates;
  await change.append('attester.enrolled', {
    deployment: deployment.name,
    attester: attester.name,
    ak_name: ak.name,
    ak_spki_sha256: ak.spkiSha256,
    ek_spki_sha256: ek.spkiSha256,
    ek_certificate_sha256: sha256Hex(certificate),
    replaced: replaced?.spkiSha256,
  });
  if (replaced !== undefined) await forget(change, replaced, ek.spkiSha256);
  await change.attesters.put(attester);
  return answer(attester);
}

async function newRecord(view: StoreView, ak: AkIdentity, nowMs: number): Promise<AttesterRecord> {
  const { spkiSha256, name: akName, publicArea } = ak;
  const short = `ak-${spkiSha256.slice(0, 16)}`;
  const name = (await view.attesters.get(short)) === undefined ? short : `ak-${spkiSha256}`;
  return { spkiSha256, akName, publicArea, name, deployments: [], createdAtMs: nowMs };
}

/**
 * With the Name that a record of a bare certificate lacks. A pin for another deployment gets none from here: what an EK says
 * counts for the deployment that believes this EK.
 */
function withName(record: AttesterRecord, deployment: string, ak: AkIdentity): AttesterRecord {
  if (hasName(record) || record.deployments.some((each) => each !== deployment)) return record;
  return { ...record, akName: ak.name, publicArea: ak.publicArea };
}

/** One in quarantine is never forgotten: it would come back without. */
function mayBeForgotten({ deployments, quarantinedAtMs }: AttesterRecord): boolean {
  return deployments.length === 0 && quarantinedAtMs === undefined;
}

async function oldestInExcess(view: StoreView, ekSpkiSha256: string): Promise<AttesterRecord | undefined> {
  const untrusted = (await view.attesters.ofEk(ekSpkiSha256)).filter(mayBeForgotten);
  if (untrusted.length < MAX_UNTRUSTED_AKS) return undefined;
  return untrusted.reduce((a, b) => (b.createdAtMs < a.createdAtMs ? b : a));
}

/** What another EK has enrolled is not for this one to take away. */
async function forget(change: StoreChange, record: AttesterRecord, ekSpkiSha256: string): Promise<void> {
  const rest = (record.enrolments ?? []).filter(({ ek }) => ek.spkiSha256 !== ekSpkiSha256);
  if (rest.length === 0) await change.attesters.remove(record.spkiSha256);
  else await change.attesters.put({ ...record, enrolments: rest });
}

/** Whether the deployment believes the AK now, by the very rules of a release. */
function present(attester: AttesterRecord, { vouchers, deployment, ak }: Proved): ActivationView {
  const trusted = akTrust(vouchers, { akRevoked: false, revoked: [], attester }, deployment, [])(ak).ok;
  return {
    attester: {
      ak_name: ak.name,
      ak_spki_sha256: ak.spkiSha256,
      trust: 'ek-certificate',
      state: trusted ? 'trusted' : 'pending',
    },
  };
}
