import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { type AkIdentity, parseAk } from '../evidence/tpm/ak.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import type { PageRequest, Principal, TrustAttester } from './broker.js';
import type { BrokerContext } from './context.js';
import { noSuchDeployment } from './deployments.js';
import { listOf, pageOf } from './paging.js';
import { presentAttester } from './present.js';
import type { AttesterRecord } from './records.js';
import { type StoreChange, StoreIntegrityError, type StoreView } from './store.js';
import type { AttesterView, ListView } from './views.js';

const SPKI_HASH = /^[0-9a-f]{64}$/i;
/** nameAlg and its digest: SHA-256, SHA-384 or SHA-512. */
const AK_NAME = /^000[bcd](?:[0-9a-f]{2}){32,64}$/i;

/**
 * Pins an AK for a deployment: by its public area, or, when the broker knows it already, by its SPKI hash. The AK must be
 * a restricted signing key of its TPM (ak.attributes). Refusals: request.malformed, evidence.malformed,
 * deployment.unknown, resource.unknown, resource.exists (pinned already, or the name is taken), resource.state (revoked).
 */
export async function trustAttester(
  context: BrokerContext,
  by: Principal,
  request: TrustAttester,
): Promise<Result<AttesterView>> {
  if (request.name !== undefined && (SPKI_HASH.test(request.name) || AK_NAME.test(request.name))) {
    return reject(
      'request.malformed',
      'name: looks like a hash or an AK Name, by which another attester could be meant',
    );
  }
  const presented = request.public === undefined ? undefined : parsePublic(request.public);
  if (presented?.ok === false) return presented;
  const ak = presented?.value;
  const spki = ak?.spkiSha256 ?? request.spki_sha256;
  if (spki === undefined || (ak !== undefined && (request.spki_sha256 ?? spki) !== spki)) {
    return reject('request.malformed', 'public: send the public area of the AK, or the spki_sha256 of a known one');
  }
  return context.store.change(async (change) => {
    const deployment = await change.deployments.get(request.deployment);
    if (deployment?.deployment.name !== request.deployment) return noSuchDeployment();
    if (await change.revocations.has(spki)) {
      return reject('resource.state', 'this AK has been revoked, which is for good; make a new AK in the TPM');
    }
    const known = await change.attesters.get(spki);
    const record = known ?? (ak === undefined ? undefined : newRecord(ak, request.name, context.clock()));
    if (record === undefined) return noSuchAttester();
    const conflict = await findConflict(change, request, known, record, ak);
    if (conflict !== undefined) return conflict;
    const trusted = { ...record, deployments: [...record.deployments, request.deployment].sort() };
    await change.append('attester.trusted', {
      actor: by.tokenId,
      deployment: request.deployment,
      attester: record.name,
      ak_name: record.akName,
      ak_spki_sha256: spki,
      trust: 'pinned',
    });
    await change.attesters.put(trusted);
    return accept(presentRecord(trusted, false));
  });
}

export async function listAttesters(
  context: BrokerContext,
  request: PageRequest,
): Promise<Result<ListView<AttesterView>>> {
  const page = pageOf(request);
  if (!page.ok) return page;
  return context.store.read(async (view) => {
    const records = await view.attesters.list(page.value);
    return accept(
      await listOf(
        records,
        page.value.shown,
        (record) => record.spkiSha256,
        (record) => presentFrom(view, record),
      ),
    );
  });
}

/** By name, AK Name or SPKI hash. */
export async function showAttester(context: BrokerContext, id: string): Promise<Result<AttesterView>> {
  return context.store.read(async (view) => {
    const record = await findAttester(view, id);
    return record === undefined ? noSuchAttester() : accept(await presentFrom(view, record));
  });
}

/**
 * Revokes an AK for every deployment, by name, AK Name or SPKI hash; it works on the very next commit, and cannot be taken
 * back. An SPKI hash that the broker has never seen is revoked all the same: the AK may be one that a certificate vouches for.
 */
export async function revokeAttester(
  context: BrokerContext,
  by: Principal,
  id: string,
): Promise<Result<AttesterView | { readonly ak_spki_sha256: string; readonly state: 'revoked' }>> {
  return context.store.change(async (change) => {
    const record = await findAttester(change, id);
    const spki = record?.spkiSha256 ?? (SPKI_HASH.test(id) ? id.toLowerCase() : undefined);
    if (spki === undefined) return noSuchAttester();
    await change.append('attester.revoked', {
      actor: by.tokenId,
      attester: record?.name,
      ak_name: record?.akName,
      ak_spki_sha256: spki,
    });
    await change.revocations.add(spki);
    return accept(record === undefined ? { ak_spki_sha256: spki, state: 'revoked' } : presentRecord(record, true));
  });
}

function parsePublic(text: string): Result<AkIdentity> {
  try {
    return parseAk(fromBase64url(text, 'public'));
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

function newRecord(ak: AkIdentity, name: string | undefined, nowMs: number): AttesterRecord {
  return {
    spkiSha256: ak.spkiSha256,
    akName: ak.name,
    publicArea: ak.publicArea,
    name: name ?? `ak-${ak.spkiSha256.slice(0, 16)}`,
    deployments: [],
    createdAtMs: nowMs,
  };
}

async function findConflict(
  change: StoreChange,
  request: TrustAttester,
  known: AttesterRecord | undefined,
  record: AttesterRecord,
  ak: AkIdentity | undefined,
): Promise<Rejection | undefined> {
  if (known?.deployments.includes(request.deployment) === true) {
    return reject('resource.exists', `this AK is pinned for the deployment already, as ${known.name}`);
  }
  if (known !== undefined && ak !== undefined && known.akName !== ak.name) {
    return reject(
      'resource.exists',
      `this key is pinned already under another Name (${known.akName}), with other attributes`,
    );
  }
  if (known !== undefined && (request.name ?? known.name) !== known.name) {
    return reject('resource.exists', `this AK is known already as ${known.name}; leave --name out, or give that name`);
  }
  const namesake = known === undefined ? await findAttester(change, record.name) : undefined;
  return namesake === undefined
    ? undefined
    : reject('resource.exists', `another attester is named ${record.name}; choose another --name`);
}

function findAttester(view: StoreView, id: string): Promise<AttesterRecord | undefined> {
  return view.attesters.get(id.toLowerCase());
}

async function presentFrom(view: StoreView, record: AttesterRecord): Promise<AttesterView> {
  return presentRecord(record, await view.revocations.has(record.spkiSha256));
}

function presentRecord(record: AttesterRecord, revoked: boolean): AttesterView {
  const ak = parseAk(record.publicArea);
  if (!ak.ok) throw new StoreIntegrityError(`attesters ${record.spkiSha256}: the stored public area does not parse`);
  return presentAttester(record, ak.value.spki, revoked);
}

function noSuchAttester(): Rejection {
  return reject('resource.unknown', 'there is no attester of this name or hash; see: portcullis attester list');
}
