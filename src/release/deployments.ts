import { toBase64url } from '../bytes/base64url.js';
import { canonicalJson } from '../bytes/canonical-json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import type { Certificate } from '../crypto/x509.js';
import { COMMON_NAME } from '../crypto/x509-name.js';
import { admitDeployment } from '../policy/admit.js';
import { bootChain } from '../policy/boot-chain.js';
import type { Deployment, TrustKind } from '../policy/deployment.js';
import { parseDeployment } from '../policy/deployment-document.js';
import { isClaimName } from '../evidence/claim-names.js';
import { lintDeployment } from '../policy/lint.js';
import { deploymentDocument } from '../policy/render-deployment.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { type ApplicationPlan, planApplication } from './apply-plan.js';
import type { ApplyOptions, PageRequest, Principal } from './broker.js';
import type { BrokerContext } from './context.js';
import { listOf, pageOf } from './paging.js';
import { registrationEntry } from './policy-record.js';
import { presentDeployment } from './present.js';
import type { DeploymentRecord } from './records.js';
import type { StoreChange, StoreView } from './store.js';
import type { AppliedView, DeploymentView, ListView } from './views.js';

const DETAIL_SALT_BYTES = 16;

/**
 * Applies a deployment document (wire form): creates the deployment, or makes what is stored equal to the document, the
 * list of accepted policies included. The answer says what changed; a dry run changes nothing. Applying the same document
 * again changes nothing either. Refusals: request.malformed, also for roots that cannot be used, deployment.* of admission, resource.exists (createOnly).
 */
export async function applyDeployment(
  context: BrokerContext,
  by: Principal,
  document: unknown,
  { dryRun = false, createOnly = false }: ApplyOptions,
): Promise<Result<AppliedView>> {
  const parsed = parseDeployment(document);
  if (!parsed.ok) return parsed;
  const admitted = admitDeployment(parsed.value.deployment, context.profile);
  if (!admitted.ok) return admitted;
  const roots = checkRoots(context, parsed.value.deployment);
  if (!roots.ok) return roots;
  const { name } = parsed.value.deployment;
  const lint = lintDeployment({
    ...parsed.value,
    profile: context.profile,
    nowMs: context.clock(),
    isClaim: isClaimName,
  });
  const exists = reject('resource.exists', `a deployment named ${name} exists already; nothing was changed`);
  const answer = (plan: ApplicationPlan, frozen: boolean): Result<AppliedView> =>
    accept({
      deployment: presentDeployment(plan.record, plan.links, frozen, context.clock()),
      created: plan.created,
      dry_run: dryRun,
      changes: plan.changes,
      warnings: [...admitted.value.warnings, ...lint],
    });

  const foreseen = await context.store.read(async (view) => ({
    plan: await planApplication(view, parsed.value, context.clock()),
    frozen: await view.freezes.has(freezeId(name)),
  }));
  if (!foreseen.plan.ok) return foreseen.plan;
  if (createOnly && !foreseen.plan.value.created) return exists;
  if (dryRun || foreseen.plan.value.changes.length === 0) return answer(foreseen.plan.value, foreseen.frozen);

  return context.store.change(async (change) => {
    const plan = await planApplication(change, parsed.value, context.clock());
    if (!plan.ok) return plan;
    if (createOnly && !plan.value.created) return exists;
    await carryOut(context, change, by, plan.value);
    return answer(plan.value, await change.freezes.has(freezeId(name)));
  });
}

const CERTIFICATE_KINDS: readonly TrustKind[] = ['ek-certificate', 'ak-certificate'];

/** That paths to the roots can be found, where certificates are believed, and in production that they are of no simulator. */
function checkRoots({ anchors, profile }: BrokerContext, { attesters }: Deployment): Result<undefined> {
  const { trust, roots } = attesters;
  if (roots.length === 0 || !CERTIFICATE_KINDS.some((kind) => trust.includes(kind))) return accept(undefined);
  try {
    const { certificates } = anchors.of(roots);
    if (profile === 'development' || !certificates.some(isSimulator)) return accept(undefined);
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', `/attesters/roots: ${error.message}`);
    throw error;
  }
  return reject(
    'deployment.simulator_trust',
    'attesters.roots holds the CA of a simulator, which certifies keys that prove nothing; in the production profile use the roots of TPM makers',
  );
}

