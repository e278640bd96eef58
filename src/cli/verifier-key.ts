import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { parseVerifierKey, type SignatureType, TYPE_COSIGNATURE, TYPE_ED25519 } from '../translog/note.js';
import type { LogOptions } from '../workload/log-trust.js';
import { repeated } from './arguments.js';
import type { CliContext } from './context.js';
import { UsageError } from './outcome.js';

const MAX_KEY_FILE_BYTES = 64 * 1024;
const INLINE = /^[^+\s/][^+\s]*\+[0-9a-f]{8}\+[0-9A-Za-z+/]+=*$/;
/** Members that hold a vkey in what `init --json` and `witness init --json` print. */
const MEMBERS = ['log_key', 'key'] as const;

/** Help texts, so that every command says it in the same words. */
export const LOG_KEY_TEXT =
  'log key of the broker: a file that holds it (or what `init --json` printed), or the key itself';
export const WITNESS_TEXT = 'key of a witness that must have cosigned: a file or the key itself; may be repeated';
export const QUORUM_TEXT = 'how many of the witnesses must have cosigned (default: all)';

/** For `.option('--witness <key>', …)`. */
export const witnessOption = repeated((text: string) => text);

/**
 * The vkey that --log-key gives, of a log. Refuses with checkpoint.signature where there is none: nothing is signed by what
 * is no key. Throws UsageError where the file cannot be read.
 */
export async function readLogKey(context: CliContext, given: string): Promise<Result<string>> {
  try {
    return accept(await readVerifierKey(context, given, TYPE_ED25519));
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('checkpoint.signature', `--log-key: ${error.message}`);
  }
}

/** The witnesses that --witness and --quorum give; undefined where none is named. Refuses with checkpoint.cosignature. */
export async function readWitnesses(
  context: CliContext,
  given: readonly string[],
  quorum: number | undefined,
): Promise<Result<LogOptions['witnesses']>> {
  if (quorum !== undefined && quorum > given.length) {
    throw new UsageError(`--quorum ${String(quorum)} needs as many --witness options`);
  }
  if (given.length === 0) return accept(undefined);
  try {
    const keys: string[] = [];
    for (const each of given) keys.push(await readVerifierKey(context, each, TYPE_COSIGNATURE));
    return accept(quorum === undefined ? { keys } : { keys, quorum });
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('checkpoint.cosignature', `--witness: ${error.message}`);
  }
}

/** A vkey of this type. Throws MalformedError where there is none. */
async function readVerifierKey(context: CliContext, given: string, type: SignatureType): Promise<string> {
  const vkey = INLINE.test(given) ? given : await vkeyInFile(context, given);
  if (parseVerifierKey(vkey).type === type) return vkey;
  throw new MalformedError(
    type === TYPE_ED25519 ? 'it is the key of a witness, not of a log' : 'it is the key of a log, not of a witness',
  );
}

async function vkeyInFile(context: CliContext, name: string): Promise<string> {
  const file = await context.read(name, MAX_KEY_FILE_BYTES);
  if (!file.ok) throw new MalformedError(file.detail);
  const text = file.value.toString('utf8').trim();
  if (!text.startsWith('{')) return text;
  const document = parseJson(file.value) as Readonly<Record<string, unknown>>;
  const vkey = MEMBERS.map((member) => document[member]).find((value) => typeof value === 'string');
  if (vkey === undefined) throw new MalformedError(`${name} is JSON without a member ${MEMBERS.join(' or ')}`);
  return vkey;
}
