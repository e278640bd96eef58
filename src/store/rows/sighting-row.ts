import { fromBase64url, toBase64url } from '../../bytes/base64url.js';
import type { ClockRegression, Sighting, StoredSighting, TpmClock } from '../../release/records.js';
import { advance, type ClockMark } from '../../release/tpm-clock.js';

/** Rows of AKs that wait for an administrator that are kept. */
export const MAX_PENDING_SIGHTINGS = 100_000;
const MAX_CERTIFICATES = 8;
const MAX_CERTIFICATE_BYTES = 8192;
const MAX_PUBLIC_AREA_BYTES = 1024;

/** The columns of the inventory beside its primary key, spki_sha256. */
const FURTHER_COLUMNS = [
  'ak_name',
  'public_area',
  'deployment',
  'trust',
  'state',
  'certificates',
  'first_seen_at_ms',
  'seen_at_ms',
  'clock',
  'regressions',
] as const;

/** The columns of the inventory, the primary key first. */
export const SIGHTING_COLUMNS = ['spki_sha256', ...FURTHER_COLUMNS] as const;

/** What an upsert replaces. The primary key is not named, since its index would be written too. */
export const SIGHTING_UPDATE = FURTHER_COLUMNS.map((column) => `${column} = excluded.${column}`).join(', ');

/**
 * A row of the inventory. It carries no MAC: it decides nothing, and SQL that changes it can hide a regression, or bring an AK
 * before an administrator, who compares its SPKI hash before it is trusted.
 */
export type SightingRow = Readonly<{
  spki_sha256: string;
  ak_name: string;
  public_area: Buffer;
  deployment: string;
  trust: string;
  state: string;
  /** JSON: DER, base64url each. */
  certificates: string;
  first_seen_at_ms: number;
  seen_at_ms: number;
  /** JSON: a ClockMark. */
  clock: string | null;
  regressions: number;
}>;

/** What sightings make of the rows that stand there. */
export interface Noted {
  /** The rows to be written, one for each AK. */
  readonly rows: readonly SightingRow[];
  readonly regressions: readonly ClockRegression[];
  /** Whether an AK waits that did not before: the bound has to be looked at. */
  readonly morePending: boolean;
}

/** `stored`: the rows of the AKs in the list, as far as there are any. */
export function noteSightings(stored: readonly SightingRow[], list: readonly Sighting[]): Noted {
  const rows = new Map(stored.map((row) => [row.spki_sha256, row]));
  const wasPending = new Set(stored.filter((row) => row.state === 'pending').map((row) => row.spki_sha256));
  const touched = new Set<string>();
  const regressions: ClockRegression[] = [];
  for (const sighting of list) {
    const { spkiSha256 } = sighting;
    const { row, regression } = noted(rows.get(spkiSha256), sighting);
    rows.set(spkiSha256, row);
    touched.add(spkiSha256);
    if (regression !== undefined) regressions.push({ spkiSha256, ...regression });
  }
  const written = [...rows.values()].filter((row) => touched.has(row.spki_sha256));
  const morePending = written.some((row) => row.state === 'pending' && !wasPending.has(row.spki_sha256));
  return { rows: written, regressions, morePending };
}

/** The record of a row. What SQL has made unreadable in it is left out. */
export function sightingOf(row: SightingRow): StoredSighting {
  const mark = parseMark(row.clock);
  return {
    spkiSha256: row.spki_sha256,
    akName: row.ak_name,
    publicArea: row.public_area,
    deployment: row.deployment,
    trust: row.trust,
    state: row.state === 'trusted' ? 'trusted' : 'pending',
    certificates: parseCertificates(row.certificates),
    firstSeenAtMs: row.first_seen_at_ms,
    seenAtMs: row.seen_at_ms,
    ...(mark === undefined ? {} : { clock: mark.clock }),
    regressions: row.regressions,
  };
}

function noted(
  stored: SightingRow | undefined,
  sighting: Sighting,
): { readonly row: SightingRow; readonly regression: Pick<ClockRegression, 'before' | 'after'> | undefined } {
  const { clock, seenAtMs, challengedAtMs = seenAtMs } = sighting;
  const before = parseMark(stored?.clock ?? null);
  const after = clock === undefined ? undefined : advance(before, { clock, seenAtMs, challengedAtMs });
  const own = ownRow(sighting);
  const row = stored === undefined ? own : merged(stored, own);
  const mark = after?.mark ?? before;
  const regression = after?.regression;
  return {
    row: {
      ...row,
      clock: mark === undefined ? null : markText(mark),
      regressions: (stored?.regressions ?? 0) + (regression === undefined ? 0 : 1),
    },
    regression,
  };
}

function ownRow(sighting: Sighting): SightingRow {
  const { spkiSha256, akName, publicArea, deployment, trust, state, certificates, seenAtMs } = sighting;
  const kept = certificates.filter((each) => each.length <= MAX_CERTIFICATE_BYTES).slice(0, MAX_CERTIFICATES);
  return {
    spki_sha256: spkiSha256,
    ak_name: akName,
    public_area: publicArea.length <= MAX_PUBLIC_AREA_BYTES ? publicArea : Buffer.alloc(0),
    deployment,
    trust,
    state,
    certificates: JSON.stringify(kept.map(toBase64url)),
    first_seen_at_ms: seenAtMs,
    seen_at_ms: seenAtMs,
    clock: null,
    regressions: 0,
  };
}

/** The newer of two rows, with what only the older one knows. Sightings come late, from workers that write in turns. */
function merged(stored: SightingRow, own: SightingRow): SightingRow {
  const [newer, older] = own.seen_at_ms >= stored.seen_at_ms ? [own, stored] : [stored, own];
  const named = newer.public_area.length > 0 ? newer : older;
  return {
    ...newer,
    ak_name: named.ak_name,
    public_area: named.public_area,
    certificates: newer.certificates === NONE ? older.certificates : newer.certificates,
    first_seen_at_ms: Math.min(stored.first_seen_at_ms, own.first_seen_at_ms),
  };
}

const NONE = '[]';

function parseCertificates(text: string): readonly Buffer[] {
  try {
    const texts: unknown = JSON.parse(text);
    if (!Array.isArray(texts)) return [];
    return texts.map((each) => fromBase64url(String(each), 'certificates'));
  } catch {
    return [];
  }
}

function markText({ clock, seenAtMs, sinceMs }: ClockMark): string {
  return JSON.stringify({
    ...clock,
    clock: String(clock.clock),
    firmwareVersion: String(clock.firmwareVersion),
    seenAtMs,
    sinceMs,
  });
}

function parseMark(text: string | null): ClockMark | undefined {
  if (text === null) return undefined;
  try {
    const { seenAtMs, sinceMs, ...clock } = JSON.parse(text) as Omit<ClockMark, 'clock'> &
      Record<keyof TpmClock, string | number | boolean>;
    const mark: ClockMark = {
      clock: {
        clock: BigInt(clock.clock),
        resetCount: Number(clock.resetCount),
        restartCount: Number(clock.restartCount),
        safe: clock.safe === true,
        firmwareVersion: BigInt(clock.firmwareVersion),
      },
      seenAtMs,
      sinceMs,
    };
    const numbers = [mark.clock.resetCount, mark.clock.restartCount, seenAtMs, sinceMs];
    return numbers.every((each) => Number.isSafeInteger(each)) ? mark : undefined;
  } catch {
    return undefined;
  }
}
