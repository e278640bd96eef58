import { UsageError } from '../outcome.js';

const MAX_ID_LENGTH = 256;

/** The name of an attester as one segment of a path; no segment that a URL would resolve away. */
export function attesterSegment(id: string): string {
  if (id === '' || id === '.' || id === '..' || id.length > MAX_ID_LENGTH) {
    throw new UsageError(
      'an attester is named by its name, AK Name or SPKI hash, as `portcullis attester list` shows them',
    );
  }
  return encodeURIComponent(id);
}
