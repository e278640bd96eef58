import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { MalformedError } from '../../bytes/malformed-error.js';
import { MAX_BUNDLE_BYTES, readBundle } from '../../collateral/bundle.js';
import { type Imported, type ImportPlan, type ImportRules, planImport } from '../../collateral/import-items.js';
import { type Pieces, unusedChains } from '../../collateral/items.js';
import { writeFiles } from '../../collateral/write-files.js';
import { type HardwareRoots, PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import { reject } from '../../reason/reason.js';
import type { CliContext } from '../context.js';
import { errorCode } from '../error-code.js';
import { answer, type Outcome, UsageError } from '../outcome.js';
import { pathOf, whyUnreadable } from '../read-input.js';
import { type PlaceOptions, placeOf, readCollateral, type UnusableFile } from './place.js';
import { isoTime } from './status.js';

export interface ImportOptions extends PlaceOptions {
  readonly allowOlder?: true;
  readonly replaceManifest?: true;
}

/** Takes a directory, a bundle or one piece into a directory of collateral. */
export async function importCollateral(
  context: CliContext,
  from: string,
  options: ImportOptions,
  roots: HardwareRoots = PINNED_ROOTS,
): Promise<Outcome> {
  const dir = placeOf(context, options);
  const incoming = await readIncoming(context, from);
  if (!incoming.ok) return incoming;
  const { pieces, unusable } = incoming;
  const rules = {
    roots,
    atMs: context.parts.now(),
    allowOlder: options.allowOlder === true,
    replaceManifest: options.replaceManifest === true,
  };
  const plan = await importInto(dir, pieces, rules);
  return importOutcome(
    dir,
    plan,
    unusable.map(({ file, why }) => `${file}: ${why}`),
    unusedChains(pieces),
  );
}

/** Writes what of it is good, current and not older into the directory. Throws UsageError where that cannot be written. */
export async function importInto(dir: string, incoming: Pieces, rules: ImportRules): Promise<ImportPlan> {
  const { pieces } = await readCollateral(dir, true);
  const plan = planImport(incoming, pieces, rules);
  try {
    await writeFiles(dir, plan.writes);
  } catch (error) {
    if (errorCode(error) === '') throw error;
    throw new UsageError(
      `cannot write into ${dir}: ${whyUnreadable(error)}; run it as the user that the broker runs as, or name another directory with --dir`,
    );
  }
  return plan;
}

type Incoming =
  | { readonly ok: true; readonly pieces: Pieces; readonly unusable: readonly UnusableFile[] }
  | ReturnType<typeof reject>;

async function readIncoming(context: CliContext, from: string): Promise<Incoming> {
  const path = pathOf(context.io, from);
  const isDirectory = from !== '-' && (await stat(path).catch(() => undefined))?.isDirectory() === true;
  if (isDirectory) return { ok: true, ...(await readCollateral(path)) };
  const read = await context.read(from, MAX_BUNDLE_BYTES);
  if (!read.ok) return read;
  const unusable: UnusableFile[] = [];
  try {
    const pieces = readBundle(
      read.value,
      basename(path),
      (file, error) => void unusable.push({ file, why: error.message }),
    );
    return { ok: true, pieces, unusable };
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('request.malformed', `${from}: ${error.message}`);
  }
}

const FAILED: readonly Imported['result'][] = ['refused', 'older', 'drops', 'differs'];

/** What was done with each piece. `failed`: what did not even come that far; `certificates`: files with nothing but some. */
export function importOutcome(
  dir: string,
  { imported }: ImportPlan,
  failed: readonly string[],
  certificates: readonly string[] = [],
): Outcome {
  const ok = failed.length === 0 && imported.every(({ result }) => !FAILED.includes(result));
  const items = imported.map(({ standing, file, result, why }) => ({
    result,
    kind: standing.item.kind,
    for: standing.subject,
    file,
    from: standing.item.file,
    current_until: standing.untilMs === undefined ? null : isoTime(standing.untilMs),
    ...(why === undefined ? {} : { why }),
  }));
  const rows = items.map((item) => [item.result, item.kind, item.for, item.current_until ?? '', item.file]);
  const notes = [
    ...items.flatMap(({ why, from }) => (why === undefined ? [] : [`${from}: ${why}`])),
    ...failed,
    ...certificates.map(
      (file) =>
        `${file}: left out: certificates are no collateral, since evidence brings its own chain (VCEK and ASK, PCK, of a GPU) and ` +
        'roots are pinned; a chain is taken beside the CRL or document that it is for',
    ),
  ];
  const table = { head: ['result', 'kind', 'for', 'current until', 'file'], rows };
  const text = items.length === 0 ? ['There was nothing to take.'] : [table];
  const isNothing = items.length === 0 && failed.length === 0;
  return {
    ...answer({ ok: ok && !isNothing, dir, items, failed, left_out: certificates }, text, notes),
    failed: !ok || isNothing,
  };
}
