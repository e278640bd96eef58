import type { Deployment } from '../policy/deployment.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { KeyRecord, KeyVersionRecord } from './records.js';
import type { ReleaseFacts } from './store.js';

/** What decides of a key version, without its wrapped material. */
export type VersionState = Pick<KeyVersionRecord, 'version' | 'state'>;

/** The facts that decide a release. */
export interface DecidingFacts<V extends VersionState = VersionState> extends Omit<ReleaseFacts, 'version'> {
  readonly version: V | undefined;
}

/** A deployment, and a key version that it may draw. */
export interface Entitlement<V extends VersionState = KeyVersionRecord> {
  readonly deployment: Deployment;
  readonly key: KeyRecord;
  readonly version: V;
}

/**
 * That deployment, key and version exist under exactly these names, and the deployment may draw the key:
 * deployment.unknown, key.unknown. A key that may not be drawn is not told from one that does not exist.
 */
export function entitle<V extends VersionState>(
  facts: DecidingFacts<V>,
  asked: { readonly deployment: string; readonly key: string },
): Result<Entitlement<V>> {
  const deployment = facts.deployment?.deployment;
  if (deployment?.name !== asked.deployment) {
    return reject('deployment.unknown', 'there is no deployment of this name');
  }
  const { key, version } = facts;
  if (key?.name !== asked.key || key.state === 'deleted' || !key.deployments.includes(deployment.name)) {
    return reject('key.unknown', 'there is no key of this name that the deployment may draw');
  }
  if (version === undefined) return reject('key.unknown', 'the key has no such version');
  return accept({ deployment, key, version });
}

/** That nothing an administrator decided stands in the way now: key.disabled, key.frozen, deployment.frozen. */
export function usable(facts: DecidingFacts, { key, version }: Entitlement<VersionState>): Result<undefined> {
  const state = key.state === 'enabled' ? version.state : key.state;
  if (state !== 'enabled') {
    return reject('key.disabled', 'the key, or the version asked for, is not enabled', {
      claim: 'key.state',
      operator: 'equals',
      expected: 'enabled',
      found: state,
    });
  }
  const frozen = (claim: string) => ({ claim, operator: 'equals', expected: false, found: true }) as const;
  if (facts.keyFrozen) return reject('key.frozen', 'an administrator has frozen the key', frozen('key.frozen'));
  if (facts.deploymentFrozen) {
    return reject('deployment.frozen', 'an administrator has frozen the deployment', frozen('deployment.frozen'));
  }
  return accept(undefined);
}
