/**
 * What stored rows mean, whatever engine keeps them: how records become rows, how rows are authenticated, and what a process
 * remembers of state and log. No SQL and no I/O here: an engine reads rows and hands them over. This room may assume
 * that rows have the columns and types of their schema, and nothing else about them.
 */

/** Ids of records that name things: printable ASCII, so that every engine's collation and `fold` agree. */
const ID = /^[\x20-\x7e]{1,512}$/;

/** Between the ids of a label: less than every character of an id, so labels are in the order of their ids. */
export const SEPARATOR = '\0';

/** Lower case as SQLite's NOCASE sees it: ASCII letters and no other. */
export function fold(name: string): string {
  return /[A-Z]/.test(name) ? name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : name;
}

/** A row's primary key as one string; the first id folded where it is found without regard to case. */
export function labelOf(ids: readonly string[], folded: boolean): string {
  const label = ids.join(SEPARATOR);
  return folded ? fold(ids[0] ?? '') + label.slice(ids[0]?.length ?? 0) : label;
}

/** The ids of a label. */
export function idsOf(label: string): readonly string[] {
  return label.split(SEPARATOR);
}

/** Whether every id of the label is one that a record can have. */
export function isLabel(label: string): boolean {
  return idsOf(label).every((id) => ID.test(id));
}

/** A label for people, in a message. */
export function shown(label: string): string {
  return label.replace(SEPARATOR, '/').slice(0, 200);
}
