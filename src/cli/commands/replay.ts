import type { Command } from 'commander';
import type { Json } from '../../bytes/canonical-json.js';
import type { ReplayView } from '../../release/views.js';
import { releaseId } from '../arguments.js';
import type { CliContext } from '../context.js';
import type { Block, Outcome } from '../outcome.js';
import { createOutputFile } from '../output-file.js';
import { verb, type Act } from '../verb.js';

interface ReplayOptions {
  readonly release: string;
  readonly evidenceOut?: string;
}

/** `replay`: an archived release, appraised again. */
export function addReplay(program: Command, act: Act): void {
  verb(program, 'replay', {
    summary: 'appraise an archived release again',
    description:
      'Has the broker appraise a release again: the code that it runs now, on the evidence, the facts and the time of then, ' +
      'held against the entry in the log. Needs archive.evidence: on at the time of the release, and the auditor role. ' +
      'Exit code 1 where it comes to anything else than was recorded. No key is released, nothing is recorded.',
    examples: [
      'portcullis replay --release 4be3c50e2d0f4d7dbb1e6f6f6f4c1c11',
      'portcullis replay --release 4be3c50e2d0f4d7dbb1e6f6f6f4c1c11 --evidence-out request.json --json | jq .claims',
    ],
    next: '`portcullis entries --type release --json` has the release_id of releases.',
  })
    .requiredOption('--release <id>', 'release_id, from the answer, the receipt or the log entry', releaseId)
    .option('--evidence-out <file>', 'write the request as it was received, evidence included, into a file (mode 0600)')
    .action(act(replay));
}

async function replay(context: CliContext, { release, evidenceOut }: ReplayOptions): Promise<Outcome> {
  const file = evidenceOut === undefined ? undefined : await createOutputFile(context.io, evidenceOut, true);
  try {
    const query = file === undefined ? {} : { evidence: 'true' };
    const reply = await context.call<ReplayView>('GET', `/v1/releases/${release}/replay`, undefined, query);
    if (!reply.ok) return reply;
    const { presented, ...view } = reply.value;
    await file?.write(`${JSON.stringify(presented ?? null)}\n`);
    const written = evidenceOut === undefined ? [] : [`The request is in ${evidenceOut}.`];
    return { ok: true, json: view, text: [...textOf(view), ...written], failed: !view.same };
  } finally {
    await file?.discard();
  }
}

function textOf({ release_id: id, index, same, appraised_at: at, refusal, differences }: ReplayView): readonly Block[] {
  const what = `Release ${id}, entry ${String(index)}, appraised at ${at}:`;
  if (same)
    return [`${what} appraised again, it comes to the same, in every member of the entry that follows from it.`];
  const rows = differences.map(({ member, recorded, replayed }) => [member, shown(recorded), shown(replayed)]);
  return [
    `${what} appraised again, it does NOT come to what was recorded.`,
    ...(refusal === undefined ? [] : [`It would be refused: ${refusal.reason}: ${refusal.detail}`]),
    { head: ['member', 'recorded', 'replayed'], rows },
  ];
}

function shown(value: Json | undefined): string {
  if (value === undefined) return '(absent)';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
