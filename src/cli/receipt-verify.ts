import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { VerifierKey } from '../translog/note.js';
import type { WitnessPolicy } from '../translog/quorum.js';
import { type ExpectedRelease, type VerifiedReceipt, verifyReceipt } from '../translog/receipt.js';

/** What `portcullis receipt verify` is given. */
export interface ReceiptVerifyInput {
  /** A release answer, or the receipt in it: JSON. */
  readonly file: Buffer;
  readonly logKey: VerifierKey;
  /** The compact JWE, beside the one in the answer. */
  readonly jwe?: string | undefined;
  readonly witnesses?: WitnessPolicy | undefined;
  /** Names that the caller knows. */
  readonly deployment?: string | undefined;
  readonly key?: string | undefined;
}

/** What a receipt proved: the members of `proved` in the output. */
export interface ProvedRelease {
  readonly release_id?: string;
  readonly deployment: string;
  readonly key: string;
  readonly version: string;
  readonly policy_sha256: string;
  readonly ak_name: string;
  readonly recipient: string;
  readonly boot: string;
  readonly profile: string;
  readonly time: string;
  readonly broker: string;
  readonly log: string;
  readonly index: number;
  readonly size: number;
  /** Whether a wrapped key was at hand, and is the one recorded. */
  readonly jwe: boolean;
  readonly witnesses: readonly { readonly name: string; readonly time: string }[];
}

export interface CheckedReceipt {
  readonly proved: ProvedRelease;
  /** Each a sentence that completes "Not proved:". */
  readonly not_proved: readonly string[];
}

/** Verifies a receipt offline, and says what follows and what does not. Refuses as verifyReceipt does. */
export function verifyReceiptOffline(input: ReceiptVerifyInput): Result<CheckedReceipt> {
  let found: Found;
  try {
    found = receiptIn(input.file);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('receipt.malformed', error.message);
  }
  const { deployment, key = found.expected.key, jwe: given, logKey, witnesses } = input;
  if (found.expected.key !== undefined && found.expected.key !== key) {
    return reject('receipt.mismatch', 'the answer is for another key than --key names');
  }
  const { jwe = given } = found;
  if (given !== undefined && given !== jwe) {
    return reject('receipt.jwe', 'the wrapped key of --jwe is another than the one in the answer');
  }
  const names = { ...(deployment === undefined ? {} : { deployment }), ...(key === undefined ? {} : { key }) };
  const verified = verifyReceipt(found.receipt, {
    logKey,
    expected: { ...found.expected, ...names },
    ...(jwe === undefined ? {} : { jwe }),
    ...(witnesses === undefined ? {} : { witnesses }),
  });
  if (!verified.ok) return verified;
  const proved = provedBy(verified.value, names, jwe !== undefined);
  return accept({ proved, not_proved: notProved(verified.value, proved, names) });
}

interface Found {
  readonly receipt: unknown;
  readonly jwe?: string;
  readonly expected: ExpectedRelease;
}

/**
 * The receipt in the file, and what the answer around it says, which must have every member that it is compared by. One
 * spelling alone: no member twice, numbers as plain integers. Throws MalformedError.
 */
function receiptIn(file: Buffer): Found {
  const value = parseJson(file);
  assertPlainIntegers(file.toString('utf8'));
  if (!isObject(value) || !Object.hasOwn(value, 'receipt')) return { receipt: value, expected: {} };
  const { receipt, key } = value;
  if (!isObject(key)) throw new MalformedError('the answer names no key');
  return {
    receipt,
    jwe: textIn(value, 'jwe'),
    expected: {
      releaseId: textIn(value, 'release_id'),
      key: textIn(key, 'name'),
      version: textIn(key, 'version'),
    },
  };
}

/** `323.0`, `3.23e2` and `-0` read like the index that is meant, and no broker writes them. `text` is valid JSON. */
function assertPlainIntegers(text: string): void {
  const outside = text
    .replaceAll(/\\./g, '')
    .split('"')
    .filter((_, at) => at % 2 === 0);
  for (const [number] of outside.join(' ').matchAll(/-?\d[\d.eE+-]*/g)) {
    if (!/^(?:0|-?[1-9]\d*)$/.test(number)) throw new MalformedError('a number is not written as a plain integer');
  }
}

function textIn(members: Readonly<Record<string, unknown>>, name: string): string {
  const value = members[name];
  if (typeof value !== 'string') throw new MalformedError(`the answer has no text ${name}`);
  return value;
}

interface Names {
  readonly deployment?: string;
  readonly key?: string;
}

function provedBy({ entry, index, head, cosigned }: VerifiedReceipt, names: Names, jwe: boolean): ProvedRelease {
  const { release_id, version, policy_sha256, ak_name, recipient, boot, profile, time, broker } = entry;
  return {
    ...(release_id === undefined ? {} : { release_id }),
    deployment: names.deployment ?? entry.deployment,
    key: names.key ?? entry.key,
    ...{ version, policy_sha256, ak_name, recipient, boot, profile, time, broker },
    log: head.origin,
    index,
    size: head.size,
    jwe,
    witnesses: cosigned.map(({ name, timeSeconds }) => ({ name, time: rfc3339(timeSeconds) })),
  };
}

function notProved({ entry }: VerifiedReceipt, proved: ProvedRelease, names: Names): readonly string[] {
  const hidden = entry.names === 'salted' && (names.deployment === undefined || names.key === undefined);
  return [
    ...(proved.witnesses.length > 0
      ? ['that the witnesses are independent of the broker: you chose them']
      : ['that everybody is shown the same log: name witnesses that cosigned it, with --witness']),
    ...(proved.jwe ? [] : ['that a wrapped key at hand is the one that was released: give it with --jwe']),
    ...(hidden ? ['what the salted names stand for: name them, with --deployment and --key'] : []),
    'what the policy of this hash allows, and that the evidence was genuine: the broker judged it',
    ...(entry.boot === 'pinned' ? [] : ['that the policy was enforced: the deployment pins no boot chain']),
    ...(entry.profile === 'production' ? [] : ['that there was a TPM at all: development brokers believe simulators']),
    "that the time is right: it is the broker's",
  ];
}

/** Years that Date cannot write stay numbers. */
function rfc3339(timeSeconds: bigint): string {
  const date = new Date(Number(timeSeconds) * 1000);
  return Number.isNaN(date.getTime()) ? `${String(timeSeconds)} s` : date.toISOString();
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
