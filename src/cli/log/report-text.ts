import type { LogReport } from '../../audit/verify-log.js';
import type { CheckpointTrust } from '../../audit/trusted-checkpoint.js';
import { toBase64 } from '../../bytes/base64.js';
import { TILE_WIDTH } from '../../translog/tile.js';
import type { Answer, Block } from '../outcome.js';
import { findingBlocks } from './findings-text.js';
import { grouped, perSecond } from './progress.js';
import { rollbackBlocks, rollbackJson } from './rollback-text.js';

/** What a run took. */
export interface Took {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** What `log verify` says. `trust` is what the checkpoint was verified with. */
export function reportAnswer(report: LogReport, trust: CheckpointTrust, { seconds, cpuSeconds }: Took): Answer {
  const { checkpoint, first, reached, before, findings, conflict } = report;
  const { origin, size, root } = checkpoint.head;
  const ok = findings.count === 0;
  const entries = reached - first;
  const again = report.reread?.entries ?? 0;
  const rate = entries === 0 ? undefined : perSecond(entries + again, seconds);
  const witnesses = checkpoint.cosigned.map(({ name, timeSeconds }) => ({ name, time: rfc3339(timeSeconds) }));
  const json = {
    ...{ ok, log: origin, size, root: toBase64(root), checkpoint: checkpoint.text, witnesses },
    ...{
      first,
      reached,
      seconds,
      cpu_seconds: cpuSeconds,
      ...(rate === undefined ? {} : { entries_per_second: rate }),
    },
    ...rereadJson(report),
    ...(report.newestEntryAt === undefined ? {} : { newest_entry_at: report.newestEntryAt }),
    ...(before === undefined ? {} : { before: { size: before.size, root: toBase64(before.root) } }),
    ...{ findings: findings.kept, finding_count: findings.count, ...rollbackJson(report) },
    ...(conflict === undefined ? {} : { conflict }),
    ...(ok ? { proved: proved(report), not_proved: notProved(report) } : {}),
  };
  const speed = rate === undefined ? '' : ` (${grouped(rate)}/s; ${cpuSeconds.toFixed(1)} s of CPU time)`;
  const older = again === 0 ? '' : `, ${grouped(again)} older ones read again`;
  const done =
    entries === 0 && ok
      ? `nothing has come since the last run${older}`
      : `${grouped(entries)} entries recomputed${older} in ${seconds.toFixed(1)} s${speed}`;
  const lines: readonly Block[] = ok
    ? [
        `The log ${origin} is in order: ${grouped(size)} entries; ${done}.`,
        ...rollbackBlocks(report),
        ...['', 'Proved:', ...proved(report).map((line) => `  - ${line}`)],
        ...['', 'Not proved:', ...notProved(report).map((line) => `  - ${line}`)],
      ]
    : [
        `The log ${origin} is NOT in order. Its checkpoint is of ${grouped(size)} entries; ${done}.`,
        ...(reached < size ? [`Entries from ${grouped(reached)} on were not looked at.`] : []),
        ...rollbackBlocks(report),
        '',
        ...findingBlocks(findings.kept, findings.count, { conflict, trust }),
      ];
  return { ok: true, json, text: lines, failed: !ok };
}

function rereadJson({ first, reread }: LogReport) {
  if (first === 0) return {};
  const { entries, bundles, of } = reread ?? { entries: 0, bundles: 0, of: Math.ceil(first / TILE_WIDTH) };
  return { reread: { entries, bundles, of_bundles: of } };
}

function proved({ checkpoint, first, before, reread }: LogReport): readonly string[] {
  const { head, cosigned } = checkpoint;
  const again = reread?.entries ?? 0;
  const earlier = first === 0 ? '' : `; those before ${grouped(first)} were recomputed by earlier runs`;
  return [
    `the log key signed a tree of ${grouped(head.size)} entries, and the entries give its root and all of its hash tiles${earlier}`,
    ...(again === 0
      ? []
      : [
          `${again === first ? 'all' : grouped(again)} of the ${grouped(first)} entries of earlier runs were read again: they are still those of the signed tree`,
        ]),
    ...(before === undefined
      ? []
      : [
          `it starts with the ${grouped(before.size)} entries of the checkpoint that was seen before: nothing was taken back`,
        ]),
    'read in order the entries make sense: each release went to a deployment, policy, attester and key version that the entries before it allow',
    ...(cosigned.length === 0
      ? []
      : [`${cosigned.map(({ name }) => name).join(', ')} cosigned it: they have seen no other history`]),
  ];
}

function notProved(report: LogReport): readonly string[] {
  const { checkpoint, before, salted } = report;
  return [
    ...(checkpoint.cosigned.length === 0
      ? ['that the broker shows everybody the same log: name witnesses that cosigned it, with --witness']
      : ['that the witnesses are independent of the broker: you chose them']),
    ...notReadAgain(report),
    ...(before === undefined ? ['that nothing was rewritten before now: this is the first look at this log'] : []),
    `that this is the log as it stands now, since an old checkpoint verifies for ever: ${newest(report)}`,
    'that the evidence was genuine and the decisions right: the log holds their hashes, `portcullis replay` runs one again',
    ...(salted
      ? [
          'that a name has one pseudonym alone: a broker that cheats can keep two, and a receipt ties the name to one of them',
        ]
      : []),
    'that no key ever left without an entry: a client that demands receipts refuses such an answer',
  ];
}

function notReadAgain({ first, reread }: LogReport): readonly string[] {
  const { entries, bundles, of } = reread ?? { entries: 0, bundles: 0, of: 0 };
  if (entries === first) return [];
  if (entries === 0) {
    return [
      `that the first ${grouped(first)} entries are still served as they were verified: --from-start reads them again`,
    ];
  }
  return [
    `that the other ${grouped(first - entries)} of the first ${grouped(first)} entries are still served as they were verified: a run reads ${grouped(bundles)} of ${grouped(of)} bundles again, chosen at random, so it finds a changed one with a probability of ${percent(bundles / of)} %; --from-start reads all again`,
  ];
}

/** Rounded down, so that 100 is never said of less; two significant digits below one. */
function percent(share: number): string {
  const value = share * 100;
  return value >= 1 ? String(Math.floor(value)) : value.toPrecision(2);
}

/** By the clocks of the broker and of the witnesses. */
function newest({ checkpoint: { cosigned }, newestEntryAt }: LogReport): string {
  const times = cosigned.map(({ timeSeconds }) => timeSeconds);
  const latest = times.reduce<bigint | undefined>((a, b) => (a === undefined || b > a ? b : a), undefined);
  return [
    newestEntryAt === undefined ? 'it has no entry' : `its newest entry is of ${newestEntryAt}`,
    ...(latest === undefined ? [] : [`its newest cosignature of ${rfc3339(latest)}`]),
  ].join(', ');
}

/** Years that Date cannot write stay numbers. */
function rfc3339(timeSeconds: bigint): string {
  const date = new Date(Number(timeSeconds) * 1000);
  return Number.isNaN(date.getTime()) ? `${String(timeSeconds)} s` : date.toISOString();
}
