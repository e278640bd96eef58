/**
 * The stored private JWK with `kid` put in as its first member: what a workload receives. The secret is copied from
 * buffer to buffer and never becomes a string. The caller zeroises the result, and `stored`. Throws RangeError when
 * `stored` is not what `importKey` or a generator made: a bug, since stored material is authenticated.
 */
export function releasedJwk(stored: Buffer, kid: string): Buffer {
  if (stored[0] !== 0x7b || stored[1] !== 0x22) throw new RangeError('stored key material is not a JWK');
  return Buffer.concat([Buffer.from(`{"kid":${JSON.stringify(kid)},`, 'utf8'), stored.subarray(1)]);
}
