import { parseJson } from '../../bytes/json.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import type { Evidence, EvidenceMember } from '../../evidence/evidence.js';
import { decodeEvidence } from '../../evidence/presented.js';
import { ReleaseRequestSchema } from '../../http/native/schemas.js';
import { validator } from '../../policy/validate.js';
import { reject, type Result } from '../../reason/reason.js';

/** A machine with sixteen devices and an event log is far below. */
export const MAX_EVIDENCE_BYTES = 4 * 1024 * 1024;

const ASK_EXPLAIN = '`portcullis evidence explain FILE` says what it is, and how `evidence verify` takes it';

const validateMember = validator<EvidenceMember>(ReleaseRequestSchema.properties.evidence);

/**
 * The `evidence` member in parsed JSON: the member alone, or a whole release request that has it. The shape is the one of the
 * broker's route. request.malformed: of another shape.
 */
export function evidenceMember(json: unknown): Result<EvidenceMember> {
  return validateMember(isObject(json) && Object.hasOwn(json, 'evidence') ? json['evidence'] : json);
}

/** The same from a file, decoded: request.malformed also where it is no JSON; refusals of `decodeEvidence` too. */
export function decodeEvidenceFile(bytes: Buffer): Result<Evidence> {
  let json: unknown;
  try {
    json = parseJson(bytes);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('request.malformed', `${error.message}; ${ASK_EXPLAIN}`);
  }
  if (Array.isArray(json)) return reject('request.malformed', `a list is no \`evidence\` member; ${ASK_EXPLAIN}`);
  const member = evidenceMember(json);
  return member.ok ? decodeEvidence(member.value) : member;
}

/** Evidence without any piece. */
export const NO_EVIDENCE: Evidence = {
  tpm: undefined,
  hcl: undefined,
  snp: undefined,
  tdx: undefined,
  gpus: [],
  tokens: [],
};

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
