import { MalformedError } from '../../bytes/malformed-error.js';
import { dateOf, hexOf, numberOf, objectOf } from './document-values.js';
import { type IsvLevel, readLevels } from './tcb-level.js';

const VERSION = 2;

/** What Intel's quoting enclave for trust domains looks like. Who signed it is not said here. */
export interface QeIdentity {
  readonly issuedAtMs: number;
  /** Good up to here, inclusive. */
  readonly nextUpdateMs: number;
  readonly evaluationDataNumber: number;
  /** 4 bytes each, written in the order in which they stand in an enclave's report; masked values must be equal. */
  readonly miscSelect: Buffer;
  readonly miscSelectMask: Buffer;
  /** 16 bytes each. */
  readonly attributes: Buffer;
  readonly attributesMask: Buffer;
  /** 32 bytes. */
  readonly mrSigner: Buffer;
  readonly isvProdId: number;
  /** The newest first, as in the document. */
  readonly levels: readonly IsvLevel[];
}

/** Parses the inner object of an enclave identity of Intel's PCS, version 2, for the TD quoting enclave. Throws only MalformedError. */
export function parseQeIdentity(value: unknown): QeIdentity {
  const identity = objectOf(value, 'enclaveIdentity');
  if (identity['id'] !== 'TD_QE') throw new MalformedError('enclaveIdentity.id: not TD_QE');
  if (identity['version'] !== VERSION) throw new MalformedError('enclaveIdentity.version: not 2');
  const field = (name: string) => `enclaveIdentity.${name}`;
  const hex = (name: string, bytes: number) => hexOf(identity[name], bytes, field(name));
  const number = (name: string, max: number) => numberOf(identity[name], max, field(name));
  return {
    issuedAtMs: dateOf(identity['issueDate'], field('issueDate')),
    nextUpdateMs: dateOf(identity['nextUpdate'], field('nextUpdate')),
    evaluationDataNumber: number('tcbEvaluationDataNumber', 0xffffffff),
    miscSelect: hex('miscselect', 4),
    miscSelectMask: hex('miscselectMask', 4),
    attributes: hex('attributes', 16),
    attributesMask: hex('attributesMask', 16),
    mrSigner: hex('mrsigner', 32),
    isvProdId: number('isvprodid', 0xffff),
    levels: readLevels(identity['tcbLevels'], field('tcbLevels'), (tcb) => ({
      isvSvn: numberOf(tcb['isvsvn'], 0xffff, field('isvsvn')),
    })),
  };
}
