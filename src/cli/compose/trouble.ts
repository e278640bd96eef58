import { MalformedError } from '../../bytes/malformed-error.js';
import type { Unusable } from '../../collateral/watched-directory.js';
import { UsageError } from '../outcome.js';
import { whyUnreadable } from '../read-input.js';

/** A file, or the whole directory, that cannot be used. The message names it and says why. */
export type Trouble = (where: string, why: string) => void;

/** Says in words what cannot be used. */
export function telling(trouble: Trouble): Unusable {
  return (path, error) => trouble(path, whyUnusable(error));
}

/** Throws UsageError, which begins with the setting, for the first file that cannot be used. */
export function refusing(setting: string): Unusable {
  return (path, error) => {
    throw new UsageError(`${setting}: ${path}: ${whyUnusable(error)}`);
  };
}

function whyUnusable(error: unknown): string {
  return error instanceof MalformedError ? error.message : whyUnreadable(error);
}
