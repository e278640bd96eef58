import { fromBase64 } from '../bytes/base64.js';
import { parseJson } from '../bytes/json.js';
import { MalformedError } from '../bytes/malformed-error.js';
import type { AmdGeneration } from '../endorsement/hardware-roots.js';
import { servedDriver } from '../endorsement/rim/served-driver.js';
import { NVIDIA_CRLS, nvidiaCrlFile } from './nvidia-crls.js';
import { isSameRim } from './rim-names.js';
import type { Origins, Wanted } from './wanted.js';

/** What a maker answered. */
export interface Served {
  readonly body: Buffer;
  /** The header of this name (lower case), if it came exactly once. */
  readonly header: (name: string) => string | undefined;
}

/** One thing to fetch. */
export interface Source {
  /** For people: `TCB info of 50806F000000`. */
  readonly what: string;
  readonly url: string;
  /** What it is called when it has come; what it is, its content says. */
  readonly file: string;
  /** Whether this (see Standing.subject) is what was asked for. */
  readonly isAbout: (subject: string) => boolean;
  /** The header with the chain of its signer. */
  readonly chainHeader?: string;
  /** What is to be kept of the answer; throws MalformedError. */
  readonly content?: (body: Buffer) => Buffer;
}

/**
 * Where each thing is (Intel PCS API v4; AMD KDS, document 57230; NVIDIA's RIM service, v1, and the CRLs that its certificates name). URLs are made of the origins and of
 * what the operator names, never of evidence.
 */
export function sourcesOf({ fmspcs, amd, rims, nvidiaCrls }: Wanted, origins: Origins): readonly Source[] {
  return [
    ...fmspcs.map((fmspc) => tcbInfo(fmspc, origins)),
    ...(fmspcs.length === 0 ? [] : intelRest(origins)),
    ...amd.flatMap((generation) => amdCrls(generation, origins)),
    ...rims.map((id) => rim(id, origins)),
    ...NVIDIA_CRLS.filter(({ issuer }) => nvidiaCrls.includes(issuer)).map(({ issuer, path }) => ({
      what: `CRL of ${issuer}`,
      url: `${origins['nvidia-crl']}${path}`,
      file: nvidiaCrlFile(issuer),
      isAbout: (subject: string) => subject === issuer,
    })),
  ];
}

function tcbInfo(fmspc: string, { intel }: Origins): Source {
  return {
    what: `TCB info of ${fmspc}`,
    url: `${intel}/tdx/certification/v4/tcb?fmspc=${fmspc}`,
    file: `tcbInfo-${fmspc}.json`,
    isAbout: (subject) => subject === `TDX ${fmspc}`,
    chainHeader: 'tcb-info-issuer-chain',
  };
}

function intelRest(origins: Origins): readonly Source[] {
  return [
    {
      what: 'QE identity',
      url: `${origins.intel}/tdx/certification/v4/qe/identity`,
      file: 'qeIdentity.json',
      isAbout: (subject) => subject === 'TD_QE',
      chainHeader: 'sgx-enclave-identity-issuer-chain',
    },
    ...(['platform', 'processor'] as const).map((ca) => ({
      what: `CRL of the PCK ${ca} CA`,
      url: `${origins.intel}/sgx/certification/v4/pckcrl?ca=${ca}&encoding=der`,
      file: `pckCrl-${ca}.der`,
      isAbout: (subject: string) => subject.toLowerCase() === `intel sgx pck ${ca} ca`,
      chainHeader: 'sgx-pck-crl-issuer-chain',
    })),
    {
      what: "CRL of Intel's root",
      url: `${origins['intel-root']}/IntelSGXRootCA.der`,
      file: 'rootCaCrl.der',
      isAbout: (subject) => subject === 'Intel SGX Root CA',
    },
  ];
}

function amdCrls(generation: AmdGeneration, { amd }: Origins): readonly Source[] {
  return (['vcek', 'vlek'] as const).map((kind) => ({
    what: `CRL of ${generation}, for ${kind.toUpperCase()}s`,
    url: `${amd}/${kind}/v1/${generation}/crl`,
    file: `amd/${kind}-${generation}.crl`,
    isAbout: (subject: string) => subject === `ARK-${generation}`,
  }));
}

function rim(named: string, { nvidia }: Origins): Source {
  const id = servedDriver(named);
  return {
    what: `RIM ${id}`,
    url: `${nvidia}/v1/rim/${encodeURIComponent(id)}`,
    file: `rim/${id}.swidtag`,
    isAbout: (subject) => isSameRim(id, subject),
    content: rimIn,
  };
}

/** `{"id":…,"rim":"<base64>",…}`; what else it says of the RIM is not signed. */
function rimIn(body: Buffer): Buffer {
  const answer = parseJson(body);
  const text = typeof answer === 'object' && answer !== null && 'rim' in answer ? answer.rim : undefined;
  if (typeof text !== 'string') throw new MalformedError('an answer without rim');
  return fromBase64(text, 'rim');
}

/** The files that an answer comes to: itself, and the chain of its signer. Throws MalformedError. */
export function filesOf(source: Source, { body, header }: Served): ReadonlyMap<string, Buffer> {
  const files = new Map([[source.file, source.content?.(body) ?? body]]);
  if (source.chainHeader === undefined) return files;
  const chain = header(source.chainHeader);
  if (chain === undefined) throw new MalformedError(`an answer without the header ${source.chainHeader}`);
  return files.set(`${source.file.replace(/\.[^.]*$/, '')}IssuerChain.pem`, Buffer.from(decoded(chain), 'latin1'));
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new MalformedError('a chain that is not URL-encoded');
  }
}
