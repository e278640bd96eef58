import type { ReasonCode } from '../../../reason/reason.js';
import type { Broker, ReleaseRequest } from '../../../release/broker.js';
import { type Route, route } from '../route.js';
import { ChallengeRequestSchema, ReleaseRequestSchema, SimulatedMachineRequestSchema } from '../schemas.js';
import { ChallengeViewSchema, ReleaseViewSchema, SimulatedMachineViewSchema } from '../view-schemas.js';

/** In the order of the checks. */
const DENIALS: readonly ReasonCode[] = [
  'evidence.malformed',
  'challenge.invalid',
  'challenge.expired',
  'deployment.unknown',
  'key.unknown',
  'quote.magic',
  'quote.type',
  'ak.attributes',
  'ak.revoked',
  'ak.untrusted',
  'quote.algorithm',
  'quote.signature',
  'quote.binding',
  'quote.pcr_selection',
  'quote.pcr_values',
  'quote.pcr_digest',
  'evidence.unbound',
  'policy.hash',
  'policy.validity',
  'policy.pcr',
  'policy.claims',
  'key.disabled',
  'key.frozen',
  'deployment.frozen',
  'challenge.replayed',
];

/** The two calls of a workload, and in the development profile the one that makes it a simulated machine. */
export function releaseRoutes(broker: Broker): readonly Route[] {
  const { simulateMachine } = broker;
  return [
    route({
      method: 'POST',
      path: '/v1/challenges',
      operationId: 'issueChallenge',
      summary: 'Ask for a nonce for a deployment and a key',
      access: 'public',
      clientCertificate: true,
      hot: true,
      body: ChallengeRequestSchema,
      success: 201,
      answer: ChallengeViewSchema,
      reasons: ['deployment.unknown', 'key.unknown'],
      handle: ({ body }) => broker.issueChallenge(body),
    }),
    route({
      method: 'POST',
      path: '/v1/releases',
      operationId: 'release',
      summary: 'Present evidence and draw a key, encrypted to the recipient key',
      access: 'public',
      rateLimited: 'releases',
      hot: true,
      body: ReleaseRequestSchema,
      success: 200,
      answer: ReleaseViewSchema,
      reasons: DENIALS,
      // Its foreign members are JSON, having been parsed from it.
      handle: ({ body }) => broker.release(body as ReleaseRequest),
    }),
    ...(simulateMachine === undefined
      ? []
      : [
          route({
            method: 'POST',
            path: '/v1/simulator/machines',
            operationId: 'simulateMachine',
            summary: 'Certify the AK of a simulated machine (development profile only)',
            access: 'public',
            body: SimulatedMachineRequestSchema,
            success: 201,
            answer: SimulatedMachineViewSchema,
            reasons: ['deployment.unknown', 'evidence.malformed', 'ak.attributes', 'resource.unknown'],
            handle: ({ body }) => simulateMachine(body),
          }),
        ]),
  ];
}
