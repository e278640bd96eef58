import { canonicalJson, type Json } from '../bytes/canonical-json.js';
import type { ParsedDeployment } from '../policy/deployment-document.js';
import type { DeploymentRecord, PolicyLink, PolicyRecord } from './records.js';
import { accept, type Result } from '../reason/reason.js';
import { mergePolicy } from './policy-record.js';
import { presentLink } from './present.js';
import { deploymentDocument } from '../policy/render-deployment.js';
import type { StoreView } from './store.js';
import type { ChangeView } from './views.js';

/** What applying a document would do. */
export interface ApplicationPlan {
  readonly created: boolean;
  readonly record: DeploymentRecord;
  /** All links as they will be. */
  readonly links: readonly PolicyLink[];
  readonly addedLinks: readonly PolicyLink[];
  readonly removedLinks: readonly PolicyLink[];
  readonly newPolicies: readonly PolicyRecord[];
  readonly changes: readonly ChangeView[];
}

/** Compares a document with what is stored. resource.state where it names a policy by hashes that cannot be true. */
export async function planApplication(
  view: StoreView,
  parsed: ParsedDeployment,
  nowMs: number,
): Promise<Result<ApplicationPlan>> {
  const { deployment } = parsed;
  const stored = await view.deployments.get(deployment.name);
  const linksBefore = stored === undefined ? [] : await view.policyLinks.of(deployment.name);
  const record = { deployment, createdAtMs: stored?.createdAtMs ?? nowMs, updatedAtMs: nowMs };

  const links: PolicyLink[] = [];
  const addedLinks: PolicyLink[] = [];
  const newPolicies: PolicyRecord[] = [];
  for (const { content, ...accepted } of parsed.policies) {
    const before = linksBefore.find((link) => link.sha256 === accepted.sha256);
    const link: PolicyLink = {
      ...accepted,
      deployment: deployment.name,
      origin: 'document',
      createdAtMs: before?.createdAtMs ?? nowMs,
    };
    if (before === undefined || !sameLink(before, link)) addedLinks.push(link);
    links.push(link);
    const { sha256, sha384 } = accepted;
    const known = await view.policies.get(sha256);
    const record = mergePolicy(known, {
      sha256,
      ...(sha384 === undefined ? {} : { sha384 }),
      ...(content === undefined ? {} : { content }),
      createdAtMs: nowMs,
    });
    if (!record.ok) return record;
    if (record.value !== known) newPolicies.push(record.value);
  }
  const removedLinks = linksBefore.filter((before) => !links.some((link) => link.sha256 === before.sha256));
  const changes = [
    ...difference(
      '',
      stored === undefined ? undefined : deploymentDocument(stored.deployment),
      deploymentDocument(deployment),
    ),
    ...addedLinks.map((link) =>
      linkChange(
        linksBefore.find((before) => before.sha256 === link.sha256),
        link,
        nowMs,
      ),
    ),
    ...removedLinks.map((link) => linkChange(link, undefined, nowMs)),
  ];
  const shown = changes.length === 0 && stored !== undefined ? stored : record;
  return accept({
    created: stored === undefined,
    record: shown,
    links,
    addedLinks,
    removedLinks,
    newPolicies,
    changes,
  });
}

function sameLink(a: PolicyLink, b: PolicyLink): boolean {
  return (
    a.sha384 === b.sha384 && a.notBeforeMs === b.notBeforeMs && a.notAfterMs === b.notAfterMs && a.origin === b.origin
  );
}

function linkChange(before: PolicyLink | undefined, after: PolicyLink | undefined, nowMs: number): ChangeView {
  const shown = (link: PolicyLink) => presentLink(link, nowMs) as unknown as Json;
  return {
    path: `/policies/${(after ?? before)?.sha256 ?? ''}`,
    change: before === undefined ? 'added' : after === undefined ? 'removed' : 'changed',
    ...(before === undefined ? {} : { before: shown(before) }),
    ...(after === undefined ? {} : { after: shown(after) }),
  };
}

/** The differences of two JSON values, by JSON pointer; objects member by member, everything else as a whole. */
function difference(path: string, before: Json | undefined, after: Json | undefined): ChangeView[] {
  if (before === undefined && after === undefined) return [];
  if (isObject(before) && isObject(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return names.flatMap((name) => difference(`${path}/${escapePointer(name)}`, before[name], after[name]));
  }
  if (before !== undefined && after !== undefined) {
    if (canonicalJson(before).equals(canonicalJson(after))) return [];
    return [{ path, change: 'changed', before, after }];
  }
  if (before === undefined) return [{ path, change: 'added', ...(after === undefined ? {} : { after }) }];
  return [{ path, change: 'removed', before }];
}

function isObject(value: Json | undefined): value is Readonly<Record<string, Json | undefined>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** RFC 6901 section 3. */
function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
