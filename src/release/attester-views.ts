import { createPublicKey } from 'node:crypto';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import { type Certificate, parseCertificate } from '../crypto/x509.js';
import { COMMON_NAME, type Name } from '../crypto/x509-name.js';
import { tpmIdentity } from '../endorsement/tpm-identity.js';
import { type AkIdentity, parseAk, presentedAk, UNKNOWN_NAME } from '../evidence/tpm/ak.js';
import { instanceOf } from '../endorsement/instance.js';
import type { KnownAttester, Standing, Standings } from './attester-standing.js';
import type { AttesterRecord, EkEndorsement, StoredSighting } from './records.js';
import { StoreIntegrityError } from './store.js';
import { rfc3339 } from './time.js';
import type { AttesterView, EkView } from './views.js';

/** How many digits of the SPKI hash stand in the name of an AK that nobody has named. */
const HASH_DIGITS = 16;
const MADE_NAME = new RegExp(`^ak-([0-9a-f]{${String(HASH_DIGITS)}})$`);

/** What an AK is called until somebody names it. */
export function madeName(spkiSha256: string): string {
  return `ak-${spkiSha256.slice(0, HASH_DIGITS)}`;
}

/** The digits of the SPKI hash that such a name has; undefined for any other name. */
export function hashInName(name: string): string | undefined {
  return MADE_NAME.exec(name)?.[1];
}

/** A record and a sighting of one AK. Throws StoreIntegrityError where the record's public area does not parse. */
export function knownAttester(
  record: AttesterRecord | undefined,
  sighting: StoredSighting | undefined,
  spkiSha256: string,
): KnownAttester {
  return { spkiSha256, record, sighting, ak: storedAk(record) ?? seenAk(sighting, spkiSha256) };
}

/** undefined where there is no record, or one without a public area: of an AK that was never seen but with its certificate. */
function storedAk(record: AttesterRecord | undefined): AkIdentity | undefined {
  if (record === undefined || record.publicArea.length === 0) return undefined;
  const ak = parseAk(record.publicArea);
  if (!ak.ok) throw new StoreIntegrityError(`attesters ${record.spkiSha256}: the stored public area does not parse`);
  return ak.value;
}

/** Sightings are not authenticated: public area or certificate counts only if its key is the one that was asked for. */
function seenAk(sighting: StoredSighting | undefined, spkiSha256: string): AkIdentity | undefined {
  if (sighting === undefined) return undefined;
  const { publicArea, certificates } = sighting;
  const ak = presentedAk({ ak: publicArea.length === 0 ? undefined : publicArea, akCertificates: certificates });
  return ak.ok && ak.value.spkiSha256 === spkiSha256 ? ak.value : undefined;
}

export async function presentAttester(standings: Standings, known: KnownAttester): Promise<AttesterView> {
  const { spkiSha256, record, sighting, ak } = known;
  const createdAtMs = record?.createdAtMs ?? sighting?.firstSeenAtMs;
  return {
    name: record?.name ?? madeName(spkiSha256),
    ak_name: record?.akName ?? ak?.name ?? UNKNOWN_NAME,
    ak_spki_sha256: spkiSha256,
    pem: ak === undefined ? '' : pemOf(ak),
    trust: trustOf(known),
    ...presentStanding(await standings.of(known)),
    deployments: record?.deployments ?? [],
    created_at: rfc3339(createdAtMs ?? 0),
    ...presentEnrolledFor(record),
    ...presentEndorsement(onlyEk(record), sighting?.certificates[0]),
    ...(record?.quarantinedAtMs === undefined ? {} : { quarantined_at: rfc3339(record.quarantinedAtMs) }),
    ...(sighting === undefined ? {} : presentSighting(sighting)),
  };
}

/** What is authenticated comes before what was only seen. */
function trustOf({ record, sighting }: KnownAttester): string {
  if (record?.enrolments !== undefined && record.enrolments.length > 0) return 'ek-certificate';
  if (record !== undefined && record.deployments.length > 0) return 'pinned';
  return sighting?.trust ?? 'pinned';
}

function presentStanding({ state, vouchedBy, revokedBy }: Standing) {
  return {
    state,
    ...(vouchedBy.length === 0 ? {} : { vouched_by: vouchedBy }),
    ...(revokedBy === undefined ? {} : { revoked_by: revokedBy }),
  };
}

function pemOf({ spki }: AkIdentity): string {
  return createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'pem', type: 'spki' }).toString();
}

function presentEnrolledFor({ enrolments }: Partial<AttesterRecord> = {}) {
  return enrolments === undefined ? {} : { enrolled_for: enrolments.map(({ deployment }) => deployment).sort() };
}

/** Where several deployments know the AK by several EKs, no one of them is the EK of its TPM for everybody; `vouched_by` has them all. */
function onlyEk({ enrolments = [] }: Partial<AttesterRecord> = {}): EkEndorsement | undefined {
  const newest = enrolments.at(-1)?.ek;
  return enrolments.every(({ ek }) => ek.spkiSha256 === newest?.spkiSha256) ? newest : undefined;
}

function presentEndorsement(ek: EkEndorsement | undefined, akCertificate: Buffer | undefined) {
  const der = ek?.certificates[0];
  const leaf = der === undefined ? undefined : parsed(der);
  const instance = [leaf, akCertificate === undefined ? undefined : parsed(akCertificate)]
    .flatMap((certificate) => (certificate === undefined ? [] : [instanceOf(certificate)]))
    .find((each) => Object.keys(each).length > 0);
  return {
    ...(ek === undefined || der === undefined ? {} : { ek: presentEk(ek.spkiSha256, der, leaf) }),
    ...(instance === undefined ? {} : { instance }),
  };
}

function presentEk(spkiSha256: string, der: Buffer, leaf: Certificate | undefined): EkView {
  const known = { spki_sha256: spkiSha256, certificate_sha256: sha256Hex(der) };
  if (leaf === undefined) return known;
  return { ...known, serial: leaf.serial, issuer: nameText(leaf.issuer), ...tpmIdentity(leaf) };
}

function presentSighting({ clock, regressions, deployment, firstSeenAtMs, seenAtMs }: StoredSighting) {
  return {
    first_seen: rfc3339(firstSeenAtMs),
    last_seen: rfc3339(seenAtMs),
    last_deployment: deployment,
    ...(clock === undefined
      ? {}
      : {
          reset_count: clock.resetCount,
          restart_count: clock.restartCount,
          clock_ms: clock.clock.toString(),
          firmware_version: clock.firmwareVersion.toString(),
        }),
    regressions,
  };
}

function parsed(der: Buffer): Certificate | undefined {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

/** Attribute types of X.520 as people write them. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  [COMMON_NAME]: 'CN',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
};

/** For people: not to be compared, since what would have to be escaped is not. */
function nameText({ attributes }: Name): string {
  return attributes.map(({ oid, value }) => `${SHORT_NAMES[oid] ?? oid}=${value ?? ''}`).join(', ');
}
