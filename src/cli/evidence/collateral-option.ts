import { CollateralDirectory } from '../../collateral/directory.js';
import { type Collateral, type HardwareTrust, NO_COLLATERAL } from '../../endorsement/collateral.js';
import { PINNED_ROOTS } from '../../endorsement/hardware-roots.js';
import { KnownPaths } from '../../endorsement/known-paths.js';
import { telling } from '../compose/trouble.js';
import type { CliContext } from '../context.js';
import { UsageError } from '../outcome.js';
import { oneLine } from '../output.js';
import { pathOf } from '../read-input.js';

/** One file of evidence has fewer chains. */
const MAX_PATHS = 64;

/**
 * Who is believed offline: the pinned roots, never a simulator, with the collateral of a directory, at a time (default: now). UsageError
 * where the directory cannot be read; a file in it that holds no collateral is left out, with a warning.
 */
export async function offlineTrust(
  context: CliContext,
  directory: string | undefined,
  at: string | undefined,
): Promise<HardwareTrust> {
  return {
    roots: PINNED_ROOTS,
    collateral: directory === undefined ? NO_COLLATERAL : await readCollateral(context, directory),
    paths: new KnownPaths(MAX_PATHS),
    atMs: at === undefined ? context.parts.now() : Date.parse(at),
    requireCrls: false,
  };
}

async function readCollateral(context: CliContext, name: string): Promise<Collateral> {
  const path = pathOf(context.io, name);
  const unusable = telling((where, why) => {
    if (where === path) throw new UsageError(`cannot read --collateral ${name}: ${why}`);
    context.io.stderr.write(`${oneLine(`warning: ${where} is left out: ${why}`)}\n`);
  });
  const directory = new CollateralDirectory(path, unusable);
  await directory.open(unusable);
  return directory.collateral;
}
