import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { parseAk } from '../evidence/tpm/ak.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { BrokerContext, SimulatorAuthority } from './context.js';
import { noSuchDeployment } from './deployments.js';
import type { SimulatedMachineView } from './views.js';

/**
 * A simulated machine that boots as a deployment expects: the simulator CA certifies its AK, and the answer says which
 * boot values and which policy the deployment refers to. Anyone may ask, since a simulator proves nothing; it exists in
 * the development profile alone.
 */
export async function simulateMachine(
  context: BrokerContext,
  simulator: SimulatorAuthority,
  request: { readonly deployment: string; readonly ak: string },
): Promise<Result<SimulatedMachineView>> {
  let publicArea: Buffer;
  try {
    publicArea = fromBase64url(request.ak, 'ak');
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
  const ak = parseAk(publicArea);
  if (!ak.ok) return ak;
  const found = await context.store.read(async (view) => ({
    record: await view.deployments.get(request.deployment),
    links: await view.policyLinks.of(request.deployment),
  }));
  const deployment = found.record?.deployment;
  if (deployment === undefined) return noSuchDeployment();
  if (!deployment.attesters.trust.includes('simulator')) {
    return reject('resource.state', 'the deployment does not trust simulators; add simulator to attesters.trust');
  }
  const nowMs = context.clock();
  const valid = found.links.find((link) => (link.notBeforeMs ?? 0) <= nowMs && nowMs < (link.notAfterMs ?? Infinity));
  const { bank, pcr } = deployment.measurement;
  const digest = bank === 'sha384' ? valid?.sha384 : valid?.sha256;
  if (digest === undefined)
    return reject('resource.unknown', 'the deployment accepts no policy at this time; register one');
  const boot = Object.entries(deployment.platform.pcrs).map(([index, values]) => [index, values[0] ?? '']);
  return accept({
    ak_certificates: simulator.certify(ak.value.spki).map(toBase64url),
    pcrs: { [bank]: Object.fromEntries(boot) as Record<string, string> },
    policy: { bank, pcr, digest },
  });
}
