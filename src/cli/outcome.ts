import type { Decision } from '../policy/decision.js';
import type { Finding } from '../reason/reason.js';

/** Rows under an optional head, for people. */
export interface Table {
  readonly head?: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A paragraph or a table. */
export type Block = string | Table;

/** What a command did: one JSON document for programs, blocks for people, and notes that go to stderr. */
export interface Answer {
  readonly ok: true;
  readonly json: unknown;
  readonly text: readonly Block[];
  /** Warnings and advice; each one line on stderr. */
  readonly notes?: readonly string[];
  /** The command ran, and what it looked at is not in order: exit code 1 with the same output. */
  readonly failed?: boolean;
  /** The result itself: it goes to stdout as it is, instead of `json` and `text`. */
  readonly raw?: string;
  /** The output has been printed already, since the command went on for long after it. */
  readonly printed?: boolean;
  /** What a server that ran inside the command came to. */
  readonly exitCode?: number;
}

/**
 * A refusal, of ours or of the broker. `reason` is a code of the registry, or one that a newer broker knows. The further
 * members are the broker's, as they came.
 */
export interface Refusal {
  readonly ok: false;
  readonly reason: string;
  readonly detail: string;
  /** HTTP status. */
  readonly status?: number;
  readonly decision?: Decision;
  readonly findings?: readonly Finding[];
  readonly request_id?: string;
}

export type Outcome = Answer | Refusal;

/** An answer: what `--json` prints, what people see, and what is noted on stderr. */
export function answer(json: unknown, text: readonly Block[], notes: readonly string[] = []): Answer {
  return { ok: true, json, text, notes };
}

/** What a call came to: the broker's answer as JSON and, for people, what `text` makes of it; or its refusal. */
export function shown<T>(
  reply: { readonly ok: true; readonly value: T } | Refusal,
  text: (value: T) => readonly Block[],
): Outcome {
  return reply.ok ? answer(reply.value, text(reply.value)) : reply;
}

/** The command line is wrong: an unknown option, a bad value, a file that cannot be read. The message says what to do. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** No answer came from the broker: refused connection, unknown host, timeout, TLS failure. The message says what to do. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
}
