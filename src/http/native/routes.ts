import type { Broker } from '../../release/broker.js';
import { administrationRoutes } from './routes/administration.js';
import { attesterRoutes } from './routes/attesters.js';
import { deploymentRoutes } from './routes/deployments.js';
import { enrolmentRoutes } from './routes/enrolments.js';
import { keyRoutes } from './routes/keys.js';
import { policyRoutes } from './routes/policies.js';
import { releaseRoutes } from './routes/releases.js';
import { replayRoutes } from './routes/replay.js';
import type { Route } from './route.js';

/** Every route of the native face that calls a use case. The operational ones (/healthz …) stand in operations.ts. */
export function brokerRoutes(broker: Broker): readonly Route[] {
  return [
    ...releaseRoutes(broker),
    ...deploymentRoutes(broker),
    ...policyRoutes(broker),
    ...keyRoutes(broker),
    // Ahead of /v1/attesters/{id}, which its paths look like.
    ...enrolmentRoutes(broker),
    ...attesterRoutes(broker),
    ...administrationRoutes(broker),
    ...replayRoutes(broker),
  ];
}
