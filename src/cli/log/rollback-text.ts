import { lostEntries } from '../../audit/rollbacks.js';
import type { LogReport, ReportedRollback } from '../../audit/verify-log.js';
import { toBase64 } from '../../bytes/base64.js';
import type { Block } from '../outcome.js';
import { grouped } from './progress.js';

/** Accepted rollbacks as `--json` has them. Sizes are decimal strings where the entry has them so. */
export function rollbackJson({ rollbacks, rollbackCount }: LogReport) {
  return { rollbacks: rollbacks.map(jsonOf), rollback_count: rollbackCount };
}

function jsonOf(rollback: ReportedRollback) {
  const { index, entry, seen } = rollback;
  const lost = lostEntries(rollback);
  return {
    ...{ index, time: entry.time, log_origin: entry.log_origin, previous_origin: entry.previous_origin },
    ...{ previous_size: entry.previous_size, previous_root: entry.previous_root },
    ...(entry.newest_known_size === undefined ? {} : { newest_known_size: entry.newest_known_size }),
    ...(entry.newest_known_root === undefined ? {} : { newest_known_root: entry.newest_known_root }),
    ...(lost === undefined ? {} : { lost }),
    says: saysOf(rollback),
    ...(seen === undefined ? {} : { seen: seenJson(seen) }),
  };
}

function seenJson({ checkpoint: { head, text }, verdict }: NonNullable<ReportedRollback['seen']>) {
  return { size: head.size, root: toBase64(head.root), checkpoint: text, verdict };
}

/** A notice of its own, whether there are findings or not: the log is genuine, and yet something was lost. */
export function rollbackBlocks({ rollbacks, rollbackCount }: LogReport): readonly Block[] {
  if (rollbacks.length === 0) return [];
  const more = rollbackCount - rollbacks.length;
  return [
    '',
    `NOTICE: ${rollbackCount === 1 ? 'a rollback was' : `${grouped(rollbackCount)} rollbacks were`} accepted: the log goes on with what was left of a former one.`,
    {
      head: ['entry', 'when', 'survived', 'lost', 'former log'],
      rows: rollbacks.map((rollback) => {
        const { index, entry } = rollback;
        const lost = lostEntries(rollback);
        return [
          String(index),
          entry.time,
          entry.previous_size,
          lost === undefined ? 'not known' : `${String(lost)} or more`,
          entry.previous_origin,
        ];
      }),
    },
    ...rollbacks.map((rollback) => `  - entry ${String(rollback.index)}: ${saysOf(rollback)}`),
    ...(more > 0 ? [`… and ${grouped(more)} more, which are not shown.`] : []),
  ];
}

/** What follows from a rollback, by what this auditor has seen of the former log. */
function saysOf({ entry, seen }: ReportedRollback): string {
  const { previous_size: survived, newest_known_size: known } = entry;
  if (seen === undefined) {
    return 'this auditor remembers nothing of the former log, so what was lost is what the broker says; ask the operator, and whoever audited the former log';
  }
  const { size } = seen.checkpoint.head;
  switch (seen.verdict) {
    case 'more-seen': {
      const unsaid =
        known === undefined || BigInt(size) > BigInt(known)
          ? `, while the broker ${known === undefined ? 'names no larger one' : `speaks of ${known}`}`
          : '';
      return `more entries were seen than survive: this auditor saw ${String(size)} of the former log${unsaid}; ${String(BigInt(size) - BigInt(survived))} of them are lost, and what they recorded happened; a copy of the former log tells whether it began with what survives`;
    }
    case 'survived':
      return `the ${String(size)} entries of the former log that this auditor saw survive, as they were`;
    case 'another-history':
      return `what survives is another history than the ${String(size)} entries that this auditor saw: a finding`;
    case 'unknown':
      return `whether the ${String(size)} entries of the former log that this auditor saw survive cannot be told: hash tiles are missing or wrong`;
  }
}
