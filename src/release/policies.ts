import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { EMPTY_FIELD, isEmptyField, policyHash } from '../policy/policy-hash.js';
import { parseDateTime } from '../policy/date-time.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import type { PageRequest, Principal, RegisterPolicy } from './broker.js';
import type { BrokerContext } from './context.js';
import { noSuchDeployment } from './deployments.js';
import { mergePolicy, registrationEntry } from './policy-record.js';
import { allPages, listOf, pageOf } from './paging.js';
import { presentLink } from './present.js';
import type { PolicyLink, PolicyRecord } from './records.js';
import { rfc3339 } from './time.js';
import type { StoreView } from './store.js';
import type { ListView, PolicyView } from './views.js';

/**
 * Adds a runtime policy to what a deployment accepts. Refusals: request.malformed, deployment.unknown, resource.exists
 * (the deployment accepts this policy already: retire it first to change its dates).
 */
export async function registerPolicy(
  context: BrokerContext,
  by: Principal,
  request: RegisterPolicy,
): Promise<Result<PolicyView>> {
  const parsed = parseRegistration(request, context.clock());
  if (!parsed.ok) return parsed;
  const { policy, link } = parsed.value;
  return context.store.change(async (change) => {
    const target = await change.deployments.get(link.deployment);
    if (target?.deployment.name !== link.deployment) return noSuchDeployment();
    if (target.deployment.measurement.bank === 'sha384' && link.sha384 === undefined) {
      return reject(
        'request.malformed',
        'sha384: needed, since the deployment measures its policy in the SHA-384 bank; send the file, or both hashes',
      );
    }
    if (isEmptyField(target.deployment.measurement, link)) {
      return reject('request.malformed', `${target.deployment.measurement.bank}: ${EMPTY_FIELD}`);
    }
    if ((await change.policyLinks.get(link.deployment, link.sha256)) !== undefined) {
      return reject(
        'resource.exists',
        'the deployment accepts this policy already; retire it first to change its dates',
      );
    }
    const known = await change.policies.get(policy.sha256);
    const record = mergePolicy(known, policy);
    if (!record.ok) return record;
    await change.append('policy.registered', registrationEntry(by, link));
    if (record.value !== known) await change.policies.put(record.value);
    await change.policyLinks.put(link);
    return accept(await presentFrom(context, change, record.value, [link.deployment]));
  });
}

/** Policies known to the broker; with `deployment`, those that it accepts. */
export async function listPolicies(
  context: BrokerContext,
  request: PageRequest & { readonly deployment?: string },
): Promise<Result<ListView<PolicyView>>> {
  const page = pageOf(request);
  if (!page.ok) return page;
  const { deployment } = request;
  return context.store.read(async (view) => {
    if (deployment === undefined) {
      const records = await view.policies.list(page.value);
      const names = await deploymentNames(view);
      return accept(
        await listOf(
          records,
          page.value.shown,
          (record) => record.sha256,
          (record) => presentFrom(context, view, record, names),
        ),
      );
    }
    if ((await view.deployments.get(deployment)) === undefined) return noSuchDeployment();
    const links = (await view.policyLinks.of(deployment)).filter((link) => link.sha256 > (page.value.after ?? ''));
    const present = async (link: PolicyLink) => presentFrom(context, view, await recordOf(view, link), [deployment]);
    return accept(await listOf(links.slice(0, page.value.limit), page.value.shown, (link) => link.sha256, present));
  });
}

export async function showPolicy(context: BrokerContext, sha256: string): Promise<Result<PolicyView>> {
  return context.store.read(async (view) => {
    const record = await view.policies.get(sha256);
    if (record === undefined) return noSuchPolicy();
    return accept(await presentFrom(context, view, record, await deploymentNames(view)));
  });
}

