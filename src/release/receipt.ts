import { toBase64url } from '../bytes/base64url.js';
import type { Receipt } from '../translog/receipt.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { parseTreeHead } from '../translog/checkpoint.js';
import { parseNote } from '../translog/note.js';
import type { BrokerContext } from './context.js';
import { proveInclusion } from './log-proofs.js';
import type { LoggedEntry } from './store.js';

/** A release was recorded, and too few witnesses have cosigned the record in time: its answer is withheld. */
export class UnwitnessedError extends Error {
  override readonly name = 'UnwitnessedError';
}

/**
 * The receipt of an entry that is on disk. Where the configuration demands a quorum of witnesses, it waits for a
 * checkpoint that they have cosigned; throws UnwitnessedError where none comes in time.
 */
export async function receiptOf(context: BrokerContext, logged: LoggedEntry): Promise<Receipt> {
  const { index, entry, salts } = logged;
  const { proof, checkpoint } = context.witnesses === undefined ? logged : await witnessed(context, index);
  return { entry, index, proof: proof.map(toBase64url), checkpoint, ...(salts === undefined ? {} : { salts }) };
}

async function witnessed(context: BrokerContext, index: number): Promise<Pick<LoggedEntry, 'proof' | 'checkpoint'>> {
  const checkpoint = await context.witnesses?.cover(index);
  if (checkpoint === undefined) {
    throw new UnwitnessedError('the quorum of witnesses has not cosigned the log in time; is each of them reachable?');
  }
  return { checkpoint, proof: await proveInclusion(context.store, index, sizeOf(checkpoint)) };
}

function sizeOf(checkpoint: string): number {
  try {
    return parseTreeHead(parseNote(checkpoint).text).size;
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new Error('the cosigned checkpoint is not one of ours', { cause: error });
  }
}
