import { signaturesIn } from './evidence-bare.js';
import { floorIn, type Warmth } from './evidence-floor.js';
import { GENUINE_ABSENT, genuineMachines } from './evidence-genuine.js';
import { baseOf, type Machine, simulatedMachines } from './evidence-machines.js';
import { compileAll, measureRound, proveChecked, type RoundFigures } from './evidence-round.js';
import { coldVerifier, type Verifier } from './evidence-verify.js';
import type { Row } from './report.js';
import { type Figure, figureOf } from './statistics.js';

/** What is asked of every kind: times its bare checks, and milliseconds of CPU. */
const MOST: Readonly<Record<Warmth, number>> = { cold: 3, warm: 2 };
const MOST_MS = 20;
/** Pieces of evidence in each turn of a round: warm ones are cheaper, and a turn of a few milliseconds says little. */
const PIECES: Readonly<Record<Warmth, number>> = { cold: 10, warm: 30 };
/** How often each is verified before anything counts: what a broker has not yet compiled is dearer, once for all evidence. */
const COMPILING: Readonly<Record<Warmth, number>> = { cold: 150, warm: 1500 };

export interface EvidenceBenchOptions {
  readonly rounds: number;
  readonly pieces?: Readonly<Record<Warmth, number>>;
  readonly compiling?: Readonly<Record<Warmth, number>>;
  readonly progress: (text: string) => void;
}

/** A machine under measurement. */
interface Measured {
  readonly machine: Machine;
  readonly warm: Verifier;
  readonly rounds: RoundFigures[];
}

/**
 * What verifying hardware evidence costs beside its bare signature checks, in CPU time of one process, in rounds in which each
 * machine takes its turn. Cold: neither certificates nor collateral nor AK were seen before. Warm: they were; what is signed is made
 * anew for each turn, so that no verdict can be remembered, and changed bits are offered between the turns.
 */
export async function benchEvidence({
  rounds,
  pieces = PIECES,
  compiling = COMPILING,
  progress,
}: EvidenceBenchOptions): Promise<{ readonly rows: readonly Row[]; readonly text: string }> {
  const genuine = genuineMachines();
  const machines = [...(await simulatedMachines()), ...genuine].map((machine): Measured => {
    return { machine, warm: coldVerifier(machine), rounds: [] };
  });
  let challenge = 0;
  let refused = 0;
  const fresh = ({ answer }: Machine, warmth: Warmth) =>
    Array.from({ length: pieces[warmth] }, () => answer(baseOf(challenge++)));
  for (const { machine, warm } of machines) {
    progress(`first of all, often: ${machine.name}`);
    compileAll(machine, warm, fresh(machine, 'warm'), compiling);
  }
  for (let round = 0; round < rounds; round++) {
    progress(`round ${String(round + 1)} of ${String(rounds)}`);
    for (const { machine, warm, rounds: counted } of machines) {
      const answers = { cold: fresh(machine, 'cold'), warm: fresh(machine, 'warm') };
      counted.push(measureRound(machine, warm, answers, round % 2 !== 0));
      refused += proveChecked(machine, warm, baseOf(challenge++), round / rounds);
    }
  }
  const rows = machines.map(rowOf);
  const text = [
    ...machines.map(({ machine }) => floorText(machine)),
    ...(genuine.length === 0 ? [GENUINE_ABSENT] : []),
    `proved: while warm, ${String(refused)} pieces with one changed bit, or for another challenge, were refused`,
    ...verdictText(rows),
  ].join('\n');
  return { rows, text };
}

function rowOf({ machine: { name }, rounds }: Measured): Row {
  const of = (figure: (each: RoundFigures) => number): Figure => figureOf(rounds.map(figure));
  return {
    group: 'hardware evidence, CPU of one thread',
    name,
    figures: {
      coldBareUs: of((each) => each.coldBareUs),
      coldUs: of((each) => each.coldUs),
      coldRatio: of((each) => each.coldUs / each.coldBareUs),
      warmBareUs: of((each) => each.warmBareUs),
      warmUs: of((each) => each.warmUs),
      warmRatio: of((each) => each.warmUs / each.warmBareUs),
    },
  };
}

function floorText(machine: Machine): string {
  const { member } = machine.answer(baseOf(0));
  const count = (warmth: Warmth) => String(signaturesIn(floorIn(member, machine.trust(), warmth)));
  return `${machine.name}: ${count('cold')} signatures cold, ${count('warm')} warm`;
}

/** Which figures are not as they should be. */
export function verdictText(rows: readonly Row[]): readonly string[] {
  const over = rows.flatMap(({ name, figures }) =>
    (['cold', 'warm'] as const).flatMap((warmth) => {
      const ratio = figures[`${warmth}Ratio`]?.median ?? NaN;
      const ms = (figures[`${warmth}Us`]?.median ?? NaN) / 1000;
      return [
        ...(ratio <= MOST[warmth] ? [] : [`${name}, ${warmth}: ${ratio.toFixed(2)} times its bare checks`]),
        ...(ms < MOST_MS ? [] : [`${name}, ${warmth}: ${ms.toFixed(1)} ms`]),
      ];
    }),
  );
  const limits = `${String(MOST.cold)} times the bare checks cold, ${String(MOST.warm)} warm, ${String(MOST_MS)} ms`;
  return over.length === 0 ? [`every kind is within ${limits}`] : over.map((each) => `OVER (${limits}): ${each}`);
}
