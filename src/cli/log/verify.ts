import { createHash, randomInt } from 'node:crypto';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { StateFile } from '../../audit/state-file.js';
import { verifyLog } from '../../audit/verify-log.js';
import type { CliContext } from '../context.js';
import type { Outcome } from '../outcome.js';
import { pathOf } from '../read-input.js';
import { trustOf, type TrustOptions, withLog } from './open-log.js';
import { Progress } from './progress.js';
import { reportAnswer } from './report-text.js';

export interface VerifyOptions extends TrustOptions {
  readonly dir?: string;
  readonly state?: string;
  readonly fromStart?: true;
  /** Bundles of 256 entries that earlier runs verified. */
  readonly reread?: number;
}

/** 32,768 entries: well below a second. */
const DEFAULT_REREAD = 128;

/** `log verify`. */
export function verify(context: CliContext, options: VerifyOptions): Promise<Outcome> {
  return withLog(context, options.dir, async (source) => {
    const trusted = await trustOf(context, source, options);
    if (!trusted.ok) return trusted;
    const { trust, notes } = trusted.value;
    const path =
      options.state === undefined ? defaultStatePath(context, trust.logKey.name) : pathOf(context.io, options.state);
    const memory = await StateFile.open(path, trust.logKey);
    const progress = new Progress(context.io, context.json, context.parts.now);
    const cpuBefore = process.cpuUsage();
    try {
      const report = await verifyLog({
        ...{ source, trust, memory, fromStart: options.fromStart === true },
        ...{ now: context.parts.now, onProgress: progress.update },
        reread: { bundles: options.reread ?? DEFAULT_REREAD, random: (below) => randomInt(below) },
        former: (origin) => StateFile.remembered(defaultStatePath(context, origin), origin),
      });
      progress.end();
      if (!report.ok) return report;
      const took = { seconds: progress.seconds, cpuSeconds: secondsOf(cpuBefore) };
      return { ...reportAnswer(report.value, trust, took), notes };
    } finally {
      progress.end();
    }
  });
}

function secondsOf(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000_000;
}

/** Below XDG_STATE_HOME (freedesktop.org base directory specification), one file a log. */
function defaultStatePath({ io }: CliContext, origin: string): string {
  const home = io.env['XDG_STATE_HOME'] ?? '';
  // The specification has relative paths ignored.
  const base = isAbsolute(home) ? home : join(io.env['HOME'] ?? homedir(), '.local', 'state');
  const name = createHash('sha256').update(origin).digest('hex').slice(0, 16);
  return join(base, 'portcullis', 'log', `${name}.json`);
}
