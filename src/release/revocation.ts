import { isRevocable, type RevocableIdentity } from '../endorsement/identity.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { PageRequest, Principal } from './broker.js';
import type { BrokerContext } from './context.js';
import { attesterView, findAttester, type FoundAttester, noSuchAttester } from './inventory.js';
import { listOf, pageOf } from './paging.js';
import type { AttesterRecord } from './records.js';
import type { StoreChange } from './store.js';
import type { AttesterView, ListView, RevocationView } from './views.js';

/** An AK of which nothing is known but its hash. */
export interface RevokedHash {
  readonly ak_spki_sha256: string;
  readonly state: 'revoked';
}

/**
 * Revokes an AK for every deployment, by name, AK Name or SPKI hash; it works on the very next commit, and cannot be taken
 * back. An SPKI hash that the broker has never seen is revoked all the same: the AK may be one that a certificate vouches for.
 */
export async function revokeAttester(
  context: BrokerContext,
  by: Principal,
  id: string,
): Promise<Result<AttesterView | RevokedHash>> {
  const found = await findAttester(context, id);
  if (found === undefined) return noSuchAttester();
  return context.store.change(async (change) => {
    const { record } = await revokeAk(change, by, found.spkiSha256);
    return accept(await shownRevoked(context, change, record, found));
  });
}

/**
 * Revokes whatever vouches for AKs, by its identity (endorsement/identity.ts): a certificate, or all that an EK, a CA or a
 * chip vouches for, known or not; an AK by its SPKI hash. On the very next commit, for good, and no recall: what was
 * released is released. A pinned AK is believed by an administrator's word: only its own revocation and its EK's end that.
 * `created`: it was not revoked before. request.malformed for anything that is no such identity.
 */
export async function revokeIdentity(
  context: BrokerContext,
  by: Principal,
  identity: string,
): Promise<Result<RevocationView> & { readonly created?: boolean }> {
  if (!isRevocable(identity)) {
    return reject(
      'request.malformed',
      'identity: an SPKI hash, ek/HASH, certificate/ISSUER_HASH/SERIAL, ca/HASH or chip/ID, all in lower-case hex',
    );
  }
  return context.store.change(async (change) => {
    const kind = kindOf(identity);
    const { created } =
      kind === 'ak' ? await revokeAk(change, by, identity) : await revokeEndorsement(change, by, identity);
    if (kind !== 'ek') return { ...accept({ identity, kind }), created };
    const enrolled = await change.attesters.ofEk(identity.slice('ek/'.length));
    return { ...accept({ identity, kind, attesters: enrolled.map(({ name }) => name).sort() }), created };
  });
}

/** Everything that was revoked, by identity. */
export async function listRevocations(
  context: BrokerContext,
  request: PageRequest,
): Promise<Result<ListView<RevocationView>>> {
  const page = pageOf(request);
  if (!page.ok) return page;
  const { shown, after = '', limit } = page.value;
  const all = await context.store.read((view) => view.revocations.all());
  const rest = [...all].sort().filter((identity) => identity > after);
  const present = (identity: string): RevocationView => ({ identity, kind: kindOf(identity) });
  return accept(await listOf(rest.slice(0, limit), shown, (identity) => identity, present));
}

async function revokeAk(
  change: StoreChange,
  by: Principal,
  spkiSha256: string,
): Promise<{ readonly record: AttesterRecord | undefined; readonly created: boolean }> {
  const record = await change.attesters.get(spkiSha256);
  const created = !(await change.revocations.has(spkiSha256));
  if (created) {
    await change.append('attester.revoked', {
      actor: by.tokenId,
      attester: record?.name,
      ak_name: record?.akName,
      ak_spki_sha256: spkiSha256,
    });
    await change.revocations.add(spkiSha256);
  }
  return { record, created };
}

async function revokeEndorsement(
  change: StoreChange,
  by: Principal,
  identity: RevocableIdentity,
): Promise<{ readonly created: boolean }> {
  if (await change.revocations.has(identity)) return { created: false };
  await change.append('endorsement.revoked', { actor: by.tokenId, identity });
  await change.revocations.add(identity);
  return { created: true };
}

async function shownRevoked(
  context: BrokerContext,
  change: StoreChange,
  record: AttesterRecord | undefined,
  found: FoundAttester,
): Promise<AttesterView | RevokedHash> {
  if (record !== undefined || found.sighting !== undefined) return attesterView(context, change, record, found);
  return { ak_spki_sha256: found.spkiSha256, state: 'revoked' };
}

function kindOf(identity: RevocableIdentity): RevocationView['kind'] {
  const slash = identity.indexOf('/');
  return slash === -1 ? 'ak' : (identity.slice(0, slash) as RevocationView['kind']);
}
