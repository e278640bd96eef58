import { DATE_TIME_PATTERN } from '../../../policy/date-time.js';
import type { Broker } from '../../../release/broker.js';
import { text } from '../parameters.js';
import { type Route, route } from '../route.js';
import { CreateTokenSchema, NothingSchema } from '../schemas.js';
import {
  BrokerViewSchema,
  CreatedTokenSchema,
  EntryViewSchema,
  KekRotationSchema,
  listOf,
  TokenViewSchema,
} from '../view-schemas.js';
import { deployment, key, page, policySha256, tokenId } from './common.js';

/** A SHA-256, or nameAlg and digest. */
const AK = '^(?:[0-9a-f]{64}|000b[0-9a-f]{64}|000c[0-9a-f]{96}|000d[0-9a-f]{128})$';

/** The broker itself: its tokens, its KEK, its log. */
export function administrationRoutes(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/broker',
      operationId: 'describeBroker',
      summary: 'Show the broker: id, profile, log key, KEK',
      access: 'auditor',
      success: 200,
      answer: BrokerViewSchema,
      handle: async () => ({ ok: true, value: await broker.describe() }),
    }),
    route({
      method: 'POST',
      path: '/v1/tokens',
      operationId: 'createToken',
      summary: 'Create an admin token; it is shown once',
      access: 'admin',
      body: CreateTokenSchema,
      success: 201,
      answer: CreatedTokenSchema,
      handle: ({ principal, body }) => broker.createToken(principal, body),
    }),
    route({
      method: 'GET',
      path: '/v1/tokens',
      operationId: 'listTokens',
      summary: 'List admin tokens',
      access: 'admin',
      query: page,
      success: 200,
      answer: listOf(TokenViewSchema),
      handle: ({ query }) => broker.listTokens(query),
    }),
    route({
      method: 'DELETE',
      path: '/v1/tokens/{id}',
      operationId: 'revokeToken',
      summary: 'Revoke an admin token',
      access: 'admin',
      parameters: { id: tokenId },
      success: 200,
      answer: TokenViewSchema,
      reasons: ['resource.unknown'],
      handle: ({ principal, path }) => broker.revokeToken(principal, path.id),
    }),
    route({
      method: 'POST',
      path: '/v1/kek/rotate',
      operationId: 'rotateKek',
      summary: 'Make a new KEK and wrap everything under it',
      access: 'admin',
      body: NothingSchema,
      bodyOptional: true,
      success: 200,
      answer: KekRotationSchema,
      handle: ({ principal }) => broker.rotateKek(principal),
    }),
    route({
      method: 'GET',
      path: '/v1/entries',
      operationId: 'listEntries',
      summary: 'List log entries, newest first',
      access: 'auditor',
      query: {
        ...page,
        type: text('^[a-z][a-z._-]{0,63}$', 'type of entry, such as release'),
        deployment,
        key,
        policy: policySha256,
        ak: text(AK, 'SPKI hash or TPM Name of an AK, lower-case hex'),
        since: text(DATE_TIME_PATTERN, 'entries of this time or later, RFC 3339'),
        until: text(DATE_TIME_PATTERN, 'entries before this time, RFC 3339'),
      },
      success: 200,
      answer: listOf(EntryViewSchema),
      handle: ({ query }) => broker.listEntries(query),
    }),
  ];
}
