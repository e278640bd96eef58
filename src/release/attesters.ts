import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { type AkIdentity, parseAk } from '../evidence/tpm/ak.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { knownAttester, madeName } from './attester-views.js';
import type { Principal, TrustAttester } from './broker.js';
import type { BrokerContext } from './context.js';
import { noSuchDeployment } from './deployments.js';
import { attesterView, findAttester, noSuchAttester } from './inventory.js';
import type { AttesterRecord } from './records.js';
import type { StoreChange } from './store.js';
import type { AttesterView } from './views.js';
import { enrolmentFor } from './vouchers.js';

/** An SPKI hash, an AK Name (nameAlg and its digest: SHA-256, SHA-384 or SHA-512), or the word in place of one. */
const LOOKS_LIKE_AN_AK = /^(?:[0-9a-f]{64}|000[bcd](?:[0-9a-f]{2}){32,64}|unknown)$/i;

/**
 * Trusts an AK for a deployment: by its public area, or, when it is known already (pinned elsewhere, enrolled, or seen and
 * pending), by its SPKI hash. The AK must be a restricted signing key of its TPM (ak.attributes). A quarantine is not lifted
 * by this. Refusals: request.malformed, evidence.malformed, deployment.unknown, resource.unknown, resource.exists (trusted
 * already, or the name is taken), resource.state (revoked).
 *
 * What was only seen is not authenticated. It can offer no other key than the one whose hash the administrator names; a
 * wrong AK Name beside it makes an AK that is not believed.
 */
export async function trustAttester(
  context: BrokerContext,
  by: Principal,
  request: TrustAttester,
): Promise<Result<AttesterView>> {
  if (request.name !== undefined && LOOKS_LIKE_AN_AK.test(request.name)) {
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
  const sighting = await context.store.sighting(spki);
  const candidate = ak ?? knownAttester(undefined, sighting, spki).ak;
  return context.store.change(async (change) => {
    const deployment = await change.deployments.get(request.deployment);
    if (deployment?.deployment.name !== request.deployment) return noSuchDeployment();
    if (await change.revocations.has(spki)) {
      return reject('resource.state', 'this AK has been revoked, which is for good; make a new AK in the TPM');
    }
    const known = await change.attesters.get(spki);
    const record =
      known === undefined
        ? candidate && newRecord(candidate, request.name, context.clock())
        : named(withPublicArea(known, ak), request.name);
    if (record === undefined) return noPublicArea();
    const conflict = await findConflict(change, request, known, record, ak);
    if (conflict !== undefined) return conflict;
    const trusted = { ...record, deployments: [...record.deployments, request.deployment].sort() };
    // A Name that was not known before is one for every deployment that trusts the AK.
    const told = known === undefined || known.akName === record.akName ? [request.deployment] : trusted.deployments;
    for (const name of told) {
      await change.append('attester.trusted', {
        actor: by.tokenId,
        deployment: name,
        attester: record.name,
        ak_name: record.akName,
        ak_spki_sha256: spki,
        trust: 'pinned',
      });
    }
    await change.attesters.put(trusted);
    return accept(await attesterView(context, change, trusted, { spkiSha256: spki, sighting }));
  });
}

/**
 * Puts an AK in quarantine, by name, AK Name or SPKI hash, or ends that: meanwhile no deployment believes it, on the very
 * next commit, whatever vouches for it. What is so already is not recorded again. An AK that was only seen gets a record,
 * which no deployment believes for that. Refusals: resource.unknown, also where there is nothing of it but its hash
 * (revoke it instead).
 */
export async function setAttesterQuarantined(
  context: BrokerContext,
  by: Principal,
  id: string,
  quarantined: boolean,
): Promise<Result<AttesterView>> {
  const found = await findAttester(context, id);
  if (found === undefined) return noSuchAttester();
  const { spkiSha256, sighting } = found;
  const { ak: seen } = knownAttester(undefined, sighting, spkiSha256);
  return context.store.change(async (change) => {
    const known = await change.attesters.get(spkiSha256);
    const record =
      known ?? (seen === undefined ? undefined : newRecord(seen, await freeName(change, seen), context.clock()));
    if (record === undefined) return sighting === undefined ? noSuchAttester() : noPublicArea();
    if ((record.quarantinedAtMs !== undefined) === quarantined) {
      return accept(await attesterView(context, change, known, found));
    }
    const changed = quarantined ? { ...record, quarantinedAtMs: context.clock() } : withoutQuarantine(record);
    await change.append('attester.quarantined', {
      actor: by.tokenId,
      attester: record.name,
      ak_name: record.akName,
      ak_spki_sha256: spkiSha256,
      quarantined,
    });
    await change.attesters.put(changed);
    return accept(await attesterView(context, change, changed, found));
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
    name: name ?? madeName(ak.spkiSha256),
    deployments: [],
    createdAtMs: nowMs,
  };
}

/** With the name that an administrator gives an AK which has none but the one that was made for it. */
function named(record: AttesterRecord, name: string | undefined): AttesterRecord {
  return name === undefined || record.name !== madeName(record.spkiSha256) ? record : { ...record, name };
}

async function findConflict(
  change: StoreChange,
  request: TrustAttester,
  known: AttesterRecord | undefined,
  record: AttesterRecord,
  ak: AkIdentity | undefined,
): Promise<Rejection | undefined> {
  if (known?.deployments.includes(request.deployment) === true) {
    return reject('resource.exists', `this AK is trusted for the deployment already, as ${known.name}`);
  }
  if (known !== undefined && ak !== undefined && record.akName !== ak.name) {
    return reject(
      'resource.exists',
      `this key is known already under another Name (${record.akName}), with other attributes`,
    );
  }
  const enrolledName = enrolmentFor(known, request.deployment)?.akName ?? record.akName;
  if (ak === undefined && record.publicArea.length > 0 && record.akName !== enrolledName) {
    return reject('resource.exists', 'this key is known under several Names; trust the AK by its public area');
  }
  if ((request.name ?? record.name) !== record.name) {
    return reject('resource.exists', `this AK is known already as ${record.name}; leave --name out, or give that name`);
  }
  const namesake = record.name !== known?.name ? await change.attesters.get(record.name.toLowerCase()) : undefined;
  return namesake === undefined
    ? undefined
    : reject('resource.exists', `another attester is named ${record.name}; choose another --name`);
}

function withoutQuarantine(record: AttesterRecord): AttesterRecord {
  const free: { quarantinedAtMs?: number } & AttesterRecord = { ...record };
  delete free.quarantinedAtMs;
  return free;
}

/** A record with the public area that the administrator gives, where it had none, or one that no administrator has vouched for. */
function withPublicArea(record: AttesterRecord, ak: AkIdentity | undefined): AttesterRecord {
  if (ak === undefined || (record.publicArea.length > 0 && record.deployments.length > 0)) return record;
  return { ...record, akName: ak.name, publicArea: ak.publicArea };
}

/** The name that is made for an AK, or, should somebody have given that to another one, a longer one. */
async function freeName(change: StoreChange, { spkiSha256 }: AkIdentity): Promise<string> {
  const name = madeName(spkiSha256);
  return (await change.attesters.get(name)) === undefined ? name : `ak-${spkiSha256}`;
}

function noPublicArea(): Rejection {
  return reject(
    'resource.unknown',
    'neither a public area nor a certificate of this AK is known; trust it by its file, or revoke it by its SPKI hash',
  );
}
