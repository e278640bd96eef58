/** What vouches for an AK beside an administrator; and what AKs were seen to be, which decides nothing. */
export const endorsements = `
ALTER TABLE attesters ADD COLUMN ek_spki_sha256 TEXT;
ALTER TABLE attesters ADD COLUMN enrolments TEXT;
ALTER TABLE attesters ADD COLUMN quarantined_at_ms INTEGER;
CREATE INDEX attesters_by_ek ON attesters (ek_spki_sha256) WHERE ek_spki_sha256 IS NOT NULL;

CREATE TABLE sightings (
  spki_sha256 TEXT NOT NULL PRIMARY KEY,
  ak_name TEXT NOT NULL,
  public_area BLOB NOT NULL,
  deployment TEXT NOT NULL,
  trust TEXT NOT NULL,
  state TEXT NOT NULL,
  certificates TEXT NOT NULL,
  first_seen_at_ms INTEGER NOT NULL,
  seen_at_ms INTEGER NOT NULL,
  clock TEXT,
  regressions INTEGER NOT NULL
) STRICT;
CREATE INDEX sightings_by_age ON sightings (seen_at_ms) WHERE state = 'pending';
`;
