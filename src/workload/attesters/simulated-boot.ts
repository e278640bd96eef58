import { fromBase64url, toBase64url } from '../../bytes/base64url.js';
import { fromHex } from '../../bytes/hex.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { digest } from '../../crypto/digest.js';
import type { AkScheme, SimulatedAk } from '../../simulator/ak.js';
import type { EkAlgorithm } from '../../simulator/ek.js';
import { SimulatedTpm } from '../../simulator/vtpm.js';
import { ask, isObject, membersIn, textIn, type Members } from '../ask.js';
import { AttesterError, BrokerAnswerError } from '../errors.js';
import type { Transport } from '../transport.js';
import type { SimulatedLaunch } from './simulated-cvm.js';
import { SimulatedParts, type SimulatedPlatform, type SimulatedPlatformOptions } from './simulated-platform.js';
import { bankOf, SimulatorAttester } from './simulator.js';

export interface SimulatedPlatformBootOptions extends SimulatedPlatformOptions {
  /** The runtime policy file to measure; default: the digest that the broker names, so that the machine is one it accepts. */
  readonly policy?: Uint8Array;
}

export interface SimulatedBootOptions extends SimulatedPlatformBootOptions {
  /** Default rsassa. */
  readonly scheme?: AkScheme;
  /** A TPM that was there before, and its AK; default: both are made. */
  readonly kept?: { readonly tpm: SimulatedTpm; readonly ak: SimulatedAk };
  /** Has the broker certify the EK of this algorithm, for an enrolment: where the simulator CA is among the roots of the deployment. */
  readonly ek?: EkAlgorithm;
}

const PATH = '/v1/simulator/machines';
const HOST_DATA_BYTES = 32;
const MRCONFIGID_BYTES = 48;
/** Of launch measurements and identity keys. */
const DIGEST_BYTES = 48;
const MAX_VMPL = 3;

/**
 * Starts a simulated machine that boots as a deployment expects: makes an AK, has the broker's simulator CA certify it,
 * and an EK where one is wanted (POST /v1/simulator/machines, development profile only), sets the boot chain's PCRs to the values that the broker
 * answers, and extends the policy's digest into the policy PCR. A confidential VM is launched with the measurement, and where the policy
 * is measured there with the policy, that the broker answers. Throws ReleaseDeniedError (`route.unknown` from a
 * production broker), BrokerUnreachableError, BrokerAnswerError, AttesterError.
 */
export async function bootSimulatedMachine(
  transport: Transport,
  deployment: string,
  options: SimulatedBootOptions = {},
): Promise<SimulatorAttester> {
  const tpm = options.kept?.tpm ?? new SimulatedTpm();
  const ak = options.kept?.ak ?? (await tpm.createAk({ scheme: options.scheme ?? 'rsassa' }));
  if (options.cvm?.kind.startsWith('hcl') === true && !ak.scheme.startsWith('rsa')) {
    throw new AttesterError('the AK of an HCL machine is an RSA key');
  }
  const parts = new SimulatedParts(options);
  const request = {
    deployment,
    ak: toBase64url(ak.tpm2bPublic),
    ...(options.ek === undefined ? {} : { ek: toBase64url((await tpm.ek(options.ek)).tpm2bPublic) }),
    ...parts.wish,
  };
  const answer = await ask(transport, PATH, request, 201);
  const measured = measuredIn(answer);
  const firmware = bootValues(membersIn(answer, 'pcrs'));
  const certificates = certificatesIn(answer, 'ak_certificates');
  const [ekCertificate] = answer['ek_certificates'] === undefined ? [] : certificatesIn(answer, 'ek_certificates');
  const platform = hasParts(options) ? start(parts, answer, measured, options, ak.spki) : undefined;
  try {
    if (options.ek !== undefined && ekCertificate !== undefined) {
      tpm.storeEkCertificate(options.ek, fromBase64url(ekCertificate, 'EK certificate'));
    }
    tpm.setBootValues(firmware);
    if (measured.source === 'tpm') {
      const { bank, pcr, named } = measured;
      tpm.extend(bank, pcr, options.policy === undefined ? fromHex(named, 'digest') : digest(bank, options.policy));
    }
  } catch (cause) {
    throw new AttesterError('the simulated TPM cannot boot as the broker says', { cause });
  }
  return new SimulatorAttester(tpm, ak, certificates, platform);
}

