import { exportLog } from '../../audit/export-log.js';
import { toBase64 } from '../../bytes/base64.js';
import type { CliContext } from '../context.js';
import { answer, type Outcome } from '../outcome.js';
import { pathOf } from '../read-input.js';
import { trustOf, type TrustOptions, withLog } from './open-log.js';
import { grouped, Progress } from './progress.js';

export interface ExportOptions extends TrustOptions {
  readonly out: string;
}

/** `log export`. */
export function exportToDirectory(context: CliContext, options: ExportOptions): Promise<Outcome> {
  return withLog(context, undefined, async (source) => {
    const trusted = await trustOf(context, source, options);
    if (!trusted.ok) return trusted;
    const { trust, vkey, notes } = trusted.value;
    const progress = new Progress(context.io, context.json, context.parts.now);
    const directory = pathOf(context.io, options.out);
    const exported = await exportLog({
      ...{ source, trust, verifierKey: vkey, directory, onProgress: progress.update },
    }).finally(() => progress.end());
    if (!exported.ok) return exported;
    const { checkpoint, first } = exported.value;
    const { origin, size, root } = checkpoint.head;
    return answer(
      { ok: true, log: origin, size, root: toBase64(root), first, directory: options.out },
      [
        `${grouped(size)} entries of the log ${origin} are in ${options.out}; each one is in the signed tree.`,
        `What they mean was not looked at: portcullis log verify --dir ${options.out} --log-key KEY`,
      ],
      notes,
    );
  });
}
