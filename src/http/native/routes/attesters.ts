import { Type } from 'typebox';
import type { Broker } from '../../../release/broker.js';
import { type Route, route } from '../route.js';
import { NothingSchema, TrustAttesterSchema } from '../schemas.js';
import { AttesterViewSchema, listOf, RevokedAttesterSchema } from '../view-schemas.js';
import { attesterId, page } from './common.js';

export function attesterRoutes(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/attesters',
      operationId: 'trustAttester',
      summary: 'Pin an AK for a deployment',
      access: 'operator',
      body: TrustAttesterSchema,
      success: 201,
      answer: AttesterViewSchema,
      reasons: [
        'evidence.malformed',
        'ak.attributes',
        'deployment.unknown',
        'resource.unknown',
        'resource.exists',
        'resource.state',
      ],
      handle: ({ principal, body }) => broker.trustAttester(principal, body),
    }),
    route({
      method: 'GET',
      path: '/v1/attesters',
      operationId: 'listAttesters',
      summary: 'List pinned AKs',
      access: 'auditor',
      query: page,
      success: 200,
      answer: listOf(AttesterViewSchema),
      handle: ({ query }) => broker.listAttesters(query),
    }),
    route({
      method: 'GET',
      path: '/v1/attesters/{id}',
      operationId: 'showAttester',
      summary: 'Show an AK by name, AK Name or SPKI hash',
      access: 'auditor',
      parameters: { id: attesterId },
      success: 200,
      answer: AttesterViewSchema,
      reasons: ['resource.unknown'],
      handle: ({ path }) => broker.showAttester(path.id),
    }),
    route({
      method: 'POST',
      path: '/v1/attesters/{id}/revoke',
      operationId: 'revokeAttester',
      summary: 'Revoke an AK for every deployment, for good',
      access: 'operator',
      parameters: { id: attesterId },
      body: NothingSchema,
      bodyOptional: true,
      success: 200,
      answer: Type.Union([AttesterViewSchema, RevokedAttesterSchema]),
      reasons: ['resource.unknown'],
      handle: ({ principal, path }) => broker.revokeAttester(principal, path.id),
    }),
  ];
}