/** As simulator/ca.ts names them. Somebody who wants to trust one can rename it; this is against an oversight. */
function isSimulator({ subject }: Certificate): boolean {
  return subject.attributes.some(
    ({ oid, value }) => oid === COMMON_NAME && value?.startsWith('Portcullis simulator') === true,
  );
}

async function carryOut(
  context: BrokerContext,
  change: StoreChange,
  by: Principal,
  plan: ApplicationPlan,
): Promise<void> {
  const { deployment } = plan.record;
  const actor = by.tokenId;
  const document = deploymentDocument(deployment);
  // Random bytes, since its hash is public: whoever guesses the document could confirm the guess.
  const salt = toBase64url(context.random(DETAIL_SALT_BYTES));
  const detail = JSON.stringify({ document, changes: plan.changes, salt });
  const { source, bank, pcr } = deployment.measurement;
  await change.append(
    'deployment.applied',
    {
      actor,
      deployment: deployment.name,
      created: plan.created,
      source,
      bank,
      pcr,
      boot: bootChain(deployment),
      trust: deployment.attesters.trust,
      any_from_roots: deployment.attesters.anyFromRoots,
      document_sha256: sha256Hex(canonicalJson(document)),
      detail_sha256: sha256Hex(detail),
    },
    detail,
  );
  await change.deployments.put(plan.record);
  for (const policy of plan.newPolicies) await change.policies.put(policy);
  for (const link of plan.addedLinks) {
    await change.append('policy.registered', registrationEntry(by, link));
    await change.policyLinks.put(link);
  }
  for (const link of plan.removedLinks) {
    await change.append('policy.retired', { actor, deployment: deployment.name, policy_sha256: link.sha256 });
    await change.policyLinks.remove(link.deployment, link.sha256);
  }
}

export async function listDeployments(
  context: BrokerContext,
  request: PageRequest,
): Promise<Result<ListView<DeploymentView>>> {
  const page = pageOf(request);
  if (!page.ok) return page;
  return context.store.read(async (view) => {
    const records = await view.deployments.list(page.value);
    const present = (record: DeploymentRecord) => presentFrom(context, view, record);
    return accept(await listOf(records, page.value.shown, (record) => record.deployment.name, present));
  });
}

export async function showDeployment(context: BrokerContext, name: string): Promise<Result<DeploymentView>> {
  return context.store.read(async (view) => {
    const record = await view.deployments.get(name);
    return record === undefined ? noSuchDeployment() : accept(await presentFrom(context, view, record));
  });
}

/** Freezes or unfreezes; takes effect on the very next commit, requests in flight included. */
export async function setDeploymentFrozen(
  context: BrokerContext,
  by: Principal,
  name: string,
  frozen: boolean,
): Promise<Result<DeploymentView>> {
  return context.store.change(async (change) => {
    const record = await change.deployments.get(name);
    if (record === undefined) return noSuchDeployment();
    const deployment = record.deployment.name;
    await change.append(frozen ? 'deployment.frozen' : 'deployment.unfrozen', { actor: by.tokenId, deployment });
    if (frozen) await change.freezes.add(freezeId(deployment));
    else await change.freezes.delete(freezeId(deployment));
    return accept(await presentFrom(context, change, record));
  });
}

export function noSuchDeployment(): Rejection {
  return reject('deployment.unknown', 'there is no deployment of this name; see: portcullis deployment list');
}

/** The id of a deployment in the set of freezes. */
function freezeId(deployment: string): string {
  return `deployment/${deployment}`;
}

async function presentFrom(context: BrokerContext, view: StoreView, record: DeploymentRecord): Promise<DeploymentView> {
  const { name } = record.deployment;
  const links = await view.policyLinks.of(name);
  return presentDeployment(record, links, await view.freezes.has(freezeId(name)), context.clock());
}
