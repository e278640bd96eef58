/**
 * The first schema. Every table that decides a release ends in `log_index`, the index of the log entry that set the row,
 * and `mac`, its authentication (store/rows). The indexes on
 * `log_index` find what was set since a process has looked last, those on `purge_at_ms` what is to be destroyed. A later migration adds such tables empty, or columns that are NULL in the
 * rows there are: neither disturbs a MAC, which a migration, run before the key is known, could not renew.
 */
export const initial = `
CREATE TABLE broker (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  broker TEXT NOT NULL,
  profile TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  kek TEXT NOT NULL,
  wrapped_root_secret BLOB NOT NULL,
  log_origin TEXT NOT NULL,
  log_public_key BLOB NOT NULL,
  wrapped_log_key BLOB NOT NULL,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT;

CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  generation INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  nonce_floor_ms INTEGER NOT NULL,
  contents TEXT NOT NULL,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT;

CREATE TABLE deployments (
  name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
  document TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT;
CREATE INDEX deployments_by_log_index ON deployments (log_index);

CREATE TABLE policies (
  sha256 TEXT NOT NULL PRIMARY KEY,
  sha384 TEXT,
  content BLOB,
  created_at_ms INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT;
CREATE INDEX policies_by_log_index ON policies (log_index);

CREATE TABLE policy_links (
  deployment TEXT NOT NULL COLLATE NOCASE,
  sha256 TEXT NOT NULL,
  sha384 TEXT,
  not_before_ms INTEGER,
  not_after_ms INTEGER,
  origin TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY (deployment, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX policy_links_by_log_index ON policy_links (log_index);

CREATE TABLE keys (
  name TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
  kty TEXT NOT NULL,
  size_bits INTEGER,
  curve TEXT,
  deployments TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  purge_at_ms INTEGER,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_by_log_index ON keys (log_index);
CREATE INDEX keys_by_purge ON keys (purge_at_ms) WHERE purge_at_ms IS NOT NULL;

CREATE TABLE key_versions (
  "key" TEXT NOT NULL COLLATE NOCASE,
  version TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  state TEXT NOT NULL,
  kek TEXT NOT NULL,
  wrapped_dek BLOB NOT NULL,
  ciphertext BLOB NOT NULL,
  created_at_ms INTEGER NOT NULL,
  purge_at_ms INTEGER,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL,
  PRIMARY KEY ("key", version),
  UNIQUE ("key", sequence)
) STRICT;
CREATE INDEX key_versions_by_log_index ON key_versions (log_index);
CREATE INDEX key_versions_by_purge ON key_versions (purge_at_ms) WHERE purge_at_ms IS NOT NULL AND length(ciphertext) > 0;

CREATE TABLE attesters (
  spki_sha256 TEXT NOT NULL PRIMARY KEY,
  ak_name TEXT NOT NULL,
  public_area BLOB NOT NULL,
  name TEXT NOT NULL COLLATE NOCASE UNIQUE,
  deployments TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT;
CREATE INDEX attesters_by_log_index ON attesters (log_index);
CREATE INDEX attesters_by_ak_name ON attesters (ak_name);

CREATE TABLE tokens (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  hash TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER,
  revoked_at_ms INTEGER,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_log_index ON tokens (log_index);

CREATE TABLE revocations (
  id TEXT NOT NULL PRIMARY KEY,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_by_log_index ON revocations (log_index);

CREATE TABLE freezes (
  id TEXT NOT NULL PRIMARY KEY,
  log_index INTEGER NOT NULL,
  mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX freezes_by_log_index ON freezes (log_index);

CREATE TABLE removals (
  id INTEGER PRIMARY KEY,
  log_index INTEGER NOT NULL,
  place TEXT NOT NULL,
  label BLOB NOT NULL
) STRICT;
CREATE INDEX removals_by_log_index ON removals (log_index);

CREATE TABLE log_entries (
  log_index INTEGER PRIMARY KEY CHECK (log_index >= 0),
  entry TEXT NOT NULL,
  leaf_hash BLOB NOT NULL,
  detail TEXT,
  names TEXT,
  type TEXT GENERATED ALWAYS AS (json_extract(entry, '$.type')) VIRTUAL,
  deployment TEXT COLLATE NOCASE GENERATED ALWAYS AS (json_extract(entry, '$.deployment')) VIRTUAL
) STRICT;
CREATE INDEX log_entries_by_type ON log_entries (type, log_index);
CREATE INDEX log_entries_by_deployment ON log_entries (deployment, log_index) WHERE deployment IS NOT NULL;

CREATE TABLE log_nodes (
  level INTEGER NOT NULL CHECK (level > 0 AND level % 8 = 0),
  node_index INTEGER NOT NULL CHECK (node_index >= 0),
  hash BLOB NOT NULL,
  PRIMARY KEY (level, node_index)
) STRICT, WITHOUT ROWID;

CREATE TABLE log_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  origin TEXT NOT NULL,
  size INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  state_generation INTEGER NOT NULL,
  peaks BLOB NOT NULL,
  checkpoint TEXT NOT NULL,
  mac BLOB NOT NULL
) STRICT;

CREATE TABLE evidence_archive (
  release_id TEXT NOT NULL PRIMARY KEY,
  log_index INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT;

CREATE TABLE spent_nonces (
  nonce BLOB NOT NULL PRIMARY KEY,
  issued_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_nonces_by_time ON spent_nonces (issued_at_ms);

CREATE TABLE probe (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  probed_at_ms INTEGER NOT NULL
) STRICT;
`;
