import {
  TCB_COMPONENTS,
  TCB_EXTENSION,
  TCB_LAYOUT,
  TCB_RESERVED_EXTENSIONS,
  VEK_EXTENSION,
  VEK_NAMES,
} from '../evidence/snp/constants.js';
import type { SigningKey, TcbComponent } from '../evidence/snp/constants.js';
import { type CertificateDraft, extension, issueCertificate, simulatorName } from './certificate.js';
import { ia5String, integer } from './der.js';
import type { SimulatedGeneration, SimulatedMakers } from './makers.js';

/** Security version numbers of the parts of a TCB, 0 to 255; what is left out is 0. */
export type SimulatedTcb = Readonly<Partial<Record<TcbComponent, number>>>;

/** What AMD's key distribution says of a VCEK or VLEK. */
export interface VekDraft {
  readonly generation: SimulatedGeneration;
  /** SubjectPublicKeyInfo of the signing key, DER. */
  readonly spki: Buffer;
  readonly kind: SigningKey;
  readonly tcb: SimulatedTcb;
  /** Of a VCEK: 64 bytes, of Turin 8. */
  readonly hwId?: Buffer;
  /** Of a VLEK: `CN=cc-us-east-2.amazonaws.com`. */
  readonly cspId?: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Default 0, as AMD's all have. */
  readonly serial?: bigint;
  /** Default: the generation, as AMD's VLEKs have it. */
  readonly productName?: string;
}

/** The certificate (DER) of a VCEK by the ASK, or of a VLEK by the ASVK, of the simulated AMD: `issueVek(makers.amd.Milan, …)`. */
export function issueVek(cas: SimulatedMakers['amd'][SimulatedGeneration], draft: VekDraft): Buffer {
  return issueCertificate(draft.kind === 'VCEK' ? cas.ask : cas.asvk, vekDraft(draft));
}

/** The same, not yet issued: for certificates of which something else is wrong. */
export function vekDraft(draft: VekDraft): CertificateDraft {
  const { spki, serial = 0n, notBeforeMs, notAfterMs } = draft;
  const subject = simulatorName(VEK_NAMES[draft.kind].subject);
  return { subject, spki, serial, notBeforeMs, notAfterMs, extensions: vekExtensions(draft) };
}

/** As in genuine certificates: numbers and names in DER, the hwID as it is. */
function vekExtensions({ generation, tcb, hwId, cspId, productName = generation }: VekDraft): readonly Buffer[] {
  const parts = TCB_COMPONENTS.filter((component) => TCB_LAYOUT[generation].includes(component));
  const reserved = generation === 'Turin' ? TCB_RESERVED_EXTENSIONS.slice(1) : TCB_RESERVED_EXTENSIONS;
  return [
    extension(VEK_EXTENSION.structVersion, false, integer(generation === 'Turin' ? 1 : 0)),
    extension(VEK_EXTENSION.productName, false, ia5String(productName)),
    ...parts.map((part) => extension(TCB_EXTENSION[part], false, integer(tcb[part] ?? 0))),
    ...reserved.map((oid) => extension(oid, false, integer(0))),
    ...(hwId === undefined ? [] : [extension(VEK_EXTENSION.hwId, false, hwId)]),
    ...(cspId === undefined ? [] : [extension(VEK_EXTENSION.cspId, false, ia5String(cspId))]),
  ];
}
