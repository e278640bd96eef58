import type { Members } from './entry.js';

/** What entries are looked for; members that are left out do not matter. */
export interface EntryFilter {
  readonly type?: string;
  /** Entries whose member `deployment` is this name. */
  readonly deployment?: string;
  /** Entries whose member `key` is this name, without regard to case. */
  readonly key?: string;
  /** Policy hash, lower-case hex. */
  readonly policy?: string;
  /** SPKI hash or TPM Name of an AK, lower-case hex. */
  readonly ak?: string;
  /** Entries of this time or later; ms since the Unix epoch. */
  readonly sinceMs?: number;
  /** Entries before this time. */
  readonly untilMs?: number;
}

/** Whether an entry is one of those. `plainName` gives the name that a member stands for, where names are salted and it is known. */
export function matchesEntry(
  entry: Members,
  filter: EntryFilter,
  plainName: (member: 'deployment' | 'key') => string | undefined,
): boolean {
  const { type, deployment, key, policy, ak, sinceMs, untilMs } = filter;
  const named = (member: 'deployment' | 'key', name: string) => {
    const found = plainName(member) ?? entry[member];
    return typeof found === 'string' && found.toLowerCase() === name.toLowerCase();
  };
  if (type !== undefined && entry['type'] !== type) return false;
  if (deployment !== undefined && !named('deployment', deployment)) return false;
  if (key !== undefined && !named('key', key)) return false;
  if (policy !== undefined && entry['policy_sha256'] !== policy) return false;
  if (ak !== undefined && entry['ak_spki_sha256'] !== ak && entry['ak_name'] !== ak) return false;
  if (sinceMs === undefined && untilMs === undefined) return true;
  const timeMs = entryTimeMs(entry);
  return timeMs >= (sinceMs ?? -Infinity) && timeMs < (untilMs ?? Infinity);
}

/** When an entry was made, ms since the Unix epoch; NaN where it does not say. */
export function entryTimeMs(entry: Members): number {
  const time = entry['time'];
  return typeof time === 'string' ? Date.parse(time) : Number.NaN;
}
