import { MalformedError } from '../../bytes/malformed-error.js';
import { dateOf, hexOf, listOf, numberOf, objectOf, textOf } from './document-values.js';
import { type IsvLevel, readLevels, type TcbVerdict } from './tcb-level.js';

const COMPONENTS = 16;
const MAX_MODULES = 64;
const VERSION = 3;
/** The only composition of a TCB that is known. */
const TCB_TYPE = 0;

/** What a TDX module of Intel's looks like in a TD report. */
export interface TdxModule {
  /** 48 bytes. */
  readonly mrSigner: Buffer;
  /** 8 bytes each; `attributes` is what the masked attributes must be. */
  readonly attributes: Buffer;
  readonly attributesMask: Buffer;
}

/** A TDX module by its major version. */
export interface TdxModuleIdentity extends TdxModule {
  /** `TDX_` and the version in two hex digits, upper case. */
  readonly id: string;
  readonly levels: readonly IsvLevel[];
}

/** A level of a platform: the lowest SVNs of it. */
export interface PlatformLevel extends TcbVerdict {
  /** 16 each. */
  readonly sgxComponents: readonly number[];
  readonly tdxComponents: readonly number[];
  readonly pceSvn: number;
}

/** TCB info for TDX, version 3, parsed. Who signed it is not said here. */
export interface TcbInfo {
  readonly issuedAtMs: number;
  /** Good up to here, inclusive. */
  readonly nextUpdateMs: number;
  /** 6 bytes. */
  readonly fmspc: Buffer;
  /** 2 bytes. */
  readonly pceId: Buffer;
  /** Orders collateral: the higher, the more is accounted for. */
  readonly evaluationDataNumber: number;
  readonly module: TdxModule;
  readonly modules: readonly TdxModuleIdentity[];
  /** The newest first, as in the document. */
  readonly levels: readonly PlatformLevel[];
}

/**
 * Parses the inner object of a TCB info of Intel's PCS, version 3, for TDX. Members that are not known are passed over, since Intel
 * signs them. Throws only MalformedError, also for a TCB info of SGX.
 */
export function parseTcbInfo(value: unknown): TcbInfo {
  const info = objectOf(value, 'tcbInfo');
  if (info['id'] !== 'TDX') throw new MalformedError('tcbInfo.id: not TDX');
  if (info['version'] !== VERSION) throw new MalformedError('tcbInfo.version: not 3');
  if (info['tcbType'] !== TCB_TYPE) throw new MalformedError('tcbInfo.tcbType: not 0');
  const modules = info['tdxModuleIdentities'];
  const parsed = modules === undefined ? [] : listOf(modules, MAX_MODULES, 'tcbInfo.tdxModuleIdentities', readIdentity);
  if (new Set(parsed.map(({ id }) => id)).size !== parsed.length) {
    throw new MalformedError('tcbInfo.tdxModuleIdentities: a module stands there twice');
  }
  return {
    issuedAtMs: dateOf(info['issueDate'], 'tcbInfo.issueDate'),
    nextUpdateMs: dateOf(info['nextUpdate'], 'tcbInfo.nextUpdate'),
    fmspc: hexOf(info['fmspc'], 6, 'tcbInfo.fmspc'),
    pceId: hexOf(info['pceId'], 2, 'tcbInfo.pceId'),
    evaluationDataNumber: numberOf(info['tcbEvaluationDataNumber'], 0xffffffff, 'tcbInfo.tcbEvaluationDataNumber'),
    module: readModule(info['tdxModule'], 'tcbInfo.tdxModule'),
    modules: parsed,
    levels: readLevels(info['tcbLevels'], 'tcbInfo.tcbLevels', (tcb) => ({
      sgxComponents: readComponents(tcb['sgxtcbcomponents'], 'sgxtcbcomponents'),
      tdxComponents: readComponents(tcb['tdxtcbcomponents'], 'tdxtcbcomponents'),
      pceSvn: numberOf(tcb['pcesvn'], 0xffff, 'pcesvn'),
    })),
  };
}

function readModule(value: unknown, field: string): TdxModule {
  const module = objectOf(value, field);
  return {
    mrSigner: hexOf(module['mrsigner'], 48, `${field}.mrsigner`),
    attributes: hexOf(module['attributes'], 8, `${field}.attributes`),
    attributesMask: hexOf(module['attributesMask'], 8, `${field}.attributesMask`),
  };
}

function readIdentity(value: unknown): TdxModuleIdentity {
  const field = 'tcbInfo.tdxModuleIdentities';
  const identity = objectOf(value, field);
  return {
    ...readModule(identity, field),
    id: textOf(identity['id'], 16, `${field}.id`).toUpperCase(),
    levels: readLevels(identity['tcbLevels'], `${field}.tcbLevels`, (tcb) => ({
      isvSvn: numberOf(tcb['isvsvn'], 0xffff, `${field}.isvsvn`),
    })),
  };
}

function readComponents(value: unknown, field: string): readonly number[] {
  const components = listOf(value, COMPONENTS, field, (item) => numberOf(objectOf(item, field)['svn'], 0xff, field));
  if (components.length !== COMPONENTS) throw new MalformedError(`${field}: not ${String(COMPONENTS)}`);
  return components;
}
