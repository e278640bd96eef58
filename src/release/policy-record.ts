import { accept, reject, type Result } from '../reason/reason.js';
import type { Principal } from './broker.js';
import type { PolicyLink, PolicyRecord } from './records.js';
import type { EntryBody } from './store.js';
import { rfc3339 } from './time.js';

/**
 * What is known of a policy after it was named again, perhaps with more: the very record where nothing is new. A SHA-384
 * that contradicts what is known is resource.state: under one SHA-256 there is one file, or the log would name a policy
 * that is not the one measured.
 */
export function mergePolicy(known: PolicyRecord | undefined, named: PolicyRecord): Result<PolicyRecord> {
  if (known === undefined) return accept(named);
  if (known.sha384 !== undefined && named.sha384 !== undefined && known.sha384 !== named.sha384) {
    return reject(
      'resource.state',
      `the broker knows policy ${known.sha256} by another sha384; send the file, or correct the hash`,
    );
  }
  const sha384 = known.sha384 ?? named.sha384;
  const content = known.content ?? named.content;
  if (sha384 === known.sha384 && content === known.content) return accept(known);
  return accept({
    sha256: known.sha256,
    ...(sha384 === undefined ? {} : { sha384 }),
    ...(content === undefined ? {} : { content }),
    createdAtMs: known.createdAtMs,
  });
}

/** The entry of a policy that a deployment accepts from now on: every member that decides what is accepted, and when. */
export function registrationEntry(by: Principal, link: PolicyLink): EntryBody {
  return {
    actor: by.tokenId,
    deployment: link.deployment,
    policy_sha256: link.sha256,
    policy_sha384: link.sha384,
    not_before: link.notBeforeMs === undefined ? undefined : rfc3339(link.notBeforeMs),
    not_after: link.notAfterMs === undefined ? undefined : rfc3339(link.notAfterMs),
    origin: link.origin,
  };
}
