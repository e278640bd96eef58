/**
 * The code of an error of Node or of a library, its own or that of what caused it: `ENOENT`, `ECONNREFUSED`. Empty where there
 * is none. Looked up by member, since an error may come from another realm.
 */
export function errorCode(error: unknown): string {
  let at = error;
  for (let depth = 0; depth < 4 && typeof at === 'object' && at !== null; depth++) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    at = 'cause' in at ? at.cause : undefined;
  }
  return '';
}
