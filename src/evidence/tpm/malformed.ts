import { MalformedError } from '../../bytes/malformed-error.js';
import { accept, reject, type Result } from '../../reason/reason.js';

/** What a parser made of its input, or evidence.malformed where it threw MalformedError. Other errors are bugs and pass through. */
export function orMalformed<T>(parse: () => T): Result<T> {
  try {
    return accept(parse());
  } catch (error) {
    if (error instanceof MalformedError) return reject('evidence.malformed', error.message);
    throw error;
  }
}
