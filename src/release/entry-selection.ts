/** Which log entries are asked for; members that are left out do not matter. */
export interface EntrySelection {
  readonly type?: string;
  readonly deployment?: string;
  readonly key?: string;
  /** Policy hash, lower-case hex. */
  readonly policy?: string;
  /** SPKI hash or TPM Name of an AK, lower-case hex. */
  readonly ak?: string;
  /** RFC 3339: entries of this time or later. */
  readonly since?: string;
  /** RFC 3339: entries before this time. */
  readonly until?: string;
}
