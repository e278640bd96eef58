import { SGX_EXTENSION, PCK_COMMON_NAME } from '../evidence/tdx/constants.js';
import { extension, issueCertificate, type SimulatedIssuer, signingUsage, simulatorName } from './certificate.js';
import { boolean, enumerated, integer, octetString, oid, sequence } from './der.js';

/** What a simulated platform is called by its TCB info (FMSPC), 6 bytes; no genuine platform has it. */
export const SIMULATED_FMSPC = Buffer.from('50434c000001', 'hex');
/** 16 SVNs, and that of the PCE, of a simulated platform whose TCB is up to date. */
export const SIMULATED_COMPONENTS: readonly number[] = [5, 5, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0];
export const SIMULATED_PCE_SVN = 13;

const NOT_BEFORE_MS = Date.UTC(2020, 0, 1);
const NOT_AFTER_MS = Date.UTC(2099, 0, 1);

/** What differs from one PCK certificate to the next; all but the key and the PPID have defaults. */
export interface PckDraft {
  /** SubjectPublicKeyInfo of the PCK, DER; P-256. */
  readonly spki: Buffer;
  /** 16 bytes: names the processor package. */
  readonly ppid: Buffer;
  /** 6 bytes. */
  readonly fmspc?: Buffer;
  /** 16 SVNs, 0 to 255. */
  readonly components?: readonly number[];
  readonly pceSvn?: number;
  /** 2 bytes. */
  readonly pceId?: Buffer;
  readonly smtEnabled?: boolean;
  readonly commonName?: string;
  /** Positive, at most 20 bytes; follows from the PPID unless given. */
  readonly serial?: bigint;
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
}

/** The serial of a PCK certificate that was not given one. */
export function pckSerial(ppid: Buffer): bigint {
  return BigInt(`0x01${ppid.toString('hex')}`);
}

/** Issues a PCK certificate (DER) with the genuine SGX extension, as for a platform of several packages. */
export function issuePck({ pckCa }: { readonly pckCa: SimulatedIssuer }, draft: PckDraft): Buffer {
  return issueCertificate(pckCa, {
    subject: simulatorName(draft.commonName ?? PCK_COMMON_NAME),
    spki: draft.spki,
    serial: draft.serial ?? pckSerial(draft.ppid),
    notBeforeMs: draft.notBeforeMs ?? NOT_BEFORE_MS,
    notAfterMs: draft.notAfterMs ?? NOT_AFTER_MS,
    extensions: [signingUsage(), extension(SGX_EXTENSION, false, sgxExtension(draft))],
  });
}

function sgxExtension(draft: PckDraft): Buffer {
  const components = draft.components ?? SIMULATED_COMPONENTS;
  const member = (id: string, value: Buffer) => sequence(oid(`${SGX_EXTENSION}.${id}`), value);
  return sequence(
    member('1', octetString(draft.ppid)),
    member(
      '2',
      sequence(
        ...components.map((svn, index) => member(`2.${String(index + 1)}`, integer(svn))),
        member('2.17', integer(draft.pceSvn ?? SIMULATED_PCE_SVN)),
        member('2.18', octetString(Buffer.from(components))),
      ),
    ),
    member('3', octetString(draft.pceId ?? Buffer.alloc(2))),
    member('4', octetString(draft.fmspc ?? SIMULATED_FMSPC)),
    member('5', enumerated(1)),
    member('6', octetString(Buffer.from(draft.ppid).reverse())),
    member(
      '7',
      sequence(
        member('7.1', boolean(true)),
        member('7.2', boolean(true)),
        member('7.3', boolean(draft.smtEnabled ?? true)),
      ),
    ),
  );
}
