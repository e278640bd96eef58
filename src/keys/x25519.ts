import { equalBytes } from '../bytes/equal.js';

/**
 * The canonical u-coordinates of low order, little-endian: with any of them every private key gives the all-zero
 * secret (RFC 7748 section 6.1). 0 and 1 have order 2 and 4, p-1 is of order 4 on the twist, the last two have order 8.
 */
export const LOW_ORDER_POINTS: readonly Buffer[] = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
].map((hex) => Buffer.from(hex, 'hex'));

/** p = 2^255 - 19, little-endian. */
const FIELD_PRIME = Buffer.from('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', 'hex');

/** True for 32 bytes that are the one spelling of a u-coordinate (below p, so the high bit is clear) and not of low order. */
export function isSoundX25519Point(u: Buffer): boolean {
  return isBelow(u, FIELD_PRIME) && !LOW_ORDER_POINTS.some((point) => equalBytes(point, u));
}

/** Compares little-endian numbers of equal length. */
function isBelow(value: Buffer, bound: Buffer): boolean {
  return (
    value.length === bound.length && Buffer.compare(Buffer.from(value).reverse(), Buffer.from(bound).reverse()) < 0
  );
}
