import { randomBytes, X509Certificate } from 'node:crypto';
import { toBase64url } from '../../bytes/base64url.js';
import type { Json } from '../../bytes/canonical-json.js';
import { toHex } from '../../bytes/hex.js';
import { sha256 } from '../../crypto/digest.js';
import { simulatedHclReport, simulatedTdReport } from '../../simulator/hcl.js';
import { simulatedMakers, type SimulatedMakers } from '../../simulator/makers.js';
import { SimulatedSnp, type SimulatedSnpFields } from '../../simulator/snp.js';
import { SimulatedTd, type SimulatedTdOptions } from '../../simulator/tdx.js';
import type { PlatformEvidence } from '../attester.js';
import { AttesterError } from '../errors.js';
import type { SimulatedCvmKind } from './simulated-cvm-kinds.js';

export interface SimulatedCvmOptions {
  readonly kind: SimulatedCvmKind;
  /** 32 bytes: the processor; default: random. */
  readonly seed?: Buffer;
  /** What reports say otherwise than the deployment expects: of SEV-SNP, or of TDX. */
  readonly snp?: Partial<SimulatedSnpFields>;
  readonly td?: NonNullable<SimulatedTdOptions['body']>;
  /** The AK that runtime data or report data name instead of the one that quotes: SubjectPublicKeyInfo, DER. */
  readonly namedAk?: Buffer;
}

/** What the maker of the processor answers, and what the VM is launched with. */
export interface SimulatedLaunch {
  /** DER, as the maker hands them out. */
  readonly certificates: readonly Buffer[];
  /** 48 bytes each; undefined: as the simulator has it. */
  readonly measurement: Buffer | undefined;
  readonly idKeyDigest: Buffer | undefined;
  readonly vmpl: number;
  /** 32 and 48 bytes. */
  readonly hostData: Buffer | undefined;
  readonly mrConfigId: Buffer | undefined;
  /** Of the vTPM or TPM, SubjectPublicKeyInfo in DER; undefined: the VM has none. */
  readonly akSpki: Buffer | undefined;
}

/** A simulated confidential VM: genuine layouts that prove nothing about hardware. */
export interface SimulatedCvm {
  readonly kind: SimulatedCvmKind;
  /** What the maker of the processor is told. */
  readonly wish: Readonly<Record<string, Json>>;
  /** Has it run; then it makes evidence for a base of 32 bytes. */
  launch(launch: SimulatedLaunch): (base: Buffer) => PlatformEvidence;
}

/** Makes the processor. */
export function simulatedCvm(options: SimulatedCvmOptions): SimulatedCvm {
  return options.kind === 'snp' || options.kind === 'hcl-snp' ? snpMachine(options) : tdxMachine(options);
}

function snpMachine({ kind, seed, snp: fields = {}, namedAk }: SimulatedCvmOptions): SimulatedCvm {
  const snp = new SimulatedSnp({ generation: 'Milan', ...(seed === undefined ? {} : { seed }) }).set(fields);
  const wish = {
    kind,
    key: toBase64url(snp.spki),
    generation: snp.generation,
    chip_id: toHex(snp.fields.chipId),
    tcb: { ...snp.fields.reportedTcb },
  };
  const launch = ({ certificates: der, measurement, idKeyDigest, vmpl, hostData, akSpki }: SimulatedLaunch) => {
    const expected = { ...given({ measurement, idKeyDigest, hostData }), vmpl };
    snp.set({ ...expected, ...fields });
    const certificates = der.map(toBase64url);
    if (kind === 'snp') {
      return (base: Buffer) => ({
        snp: { report: toBase64url(snp.report(reportDataOf(base, namedAk ?? akSpki))), certificates },
      });
    }
    const hardware = { kind: 'snp', report: (reportData: Buffer) => snp.report(reportData) } as const;
    const report = toBase64url(simulatedHclReport({ akSpki: rsa(namedAk ?? akSpki), hardware }));
    return () => ({ hcl: { report, certificates } });
  };
  return { kind, wish, launch };
}

function tdxMachine({ kind, seed = randomBytes(32), td: fields = {}, namedAk }: SimulatedCvmOptions): SimulatedCvm {
  const processor = new SimulatedTd(placeholders().intel, { seed });
  const wish = { kind, key: toBase64url(keyOf(processor.certificates[0])), ppid: toHex(processor.ppid) };
  const launch = ({ certificates, measurement, mrConfigId, akSpki }: SimulatedLaunch) => {
    const body = { ...given({ mrTd: measurement, mrConfigId }), ...fields };
    const td = new SimulatedTd(placeholders().intel, { seed, body });
    const quote = (reportData: Buffer) => toBase64url(td.quote(reportData, { certificates }));
    if (kind === 'tdx') {
      return (base: Buffer) => ({ tdx: { quote: quote(reportDataOf(base, namedAk ?? akSpki)) } });
    }
    let reported: Buffer = Buffer.alloc(0);
    const hardware = {
      kind: 'tdx',
      report: (reportData: Buffer) => {
        reported = reportData;
        return simulatedTdReport({ reportData, ...given(td.report(reportData)) });
      },
    } as const;
    const report = toBase64url(simulatedHclReport({ akSpki: rsa(namedAk ?? akSpki), hardware }));
    const hcl = { report, quote: quote(reported) };
    return () => ({ hcl });
  };
  return { kind, wish, launch };
}

/** Report data where no paravisor chooses it. */
function reportDataOf(base: Buffer, akSpki: Buffer | undefined): Buffer {
  return Buffer.concat([base, akSpki === undefined ? Buffer.alloc(32) : sha256(akSpki)]);
}

function rsa(akSpki: Buffer | undefined): Buffer {
  if (akSpki === undefined) throw new AttesterError('an HCL machine has a vTPM: its report says nothing of a request');
  return akSpki;
}

/** The SubjectPublicKeyInfo of a certificate. */
export function keyOf(certificate: Buffer = Buffer.alloc(0)): Buffer {
  return new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
}

/** The members that are there. */
function given<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const there = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(there) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

let known: SimulatedMakers | undefined;

/** Makers whom nobody believes: what they certify is replaced by what the broker's makers do. */
export function placeholders(): SimulatedMakers {
  return (known ??= simulatedMakers(Buffer.alloc(32)));
}
