/** What vouches for an AK beside an administrator; and what AKs were seen to be, which decides nothing. */
export const endorsements = `
ALTER TABLE attesters ADD COLUMN ek_spki_sha256 text COLLATE "C";
ALTER TABLE attesters ADD COLUMN enrolments text COLLATE "C";
ALTER TABLE attesters ADD COLUMN quarantined_at_ms bigint;
CREATE INDEX attesters_by_ek ON attesters (lower(ek_spki_sha256));

CREATE TABLE sightings (
  spki_sha256 text COLLATE "C" PRIMARY KEY,
  ak_name text COLLATE "C" NOT NULL,
  public_area bytea NOT NULL,
  deployment text COLLATE "C" NOT NULL,
  trust text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL,
  certificates text COLLATE "C" NOT NULL,
  first_seen_at_ms bigint NOT NULL,
  seen_at_ms bigint NOT NULL,
  clock text COLLATE "C",
  regressions bigint NOT NULL
);
CREATE INDEX sightings_by_age ON sightings (seen_at_ms) WHERE state = 'pending';
`;
