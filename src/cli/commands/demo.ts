import { type Command, Option } from 'commander';
import type { CliContext } from '../context.js';
import type { Outcome } from '../outcome.js';
import { answer } from '../outcome.js';
import { type Act, verb } from '../verb.js';

/** `demo`. */
export function addDemo(program: Command, act: Act): void {
  verb(program, 'demo', {
    summary: 'watch the whole flow, with five impostors',
    description:
      'Starts a broker with a temporary data directory, registers a deployment and its policy, lets a vTPM measure that policy, ' +
      'draws a key with the quote, verifies the receipt, and shows five impostors and an altered receipt being refused, each ' +
      'with its reason. Exit code 0 only if the key came out to the right workload, with its receipt, and to no impostor. ' +
      'Everything is removed afterwards.',
    examples: ['portcullis demo', 'portcullis demo --tpm swtpm'],
    next: '`portcullis init --help` starts a broker of your own.',
  })
    .addOption(
      new Option('--tpm <kind>', 'the TPM: built-in simulator, or swtpm (needs swtpm, swtpm-tools and tpm2-tools)')
        .choices(['simulator', 'swtpm'])
        .default('simulator'),
    )
    .action(act(demo));
}

async function demo(context: CliContext, options: { readonly tpm: 'simulator' | 'swtpm' }): Promise<Outcome> {
  const { playDemo } = await import('../demo/demo.js');
  const { Stage } = await import('../demo/stage.js');
  const { io } = context;
  const sink = context.json ? io.stderr : io.stdout;
  const stage = new Stage(sink, sink.isTerminal && (io.env['NO_COLOR'] ?? '') === '');
  const passed = await playDemo(stage, options);
  return { ...answer({ ok: passed, tpm: options.tpm }, []), failed: !passed };
}
