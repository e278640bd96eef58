import { expect, test } from '@jest/globals';
import { parseAk, type AkIdentity } from '../../../src/evidence/tpm/ak.js';
import { TrustedAks } from '../../../src/evidence/tpm/trusted-aks.js';
import { encodePublicArea } from './encode.js';
import { eccAk } from './software-quote.js';

const [A, B, C] = [identity(1), identity(2), identity(3)];

/** One key, and as many AKs as there are values of a free member. */
function identity(authPolicy: number): AkIdentity {
  const parsed = parseAk(encodePublicArea({ ...eccAk().area, authPolicy: Buffer.alloc(32, authPolicy) }));
  if (!parsed.ok) throw new Error(parsed.detail);
  return parsed.value;
}

test('keeps as many AKs as it may, the ones used last', () => {
  const known = new TrustedAks(2);
  known.put(A);
  known.put(B);
  expect(known.get(A.publicArea)).toBe(A);
  known.put(C);
  expect([known.size, known.get(A.publicArea), known.get(B.publicArea), known.get(C.publicArea)]).toEqual([
    ...[2, A, undefined, C],
  ]);
});

test('the same AK twice takes one place', () => {
  const known = new TrustedAks(2);
  for (const ak of [A, B, B, B]) known.put(ak);
  expect([known.size, known.get(A.publicArea)]).toEqual([2, A]);
});
