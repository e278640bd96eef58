import { fromBase64url, toBase64url } from '../../bytes/base64url.js';
import type { Deployment } from '../../policy/deployment.js';
import type {
  AttesterRecord,
  BrokerRecord,
  DeploymentRecord,
  AkEnrolment,
  KeyRecord,
  KeyVersionRecord,
  PolicyLink,
  PolicyRecord,
  TokenRecord,
} from '../../release/records.js';
import type { Row, SqlValue } from './row-mac.js';

/** How records of one kind become rows and come back. Rows are authenticated before they are read as records. */
export interface TableSpec<R> {
  readonly table: string;
  /** The columns of the primary key: one, or parent and id. */
  readonly key: readonly [string] | readonly [string, string];
  /** Whether the first column of the key is found without regard to case. */
  readonly folded: boolean;
  /** Further columns by which rows are found, without regard to case. Where one is NULL, the row is not found by it. */
  readonly aliases?: readonly string[];
  /** Every column but log_index and mac. */
  toRow(record: R): Row;
  fromRow(row: Row): R;
}

export const BROKER: TableSpec<BrokerRecord> = {
  table: 'broker',
  key: ['id'],
  folded: false,
  toRow: (record) => ({
    id: 1,
    broker: record.broker,
    profile: record.profile,
    created_at_ms: record.createdAtMs,
    kek: record.kek,
    wrapped_root_secret: record.wrappedRootSecret,
    log_origin: record.logOrigin,
    log_public_key: record.logPublicKey,
    wrapped_log_key: record.wrappedLogKey,
  }),
  fromRow: (row) => ({
    broker: text(row, 'broker'),
    profile: text(row, 'profile') as BrokerRecord['profile'],
    createdAtMs: integer(row, 'created_at_ms'),
    kek: text(row, 'kek'),
    wrappedRootSecret: bytes(row, 'wrapped_root_secret'),
    logOrigin: text(row, 'log_origin'),
    logPublicKey: bytes(row, 'log_public_key'),
    wrappedLogKey: bytes(row, 'wrapped_log_key'),
  }),
};

export const DEPLOYMENTS: TableSpec<DeploymentRecord> = {
  table: 'deployments',
  key: ['name'],
  folded: true,
  toRow: (record) => ({
    name: record.deployment.name,
    document: JSON.stringify(record.deployment),
    created_at_ms: record.createdAtMs,
    updated_at_ms: record.updatedAtMs,
  }),
  fromRow: (row) => ({
    deployment: JSON.parse(text(row, 'document')) as Deployment,
    createdAtMs: integer(row, 'created_at_ms'),
    updatedAtMs: integer(row, 'updated_at_ms'),
  }),
};

export const POLICIES: TableSpec<PolicyRecord> = {
  table: 'policies',
  key: ['sha256'],
  folded: false,
  toRow: (record) => ({
    sha256: record.sha256,
    sha384: record.sha384 ?? null,
    content: record.content ?? null,
    created_at_ms: record.createdAtMs,
  }),
  fromRow: (row) => ({
    sha256: text(row, 'sha256'),
    ...optional('sha384', row['sha384'], text(row, 'sha384')),
    ...optional('content', row['content'], bytes(row, 'content')),
    createdAtMs: integer(row, 'created_at_ms'),
  }),
};

export const POLICY_LINKS: TableSpec<PolicyLink> = {
  table: 'policy_links',
  key: ['deployment', 'sha256'],
  folded: true,
  toRow: (record) => ({
    deployment: record.deployment,
    sha256: record.sha256,
    sha384: record.sha384 ?? null,
    not_before_ms: record.notBeforeMs ?? null,
    not_after_ms: record.notAfterMs ?? null,
    origin: record.origin,
    created_at_ms: record.createdAtMs,
  }),
  fromRow: (row) => ({
    deployment: text(row, 'deployment'),
    sha256: text(row, 'sha256'),
    ...optional('sha384', row['sha384'], text(row, 'sha384')),
    ...optional('notBeforeMs', row['not_before_ms'], integer(row, 'not_before_ms')),
    ...optional('notAfterMs', row['not_after_ms'], integer(row, 'not_after_ms')),
    origin: text(row, 'origin') as PolicyLink['origin'],
    createdAtMs: integer(row, 'created_at_ms'),
  }),
};

export const KEYS: TableSpec<KeyRecord> = {
  table: 'keys',
  key: ['name'],
  folded: true,
  toRow: (record) => ({
    name: record.name,
    kty: record.kty,
    size_bits: record.sizeBits ?? null,
    curve: record.curve ?? null,
    deployments: JSON.stringify(record.deployments),
    state: record.state,
    created_at_ms: record.createdAtMs,
    purge_at_ms: record.purgeAtMs ?? null,
  }),
  fromRow: (row) => ({
    name: text(row, 'name'),
    kty: text(row, 'kty') as KeyRecord['kty'],
    ...optional('sizeBits', row['size_bits'], integer(row, 'size_bits')),
    ...optional('curve', row['curve'], text(row, 'curve')),
    deployments: JSON.parse(text(row, 'deployments')) as string[],
    state: text(row, 'state') as KeyRecord['state'],
    createdAtMs: integer(row, 'created_at_ms'),
    ...optional('purgeAtMs', row['purge_at_ms'], integer(row, 'purge_at_ms')),
  }),
};

