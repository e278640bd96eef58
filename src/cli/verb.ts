import type { Command } from 'commander';
import type { CliContext } from './context.js';
import type { Outcome } from './outcome.js';

/** What the help of a command teaches, beside its options. */
export interface Lesson {
  /** A phrase, for the list of commands. */
  readonly summary: string;
  /** Sentences: what it does, and what it does not do. */
  readonly description: string;
  /** Command lines that can be copied. */
  readonly examples: readonly string[];
  /** Where to go from here. */
  readonly next: string;
}

/**
 * Makes a commander action of a handler, which gets the context of the run, then the arguments in order and the options.
 * The program hands it to each command file.
 */
export type Act = <A extends readonly unknown[]>(
  handler: (context: CliContext, ...args: A) => Promise<Outcome>,
) => (...raw: [...A, Command]) => Promise<void>;

/** A noun, such as `key`: it does nothing by itself. */
export function noun(parent: Command, name: string, lesson: Lesson): Command {
  return teach(parent.command(name), lesson);
}

/** A verb below a noun, such as `key create <name>`. Arguments are described with `.argument` by the caller. */
export function verb(parent: Command, name: string, lesson: Lesson): Command {
  return teach(parent.command(name), lesson).allowExcessArguments(false);
}

function teach(command: Command, lesson: Lesson): Command {
  const examples = lesson.examples.map((line) => `  $ ${line}`).join('\n');
  return command
    .summary(lesson.summary)
    .description(lesson.description)
    .addHelpText(
      'after',
      `\n${lesson.examples.length === 1 ? 'Example' : 'Examples'}:\n${examples}\n\nNext: ${lesson.next}`,
    );
}
