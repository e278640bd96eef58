import { sha256Hex } from '../../crypto/digest.js';
import type { Attester } from '../../workload/attester.js';
import { ReleaseClient } from '../../workload/release-client.js';
import type { ReleasedKey } from '../../workload/released-key.js';
import type { Target } from './impostors.js';
import { short } from './machine.js';
import type { Stage } from './stage.js';

/** The workload's part, twice: with two nonces, two quotes and two recipient keys it is the same key that comes out. */
export async function draw(
  stage: Stage,
  { transport, deployment, key }: Target,
  attester: Attester,
  logKey: string,
): Promise<{ readonly same: boolean; readonly released: ReleasedKey }> {
  const client = new ReleaseClient({ transport, attester, logKey });
  const first = await client.release({ deployment, key });
  const second = await client.release({ deployment, key, recipient: 'X25519' });
  const same = first.key.k !== undefined && first.key.k === second.key.k && first.releaseId !== second.releaseId;
  stage.fact('released', `${first.kid} (${String(first.key.kty)})`);
  stage.fact('release', first.releaseId);
  stage.fact('SHA-256 of the key', short(sha256Hex(Buffer.from(first.key.k ?? '', 'base64url'))));
  if (same)
    stage.good('The key came out, encrypted to a key that the quote vouches for; a second draw gave the same key.');
  else stage.bad('Two draws gave two keys.');
  first.jwk.fill(0);
  second.jwk.fill(0);
  return { same, released: first };
}
