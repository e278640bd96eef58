/** The only file that knows exit codes, and that writes what a run has to say. */
import { CommanderError } from 'commander';
import pc from 'picocolors';
import type { EvaluatedNode } from '../policy/decision.js';
import { adviceFor } from './advice.js';
import type { CliIo, Sink } from './io.js';
import {
  UnreachableError,
  UsageError,
  type Answer,
  type Block,
  type Outcome,
  type Refusal,
  type Table,
} from './outcome.js';

const EXIT_DONE = 0;
const EXIT_REFUSED = 1;
const EXIT_USAGE = 2;
const EXIT_UNREACHABLE = 3;

/** Faults whose message says what to do; where in the program they arose helps nobody. */
const EXPLAINED_FAULTS: ReadonlySet<string> = new Set([
  'DataDirError',
  'KekError',
  'StoreUnavailableError',
  'StoreIntegrityError',
  'ListenError',
]);

export type Colours = ReturnType<typeof pc.createColors>;

/** Colours for a sink: on a terminal only, and not where NO_COLOR is set (no-color.org) or the terminal is dumb. */
export function coloursFor(sink: Sink, env: CliIo['env']): Colours {
  const refused = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return pc.createColors(sink.isTerminal && !refused);
}

/** Prints an outcome, for programs or for people, and returns the exit code. */
export async function printOutcome(io: CliIo, json: boolean, outcome: Outcome): Promise<number> {
  if (!outcome.ok) return printRefusal(io, json, outcome);
  if (outcome.printed !== true) await printAnswer(io, json, outcome);
  return outcome.exitCode ?? (outcome.failed === true ? EXIT_REFUSED : EXIT_DONE);
}

/** Prints an answer now: what `printOutcome` does, for commands that go on after it. */
export async function printAnswer(io: CliIo, json: boolean, answer: Answer): Promise<void> {
  if (answer.raw !== undefined) io.stdout.write(answer.raw);
  else if (json) io.stdout.write(`${plainJson(answer.json)}\n`);
  else await printBlocks(io, answer.text);
  for (const note of answer.notes ?? []) io.stderr.write(`${oneLine(note)}\n`);
}

/**
 * Prints why a run came to nothing, and returns the exit code. What commander throws is wrong usage (or help that was asked
 * for, which it has printed). `helpFor` is the command whose --help to point to.
 */
export async function printFailure(io: CliIo, json: boolean, error: unknown, helpFor: string): Promise<number> {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT_DONE;
    const missing = error.code === 'commander.help';
    const message = missing ? 'a command is missing' : error.message.replace(/^error: /, '').replace(/\.$/, '');
    return printProblem(io, json, 'usage', `${message}; see \`${helpFor} --help\``, EXIT_USAGE, !missing);
  }
  if (error instanceof UsageError) {
    return printProblem(io, json, 'usage', `${error.message}; see \`${helpFor} --help\``, EXIT_USAGE);
  }
  if (error instanceof UnreachableError) return printProblem(io, json, 'unreachable', error.message, EXIT_UNREACHABLE);
  if ((io.env['PORTCULLIS_DEBUG'] ?? '') !== '' && error instanceof Error) {
    io.stderr.write(`${printable(error.stack ?? '')}\n`);
  }
  const what = error instanceof Error ? error.message : String(error);
  const known = error instanceof Error && EXPLAINED_FAULTS.has(error.name);
  return printProblem(io, json, 'internal', known ? what : `${what}; PORTCULLIS_DEBUG=1 shows where`, EXIT_REFUSED);
}

/** What terminals obey although JSON writes it as it is: DEL and C1, line and paragraph separators, marks and overrides of direction. */
const OBEYED = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** The JSON of a value on one line, with nothing in it that moves a cursor or turns text around; it parses to the same value. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value).replace(
    OBEYED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Text from outside for a terminal: nothing that moves the cursor, changes colours or turns text around. Lines and tabs stay. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- the very characters that are taken out
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, '\ufffd').replace(OBEYED, '\ufffd');
}

/** Such text on one line: it cannot pass for a line of ours. */
export function oneLine(text: string): string {
  return printable(text.replace(/\s*\n\s*/g, ' ').trim());
}

function printRefusal(io: CliIo, json: boolean, refusal: Refusal): Promise<number> {
  return json ? Promise.resolve(printRefusalJson(io, refusal)) : printRefusalText(io, refusal);
}

function printRefusalJson(io: CliIo, refusal: Refusal): number {
  io.stdout.write(`${plainJson(refusal)}\n`);
  complain(io, `${refusal.reason}: ${refusal.detail}`);
  return EXIT_REFUSED;
}

async function printRefusalText(io: CliIo, refusal: Refusal): Promise<number> {
  const request = refusal.request_id === undefined ? '' : ` (request ${refusal.request_id})`;
  // Sizes that this program sets are in no configuration.
  const isOurLimit = refusal.reason === 'request.too_large' && refusal.status === undefined;
  const advice = isOurLimit ? undefined : adviceFor(refusal.reason, refusal.detail);
  complain(io, `${refusal.reason}: ${refusal.detail}${advice === undefined ? '' : `; ${advice}`}${request}`);
  const unmet = unmetConditions(refusal);
  if (unmet.rows.length > 0) await printBlocks(io, ['Not met:', unmet]);
  return EXIT_REFUSED;
}

function printProblem(io: CliIo, json: boolean, reason: string, detail: string, exit: number, say = true): number {
  if (json) io.stdout.write(`${plainJson({ ok: false, reason, detail: withoutTokens(detail) })}\n`);
  if (say) complain(io, detail);
  return exit;
}

function complain(io: CliIo, message: string): void {
  const colours = coloursFor(io.stderr, io.env);
  io.stderr.write(`${colours.red('portcullis:')} ${oneLine(withoutTokens(message))}\n`);
}

async function printBlocks(io: CliIo, blocks: readonly Block[]): Promise<void> {
  const colours = coloursFor(io.stdout, io.env);
  for (const block of blocks) {
    if (typeof block === 'string') {
      io.stdout.write(`${printable(block)}\n`);
      continue;
    }
    const { renderTable } = await import('./table.js');
    const rows = block.rows.map((row) => row.map((cell) => oneLine(cell)));
    io.stdout.write(`${renderTable({ ...block, rows }, colours.bold)}\n`);
  }
}

/** The conditions of a refusal that are not met, the innermost ones, with what was expected and found. */
function unmetConditions(refusal: Refusal): Table {
  const rows: string[][] = [];
  for (const finding of refusal.findings ?? []) {
    rows.push([finding.claim, finding.operator, shown(finding.expected), shown(finding.found), '']);
  }
  const visit = (node: EvaluatedNode): void => {
    if (node.met) return;
    if ('claim' in node) {
      rows.push([node.claim, node.operator, shown(node.expected), shown(node.found), node.note ?? '']);
    } else {
      for (const child of [...(node.anyOf ?? []), ...(node.allOf ?? [])]) visit(child);
    }
  };
  for (const node of refusal.decision?.conditions ?? []) visit(node);
  return { head: ['claim', 'operator', 'expected', 'found', 'note'], rows };
}

function shown(value: unknown): string {
  if (value === undefined) return '(not shown)';
  if (value === null) return '(absent)';
  if (Array.isArray(value)) return value.map(String).join(', ');
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A token that somebody typed where it does not belong is not printed again. */
function withoutTokens(text: string): string {
  return text.replace(/pc_[0-9A-Za-z]+_[0-9A-Za-z_-]+/g, 'pc_…');
}
