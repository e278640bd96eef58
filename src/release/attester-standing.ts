import type { RevocableIdentity } from '../endorsement/identity.js';
import type { AkIdentity } from '../evidence/tpm/ak.js';
import { akTrust, type TrustFacts } from './ak-trust.js';
import type { AttesterRecord, DeploymentRecord, StoredSighting } from './records.js';
import type { StoreView } from './store.js';
import type { AttesterView } from './views.js';
import { type Vouchers, vouchingIdentities } from './vouchers.js';

/** All that is known of an AK: a record, a sighting, or both. */
export interface KnownAttester {
  readonly spkiSha256: string;
  readonly record: AttesterRecord | undefined;
  readonly sighting: StoredSighting | undefined;
  /** undefined where neither its public area nor its certificate is known. */
  readonly ak: AkIdentity | undefined;
}

/** How an AK stands with the deployments that know it. */
export interface Standing {
  readonly state: AttesterView['state'];
  /** What vouches for it beside the AK itself, by the rules of these deployments. */
  readonly vouchedBy: readonly RevocableIdentity[];
  /** The AK, or the first of `vouchedBy`, that was revoked. */
  readonly revokedBy: RevocableIdentity | undefined;
}

/**
 * Whether AKs are believed, for one view of the store and one time: asked of the rules of each deployment that knows the
 * AK, as a release would ask them, with the certificates that the AK was last seen with. For people: a release decides
 * anew, by what it is presented with.
 */
export class Standings {
  readonly #view: StoreView;
  readonly #vouchers: Vouchers;
  readonly #deployments = new Map<string, DeploymentRecord | undefined>();

  constructor(view: StoreView, vouchers: Vouchers) {
    this.#view = view;
    this.#vouchers = vouchers;
  }

  async of(known: KnownAttester): Promise<Standing> {
    const { spkiSha256, record, sighting } = known;
    const { revocations } = this.#view;
    const akRevoked = await revocations.has(spkiSha256);
    const vouchedBy = new Set<RevocableIdentity>();
    const revoked = new Set<RevocableIdentity>();
    let believed = false;
    for (const name of namesOf(known)) {
      const deployment = await this.#deployment(name);
      if (deployment === undefined) continue;
      const certificates = sighting?.certificates ?? [];
      const identities = vouchingIdentities(this.#vouchers, deployment.deployment, record, certificates);
      for (const identity of identities) {
        if (!vouchedBy.has(identity) && (await revocations.has(identity))) revoked.add(identity);
        vouchedBy.add(identity);
      }
      believed ||= this.#believes(deployment, known, { akRevoked, revoked: [...revoked] });
    }
    const [first] = revoked;
    const revokedBy = akRevoked ? spkiSha256 : first;
    return { state: stateOf(known, akRevoked, believed, revokedBy), vouchedBy: [...vouchedBy], revokedBy };
  }

  #believes(
    { deployment }: DeploymentRecord,
    { ak, record: attester, sighting }: KnownAttester,
    revocation: Pick<TrustFacts, 'akRevoked' | 'revoked'>,
  ): boolean {
    if (ak === undefined) return false;
    return akTrust(this.#vouchers, { ...revocation, attester }, deployment, sighting?.certificates ?? [])(ak).ok;
  }

  /** Each is read once, however many AKs are asked for. */
  async #deployment(name: string): Promise<DeploymentRecord | undefined> {
    if (!this.#deployments.has(name)) this.#deployments.set(name, await this.#view.deployments.get(name));
    return this.#deployments.get(name);
  }
}

function namesOf({ record, sighting }: KnownAttester): ReadonlySet<string> {
  const seen = sighting === undefined ? [] : [sighting.deployment];
  const enrolledFor = (record?.enrolments ?? []).map(({ deployment }) => deployment);
  return new Set([...(record?.deployments ?? []), ...enrolledFor, ...seen]);
}

function stateOf(
  { record, sighting, ak }: KnownAttester,
  akRevoked: boolean,
  believed: boolean,
  revokedBy: RevocableIdentity | undefined,
): AttesterView['state'] {
  if (akRevoked) return 'revoked';
  if (record?.quarantinedAtMs !== undefined) return 'quarantined';
  if (believed) return 'trusted';
  if (revokedBy !== undefined) return 'revoked';
  // The administrator's word is all there is of it: what else vouches for it comes with the evidence.
  const unseen = (record?.enrolments ?? []).length === 0 && (sighting?.certificates ?? []).length === 0;
  if (unseen && (record?.deployments ?? []).length > 0) return 'trusted';
  return ak === undefined && sighting?.state === 'trusted' ? 'trusted' : 'pending';
}
