import { InvalidArgumentError, type Command } from 'commander';
import { isKeyName, parseVerifierKey, type VerifierKey } from '../../translog/note.js';
import { repeated } from '../arguments.js';
import type { CliContext } from '../context.js';
import { answer, UsageError, type Answer, type Outcome } from '../outcome.js';
import { printAnswer } from '../output.js';
import { pathOf, readSmallInput } from '../read-input.js';
import { noun, verb, type Act } from '../verb.js';
import { readLogKey } from '../verifier-key.js';

const DEFAULT_LISTEN = '127.0.0.1:8441';
const MAX_PEM_BYTES = 1024 * 1024;

/** `witness init`, `witness serve`, `witness show`. */
export function addWitness(program: Command, act: Act): void {
  const witness = noun(program, 'witness', {
    summary: 'cosign the logs of other brokers',
    description:
      'A witness remembers the last checkpoint of a log and cosigns the next one only when it is proved to have grown from it. ' +
      'A broker that shows different logs to different people, or goes back, gets no cosignature. Run it where the operator ' +
      'of the broker cannot reach it: on another machine, by somebody else.',
    examples: [
      'portcullis witness init --data-dir ./witness --name witness.example/w1',
      'portcullis witness serve --data-dir ./witness --log broker.vkey',
    ],
    next: 'docs/OPERATIONS.md, "Running a witness".',
  });
  verb(witness, 'init', {
    summary: 'make the directory and the key of a new witness',
    description:
      'Makes the directory of a witness with an Ed25519 key of its own, mode 0600, and prints the verifier key (vkey, type 04) ' +
      'that brokers and verifiers are configured with. Keep a copy of witness.json; never run two witnesses on one key, since ' +
      'each would cosign what the other has not seen.',
    examples: ['portcullis witness init --data-dir /var/lib/portcullis-witness --name witness.example/w1'],
    next: '`portcullis witness serve`; the vkey goes into log.witnesses of the broker.',
  })
    .requiredOption('--data-dir <dir>', 'directory to make, new or empty')
    .requiredOption('--name <name>', 'name of the key: a URL without scheme that says whose it is', witnessName)
    .action(act(init));
  verb(witness, 'serve', {
    summary: 'run the witness',
    description:
      'Serves add-checkpoint (C2SP tlog-witness) for the logs whose keys are given, and the checkpoints that it cosigned; ' +
      'prints `listening on URL` on stdout when it is ready. What it cosigned is on disk before it answers. A log whose ' +
      'remembered checkpoint is missing or damaged gets no more cosignatures.',
    examples: [
      'curl -s https://broker.example:8440/log/key > broker.vkey   # compare it with what the operator published',
      'portcullis witness serve --data-dir ./witness --log broker.vkey',
      'portcullis witness serve --data-dir ./witness --listen 0.0.0.0:8441 --log a.vkey --log b.vkey --tls-cert w.pem --tls-key w.key',
    ],
    next: '`portcullis witness show --data-dir D` says what it has cosigned.',
  })
    .requiredOption('--data-dir <dir>', 'directory that witness init made')
    .requiredOption(
      '--log <key>',
      'log key of a broker: a file that holds it, or the key itself; may be repeated',
      repeated(String),
    )
    .option('--listen <host:port>', 'where to listen; port 0 takes any free one', DEFAULT_LISTEN)
    .option('--tls-cert <file>', 'certificate chain for TLS, PEM, the leaf first')
    .option('--tls-key <file>', 'private key of the certificate, PEM')
    .action(act(serve));
  verb(witness, 'show', {
    summary: 'show the key of a witness and what it has cosigned',
    description:
      'Prints the verifier key of a witness and, for each log, the last checkpoint that it cosigned. Works while it runs. ' +
      'Exit code 1 when something that it must remember is missing or damaged.',
    examples: [
      'portcullis witness show --data-dir ./witness',
      'portcullis witness show --data-dir ./witness --json | jq -r .key',
    ],
    next: 'compare size and root with `portcullis log verify` of the broker.',
  })
    .requiredOption('--data-dir <dir>', 'directory that witness init made')
    .action(act(show));
}

