import {
  caConstraints,
  caUsage,
  derivedKey,
  type MakerCurve,
  selfSigned,
  signingUsage,
  simulatorName,
  type SimulatedCa,
  subordinate,
} from './certificate.js';

/** Generations of simulated AMD processors, as the genuine ones are called. */
export const SIMULATED_GENERATIONS = ['Milan', 'Genoa', 'Turin'] as const;
export type SimulatedGeneration = (typeof SIMULATED_GENERATIONS)[number];

/**
 * The makers of simulated hardware: AMD's, Intel's and NVIDIA's chains with the genuine names, under roots of the simulator's
 * own. All keys are EC, also where AMD's are RSA.
 */
export interface SimulatedMakers {
  /** ARK, and below it the CAs of chip keys (ASK) and of keys for cloud providers (ASVK). */
  readonly amd: Readonly<
    Record<SimulatedGeneration, { readonly ark: SimulatedCa; readonly ask: SimulatedCa; readonly asvk: SimulatedCa }>
  >;
  /** P-256. `tcbSigning` signs TCB info and QE identity; it is no CA. */
  readonly intel: { readonly root: SimulatedCa; readonly pckCa: SimulatedCa; readonly tcbSigning: SimulatedCa };
  /** P-384: root, identity of the architecture, provisioner; below that the device has its own two. */
  readonly nvidiaDevices: {
    readonly root: SimulatedCa;
    readonly identity: SimulatedCa;
    readonly provisioner: SimulatedCa;
  };
  /** P-384: root, CA, and the signer of manifests. */
  readonly nvidiaRims: { readonly root: SimulatedCa; readonly ca: SimulatedCa; readonly signer: SimulatedCa };
}

const NOT_BEFORE_MS = Date.UTC(2020, 0, 1);
const NOT_AFTER_MS = Date.UTC(2099, 0, 1);

/** Makes the makers of a seed: the same keys and names each time, so that all workers and replicas of a broker have the same. */
export function simulatedMakers(seed: Buffer): SimulatedMakers {
  let serial = 0n;
  const authority = (
    commonName: string,
    curve: MakerCurve,
    above: SimulatedCa | undefined,
    kind: { readonly pathLength?: number; readonly leaf?: true } = {},
  ): SimulatedCa => {
    const draft = {
      serial: ++serial,
      notBeforeMs: NOT_BEFORE_MS,
      notAfterMs: NOT_AFTER_MS,
      extensions: kind.leaf === true ? [signingUsage()] : [caConstraints(kind.pathLength), caUsage()],
    };
    const name = simulatorName(commonName);
    const pair = derivedKey(seed, commonName, curve);
    return above === undefined ? selfSigned(name, curve, pair, draft) : subordinate(above, name, curve, pair, draft);
  };

  const amd = (generation: SimulatedGeneration) => {
    const ark = authority(`ARK-${generation}`, 'P-384', undefined);
    const below = { pathLength: 0 };
    return {
      ark,
      ask: authority(`SEV-${generation}`, 'P-384', ark, below),
      asvk: authority(`SEV-VLEK-${generation}`, 'P-384', ark, below),
    };
  };
  const sgx = authority('Intel SGX Root CA', 'P-256', undefined);
  const devices = authority('NVIDIA Device Identity CA', 'P-384', undefined);
  const identity = authority('NVIDIA GH100 Identity', 'P-384', devices);
  const manifests = authority('NVIDIA CoRIM signing Root CA', 'P-384', undefined);
  const manifestCa = authority('NVIDIA Reference Value Simulator CA', 'P-384', manifests);
  return {
    amd: { Milan: amd('Milan'), Genoa: amd('Genoa'), Turin: amd('Turin') },
    intel: {
      root: sgx,
      pckCa: authority('Intel SGX PCK Platform CA', 'P-256', sgx, { pathLength: 0 }),
      tcbSigning: authority('Intel SGX TCB Signing', 'P-256', sgx, { leaf: true }),
    },
    nvidiaDevices: {
      root: devices,
      identity,
      provisioner: authority('NVIDIA GH100 Provisioner ICA 1', 'P-384', identity),
    },
    nvidiaRims: {
      root: manifests,
      ca: manifestCa,
      signer: authority('NVIDIA Reference Value Simulator Signer', 'P-384', manifestCa, { leaf: true }),
    },
  };
}

/** The roots in DER, as whoever verifies takes them. */
export function makerRoots({ amd, intel, nvidiaDevices, nvidiaRims }: SimulatedMakers) {
  const generation = ({ ark, ask, asvk }: (typeof amd)[SimulatedGeneration]) => ({
    ark: ark.certificate,
    intermediates: [ask.certificate, asvk.certificate],
  });
  return {
    amd: { Milan: generation(amd.Milan), Genoa: generation(amd.Genoa), Turin: generation(amd.Turin) },
    intel: intel.root.certificate,
    nvidiaDevices: nvidiaDevices.root.certificate,
    nvidiaRims: nvidiaRims.root.certificate,
  };
}
