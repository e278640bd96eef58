import { join } from 'node:path';
import type { Config } from '../../config/config.js';
import { CollateralDirectory } from '../../collateral/directory.js';
import type { Collateral } from '../../endorsement/collateral.js';
import { refusing, telling, type Trouble } from './trouble.js';

export type CollateralPlace = Pick<Config, 'dataDir' | 'collateral'>;

/** The directory of collateral in a data directory. */
export function collateralBelow(dataDir: string): string {
  return join(dataDir, 'collateral');
}

/** Where a broker looks for collateral. */
export function collateralPath({ dataDir, collateral: { dir } }: CollateralPlace): string {
  return dir ?? collateralBelow(dataDir);
}

/**
 * The collateral that a broker uses: the directory of `collateral.dir`, which must be there (UsageError), or `collateral` in the data
 * directory, which need not. A file that cannot be used is told, and is no reason not to start: what needs it is refused.
 */
export async function openCollateral(
  place: CollateralPlace,
  trouble: Trouble = () => undefined,
): Promise<CollateralDirectory> {
  const path = collateralPath(place);
  const told = telling(trouble);
  const directory = new CollateralDirectory(path, told, place.collateral.dir === undefined);
  await directory.open((where, error) => (where === path ? refusing('collateral.dir') : told)(where, error));
  return directory;
}

/** What the context of a broker takes. */
export function collateralOf(directory: CollateralDirectory): () => Collateral {
  return () => directory.collateral;
}
