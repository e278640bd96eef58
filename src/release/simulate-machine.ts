import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { parseAk } from '../evidence/tpm/ak.js';
import { parseEk } from '../evidence/tpm/ek.js';
import type { Deployment } from '../policy/deployment.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { BrokerContext, SimulatorAuthority } from './context.js';
import { noSuchDeployment } from './deployments.js';
import { certifyHardware } from './simulate-hardware.js';
import type { SimulatedMachineRequest, SimulatedMachineView } from './views.js';

/**
 * A simulated machine that boots as a deployment expects: the simulator CA certifies its AK where the deployment trusts
 * simulators, and its EK, where one is sent, for an enrolment, where the CA is among the roots of the deployment; the makers of
 * simulated hardware certify its processor and its GPUs. The answer also says which boot values, which policy and which launch
 * measurement the deployment refers to. Anyone may ask, since a simulator proves nothing; it exists in the development profile alone.
 */
export async function simulateMachine(
  context: BrokerContext,
  simulator: SimulatorAuthority,
  request: SimulatedMachineRequest,
): Promise<Result<SimulatedMachineView>> {
  const ak = request.ak === undefined ? undefined : parsed(request.ak, 'ak', parseAk);
  if (ak?.ok === false) return ak;
  const ek = request.ek === undefined ? undefined : parsed(request.ek, 'ek', parseEk);
  if (ek?.ok === false) return ek;
  const found = await context.store.read(async (view) => ({
    record: await view.deployments.get(request.deployment),
    links: await view.policyLinks.of(request.deployment),
  }));
  const deployment = found.record?.deployment;
  if (deployment === undefined) return noSuchDeployment();
  const believesAks = deployment.attesters.trust.includes('simulator');
  const believesEks = hasSimulatorRoot(context, simulator, deployment);
  if (!believesAks && !believesEks) {
    return reject(
      'resource.state',
      'the deployment does not trust simulators; add simulator to attesters.trust, or trust ek-certificate with ' +
        'simulator-ca.pem of the data directory among attesters.roots',
    );
  }
  const hasHardware = request.cvm !== undefined || request.gpus !== undefined;
  if (hasHardware && !believesAks) {
    return reject('resource.state', 'the deployment believes no simulated hardware; add simulator to attesters.trust');
  }
  const nowMs = context.clock();
  const valid = found.links.find((link) => (link.notBeforeMs ?? 0) <= nowMs && nowMs < (link.notAfterMs ?? Infinity));
  const { source, bank, pcr } = deployment.measurement;
  const digest = bank === 'sha384' ? valid?.sha384 : valid?.sha256;
  if (digest === undefined)
    return reject('resource.unknown', 'the deployment accepts no policy at this time; register one');
  const hardware = certifyHardware(simulator.hardware, request, deployment, digest);
  if (!hardware.ok) return hardware;
  // Where the report of the VM has to vouch for the AK, the simulator CA does not help out.
  const isNamed = request.cvm !== undefined && deployment.attesters.trust.includes('cvm-report');
  const boot = Object.entries(deployment.platform.pcrs).map(([index, values]) => [index, values[0] ?? '']);
  return accept({
    ak_certificates:
      ak !== undefined && believesAks && !isNamed ? simulator.certify(ak.value.spki).map(toBase64url) : [],
    ...(ek === undefined || !believesEks
      ? {}
      : { ek_certificates: simulator.certifyEk(ek.value.spki).map(toBase64url) }),
    pcrs: { [bank]: Object.fromEntries(boot) as Record<string, string> },
    policy: { source, bank, pcr, digest },
    ...hardware.value,
  });
}

function parsed<T>(text: string, name: string, parse: (bytes: Buffer) => Result<T>): Result<T> {
  try {
    return parse(fromBase64url(text, name));
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

/** Whether the deployment would follow an EK certificate to the simulator CA. */
function hasSimulatorRoot(
  { anchors }: Pick<BrokerContext, 'anchors'>,
  simulator: SimulatorAuthority,
  { attesters }: Deployment,
): boolean {
  if (!attesters.trust.includes('ek-certificate') || attesters.roots.length === 0) return false;
  try {
    return anchors.of(attesters.roots).certificates.some(({ der }) => der.equals(simulator.certificate.raw));
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
}