/** Takes a policy out of what one deployment accepts, or out of all; it works on the very next commit. */
export async function retirePolicy(
  context: BrokerContext,
  by: Principal,
  sha256: string,
  deployment?: string,
): Promise<Result<PolicyView>> {
  return context.store.change(async (change) => {
    const record = await change.policies.get(sha256);
    if (record === undefined) return noSuchPolicy();
    const names = deployment === undefined ? await deploymentNames(change) : [deployment];
    let retired = 0;
    for (const name of names) {
      const link = await change.policyLinks.get(name, sha256);
      if (link === undefined) continue;
      await change.append('policy.retired', {
        actor: by.tokenId,
        deployment: link.deployment,
        policy_sha256: link.sha256,
      });
      await change.policyLinks.remove(link.deployment, link.sha256);
      retired++;
    }
    if (retired === 0) return reject('resource.unknown', 'no such deployment accepts this policy; nothing was changed');
    return accept(await presentFrom(context, change, record, await deploymentNames(change)));
  });
}

function parseRegistration(request: RegisterPolicy, nowMs: number): Result<{ policy: PolicyRecord; link: PolicyLink }> {
  let content: Buffer | undefined;
  try {
    content = request.content === undefined ? undefined : fromBase64url(request.content, 'content');
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
  const hashes = content === undefined ? request : policyHash(content);
  const { sha256, sha384 } = hashes;
  if (sha256 === undefined) return reject('request.malformed', 'content: send the policy file, or its sha256');
  if (content !== undefined && ((request.sha256 ?? sha256) !== sha256 || (request.sha384 ?? sha384) !== sha384)) {
    return reject('request.malformed', 'sha256: is not the hash of the content');
  }
  const notBeforeMs = request.not_before === undefined ? undefined : parseDateTime(request.not_before);
  const notAfterMs = request.not_after === undefined ? undefined : parseDateTime(request.not_after);
  const unreadable = (text: string | undefined, time: number | undefined) => text !== undefined && time === undefined;
  if (unreadable(request.not_before, notBeforeMs) || unreadable(request.not_after, notAfterMs)) {
    return reject('request.malformed', 'not_before, not_after: must be RFC 3339 times, such as 2027-01-31T00:00:00Z');
  }
  if (notBeforeMs !== undefined && notAfterMs !== undefined && notBeforeMs >= notAfterMs) {
    return reject('request.malformed', 'not_after: must be after not_before');
  }
  const names = { sha256, ...(sha384 === undefined ? {} : { sha384 }) };
  return accept({
    policy: { ...names, ...(content === undefined ? {} : { content }), createdAtMs: nowMs },
    link: {
      ...names,
      deployment: request.deployment,
      ...(notBeforeMs === undefined ? {} : { notBeforeMs }),
      ...(notAfterMs === undefined ? {} : { notAfterMs }),
      origin: 'registered',
      createdAtMs: nowMs,
    },
  });
}

async function presentFrom(
  context: BrokerContext,
  view: StoreView,
  record: PolicyRecord,
  deployments: readonly string[],
): Promise<PolicyView> {
  const accepted = [];
  for (const deployment of deployments) {
    const link = await view.policyLinks.get(deployment, record.sha256);
    if (link !== undefined) accepted.push({ deployment, ...presentLink(link, context.clock()) });
  }
  return {
    sha256: record.sha256,
    ...(record.sha384 === undefined ? {} : { sha384: record.sha384 }),
    ...(record.content === undefined ? {} : { size: record.content.length }),
    created_at: rfc3339(record.createdAtMs),
    deployments: accepted,
  };
}

async function recordOf(view: StoreView, link: PolicyLink): Promise<PolicyRecord> {
  return (await view.policies.get(link.sha256)) ?? link;
}

async function deploymentNames(view: StoreView): Promise<readonly string[]> {
  const records = await allPages(
    (after) => view.deployments.list({ limit: 500, ...after }),
    (record) => record.deployment.name,
  );
  return records.map((record) => record.deployment.name);
}

function noSuchPolicy(): Rejection {
  return reject('resource.unknown', 'the broker knows no policy of this hash; see: portcullis policy list');
}
