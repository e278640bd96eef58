import type { CliContext } from '../context.js';
import type { Outcome } from '../outcome.js';

/** What terminals obey although JSON writes it as it is: DEL and C1, line and paragraph separators, marks and overrides of direction. */
const OBEYED = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The JSON of a value on one line, with nothing in it that moves a cursor or turns text around; it parses to the same value. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value).replace(
    OBEYED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Prints the document of an answer about a log, which may hold whatever a hostile log does, and says that it is printed. */
export function printedPlain({ io, json }: CliContext, outcome: Outcome): Outcome {
  if (!json || !outcome.ok || outcome.printed === true) return outcome;
  io.stdout.write(`${plainJson(outcome.json)}\n`);
  for (const note of outcome.notes ?? []) io.stderr.write(`${singleLine(note)}\n`);
  return { ...outcome, printed: true };
}

/** Text on one line, without control characters. */
export function singleLine(text: string): string {
  // eslint-disable-next-line no-control-regex -- the very characters that are taken out
  return text.replace(/[\u0000-\u001f\u2028\u2029]+/g, ' ').replace(OBEYED, '\ufffd');
}
