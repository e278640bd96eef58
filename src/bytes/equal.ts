import { timingSafeEqual } from 'node:crypto';

/** Equality of bytes in time that depends on the lengths alone. Different lengths are unequal: no padding, no prefix match. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
