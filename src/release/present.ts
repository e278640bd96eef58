import type { Members } from '../translog/entry.js';
import type { Pseudonyms } from '../translog/names.js';
import { verifiedDetail, verifiedNames } from './entry-parts.js';
import type { DeploymentRecord, KeyRecord, KeyVersionRecord, LogEntry, PolicyLink, TokenRecord } from './records.js';
import { deploymentDocument } from '../policy/render-deployment.js';
import { rfc3339 } from './time.js';
import type { AcceptedPolicyView, DeploymentView, EntryView, KeyVersionView, KeyView, TokenView } from './views.js';

/** Records as they are shown. What is not named here stays inside: no view can hold key material by accident. */

export function presentLink(link: PolicyLink, nowMs: number): AcceptedPolicyView {
  const { notBeforeMs, notAfterMs } = link;
  return {
    sha256: link.sha256,
    ...(link.sha384 === undefined ? {} : { sha384: link.sha384 }),
    ...(notBeforeMs === undefined ? {} : { not_before: rfc3339(notBeforeMs) }),
    ...(notAfterMs === undefined ? {} : { not_after: rfc3339(notAfterMs) }),
    origin: link.origin,
    valid: (notBeforeMs ?? -Infinity) <= nowMs && nowMs < (notAfterMs ?? Infinity),
  };
}

export function presentDeployment(
  record: DeploymentRecord,
  links: readonly PolicyLink[],
  frozen: boolean,
  nowMs: number,
): DeploymentView {
  return {
    name: record.deployment.name,
    frozen,
    document: deploymentDocument(record.deployment),
    policies: links.map((link) => presentLink(link, nowMs)),
    created_at: rfc3339(record.createdAtMs),
    updated_at: rfc3339(record.updatedAtMs),
  };
}

export function presentKey(key: KeyRecord, versions: readonly KeyVersionRecord[], frozen: boolean): KeyView {
  return {
    name: key.name,
    kty: key.kty,
    ...(key.sizeBits === undefined ? {} : { size: key.sizeBits }),
    ...(key.curve === undefined ? {} : { curve: key.curve }),
    deployments: key.deployments,
    state: key.state,
    frozen,
    created_at: rfc3339(key.createdAtMs),
    ...(key.purgeAtMs === undefined ? {} : { purge_at: rfc3339(key.purgeAtMs) }),
    versions: versions.toSorted((a, b) => b.sequence - a.sequence).map(presentVersion),
  };
}

function presentVersion(version: KeyVersionRecord): KeyVersionView {
  return {
    version: version.version,
    state: version.state,
    created_at: rfc3339(version.createdAtMs),
    ...(version.purgeAtMs === undefined ? {} : { purge_at: rfc3339(version.purgeAtMs) }),
    kek: version.kek,
  };
}

export function presentToken(token: TokenRecord, nowMs: number): TokenView {
  const expired = token.expiresAtMs !== undefined && token.expiresAtMs <= nowMs;
  return {
    id: token.id,
    name: token.name,
    role: token.role,
    state: token.revokedAtMs !== undefined ? 'revoked' : expired ? 'expired' : 'active',
    created_at: rfc3339(token.createdAtMs),
    ...(token.expiresAtMs === undefined ? {} : { expires_at: rfc3339(token.expiresAtMs) }),
  };
}

/** Throws StoreIntegrityError where what stands beside the entry is not what it was logged with. */
export function presentEntry(entry: LogEntry, pseudonyms: Pseudonyms | undefined): EntryView {
  const members = JSON.parse(entry.entry) as Members;
  const detail = verifiedDetail(entry, members);
  const names = verifiedNames(entry, members, pseudonyms);
  return {
    index: entry.index,
    type: entry.type,
    entry: members,
    ...(detail === undefined ? {} : { detail }),
    ...(names === undefined ? {} : { names }),
  };
}
