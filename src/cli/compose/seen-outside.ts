import { type KeptBy, readKeptCheckpoint } from '../../release/kept-checkpoint.js';
import type { SeenHead } from '../../release/store.js';
import { type CheckpointFile, CheckpointFileError } from '../../store/checkpoint-file/checkpoint-file.js';
import type { Witnesses } from '../../witness/witnesses.js';

/** What was found of the log outside of its database. */
export interface SeenOutside {
  /** Heads that the log key, or the broker itself, vouches for: the log must contain each. */
  readonly heads: readonly SeenHead[];
  /** What could not be looked at, or proves nothing: sentences for people. */
  readonly doubts: readonly string[];
  /** Whether there is no checkpoint file at all. */
  readonly fileMissing: boolean;
}

/** Looks at the checkpoint file, and asks every witness what it cosigned last, at the same time. Throws nothing. */
export async function lookOutside(file: CheckpointFile, witnesses: Witnesses, keptBy: KeptBy): Promise<SeenOutside> {
  const [kept, held] = await Promise.all([lookAtFile(file, keptBy), askWitnesses(witnesses, keptBy)]);
  return {
    heads: [...kept.heads, ...held.heads],
    doubts: [...kept.doubts, ...held.doubts],
    fileMissing: kept.fileMissing,
  };
}

async function lookAtFile(file: CheckpointFile, keptBy: KeptBy): Promise<SeenOutside> {
  const nothing = { heads: [], doubts: [], fileMissing: false };
  let text: string | undefined;
  try {
    text = await file.read();
  } catch (error) {
    if (!(error instanceof CheckpointFileError)) throw error;
    return { ...nothing, doubts: [`the checkpoint file: ${error.message}`] };
  }
  if (text === undefined) return { ...nothing, fileMissing: true };
  const kept = readKeptCheckpoint(text, keptBy);
  switch (kept.standing) {
    case 'own':
    case 'other':
      return { ...nothing, heads: [{ size: kept.head.size, root: kept.head.root, where: `the file ${file.path}` }] };
    case 'former':
      return nothing;
    case 'unproven':
      return {
        ...nothing,
        doubts: [
          `the checkpoint file ${file.path} proves nothing, and is left as it is: ${kept.why}; look at it, and then remove it`,
        ],
      };
  }
}

/** What the witnesses of the configuration hold of the log. */
export async function askWitnesses(
  witnesses: Witnesses,
  { logKey }: Pick<KeptBy, 'logKey'>,
): Promise<Omit<SeenOutside, 'fileMissing'>> {
  const heads: SeenHead[] = [];
  const doubts: string[] = [];
  for (const { witness, seen, problem } of await witnesses.latest(logKey)) {
    if (seen !== undefined) heads.push({ size: seen.size, root: seen.root, where: `the witness ${witness}` });
    if (problem !== undefined)
      doubts.push(`the witness ${witness} cannot be asked what it has seen of the log: ${problem}`);
  }
  return { heads, doubts };
}
