import { reject, type ReasonCode } from '../../../reason/reason.js';
import type { ApplyOptions, Broker, Principal } from '../../../release/broker.js';
import { flag } from '../parameters.js';
import { type Outcome, type Route, route } from '../route.js';
import { AnyObjectSchema, DeploymentDocumentSchema, NothingSchema } from '../schemas.js';
import { AppliedViewSchema, DeploymentViewSchema, listOf } from '../view-schemas.js';
import { deployment, page } from './common.js';

const ADMISSION: readonly ReasonCode[] = [
  'deployment.unmeasured_boot',
  'deployment.resettable_pcr',
  'deployment.simulator_trust',
  'deployment.unsupported',
];

export function deploymentRoutes(broker: Broker): readonly Route[] {
  const apply = async (by: Principal, document: unknown, options: ApplyOptions): Promise<Outcome> => {
    const applied = await broker.applyDeployment(by, document, options);
    return applied.ok ? { ...applied, created: applied.value.created && !applied.value.dry_run } : applied;
  };
  const freezing = (verb: 'freeze' | 'unfreeze', summary: string): Route =>
    route({
      method: 'POST',
      path: `/v1/deployments/{name}/${verb}`,
      operationId: `${verb}Deployment`,
      summary,
      access: 'operator',
      parameters: { name: deployment },
      body: NothingSchema,
      bodyOptional: true,
      success: 200,
      answer: DeploymentViewSchema,
      reasons: ['deployment.unknown'],
      handle: ({ principal, path }) => broker.setDeploymentFrozen(principal, path.name, verb === 'freeze'),
    });
  return [
    route({
      method: 'GET',
      path: '/v1/deployments',
      operationId: 'listDeployments',
      summary: 'List deployments',
      access: 'auditor',
      query: page,
      success: 200,
      answer: listOf(DeploymentViewSchema),
      handle: ({ query }) => broker.listDeployments(query),
    }),
    route({
      method: 'POST',
      path: '/v1/deployments',
      operationId: 'createDeployment',
      summary: 'Create a deployment from its document',
      access: 'operator',
      body: AnyObjectSchema,
      documentedBody: DeploymentDocumentSchema,
      success: 201,
      answer: AppliedViewSchema,
      reasons: ['resource.exists', ...ADMISSION],
      handle: ({ principal, body }) => apply(principal, body, { createOnly: true }),
    }),
    route({
      method: 'PUT',
      path: '/v1/deployments/{name}',
      operationId: 'applyDeployment',
      summary: 'Create a deployment, or make it equal to the document; metadata.name must be the name in the path',
      access: 'operator',
      parameters: { name: deployment },
      query: { dry_run: flag('true: say what would change, and change nothing') },
      body: AnyObjectSchema,
      documentedBody: DeploymentDocumentSchema,
      success: 'upsert',
      answer: AppliedViewSchema,
      reasons: ADMISSION,
      handle: async ({ principal, path, query, body }) =>
        nameOf(body) === path.name
          ? apply(principal, body, { dryRun: query.dry_run ?? false })
          : reject('request.malformed', 'body.metadata.name: must be the name in the path'),
    }),
    route({
      method: 'GET',
      path: '/v1/deployments/{name}',
      operationId: 'showDeployment',
      summary: 'Show a deployment and the policies it accepts',
      access: 'auditor',
      parameters: { name: deployment },
      success: 200,
      answer: DeploymentViewSchema,
      reasons: ['deployment.unknown'],
      handle: ({ path }) => broker.showDeployment(path.name),
    }),
    freezing('freeze', 'Stop every release to a deployment'),
    freezing('unfreeze', 'Let a frozen deployment draw keys again'),
  ];
}

/** `metadata.name` of a document that nobody has validated yet. */
function nameOf(document: object): unknown {
  const { metadata } = document as { readonly metadata?: unknown };
  return typeof metadata === 'object' && metadata !== null && 'name' in metadata ? metadata.name : undefined;
}
