/**
 * The first schema. Every table that decides a release ends in `log_index`, the index of the log entry that set the row,
 * and `mac`, its authentication (store/rows). The indexes `_by_change` find what was set since a process has looked last, those
 * `_by_purge` what is to be destroyed. A later migration adds such tables empty, or columns that are NULL in the rows there
 * are: neither disturbs a MAC, which a migration, run before the key is known, could not renew.
 *
 * Names of tables stand without their schema: verification makes the same tables elsewhere. Texts are compared byte by
 * byte (COLLATE "C"), where lower() changes ASCII letters and no other.
 */
export const initial = `
CREATE TABLE migrations (
  version integer PRIMARY KEY,
  applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE server (
  id integer PRIMARY KEY CHECK (id = 1),
  system_identifier text COLLATE "C" NOT NULL,
  timeline bigint NOT NULL,
  mac bytea NOT NULL
);

CREATE TABLE broker (
  id integer PRIMARY KEY CHECK (id = 1),
  broker text COLLATE "C" NOT NULL,
  profile text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  kek text COLLATE "C" NOT NULL,
  wrapped_root_secret bytea NOT NULL,
  log_origin text COLLATE "C" NOT NULL,
  log_public_key bytea NOT NULL,
  wrapped_log_key bytea NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);

CREATE TABLE state (
  id integer PRIMARY KEY CHECK (id = 1),
  generation bigint NOT NULL,
  epoch bigint NOT NULL,
  nonce_floor_ms bigint NOT NULL,
  contents text COLLATE "C" NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);

CREATE TABLE deployments (
  name text COLLATE "C" NOT NULL,
  document text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX deployments_by_change ON deployments (log_index);
CREATE UNIQUE INDEX deployments_by_id ON deployments (lower(name));

CREATE TABLE policies (
  sha256 text COLLATE "C" NOT NULL,
  sha384 text COLLATE "C",
  content bytea,
  created_at_ms bigint NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX policies_by_change ON policies (log_index);
CREATE UNIQUE INDEX policies_by_id ON policies (sha256);

CREATE TABLE policy_links (
  deployment text COLLATE "C" NOT NULL,
  sha256 text COLLATE "C" NOT NULL,
  sha384 text COLLATE "C",
  not_before_ms bigint,
  not_after_ms bigint,
  origin text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX policy_links_by_change ON policy_links (log_index);
CREATE UNIQUE INDEX policy_links_by_id ON policy_links (lower(deployment), sha256);

CREATE TABLE keys (
  name text COLLATE "C" NOT NULL,
  kty text COLLATE "C" NOT NULL,
  size_bits bigint,
  curve text COLLATE "C",
  deployments text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  purge_at_ms bigint,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX keys_by_change ON keys (log_index);
CREATE INDEX keys_by_purge ON keys (purge_at_ms) WHERE purge_at_ms IS NOT NULL;
CREATE UNIQUE INDEX keys_by_id ON keys (lower(name));

CREATE TABLE key_versions (
  key text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  sequence bigint NOT NULL,
  state text COLLATE "C" NOT NULL,
  kek text COLLATE "C" NOT NULL,
  wrapped_dek bytea NOT NULL,
  ciphertext bytea NOT NULL,
  created_at_ms bigint NOT NULL,
  purge_at_ms bigint,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX key_versions_by_change ON key_versions (log_index);
CREATE INDEX key_versions_by_purge ON key_versions (purge_at_ms)
  WHERE purge_at_ms IS NOT NULL AND length(ciphertext) > 0;
CREATE UNIQUE INDEX key_versions_by_id ON key_versions (lower(key), version);
CREATE UNIQUE INDEX key_versions_by_sequence ON key_versions (lower(key), sequence);

CREATE TABLE attesters (
  spki_sha256 text COLLATE "C" NOT NULL,
  ak_name text COLLATE "C" NOT NULL,
  public_area bytea NOT NULL,
  name text COLLATE "C" NOT NULL,
  deployments text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX attesters_by_change ON attesters (log_index);
CREATE UNIQUE INDEX attesters_by_id ON attesters (spki_sha256);
CREATE UNIQUE INDEX attesters_by_name ON attesters (lower(name));
CREATE INDEX attesters_by_ak_name ON attesters (lower(ak_name));

CREATE TABLE tokens (
  id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  role text COLLATE "C" NOT NULL,
  hash text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  expires_at_ms bigint,
  revoked_at_ms bigint,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX tokens_by_change ON tokens (log_index);
CREATE UNIQUE INDEX tokens_by_id ON tokens (id);

CREATE TABLE revocations (
  id text COLLATE "C" NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX revocations_by_change ON revocations (log_index);
CREATE UNIQUE INDEX revocations_by_id ON revocations (id);

CREATE TABLE freezes (
  id text COLLATE "C" NOT NULL,
  log_index bigint NOT NULL,
  mac bytea NOT NULL
);
CREATE INDEX freezes_by_change ON freezes (log_index);
CREATE UNIQUE INDEX freezes_by_id ON freezes (id);

CREATE TABLE removals (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  log_index bigint NOT NULL,
  place text COLLATE "C" NOT NULL,
  label bytea NOT NULL
);
CREATE INDEX removals_by_change ON removals (log_index);

CREATE TABLE log_entries (
  log_index bigint PRIMARY KEY CHECK (log_index >= 0),
  entry text COLLATE "C" NOT NULL,
  leaf_hash bytea NOT NULL,
  detail text COLLATE "C",
  names text COLLATE "C"
);
CREATE INDEX log_entries_by_type ON log_entries (((entry::json ->> 'type') COLLATE "C"), log_index);
CREATE INDEX log_entries_by_deployment ON log_entries (lower((entry::json ->> 'deployment') COLLATE "C"), log_index);

CREATE TABLE log_nodes (
  level bigint NOT NULL CHECK (level > 0 AND level % 8 = 0),
  node_index bigint NOT NULL CHECK (node_index >= 0),
  hash bytea NOT NULL,
  PRIMARY KEY (level, node_index)
);

CREATE TABLE log_head (
  id integer PRIMARY KEY CHECK (id = 1),
  origin text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  time_ms bigint NOT NULL,
  state_generation bigint NOT NULL,
  peaks bytea NOT NULL,
  checkpoint text COLLATE "C" NOT NULL,
  mac bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE evidence_archive (
  release_id text COLLATE "C" PRIMARY KEY,
  log_index bigint NOT NULL,
  sealed bytea NOT NULL
);

CREATE TABLE spent_nonces (
  nonce bytea PRIMARY KEY,
  issued_at_ms bigint NOT NULL
);
CREATE INDEX spent_nonces_by_time ON spent_nonces (issued_at_ms);

CREATE TABLE probe (
  id integer PRIMARY KEY CHECK (id = 1),
  probed_at_ms bigint NOT NULL
);
`;
