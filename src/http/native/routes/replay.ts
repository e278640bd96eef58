import type { Broker } from '../../../release/broker.js';
import { flag } from '../parameters.js';
import { type Route, route } from '../route.js';
import { ReplayViewSchema } from '../view-schemas.js';
import { releaseId } from './common.js';

/** The replay of an archived release. It answers with claims and evidence, which are no secrets, and with no key. */
export function replayRoutes(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/releases/{release_id}/replay',
      operationId: 'replayRelease',
      summary: 'Appraise an archived release again and compare with its log entry',
      access: 'auditor',
      parameters: { release_id: releaseId },
      query: { evidence: flag('true: with the request as it was received') },
      success: 200,
      answer: ReplayViewSchema,
      reasons: ['resource.unknown'],
      handle: ({ path, query }) => broker.replayRelease(path.release_id, query),
    }),
  ];
}
