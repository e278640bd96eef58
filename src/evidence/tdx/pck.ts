import { MalformedError } from '../../bytes/malformed-error.js';
import { DerReader, TAG } from '../../crypto/der.js';
import { derBoolean, derOid, derSmallUnsigned } from '../../crypto/der-values.js';
import type { Certificate } from '../../crypto/x509.js';
import { SGX_EXTENSION } from './constants.js';

const TCB_COMPONENTS = 16;
const MAX_MEMBERS = 32;

/** What Intel says of a platform in the PCK certificate of it. */
export interface PckPlatform {
  /** 16 bytes: the name of the processor package. */
  readonly ppid: Buffer;
  /** 16 SVNs, 0 to 255: the TCB that the PCK was derived for. */
  readonly components: readonly number[];
  readonly pceSvn: number;
  readonly cpuSvn: Buffer;
  /** 2 bytes. */
  readonly pceId: Buffer;
  /** 6 bytes: family, model, stepping, platform and custom SKU. */
  readonly fmspc: Buffer;
  readonly sgxType: 'standard' | 'scalable' | 'scalable-with-integrity';
  /** The rest is there for platforms of several packages only. */
  readonly platformInstanceId: Buffer | undefined;
  readonly dynamicPlatform: boolean | undefined;
  readonly cachedKeys: boolean | undefined;
  readonly smtEnabled: boolean | undefined;
}

const SGX_TYPES = ['standard', 'scalable', 'scalable-with-integrity'] as const;

const known = new WeakMap<Certificate, PckPlatform>();

/**
 * The SGX extension of a PCK certificate (Intel SGX PCK Certificate and CRL Profile Specification). Members that are not known are
 * passed over, none may stand there twice. Throws only MalformedError.
 */
export function pckPlatform(certificate: Certificate): PckPlatform {
  const before = known.get(certificate);
  if (before !== undefined) return before;
  const extension = certificate.extensions.get(SGX_EXTENSION);
  if (extension === undefined) throw new MalformedError('PCK certificate: without the SGX extension');
  const platform = parseSgxExtension(extension.value);
  known.set(certificate, platform);
  return platform;
}

function parseSgxExtension(value: Buffer): PckPlatform {
  const outer = new DerReader(value);
  const members = readMembers(outer.enter(TAG.sequence, 'SGX extension'), SGX_EXTENSION, 'SGX extension');
  outer.end('SGX extension');
  const tcb = readMembers(enter(members, '2', 'TCB'), `${SGX_EXTENSION}.2`, 'TCB');
  const configuration = members.has('7')
    ? readMembers(enter(members, '7', 'Configuration'), `${SGX_EXTENSION}.7`, 'Configuration')
    : new Map<string, Member>();
  const sgxType = SGX_TYPES[derSmallUnsigned(content(members, '5', TAG.enumerated, 'SGX Type'), 'SGX Type')];
  if (sgxType === undefined) throw new MalformedError('SGX Type: not known');
  const flag = (name: string, field: string) =>
    configuration.has(name) ? derBoolean(content(configuration, name, TAG.boolean, field), field) : undefined;
  return {
    ppid: octets(members, '1', 16, 'PPID'),
    components: Array.from({ length: TCB_COMPONENTS }, (_, index) => svn(tcb, String(index + 1), 0xff)),
    pceSvn: svn(tcb, '17', 0xffff),
    cpuSvn: octets(tcb, '18', 16, 'CPUSVN'),
    pceId: octets(members, '3', 2, 'PCE-ID'),
    fmspc: octets(members, '4', 6, 'FMSPC'),
    sgxType,
    platformInstanceId: members.has('6') ? octets(members, '6', 16, 'Platform Instance ID') : undefined,
    dynamicPlatform: flag('1', 'Dynamic Platform'),
    cachedKeys: flag('2', 'Cached Keys'),
    smtEnabled: flag('3', 'SMT Enabled'),
  };
}

/** A value, and the reader that stands before it. */
type Member = DerReader;

/** SEQUENCE OF SEQUENCE { OID, value }, by what stands behind `prefix` in the OID. */
function readMembers(list: DerReader, prefix: string, field: string): ReadonlyMap<string, Member> {
  const members = new Map<string, Member>();
  while (list.more) {
    if (members.size === MAX_MEMBERS) throw new MalformedError(`${field}: too many members`);
    const member = list.enter(TAG.sequence, field);
    const oid = derOid(member.content(TAG.oid, field), field);
    if (!oid.startsWith(`${prefix}.`)) throw new MalformedError(`${field}: a member of another kind`);
    const name = oid.slice(prefix.length + 1);
    if (members.has(name)) throw new MalformedError(`${field}: a member stands there twice`);
    members.set(name, member);
  }
  return members;
}

function content(members: ReadonlyMap<string, Member>, name: string, tag: number, field: string): Buffer {
  const member = members.get(name);
  if (member === undefined) throw new MalformedError(`${field}: missing`);
  const bytes = member.content(tag, field);
  member.end(field);
  return bytes;
}

function enter(members: ReadonlyMap<string, Member>, name: string, field: string): DerReader {
  const member = members.get(name);
  if (member === undefined) throw new MalformedError(`${field}: missing`);
  const inner = member.enter(TAG.sequence, field);
  member.end(field);
  return inner;
}

function octets(members: ReadonlyMap<string, Member>, name: string, length: number, field: string): Buffer {
  const bytes = content(members, name, TAG.octetString, field);
  if (bytes.length !== length) throw new MalformedError(`${field}: not ${String(length)} bytes`);
  return bytes;
}

function svn(members: ReadonlyMap<string, Member>, name: string, max: number): number {
  const number = derSmallUnsigned(content(members, name, TAG.integer, 'SVN'), 'SVN');
  if (number > max) throw new MalformedError('SVN: too large');
  return number;
}