/** The same for a machine without a TPM, whose policy is measured at its launch. */
export async function bootSimulatedPlatform(
  transport: Transport,
  deployment: string,
  options: SimulatedPlatformBootOptions,
): Promise<SimulatedPlatform> {
  if (options.cvm === undefined || options.cvm.kind.startsWith('hcl')) {
    throw new AttesterError('a machine without a TPM is an SEV-SNP or TDX machine without paravisor');
  }
  const parts = new SimulatedParts(options);
  const answer = await ask(transport, PATH, { deployment, ...parts.wish }, 201);
  return start(parts, answer, measuredIn(answer), options, undefined);
}

function hasParts({ cvm, gpus = [] }: SimulatedPlatformOptions): boolean {
  return cvm !== undefined || gpus.length > 0;
}

/** Where the policy is to be measured, and its digest, hex. */
function measuredIn(answer: Members) {
  const measured = membersIn(answer, 'policy');
  const { pcr } = measured;
  if (typeof pcr !== 'number') throw new BrokerAnswerError('the simulated machine has no policy PCR');
  const source = measured['source'] === undefined ? 'tpm' : textIn(measured, 'source', 32);
  return { source, bank: bankOf(textIn(measured, 'bank', 16)), pcr, named: textIn(measured, 'digest', 128) };
}

function start(
  parts: SimulatedParts,
  answer: Members,
  measured: ReturnType<typeof measuredIn>,
  options: SimulatedPlatformBootOptions,
  akSpki: Buffer | undefined,
): SimulatedPlatform {
  const gpus = (options.gpus ?? []).map((_, index) => {
    const list: unknown = answer['gpus'];
    const device: unknown = Array.isArray(list) ? list[index] : undefined;
    if (!isObject(device)) throw new BrokerAnswerError('the simulated machine has no certificates for its GPUs');
    return decoded(certificatesIn(device, 'certificates'));
  });
  if (options.cvm === undefined) return parts.start({ launch: undefined, gpus });
  const cvm = membersIn(answer, 'cvm');
  const { vmpl } = cvm;
  if (typeof vmpl !== 'number' || !Number.isInteger(vmpl) || vmpl < 0 || vmpl > MAX_VMPL) {
    throw new BrokerAnswerError('the simulated machine has no privilege level');
  }
  const own = options.policy === undefined ? undefined : digest(measured.bank, options.policy);
  const field = (name: string, bytes: number): Buffer | undefined => {
    const named = hexIn(cvm, name, bytes);
    return named === undefined || own === undefined ? named : Buffer.concat([own], bytes);
  };
  const launch: SimulatedLaunch = {
    certificates: decoded(certificatesIn(cvm, 'certificates')),
    measurement: hexIn(cvm, 'measurement', DIGEST_BYTES),
    idKeyDigest: hexIn(cvm, 'id_key_digest', DIGEST_BYTES),
    vmpl,
    hostData: field('host_data', HOST_DATA_BYTES),
    mrConfigId: field('mr_config_id', MRCONFIGID_BYTES),
    akSpki,
  };
  return parts.start({ launch, gpus });
}

function hexIn(members: Members, name: string, bytes: number): Buffer | undefined {
  if (members[name] === undefined) return undefined;
  const value = orAnswerError(() => fromHex(textIn(members, name, 2 * bytes), name));
  if (value.length !== bytes) throw new BrokerAnswerError(`the simulated machine has no usable ${name}`);
  return value;
}

function decoded(certificates: readonly string[]): readonly Buffer[] {
  return orAnswerError(() => certificates.map((text) => fromBase64url(text, 'certificate')));
}

function orAnswerError<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause;
    throw new BrokerAnswerError(`the simulated machine: ${cause.message}`, { cause });
  }
}

function bootValues(banks: Members): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const values: Record<string, Record<string, string>> = {};
  for (const bank of Object.keys(banks)) {
    const indexes = membersIn(banks, bank);
    values[bankOf(bank)] = Object.fromEntries(
      Object.keys(indexes).map((index) => [index, textIn(indexes, index, 128)]),
    );
  }
  return values;
}

function certificatesIn(answer: Members, member: string): readonly string[] {
  const certificates: unknown = answer[member];
  if (!Array.isArray(certificates) || !certificates.every((item) => typeof item === 'string')) {
    throw new BrokerAnswerError(`the simulated machine has no ${member}`);
  }
  return certificates;
}
