import { existsSync } from 'node:fs';
import type { CollateralDirectory } from '../../collateral/directory.js';
import type { Pieces } from '../../collateral/items.js';
import type { Collateral } from '../../endorsement/collateral.js';
import { collateralBelow } from '../compose/collateral.js';
import { telling } from '../compose/trouble.js';
import type { CliContext } from '../context.js';
import { UsageError } from '../outcome.js';
import { pathOf } from '../read-input.js';

/** Options that name a directory of collateral. */
export interface PlaceOptions {
  readonly dir?: string;
  readonly dataDir?: string;
}

/**
 * The directory that the options or the environment name; it need not be there, but a data directory must, since init takes none that
 * holds anything. Throws UsageError.
 */
export function placeOf({ io }: CliContext, { dir, dataDir }: PlaceOptions): string {
  if (dir !== undefined && dataDir !== undefined) throw new UsageError('--dir and --data-dir name one place; give one');
  const named = (name: string) => (io.env[name] === '' ? undefined : io.env[name]);
  const direct = dir ?? (dataDir === undefined ? named('PORTCULLIS_COLLATERAL_DIR') : undefined);
  if (direct !== undefined) return pathOf(io, direct);
  const below = dataDir ?? named('PORTCULLIS_DATA_DIR');
  if (below === undefined) throw new UsageError('name the directory of the collateral with --dir D, or --data-dir D');
  const path = pathOf(io, below);
  if (!existsSync(path))
    throw new UsageError(`there is no data directory ${path}; make it with: portcullis init --data-dir ${path}`);
  return collateralBelow(path);
}

/** A file that cannot be used, and why. */
export interface UnusableFile {
  readonly file: string;
  readonly why: string;
}

export interface ReadCollateral {
  readonly pieces: Pieces;
  readonly collateral: Collateral;
  readonly unusable: readonly UnusableFile[];
}

/**
 * Reads a directory of collateral once, as a command does. Files that cannot be used are told and left out. Throws UsageError where the
 * directory itself cannot be read; `mayBeMissing`: one that is not there is empty.
 */
export async function readCollateral(path: string, mayBeMissing = false): Promise<ReadCollateral> {
  const { CollateralDirectory } = await import('../../collateral/directory.js');
  const unusable: UnusableFile[] = [];
  const note = telling((where, why) => {
    if (where === path) throw new UsageError(`cannot read ${path}: ${why}`);
    unusable.push({ file: where, why });
  });
  const directory: CollateralDirectory = new CollateralDirectory(path, note, mayBeMissing);
  await directory.open(note);
  return { pieces: directory.pieces, collateral: directory.collateral, unusable };
}
