import { Type } from 'typebox';
import type { Broker } from '../../../release/broker.js';
import { type Route, route } from '../route.js';
import { NothingSchema, RevokeIdentitySchema, TrustAttesterSchema } from '../schemas.js';
import { AttesterViewSchema, listOf, RevocationViewSchema, RevokedAttesterSchema } from '../view-schemas.js';
import { attesterId, page } from './common.js';

export function attesterRoutes(broker: Broker): readonly Route[] {
  const quarantine = (verb: 'quarantine' | 'unquarantine', summary: string): Route =>
    route({
      method: 'POST',
      path: `/v1/attesters/{id}/${verb}`,
      operationId: `${verb}Attester`,
      summary,
      access: 'operator',
      parameters: { id: attesterId },
      body: NothingSchema,
      bodyOptional: true,
      success: 200,
      answer: AttesterViewSchema,
      reasons: ['resource.unknown'],
      handle: ({ principal, path }) => broker.setAttesterQuarantined(principal, path.id, verb === 'quarantine'),
    });
  return [
    route({
      method: 'POST',
      path: '/v1/attesters',
      operationId: 'trustAttester',
      summary: 'Trust an AK for a deployment: one that is sent, or one that is pending',
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
      summary: 'List AKs that were pinned, enrolled or seen',
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
    quarantine('quarantine', 'Believe an AK in no deployment until that is ended'),
    quarantine('unquarantine', 'End the quarantine of an AK'),
    route({
      method: 'POST',
      path: '/v1/revocations',
      operationId: 'revokeIdentity',
      summary: 'Revoke an EK, a certificate, a CA, a chip or an AK, for good',
      access: 'operator',
      body: RevokeIdentitySchema,
      success: 'upsert',
      answer: RevocationViewSchema,
      handle: ({ principal, body }) => broker.revokeIdentity(principal, body.identity),
    }),
    route({
      method: 'GET',
      path: '/v1/revocations',
      operationId: 'listRevocations',
      summary: 'List what was revoked',
      access: 'auditor',
      query: page,
      success: 200,
      answer: listOf(RevocationViewSchema),
      handle: ({ query }) => broker.listRevocations(query),
    }),
  ];
}
