import type { ReasonCode } from '../../../reason/reason.js';
import type { Broker } from '../../../release/broker.js';
import { type Route, route } from '../route.js';
import { ActivationRequestSchema, EnrolmentRequestSchema } from '../schemas.js';
import { ActivationViewSchema, EnrolmentViewSchema } from '../view-schemas.js';

/** What an enrolment is examined for, when it is asked for and when it is activated. */
const EXAMINED: readonly ReasonCode[] = [
  'deployment.unknown',
  'ak.untrusted',
  'ak.revoked',
  'ek.chain',
  'ek.revoked',
  'collateral.unavailable',
  'attester.conflict',
];

/**
 * The two calls by which a workload shows that its AK lives in the TPM of a certified EK. They are closed to strangers where
 * challenges are, since without a challenge an enrolled AK is good for nothing.
 */
export function enrolmentRoutes(broker: Broker): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/attesters/enrolments',
      operationId: 'enrolAttester',
      summary: 'Ask for a credential that only the TPM of an EK and an AK gives out',
      access: 'public',
      clientCertificate: true,
      rateLimited: 'enrolments',
      body: EnrolmentRequestSchema,
      success: 201,
      answer: EnrolmentViewSchema,
      reasons: ['evidence.malformed', 'ak.attributes', ...EXAMINED],
      handle: ({ body }) => broker.enrol(body),
    }),
    route({
      method: 'POST',
      path: '/v1/attesters/enrolments/activations',
      operationId: 'activateEnrolment',
      summary: 'Prove with the credential that the AK lives in the TPM of the EK',
      access: 'public',
      clientCertificate: true,
      rateLimited: 'activations',
      body: ActivationRequestSchema,
      success: 'upsert',
      answer: ActivationViewSchema,
      reasons: ['enrolment.secret', 'enrolment.expired', ...EXAMINED],
      handle: async ({ body }) => {
        const activated = await broker.activateEnrolment(body);
        return activated.ok ? { ok: true, value: activated.value.answer, created: activated.value.created } : activated;
      },
    }),
  ];
}
