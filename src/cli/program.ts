/**
 * The command line. This folder may assume a person or a script that the operating system lets run it: files are read and
 * written with their rights, and what a broker answers is believed as far as TLS vouches for the broker. It joins the other
 * rooms and decides nothing itself.
 */
import { Command } from 'commander';
import { VERSION } from './version.js';
import { addAttester } from './commands/attester.js';
import { addCollateral } from './commands/collateral.js';
import { addCompletion } from './commands/completion.js';
import { addDemo } from './commands/demo.js';
import { addDeployment } from './commands/deployment.js';
import { addDoctor } from './commands/doctor.js';
import { addEntries } from './commands/entries.js';
import { addEvidence } from './commands/evidence.js';
import { addInit } from './commands/init.js';
import { addKek } from './commands/kek.js';
import { addKey } from './commands/key.js';
import { addLog } from './commands/log.js';
import { addPolicy } from './commands/policy.js';
import { addQuote } from './commands/quote.js';
import { addReceipt } from './commands/receipt.js';
import { addReplay } from './commands/replay.js';
import { addServe } from './commands/serve.js';
import { addToken } from './commands/token.js';
import { addWitness } from './commands/witness.js';
import { addWorkload } from './commands/workload.js';
import { CliContext } from './context.js';
import { addGlobalOptions, globalOptionsOf } from './globals.js';
import type { CliIo } from './io.js';
import type { Outcome } from './outcome.js';
import { printFailure, printOutcome } from './output.js';
import { REAL_PARTS, type CliParts } from './parts.js';
import type { Act } from './verb.js';

/** Runs one command line (without node and script) and returns its exit code. Throws nothing. */
export async function run(argv: readonly string[], io: CliIo, parts: CliParts = REAL_PARTS): Promise<number> {
  let exitCode = 0;
  const act: Act =
    <A extends readonly unknown[]>(handler: (context: CliContext, ...args: A) => Promise<Outcome>) =>
    async (...raw: [...A, Command]) => {
      const context = new CliContext(io, parts, globalOptionsOf(raw.at(-1) as Command));
      try {
        // What commander hands over: the arguments, the options, the command.
        const outcome = await handler(context, ...(raw.slice(0, -1) as unknown as A));
        exitCode = await printOutcome(io, context.json, outcome);
      } finally {
        await context.close();
      }
    };
  const program = buildProgram(act, io);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    return printFailure(io, asksForJson(argv), error, commandLineOf(program, argv));
  }
}

/** The whole tree of commands. */
export function buildProgram(act: Act, io: CliIo): Command {
  const program = buildCommands(act, io);
  addCompletion(program, act, io, () => buildCommands(act, io));
  return program;
}

function buildCommands(act: Act, io: CliIo): Command {
  const program = new Command('portcullis')
    .description(
      'A key release broker for confidential computing: a wrapped key leaves only for a workload that proves, with a fresh ' +
        'TPM 2.0 quote, that it runs a policy registered for its deployment.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help for a command')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // What commander would say of an error is printed by run, on one line.
      outputError: () => undefined,
    })
    .addHelpText('after', GETTING_STARTED);
  addInit(program, act);
  addServe(program, act);
  addPolicy(program, act);
  addDeployment(program, act);
  addKey(program, act);
  addAttester(program, act);
  addToken(program, act);
  addKek(program, act);
  addWitness(program, act);
  addEntries(program, act);
  addLog(program, act);
  addReplay(program, act);
  addQuote(program, act);
  addEvidence(program, act);
  addCollateral(program, act);
  addReceipt(program, act);
  addWorkload(program, act);
  addDoctor(program, act);
  addDemo(program, act);
  addGlobalOptions(program);
  return program;
}

const GETTING_STARTED = `
Examples:
  $ portcullis serve --data-dir ./broker --profile development    # start a broker to try things with
  $ portcullis deployment apply llm-inference.yaml --token-file broker/admin.token
  $ portcullis key create weights --type oct --deployment llm-inference --token-file broker/admin.token
  $ portcullis workload release --deployment llm-inference --key weights

Exit codes: 0 done or accepted, 1 refused or failed, 2 wrong usage, 3 could not reach the broker.

Next: portcullis COMMAND --help`;

/** Whether --json was asked for, where the command line could not be read to its end. */
function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end === -1 ? argv.length : end).includes('--json');
}

/** The command that the line names, for a hint to its help: `portcullis key create`. */
function commandLineOf(program: Command, argv: readonly string[]): string {
  const words = [program.name()];
  let command = program;
  for (const word of argv) {
    const child = command.commands.find((each) => each.name() === word);
    if (child === undefined) continue;
    words.push(word);
    command = child;
  }
  return words.join(' ');
}
