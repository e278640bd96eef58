import { equalBytes } from '../../bytes/equal.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import type { QeIdentity } from './qe-identity.js';
import type { PlatformLevel, TcbInfo, TdxModule } from './tcb-info.js';
import type { TcbVerdict } from './tcb-level.js';
import { convergedStatus, isWorse, knownStatus, type TcbStatus } from './tcb-status.js';

/** What a quote and its PCK certificate say of the machine, all of it verified. */
export interface TcbFacts {
  /** 16 SVNs, and that of the PCE: of the PCK certificate. */
  readonly sgxComponents: readonly number[];
  readonly pceSvn: number;
  /** 16 SVNs each: TEE_TCB_SVN, and for TDX 1.5 TEE_TCB_SVN_2. */
  readonly teeTcbSvns: readonly Buffer[];
  readonly mrSignerSeam: Buffer;
  readonly seamAttributes: Buffer;
  /** The report of the quoting enclave. */
  readonly qe: {
    readonly miscSelect: Buffer;
    readonly attributes: Buffer;
    readonly mrSigner: Buffer;
    readonly isvProdId: number;
    readonly isvSvn: number;
  };
}

/** A level that was reached. */
export interface TcbLevelGrade extends TcbVerdict {
  readonly status: TcbStatus;
}

/** How Intel grades a machine. */
export interface TcbGrade {
  /** Of the whole: the worst one of all levels, or both at once where one is out of date and another needs configuration. */
  readonly status: TcbStatus;
  readonly platform: TcbLevelGrade;
  readonly module: TcbLevelGrade;
  readonly qe: TcbLevelGrade;
  /** Of all levels, each once, sorted. */
  readonly advisoryIds: readonly string[];
}

/**
 * Grades a machine by TCB info and QE identity, which are believed: TDX module, quoting enclave, then platform. The first level of a
 * list that every SVN reaches is the one (levels stand newest first). A trust domain of TDX 1.5 shows the SVNs of its launch and those
 * of what runs now; both are graded and the worse one counts, of two with one status the one of the older date. The status of the whole
 * is converged as Intel's verifier does (Intel SGX and TDX quote verification library, EvaluateTcb.cpp). Refusals: tdx.module for a
 * module that Intel does not list; tdx.qe for another enclave than Intel's; tdx.tcb where no level is reached, or one with a status
 * that is not known. NOT judged: which statuses are accepted.
 */
export function gradeTcb(facts: TcbFacts, info: TcbInfo, identity: QeIdentity): Result<TcbGrade> {
  const platforms: TcbLevelGrade[] = [];
  const modules: TcbLevelGrade[] = [];
  for (const teeTcbSvn of facts.teeTcbSvns) {
    const module = gradeModule(facts, teeTcbSvn, info);
    if (!module.ok) return module;
    const platform = gradePlatform(facts, teeTcbSvn, info);
    if (!platform.ok) return platform;
    platforms.push(platform.value);
    // A module without versions has no levels of its own: its SVN is one of the platform's.
    modules.push(module.value ?? platform.value);
  }
  const qe = gradeQe(facts, identity);
  if (!qe.ok) return qe;
  const platform = worst(platforms);
  const module = worst(modules);
  const all = [...platforms, ...modules, qe.value];
  const advisoryIds = [...new Set(all.flatMap((level) => level.advisoryIds))].sort();
  const status = convergedStatus(all.map((level) => level.status));
  return accept({ status, platform, module, qe: qe.value, advisoryIds });
}

/** undefined for a module of major version 0, which has no levels of its own. */
function gradeModule(facts: TcbFacts, teeTcbSvn: Buffer, info: TcbInfo): Result<TcbLevelGrade | undefined> {
  const [svn = 0, version = 0] = teeTcbSvn;
  if (version === 0) {
    return isModule(facts, info.module) ? accept(undefined) : reject('tdx.module', 'not a TDX module of Intel');
  }
  const id = `TDX_${version.toString(16).toUpperCase().padStart(2, '0')}`;
  const identity = info.modules.find((module) => module.id === id);
  if (identity === undefined) return reject('tdx.module', `Intel lists no TDX module ${id}`);
  if (!isModule(facts, identity)) return reject('tdx.module', `not the TDX module ${id} of Intel`);
  return reached(
    identity.levels.find(({ isvSvn }) => isvSvn <= svn),
    `TDX module ${id}`,
  );
}

/** Intel's own verifier demands zero attributes whatever the mask says, so both must hold. */
function isModule({ mrSignerSeam, seamAttributes }: TcbFacts, module: TdxModule): boolean {
  return (
    equalBytes(mrSignerSeam, module.mrSigner) &&
    seamAttributes.every((byte) => byte === 0) &&
    equalBytes(masked(seamAttributes, module.attributesMask), module.attributes)
  );
}

function gradeQe({ qe }: TcbFacts, identity: QeIdentity): Result<TcbLevelGrade> {
  const isIntels =
    equalBytes(qe.mrSigner, identity.mrSigner) &&
    qe.isvProdId === identity.isvProdId &&
    equalBytes(masked(qe.miscSelect, identity.miscSelectMask), identity.miscSelect) &&
    equalBytes(masked(qe.attributes, identity.attributesMask), identity.attributes);
  if (!isIntels) return reject('tdx.qe', 'the quoting enclave is not the one of Intel');
  return reached(
    identity.levels.find(({ isvSvn }) => isvSvn <= qe.isvSvn),
    'quoting enclave',
  );
}

function gradePlatform(facts: TcbFacts, teeTcbSvn: Buffer, info: TcbInfo): Result<TcbLevelGrade> {
  return reached(
    info.levels.find((level) => reaches(facts, teeTcbSvn, level)),
    'platform',
  );
}

/** The first two SVNs are the module's: with versions, they are graded by the levels of the module. */
function reaches({ sgxComponents, pceSvn }: TcbFacts, teeTcbSvn: Buffer, level: PlatformLevel): boolean {
  const skipped = (teeTcbSvn[1] ?? 0) > 0 ? 2 : 0;
  return (
    level.sgxComponents.every((least, index) => (sgxComponents[index] ?? -1) >= least) &&
    pceSvn >= level.pceSvn &&
    level.tdxComponents.every((least, index) => index < skipped || (teeTcbSvn[index] ?? -1) >= least)
  );
}

function reached(level: TcbVerdict | undefined, what: string): Result<TcbLevelGrade> {
  if (level === undefined) return reject('tdx.tcb', `${what}: Intel lists no TCB level as low as this`);
  const status = knownStatus(level.status);
  if (status === undefined) return reject('tdx.tcb', `${what}: a status of Intel's that is not known here`);
  return accept({ status, date: level.date, advisoryIds: level.advisoryIds });
}

function worst(levels: readonly TcbLevelGrade[]): TcbLevelGrade {
  return levels.reduce((bad, level) =>
    isWorse(level.status, bad.status) || (level.status === bad.status && level.date < bad.date) ? level : bad,
  );
}

function masked(bytes: Buffer, mask: Buffer): Buffer {
  return Buffer.from(bytes.map((byte, index) => byte & (mask[index] ?? 0)));
}
