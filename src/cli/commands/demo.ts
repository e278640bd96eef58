import { type Command, Option } from 'commander';
import type { CliContext } from '../context.js';
import type { Outcome } from '../outcome.js';
import { answer, UsageError } from '../outcome.js';
import type { Stage } from '../demo/stage.js';
import { type Act, verb } from '../verb.js';

/** `demo`. */
export function addDemo(program: Command, act: Act): void {
  verb(program, 'demo', {
    summary: 'watch the whole flow, with five impostors',
    description:
      'Starts a broker with a temporary data directory, registers a deployment and its policy, lets a vTPM measure that policy, ' +
      'draws a key with the quote, verifies the receipt, and shows five impostors and an altered receipt being refused, each ' +
      'with its reason. Exit code 0 only if the key came out to the right workload, with its receipt, and to no impostor. ' +
      'With --machine cvm it is a confidential VM on AMD SEV-SNP with an H100, both simulated, and eight wrong machines. ' +
      'Everything is removed afterwards.',
    examples: ['portcullis demo', 'portcullis demo --tpm swtpm', 'portcullis demo --machine cvm'],
    next: '`portcullis init --help` starts a broker of your own.',
  })
    .addOption(
      new Option('--tpm <kind>', 'the TPM: built-in simulator, or swtpm (needs swtpm, swtpm-tools and tpm2-tools)')
        .choices(['simulator', 'swtpm'])
        .default('simulator'),
    )
    .addOption(
      new Option('--machine <kind>', 'the machine: one with a TPM, or a confidential VM with a GPU')
        .choices(['tpm', 'cvm'])
        .default('tpm'),
    )
    .action(act(demo));
}

interface DemoOptions {
  readonly tpm: 'simulator' | 'swtpm';
  readonly machine: 'tpm' | 'cvm';
}

async function demo(context: CliContext, options: DemoOptions): Promise<Outcome> {
  const { tpm, machine } = options;
  if (machine === 'cvm' && tpm !== 'simulator') {
    throw new UsageError('the confidential VM of the demo has a simulated TPM: leave --tpm out');
  }
  const { Stage } = await import('../demo/stage.js');
  const { io } = context;
  const sink = context.json ? io.stderr : io.stdout;
  const stage = new Stage(sink, sink.isTerminal && (io.env['NO_COLOR'] ?? '') === '');
  const passed = machine === 'cvm' ? await playConfidential(stage) : await playPlain(stage, tpm);
  return { ...answer({ ok: passed, tpm, machine }, []), failed: !passed };
}

async function playConfidential(stage: Stage): Promise<boolean> {
  const { playConfidentialDemo } = await import('../demo/confidential-demo.js');
  return playConfidentialDemo(stage);
}

async function playPlain(stage: Stage, tpm: DemoOptions['tpm']): Promise<boolean> {
  const { playDemo } = await import('../demo/demo.js');
  return playDemo(stage, { tpm });
}
