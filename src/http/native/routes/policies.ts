import type { Broker } from '../../../release/broker.js';
import { type Route, route } from '../route.js';
import { RegisterPolicySchema, RetirePolicySchema } from '../schemas.js';
import { listOf, PolicyViewSchema } from '../view-schemas.js';
import { deployment, page, policySha256 } from './common.js';

export function policyRoutes(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/policies',
      operationId: 'registerPolicy',
      summary: 'Add a runtime policy to those that a deployment accepts',
      access: 'operator',
      body: RegisterPolicySchema,
      success: 201,
      answer: PolicyViewSchema,
      reasons: ['deployment.unknown', 'resource.exists'],
      handle: ({ principal, body }) => broker.registerPolicy(principal, body),
    }),
    route({
      method: 'GET',
      path: '/v1/policies',
      operationId: 'listPolicies',
      summary: 'List runtime policies and who accepts them',
      access: 'auditor',
      query: { ...page, deployment },
      success: 200,
      answer: listOf(PolicyViewSchema),
      handle: ({ query }) => broker.listPolicies(query),
    }),
    route({
      method: 'GET',
      path: '/v1/policies/{sha256}',
      operationId: 'showPolicy',
      summary: 'Show a runtime policy',
      access: 'auditor',
      parameters: { sha256: policySha256 },
      success: 200,
      answer: PolicyViewSchema,
      reasons: ['resource.unknown'],
      handle: ({ path }) => broker.showPolicy(path.sha256),
    }),
    route({
      method: 'POST',
      path: '/v1/policies/{sha256}/retire',
      operationId: 'retirePolicy',
      summary: 'Stop accepting a runtime policy, in one deployment or in all',
      access: 'operator',
      parameters: { sha256: policySha256 },
      body: RetirePolicySchema,
      bodyOptional: true,
      success: 200,
      answer: PolicyViewSchema,
      reasons: ['resource.unknown', 'deployment.unknown'],
      handle: ({ principal, path, body }) => broker.retirePolicy(principal, path.sha256, body.deployment),
    }),
  ];
}
