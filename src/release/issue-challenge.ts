import { mintNonce, NONCE_RANDOM_BYTES } from '../challenge/nonce.js';
import { neededPcrs } from '../policy/evaluate.js';
import { accept, type Result } from '../reason/reason.js';
import type { ChallengeRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import { entitle } from './entitlement.js';
import { rfc3339 } from './time.js';
import type { ChallengeView } from './views.js';

/**
 * Issues a nonce for (deployment, key, version as asked). Writes nothing: the nonce authenticates itself.
 * Refusals: deployment.unknown, key.unknown. Whether the key may be released now is decided by the release.
 */
export async function issueChallenge(
  context: BrokerContext,
  request: ChallengeRequest,
): Promise<Result<ChallengeView>> {
  const { deployment, key, version = 'latest' } = request;
  const facts = await context.store.releaseFacts({ deployment, key, version, akSpkiSha256: undefined });
  const entitled = entitle(facts, { deployment, key });
  if (!entitled.ok) return entitled;

  const nowMs = context.clock();
  const scope = { broker: context.broker, deployment, key, version };
  const nonce = mintNonce(context.nonceKey(facts.state.epoch), scope, nowMs, context.random(NONCE_RANDOM_BYTES));
  context.observer.challenged();
  return accept({
    nonce,
    ...scope,
    expires_at: rfc3339(nowMs + context.challengeTtlMs),
    pcrs: neededPcrs(entitled.value.deployment),
  });
}
