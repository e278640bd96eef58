import { bareRun } from './evidence-bare.js';
import { floorIn, type Warmth } from './evidence-floor.js';
import { baseOf, type Machine, type Piece } from './evidence-machines.js';
import { coldVerifier, demandAccepted, type Verifier, verifyPiece, withFlippedBit } from './evidence-verify.js';

/** Changed bits that are offered in each kind of bytes. */
const FLIPS = 8;

type Turn = 'coldBareUs' | 'coldUs' | 'warmBareUs' | 'warmUs';
/** CPU time of one piece, by what was done with it. */
export type RoundFigures = Readonly<Record<Turn, number>>;

/** Verifies good pieces over and over, so that what is measured later is compiled, as in a broker that has served a while. */
export function compileAll(
  machine: Machine,
  warm: Verifier,
  pieces: readonly Piece[],
  times: Readonly<Record<Warmth, number>>,
): void {
  for (const warmth of ['cold', 'warm'] as const) {
    for (let count = 0; count < times[warmth];) {
      for (const piece of pieces.slice(0, times[warmth] - count)) {
        demandAccepted(piece, warmth === 'warm' ? warm : coldVerifier(machine));
        count++;
      }
    }
  }
}

/** All four turns of one machine, in either order. What is not measured is made beforehand. */
export function measureRound(
  machine: Machine,
  warm: Verifier,
  pieces: Readonly<Record<Warmth, readonly Piece[]>>,
  backwards: boolean,
): RoundFigures {
  // A verifier that had not seen these certificates before would make the first piece a cold one.
  demandAccepted(machine.answer(baseOf(-2)), warm);
  const bare = (warmth: Warmth) =>
    pieces[warmth].map(({ member }) => bareRun(floorIn(member, machine.trust(), warmth)));
  const by = (verifierOf: () => Verifier) => (piece: Piece) => {
    const verifier = verifierOf();
    return () => demandAccepted(piece, verifier);
  };
  const work: readonly (readonly [Turn, readonly (() => void)[]])[] = [
    ['coldBareUs', bare('cold')],
    ['coldUs', pieces.cold.map(by(() => coldVerifier(machine)))],
    ['warmBareUs', bare('warm')],
    ['warmUs', pieces.warm.map(by(() => warm))],
  ];
  const turns = (backwards ? work.toReversed() : work).map(([turn, runs]) => [turn, cpuUs(runs)] as const);
  return Object.fromEntries(turns) as Record<Turn, number>;
}

function cpuUs(runs: readonly (() => void)[]): number {
  const before = process.cpuUsage();
  for (const run of runs) run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / runs.length;
}

/**
 * Throws where the verifier, which has seen all certificates, takes a changed bit, or an answer to another challenge. `at`, from 0 to 1,
 * moves the bits. How many pieces it refused.
 */
export function proveChecked(machine: Machine, warm: Verifier, base: Buffer, at: number): number {
  const piece = machine.answer(base);
  const elsewhere = piece.base === undefined ? [] : [{ ...piece, base: baseOf(-1) }];
  const places = Array.from({ length: FLIPS }, (_, index) => (index + at) / FLIPS);
  const changed = machine.guarded.flatMap((guarded) => places.map((place) => withFlippedBit(piece, guarded, place)));
  const wrong = [...elsewhere, ...changed];
  for (const bad of wrong) {
    if (verifyPiece(bad, warm).ok) throw new Error(`${machine.name}: a warm verifier took what it must refuse`);
  }
  return wrong.length;
}
