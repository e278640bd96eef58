/**
 * `npm run fuzz -- [--minutes N] [--target NAME] [--seed N]`: mutates well-formed inputs of every parser for N minutes of
 * CPU time, shared among the targets, and fails on a crash, a false accept, or an input that takes over 100 ms of CPU time.
 * A finding prints its seed and the input in hex; the same seed and target repeat the run.
 */
import { parseArgs } from 'node:util';
import type { FuzzTarget } from './target.js';
import { Dice, mutate } from './mutate.js';
import { targets as bytesTargets } from './targets/bytes.js';
import { targets as collateralTargets } from './targets/collateral.js';
import { targets as checkpointTargets } from './targets/checkpoint.js';
import { targets as enrolmentTargets } from './targets/enrolment.js';
import { targets as keysTargets } from './targets/keys.js';
import { targets as noteTargets } from './targets/note.js';
import { targets as policyTargets } from './targets/policy.js';
import { targets as proofTargets } from './targets/proof.js';
import { targets as receiptTargets } from './targets/receipt.js';
import { targets as gpuTargets } from './targets/gpu.js';
import { targets as hclTargets } from './targets/hcl.js';
import { targets as rimTargets } from './targets/rim.js';
import { targets as snpTargets } from './targets/snp.js';
import { targets as tdxTargets } from './targets/tdx.js';
import { targets as tokenTargets } from './targets/token.js';
import { targets as tileTargets } from './targets/tile.js';
import { targets as tpmTargets } from './targets/tpm.js';
import { targets as witnessTargets } from './targets/witness.js';
import { targets as x509Targets } from './targets/x509.js';

const BUDGET_MS = 100;
const BATCH = 256;

interface Finding {
  readonly target: string;
  readonly seed: number;
  readonly input: Buffer;
  readonly what: string;
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    target: { type: 'string' },
    seed: { type: 'string', default: String(1 + (Date.now() % 0x7fffffff)) },
  },
});
const everyTarget: readonly FuzzTarget[] = [
  ...bytesTargets,
  ...enrolmentTargets,
  ...tpmTargets,
  ...policyTargets,
  ...keysTargets,
  ...noteTargets,
  ...checkpointTargets,
  ...proofTargets,
  ...tileTargets,
  ...receiptTargets,
  ...witnessTargets,
  ...x509Targets,
  ...snpTargets,
  ...tdxTargets,
  ...hclTargets,
  ...gpuTargets,
  ...rimTargets,
  ...tokenTargets,
  ...collateralTargets,
];
const chosen = everyTarget.filter((target) => values.target === undefined || target.name.includes(values.target));
if (chosen.length === 0) {
  console.error(
    `no target matches ${String(values.target)}; there are: ${everyTarget.map((target) => target.name).join(', ')}`,
  );
  process.exit(2);
}
const seed = Number(values.seed);
const cpuMsEach = (Number(values.minutes) * 60_000) / chosen.length;
console.log(`seed ${String(seed)}, ${values.minutes} CPU-minutes over ${String(chosen.length)} targets`);

const findings: Finding[] = [];
for (const target of chosen) findings.push(...fuzz(target));
for (const finding of findings) {
  console.error(`\n${finding.target}, seed ${String(finding.seed)}: ${finding.what}\n${finding.input.toString('hex')}`);
}
console.log(findings.length === 0 ? 'no finding' : `${String(findings.length)} findings`);
process.exit(findings.length === 0 ? 0 : 1);

function fuzz(target: FuzzTarget): Finding[] {
  const dice = new Dice(seed);
  const found: Finding[] = [];
  let slowestMs = 0;
  let runs = 0;
  let spentMs = 0;
  while (spentMs < cpuMsEach && found.length < 5) {
    const batch = Array.from({ length: BATCH }, () => mutate(dice, dice.pick(target.seeds), target.seeds));
    const batchStart = process.cpuUsage();
    for (const input of batch) {
      const start = performance.now();
      const what = attempt(target, input);
      slowestMs = Math.max(slowestMs, performance.now() - start);
      if (what !== undefined) found.push({ target: target.name, seed, input, what });
      runs++;
    }
    const batchMs = cpuMs(batchStart);
    spentMs += batchMs;
    // A batch that took that long may hold a slow input: find it by CPU time, twice, so that a pause of the machine is not blamed on it.
    if (batchMs > BUDGET_MS) {
      for (const input of batch) {
        if (Math.min(costMs(target, input), costMs(target, input)) > BUDGET_MS) {
          found.push({ target: target.name, seed, input, what: `takes over ${String(BUDGET_MS)} ms of CPU time` });
        }
      }
    }
  }
  console.log(
    `${target.name.padEnd(28)} ${String(runs).padStart(10)} runs  ${(spentMs / 60_000).toFixed(2)} CPU-minutes  slowest ${slowestMs.toFixed(1)} ms (wall)  ${String(found.length)} findings`,
  );
  return found;
}

function attempt(target: FuzzTarget, input: Buffer): string | undefined {
  try {
    target.run(input);
    return undefined;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

function costMs(target: FuzzTarget, input: Buffer): number {
  const start = process.cpuUsage();
  attempt(target, input);
  return cpuMs(start);
}

function cpuMs(since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
}
