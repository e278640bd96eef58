import { KekError, type KekProvider } from './kek.js';

const ATTEMPTS = 3;

/**
 * Wraps under the active KEK with associated data that names it. Another process may rotate between asking for the id
 * and wrapping; then it is done again under the new one. Throws KekError.
 */
export async function wrapUnderActive(
  keks: KekProvider,
  plaintext: Buffer,
  associatedDataFor: (kek: string) => Buffer,
): Promise<{ readonly kek: string; readonly wrapped: Buffer }> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const active = keks.activeId();
    const result = await keks.wrap(plaintext, associatedDataFor(active));
    if (result.kek === active) return result;
  }
  throw new KekError('the active KEK changed again and again while wrapping; try again when its rotation has ended');
}
