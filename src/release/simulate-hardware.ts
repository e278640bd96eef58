import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { fromHex } from '../bytes/hex.js';
import { MalformedError } from '../bytes/malformed-error.js';
import type { CurveName } from '../crypto/signature.js';
import { parseSpki } from '../crypto/x509-key.js';
import type { CvmAllowance, Deployment } from '../policy/deployment.js';
import { expectedField } from '../policy/policy-hash.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { SimulatedHardware } from './context.js';
import type {
  SimulatedCvmRequest,
  SimulatedCvmView,
  SimulatedGpuRequest,
  SimulatedMachineRequest,
  SimulatedMachineView,
} from './views.js';

/**
 * Certificates for the processor and the GPUs of a simulated machine, and what a deployment expects of the former; `digest` is that of
 * the policy, hex. request.malformed for a key of another curve, or a processor that does not say which it is.
 */
export function certifyHardware(
  hardware: SimulatedHardware,
  { cvm, gpus }: Pick<SimulatedMachineRequest, 'cvm' | 'gpus'>,
  deployment: Deployment,
  digest: string,
): Result<Pick<SimulatedMachineView, 'cvm' | 'gpus'>> {
  try {
    return accept({
      ...(cvm === undefined
        ? {}
        : { cvm: { certificates: texts(certifyCvm(hardware, cvm)), ...expected(cvm, deployment, digest) } }),
      ...(gpus === undefined ? {} : { gpus: gpus.map((gpu) => ({ certificates: texts(certifyGpu(hardware, gpu)) })) }),
    });
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

function certifyCvm(
  hardware: SimulatedHardware,
  { kind, key, chip_id: chipId, generation = 'Milan', tcb = {}, ppid }: SimulatedCvmRequest,
): readonly Buffer[] {
  if (kind === 'snp' || kind === 'hcl-snp') {
    if (chipId === undefined) throw new MalformedError('cvm.chip_id is missing: it names the chip of the VCEK');
    return hardware.certifyChip(spki(key, 'P-384', 'cvm.key'), { generation, chipId: fromHex(chipId, 'chip_id'), tcb });
  }
  if (ppid === undefined) throw new MalformedError('cvm.ppid is missing: it names the processor of the PCK');
  return hardware.certifyPlatform(spki(key, 'P-256', 'cvm.key'), fromHex(ppid, 'ppid'));
}

function certifyGpu(hardware: SimulatedHardware, { key, pdi }: SimulatedGpuRequest): readonly Buffer[] {
  return hardware.certifyBootRom(spki(key, 'P-384', 'gpus.key'), fromHex(pdi, 'pdi'));
}

function expected(
  { kind }: SimulatedCvmRequest,
  { measurement, attesters }: Deployment,
  digest: string,
): Omit<SimulatedCvmView, 'certificates'> {
  const isSnp = kind === 'snp' || kind === 'hcl-snp';
  const rule = attesters.allow.cvm.find((one) => isSnp || isForTdx(one));
  const { source } = measurement;
  return {
    ...(rule?.measurement === undefined ? {} : { measurement: rule.measurement }),
    ...(rule?.idKeyDigest === undefined ? {} : { id_key_digest: rule.idKeyDigest }),
    vmpl: rule?.vmpl ?? 0,
    ...(isSnp && source === 'snp.host_data' ? { host_data: expectedField(source, digest) } : {}),
    ...(!isSnp && source === 'tdx.mrconfigid' ? { mr_config_id: expectedField(source, digest) } : {}),
  };
}

/** A trust domain has neither an identity key nor privilege levels. */
function isForTdx({ idKeyDigest, vmpl = 0 }: CvmAllowance): boolean {
  return idKeyDigest === undefined && vmpl === 0;
}

function spki(text: string, curve: CurveName, name: string): Buffer {
  const der = fromBase64url(text, name);
  const key = parseSpki(der);
  if (key.type !== 'ec' || key.curve !== curve) throw new MalformedError(`${name} is not on ${curve}`);
  return der;
}

function texts(certificates: readonly Buffer[]): readonly string[] {
  return certificates.map(toBase64url);
}
