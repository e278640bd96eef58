import type { Command } from 'commander';
import { deploymentName, integer, keyName } from '../arguments.js';
import type { CliContext } from '../context.js';
import { answer, type Block, type Outcome } from '../outcome.js';
import { noun, verb, type Act } from '../verb.js';
import { LOG_KEY_TEXT, QUORUM_TEXT, readLogKey, readWitnesses, WITNESS_TEXT, witnessOption } from '../verifier-key.js';

const MAX_ANSWER_BYTES = 2 * 1024 * 1024;
const MAX_JWE_BYTES = 1024 * 1024;
const MAX_QUORUM = 64;

/** `receipt verify`. */
export function addReceipt(program: Command, act: Act): void {
  const receipt = noun(program, 'receipt', {
    summary: 'check the receipts of releases offline',
    description: 'Checks what a broker has signed about a release, with nothing but its log key.',
    examples: ['portcullis receipt verify receipt.json --log-key log.vkey'],
    next: '`portcullis workload release --receipt-out F` keeps a receipt; `portcullis receipt verify --help` has every option.',
  });
  verb(receipt, 'verify', {
    summary: 'verify a receipt and print what it proves',
    description:
      'Verifies the receipt of a release offline: the signature of the log key on the checkpoint, the proof that the entry ' +
      'stands in the log, the form of the entry, and that it is for the wrapped key at hand. Prints what that proves, and ' +
      'what it does not. Exit code 0 when it is valid, 1 with a reason code when it is not.',
    examples: [
      'portcullis receipt verify answer.json --log-key log.vkey',
      'portcullis receipt verify receipt.json --log-key log.vkey --jwe weights.jwe --deployment llm-inference --key weights',
      'portcullis receipt verify receipt.json --log-key log.vkey --witness w1.vkey --witness w2.vkey --quorum 1 --json',
    ],
    next: 'docs/LOG.md says what a receipt proves; docs/REASONS.md explains every reason code.',
  })
    .argument('<file>', 'the answer to a release, or the receipt in it: JSON, - for stdin')
    .requiredOption('--log-key <key>', LOG_KEY_TEXT)
    .option('--jwe <file>', 'the wrapped key that was handed out, a compact JWE')
    .option('--deployment <name>', 'deployment that it must be for, also where the names are salted', deploymentName)
    .option('--key <name>', 'key that it must be for, also where the names are salted', keyName)
    .option('--witness <key>', WITNESS_TEXT, witnessOption)
    .option('--quorum <n>', QUORUM_TEXT, integer(1, MAX_QUORUM))
    .action(act(verify));
}

interface VerifyOptions {
  readonly logKey: string;
  readonly jwe?: string;
  readonly deployment?: string;
  readonly key?: string;
  readonly witness?: readonly string[];
  readonly quorum?: number;
}

async function verify(context: CliContext, file: string, options: VerifyOptions): Promise<Outcome> {
  const { deployment, key } = options;
  const logKey = await readLogKey(context, options.logKey);
  if (!logKey.ok) return logKey;
  const witnesses = await readWitnesses(context, options.witness ?? [], options.quorum);
  if (!witnesses.ok) return witnesses;
  const read = await context.read(file, MAX_ANSWER_BYTES, 'receipt.malformed');
  if (!read.ok) return read;
  const jwe = options.jwe === undefined ? undefined : await context.read(options.jwe, MAX_JWE_BYTES, 'receipt.jwe');
  if (jwe?.ok === false) return jwe;

  const { verifyReceiptOffline } = await import('../receipt-verify.js');
  const { pinnedLogKey, witnessPolicy } = await import('../../workload/log-trust.js');
  const checked = verifyReceiptOffline({
    file: read.value,
    logKey: pinnedLogKey(logKey.value),
    // The line break at the end of a text file is not the key's.
    jwe: jwe?.value.toString('utf8').replace(/\r?\n$/, ''),
    witnesses: witnesses.value === undefined ? undefined : witnessPolicy(witnesses.value),
    deployment,
    key,
  });
  if (!checked.ok) return checked;
  const { proved, not_proved } = checked.value;
  const rows = Object.entries({ ...proved, jwe: proved.jwe ? 'the wrapped key at hand' : 'not looked at' }).map(
    ([name, value]) => [LABELS[name] ?? name, shown(value)],
  );
  const text: readonly Block[] = [
    'The receipt is valid. It proves that the log records this release:',
    '',
    { rows },
    '',
    'Not proved:',
    ...not_proved.map((line) => `  - ${line}`),
  ];
  return answer({ ok: true, proved, not_proved }, text);
}

const LABELS: Readonly<Record<string, string>> = {
  release_id: 'release',
  policy_sha256: 'policy hash',
  ak_name: 'AK Name',
  boot: 'boot chain',
  size: 'entries in the log',
  jwe: 'wrapped key',
};

function shown(value: string | number | boolean | readonly { readonly name: string; readonly time: string }[]): string {
  if (typeof value !== 'object') return String(value);
  return value.length === 0 ? 'none' : value.map(({ name, time }) => `${name} at ${time}`).join(', ');
}