async function init(context: CliContext, options: { dataDir: string; name: string }): Promise<Outcome> {
  const { initialiseWitness } = await import('../compose/witness.js');
  const made = await initialiseWitness(pathOf(context.io, options.dataDir), options.name);
  if (!made.ok) return made;
  const key = made.value;
  return answer({ name: options.name, key }, [
    `Witness ${options.name} is made in ${options.dataDir}.`,
    '',
    { rows: [['verifier key', key]] },
    '',
    'Next:',
    `  1. Run it:  portcullis witness serve --data-dir ${options.dataDir} --log BROKER.vkey`,
    '  2. Give the verifier key to the operator of the broker (log.witnesses) and to whoever verifies receipts (--witness).',
  ]);
}

interface ServeOptions {
  readonly dataDir: string;
  readonly log: readonly string[];
  readonly listen: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

async function serve(context: CliContext, options: ServeOptions): Promise<Outcome> {
  const { io } = context;
  const { address } = await import('../../config/values.js');
  const listen = address(options.listen);
  if (!listen.ok) throw new UsageError(`--listen ${listen.detail}`);
  const { tlsCert, tlsKey } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new UsageError('--tls-cert and --tls-key go together; give both');
  }
  const logs = await Promise.all(options.log.map((given) => logKeyOf(context, given)));
  if (new Set(logs.map(({ name }) => name)).size !== logs.length) throw new UsageError('two --log are of one log');
  const pem = async (name: string) => (await readSmallInput(io, name, MAX_PEM_BYTES)).toString('utf8');
  const tls =
    tlsCert === undefined || tlsKey === undefined ? {} : { tls: { cert: await pem(tlsCert), key: await pem(tlsKey) } };
  const { serveWitness } = await import('../compose/witness.js');
  let listening: Promise<void> | undefined;
  const served = await serveWitness({
    dataDir: pathOf(io, options.dataDir),
    logs,
    listen: listen.value,
    ...tls,
    clock: context.parts.now,
    onListening: (url) => {
      const said: Answer = answer({ listening: url }, [`listening on ${url}`]);
      listening = printAnswer(io, context.json, said);
    },
  });
  await listening;
  return served.ok ? { ...answer(undefined, []), printed: true } : served;
}

async function logKeyOf(context: CliContext, given: string): Promise<VerifierKey> {
  const vkey = await readLogKey(context, given);
  if (vkey.ok) return parseVerifierKey(vkey.value);
  throw new UsageError(`--log ${given}: ${vkey.detail.replace(/^--log-key: /, '')}`);
}

async function show(context: CliContext, options: { dataDir: string }): Promise<Outcome> {
  const { showWitness } = await import('../compose/witness.js');
  const shown = await showWitness(pathOf(context.io, options.dataDir));
  if (!shown.ok) return shown;
  const { name, key, logs } = shown.value;
  const damaged: string[] = [];
  const items = [];
  for (const [originHash, state] of logs) {
    if ('damaged' in state) {
      damaged.push(state.damaged);
      items.push({ origin_sha256: originHash, damaged: state.damaged });
      continue;
    }
    const { head, cosignedAt, checkpoint } = state.held;
    const { origin, size } = head;
    const cosigned_at = new Date(Number(cosignedAt) * 1000).toISOString();
    items.push({
      origin_sha256: originHash,
      origin,
      size,
      root: head.root.toString('base64'),
      cosigned_at,
      checkpoint,
    });
  }
  const rows = items.map((item) =>
    item.damaged === undefined
      ? [item.origin, String(item.size), item.root, item.cosigned_at]
      : [item.origin_sha256, 'damaged', '', ''],
  );
  const text = [
    {
      rows: [
        ['name', name],
        ['verifier key', key],
      ],
    },
    '',
    rows.length === 0 ? 'It has cosigned nothing yet.' : { head: ['log', 'size', 'root', 'cosigned at'], rows },
  ];
  const outcome = answer({ name, key, logs: items }, text, damaged);
  return damaged.length === 0 ? outcome : { ...outcome, failed: true };
}

function witnessName(text: string): string {
  if (isKeyName(text)) return text;
  throw new InvalidArgumentError('Key names are not empty and have no spaces and no plus, such as witness.example/w1.');
}
