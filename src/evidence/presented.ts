import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Rejection, type Result } from '../reason/reason.js';
import { type Evidence, type EvidenceMember, MAX_GPUS, MAX_TOKENS } from './evidence.js';
import type { GpuEvidence } from './gpu/evidence.js';
import type { HclEvidence } from './hcl/evidence.js';
import { parseHclReport } from './hcl/report.js';
import type { TpmEvidence } from './tpm/evidence.js';

/**
 * Decodes the bytes of evidence; but for the AK that an HCL report names nothing is parsed, and nothing verified yet. The
 * event log is accepted and yields no claims. Refusals: request.malformed (not canonical base64url), evidence.malformed (a
 * member without its report or quote, TPM evidence with neither an AK nor anything that names one, none at all).
 */
export function decodeEvidence(member: EvidenceMember): Result<Evidence> {
  try {
    const hcl = decodeHcl(member.hcl);
    const evidence: Evidence = {
      tpm: decodeTpm(member.tpm, hcl),
      hcl,
      snp: decodeReport(member.snp, 'evidence.snp'),
      tdx: decodeTdx(member.tdx),
      gpus: decodeGpus(member.gpus ?? []),
      tokens: decodeTokens(member.tokens ?? []),
    };
    const { tpm, snp, tdx } = evidence;
    if (
      tpm === undefined &&
      hcl === undefined &&
      snp === undefined &&
      tdx === undefined &&
      evidence.gpus.length === 0
    ) {
      return evidence.tokens.length > 0
        ? accept(evidence)
        : reject('evidence.malformed', 'there is no evidence: send a TPM quote, or the report of a confidential VM');
    }
    return accept(evidence);
  } catch (error) {
    if (error instanceof MissingError) return error.refusal;
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

/** A part without which the others say nothing. */
class MissingError extends Error {
  readonly refusal: Rejection;

  constructor(detail: string) {
    super(detail);
    this.refusal = reject('evidence.malformed', detail);
  }
}

function decodeTpm(tpm: EvidenceMember['tpm'], hcl: HclEvidence | undefined): TpmEvidence | undefined {
  if (tpm === undefined) return undefined;
  const { ak, ak_certificates: certificates = [] } = tpm;
  const named = ak !== undefined || certificates.length > 0 || hcl === undefined ? undefined : akOf(hcl);
  if (ak === undefined && certificates.length === 0 && named === undefined) {
    throw new MissingError(
      'evidence.tpm.ak is missing: send the public area of the AK, its certificate in ak_certificates, or an HCL report that names it',
    );
  }
  return {
    quoted: bytes(tpm.quoted, 'evidence.tpm.quoted'),
    signature: bytes(tpm.signature, 'evidence.tpm.signature'),
    ak: ak === undefined ? undefined : bytes(ak, 'evidence.tpm.ak'),
    pcrs: tpm.pcrs,
    akCertificates: list(certificates, 'evidence.tpm.ak_certificates'),
    ...(named === undefined ? {} : { namedSpki: named }),
  };
}

/** What the HCL report says the AK is; whether that is so is for whoever verifies it. */
function akOf({ report }: HclEvidence): Buffer | undefined {
  try {
    return parseHclReport(report).akSpki;
  } catch (error) {
    if (error instanceof MalformedError) throw new MissingError(`evidence.hcl.report: ${error.message}`);
    throw error;
  }
}

function decodeHcl(hcl: EvidenceMember['hcl']): HclEvidence | undefined {
  const decoded = decodeReport(hcl, 'evidence.hcl');
  if (decoded === undefined) return undefined;
  return { ...decoded, quote: hcl?.quote === undefined ? undefined : bytes(hcl.quote, 'evidence.hcl.quote') };
}

function decodeTdx(tdx: EvidenceMember['tdx']): { readonly quote: Buffer } | undefined {
  if (tdx === undefined || Object.keys(tdx).length === 0) return undefined;
  if (tdx.quote === undefined) throw new MissingError('evidence.tdx.quote is missing');
  return { quote: bytes(tdx.quote, 'evidence.tdx.quote') };
}

function decodeGpus(gpus: NonNullable<EvidenceMember['gpus']>): readonly GpuEvidence[] {
  if (gpus.length > MAX_GPUS) throw new MissingError(`evidence.gpus: more than ${String(MAX_GPUS)} devices`);
  return gpus.map((gpu, at) => {
    const decoded = decodeReport(gpu, `evidence.gpus/${String(at)}`);
    if (decoded === undefined) throw new MissingError(`evidence.gpus/${String(at)}.report is missing`);
    return decoded;
  });
}

function decodeTokens(tokens: NonNullable<EvidenceMember['tokens']>): readonly string[] {
  if (tokens.length > MAX_TOKENS) throw new MissingError(`evidence.tokens: more than ${String(MAX_TOKENS)} tokens`);
  return tokens.map((token, at) => {
    if (typeof token !== 'string') throw new MissingError(`evidence.tokens/${String(at)}: not a compact JWT`);
    return token;
  });
}

interface ReportMember {
  readonly report?: string;
  readonly certificates?: readonly string[];
}

function decodeReport(
  member: ReportMember | undefined,
  at: string,
): { readonly report: Buffer; readonly certificates: readonly Buffer[] } | undefined {
  if (member === undefined || Object.keys(member).length === 0) return undefined;
  if (member.report === undefined) throw new MissingError(`${at}.report is missing`);
  return {
    report: bytes(member.report, `${at}.report`),
    certificates: list(member.certificates ?? [], `${at}.certificates`),
  };
}

function list(texts: readonly string[], at: string): readonly Buffer[] {
  return texts.map((text, index) => bytes(text, `${at}/${String(index)}`));
}

function bytes(text: string, at: string): Buffer {
  return fromBase64url(text, at);
}
