import { checkpointLines } from '../../audit/checkpoint-lines.js';
import type { Conflict } from '../../audit/compare-heads.js';
import type { LogFinding } from '../../audit/findings.js';
import type { LogFault } from '../../audit/signed-log.js';
import type { CheckpointTrust } from '../../audit/trusted-checkpoint.js';
import type { Answer, Block } from '../outcome.js';

/** Two checkpoints that contradict each other, and the keys that they were verified with; undefined where there are none. */
export interface Contradiction {
  readonly conflict?: Conflict | undefined;
  readonly trust?: CheckpointTrust | undefined;
}

/** Findings for people: each with its entry and with what to do, once for all that have the same advice. */
export function findingBlocks(
  findings: readonly LogFinding[],
  count: number,
  contradiction: Contradiction,
): readonly Block[] {
  const advice = [...new Set(findings.map((finding) => finding.advice))];
  return [
    `${count === 1 ? 'One finding' : `${String(count)} findings`}:`,
    { head: ['entry', 'problem'], rows: findings.map(({ index, problem }) => [String(index), problem]) },
    ...(count > findings.length ? [`… and ${String(count - findings.length)} more, which are not shown.`] : []),
    '',
    'What to do:',
    ...advice.map((line) => `  - ${line}`),
    ...conflictBlocks(contradiction),
  ];
}

function conflictBlocks({ conflict, trust }: Contradiction): readonly Block[] {
  if (conflict === undefined || trust === undefined) return [];
  const { before, now } = conflict;
  return [
    ...['', 'The checkpoint that was seen before:', '', ...quoted(before, trust)],
    ...['', 'The checkpoint of now:', '', ...quoted(now, trust)],
  ];
}

/** Each line indented, and none of those that a log can fill as it likes: none can pass for a line of ours. */
function quoted(checkpoint: string, trust: CheckpointTrust): readonly string[] {
  const { lines, others } = checkpointLines(checkpoint, trust);
  const more =
    others === 0
      ? []
      : [`(and ${String(others)} more lines, not shown, without which it cannot be verified: --json has it whole)`];
  return [...lines, ...more].map((line) => (line === '' ? line : `    ${line}`));
}

/** A fault that ended the reading of a log: exit code 1. */
export function faultOutcome({ finding, conflict, trust }: LogFault): Answer {
  const json = { ok: false, findings: [finding], finding_count: 1, ...(conflict === undefined ? {} : { conflict }) };
  return { ok: true, json, text: findingBlocks([finding], 1, { conflict, trust }), failed: true };
}