export const KEY_VERSIONS: TableSpec<KeyVersionRecord> = {
  table: 'key_versions',
  key: ['key', 'version'],
  folded: true,
  toRow: (record) => ({
    key: record.key,
    version: record.version,
    sequence: record.sequence,
    state: record.state,
    kek: record.kek,
    wrapped_dek: record.wrappedDek,
    ciphertext: record.ciphertext,
    created_at_ms: record.createdAtMs,
    purge_at_ms: record.purgeAtMs ?? null,
  }),
  fromRow: (row) => ({
    key: text(row, 'key'),
    version: text(row, 'version'),
    sequence: integer(row, 'sequence'),
    state: text(row, 'state') as KeyVersionRecord['state'],
    kek: text(row, 'kek'),
    wrappedDek: bytes(row, 'wrapped_dek'),
    ciphertext: bytes(row, 'ciphertext'),
    createdAtMs: integer(row, 'created_at_ms'),
    ...optional('purgeAtMs', row['purge_at_ms'], integer(row, 'purge_at_ms')),
  }),
};

export const ATTESTERS: TableSpec<AttesterRecord> = {
  table: 'attesters',
  key: ['spki_sha256'],
  folded: false,
  aliases: ['name', 'ak_name', 'ek_spki_sha256'],
  toRow: (record) => ({
    spki_sha256: record.spkiSha256,
    ak_name: record.akName,
    public_area: record.publicArea,
    name: record.name,
    deployments: JSON.stringify(record.deployments),
    created_at_ms: record.createdAtMs,
    // To find the AKs of an EK by; that of the newest, where there are several.
    ek_spki_sha256: record.enrolments?.at(-1)?.ek.spkiSha256 ?? null,
    enrolments: record.enrolments === undefined ? null : JSON.stringify(record.enrolments.map(storedEnrolment)),
    quarantined_at_ms: record.quarantinedAtMs ?? null,
  }),
  fromRow: (row) => ({
    spkiSha256: text(row, 'spki_sha256'),
    akName: text(row, 'ak_name'),
    publicArea: bytes(row, 'public_area'),
    name: text(row, 'name'),
    deployments: JSON.parse(text(row, 'deployments')) as string[],
    createdAtMs: integer(row, 'created_at_ms'),
    ...(row['enrolments'] === null ? {} : { enrolments: enrolmentsOf(row) }),
    ...optional('quarantinedAtMs', row['quarantined_at_ms'], integer(row, 'quarantined_at_ms')),
  }),
};

/** JSON. */
interface StoredEnrolment extends Omit<AkEnrolment, 'ek'> {
  readonly ek: string;
  /** DER, base64url. */
  readonly certificates: readonly string[];
}

function storedEnrolment({ deployment, akName, ek }: AkEnrolment): StoredEnrolment {
  return { deployment, akName, ek: ek.spkiSha256, certificates: ek.certificates.map(toBase64url) };
}

function enrolmentsOf(row: Row): readonly AkEnrolment[] {
  const stored = JSON.parse(text(row, 'enrolments')) as readonly StoredEnrolment[];
  return stored.map(({ deployment, akName, ek, certificates }) => ({
    deployment,
    akName,
    ek: { spkiSha256: ek, certificates: certificates.map((each) => fromBase64url(each, 'enrolments')) },
  }));
}

export const TOKENS: TableSpec<TokenRecord> = {
  table: 'tokens',
  key: ['id'],
  folded: false,
  toRow: (record) => ({
    id: record.id,
    name: record.name,
    role: record.role,
    hash: record.hash,
    created_at_ms: record.createdAtMs,
    expires_at_ms: record.expiresAtMs ?? null,
    revoked_at_ms: record.revokedAtMs ?? null,
  }),
  fromRow: (row) => ({
    id: text(row, 'id'),
    name: text(row, 'name'),
    role: text(row, 'role') as TokenRecord['role'],
    hash: text(row, 'hash'),
    createdAtMs: integer(row, 'created_at_ms'),
    ...optional('expiresAtMs', row['expires_at_ms'], integer(row, 'expires_at_ms')),
    ...optional('revokedAtMs', row['revoked_at_ms'], integer(row, 'revoked_at_ms')),
  }),
};

/** A set of ids: revocations, freezes. */
export function setSpec(table: string): TableSpec<string> {
  return { table, key: ['id'], folded: false, toRow: (id) => ({ id }), fromRow: (row) => text(row, 'id') };
}

/* The schema is STRICT: a column holds its type or, where it may, NULL; `optional` drops the NULLs. */

function text(row: Row, column: string): string {
  return row[column] as string;
}

function integer(row: Row, column: string): number {
  return row[column] as number;
}

function bytes(row: Row, column: string): Buffer {
  return row[column] as Buffer;
}

function optional<N extends string, V>(name: N, stored: SqlValue | undefined, value: V): Partial<Record<N, V>> {
  return (stored === null || stored === undefined ? {} : { [name]: value }) as Partial<Record<N, V>>;
}
