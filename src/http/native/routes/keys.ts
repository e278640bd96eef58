import type { Broker } from '../../../release/broker.js';
import { integer } from '../parameters.js';
import { type Route, route } from '../route.js';
import { CreateKeySchema, KeyDeploymentsSchema, KeyVersionSelectionSchema, NothingSchema } from '../schemas.js';
import { KeyViewSchema, listOf } from '../view-schemas.js';
import { key, page, version } from './common.js';

/** Keys. No route answers with key material. */
export function keyRoutes(broker: Broker): readonly Route[] {
  return [...reading(broker), ...creating(broker), ...switching(broker), ...removing(broker)];
}

function reading(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/keys',
      operationId: 'listKeys',
      summary: 'List keys',
      access: 'auditor',
      query: page,
      success: 200,
      answer: listOf(KeyViewSchema),
      handle: ({ query }) => broker.listKeys(query),
    }),
    route({
      method: 'GET',
      path: '/v1/keys/{name}',
      operationId: 'showKey',
      summary: 'Show a key and its versions',
      access: 'auditor',
      parameters: { name: key },
      query: { version },
      success: 200,
      answer: KeyViewSchema,
      reasons: ['key.unknown'],
      handle: ({ path, query }) => broker.showKey(path.name, query.version),
    }),
  ];
}

function creating(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/keys',
      operationId: 'createKey',
      summary: 'Make a key that nobody has seen, or import one',
      access: 'operator',
      body: CreateKeySchema,
      success: 201,
      answer: KeyViewSchema,
      reasons: ['resource.exists', 'deployment.unknown'],
      handle: ({ principal, body }) => broker.createKey(principal, body),
    }),
    route({
      method: 'POST',
      path: '/v1/keys/{name}/rotate',
      operationId: 'rotateKey',
      summary: 'Add a new version, which latest then means',
      access: 'operator',
      parameters: { name: key },
      body: NothingSchema,
      bodyOptional: true,
      success: 200,
      answer: KeyViewSchema,
      reasons: ['key.unknown', 'resource.state'],
      handle: ({ principal, path }) => broker.rotateKey(principal, path.name),
    }),
    route({
      method: 'PUT',
      path: '/v1/keys/{name}/deployments',
      operationId: 'setKeyDeployments',
      summary: 'Set which deployments may draw a key',
      access: 'operator',
      parameters: { name: key },
      body: KeyDeploymentsSchema,
      success: 200,
      answer: KeyViewSchema,
      reasons: ['key.unknown', 'deployment.unknown', 'resource.state'],
      handle: ({ principal, path, body }) => broker.setKeyDeployments(principal, path.name, body.deployments),
    }),
  ];
}

function switching(broker: Broker): readonly Route[] {
  const enabling = (verb: 'enable' | 'disable', summary: string): Route =>
    route({
      method: 'POST',
      path: `/v1/keys/{name}/${verb}`,
      operationId: `${verb}Key`,
      summary,
      access: 'operator',
      parameters: { name: key },
      body: KeyVersionSelectionSchema,
      bodyOptional: true,
      success: 200,
      answer: KeyViewSchema,
      reasons: ['key.unknown', 'resource.state'],
      handle: ({ principal, path, body }) =>
        broker.setKeyEnabled(principal, path.name, verb === 'enable', body.version),
    });
  const freezing = (verb: 'freeze' | 'unfreeze', summary: string): Route =>
    route({
      method: 'POST',
      path: `/v1/keys/{name}/${verb}`,
      operationId: `${verb}Key`,
      summary,
      access: 'operator',
      parameters: { name: key },
      body: NothingSchema,
      bodyOptional: true,
      success: 200,
      answer: KeyViewSchema,
      reasons: ['key.unknown'],
      handle: ({ principal, path }) => broker.setKeyFrozen(principal, path.name, verb === 'freeze'),
    });
  return [
    enabling('enable', 'Enable a key or a version'),
    enabling('disable', 'Disable a key or a version: it is not released'),
    freezing('freeze', 'Stop every release of a key'),
    freezing('unfreeze', 'Let a frozen key be released again'),
  ];
}

function removing(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'DELETE',
      path: '/v1/keys/{name}',
      operationId: 'deleteKey',
      summary: 'Delete a key or a version; the material is destroyed after the recovery window',
      access: 'operator',
      parameters: { name: key },
      query: { version, recovery_days: integer(0, 365, 'days until the material is destroyed') },
      success: 200,
      answer: KeyViewSchema,
      reasons: ['key.unknown', 'resource.state'],
      handle: ({ principal, path, query }) =>
        broker.deleteKey(principal, path.name, query.version, query.recovery_days),
    }),
    route({
      method: 'POST',
      path: '/v1/keys/{name}/recover',
      operationId: 'recoverKey',
      summary: 'Take back a deletion within its recovery window',
      access: 'operator',
      parameters: { name: key },
      body: KeyVersionSelectionSchema,
      bodyOptional: true,
      success: 200,
      answer: KeyViewSchema,
      reasons: ['key.unknown', 'resource.state'],
      handle: ({ principal, path, body }) => broker.recoverKey(principal, path.name, body.version),
    }),
  ];
}
