import { toBase64url } from '../../bytes/base64url.js';
import { parseJson } from '../../bytes/json.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import type { Evidence, EvidenceMember } from '../../evidence/evidence.js';
import type { ExplainedSection } from '../../evidence/explained.js';
import { explainGpu } from '../../evidence/gpu/explain.js';
import type { HclEvidence } from '../../evidence/hcl/evidence.js';
import { explainHcl } from '../../evidence/hcl/explain.js';
import { hardwareOf, parseHclFrame, parseHclReport } from '../../evidence/hcl/report.js';
import { decodeEvidence } from '../../evidence/presented.js';
import { explainSnp } from '../../evidence/snp/explain.js';
import { explainTdx } from '../../evidence/tdx/explain.js';
import { explainAttest, explainTpm } from '../../evidence/tpm/explain.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { nvidiaList, recognise } from './blob.js';
import { evidenceMember } from './evidence-file.js';
import { NO_CONDITIONS, verifyEvidenceOffline, type Verdict } from './evidence-verify.js';
import { explainToken } from './token-explain.js';

/** What a file of evidence says, field by field, and what `evidence verify` says of it under the safe defaults. */
export interface Explanation {
  /** What the file seems to be. */
  readonly seems: string;
  readonly sections: readonly ExplainedSection[];
  readonly verdict: Verdict;
  /** Where it is one piece alone: the JSON in which it can be verified together with what belongs to it. */
  readonly alone?: string;
  /** Where it is a list of NVIDIA's tools: the same devices as `evidence verify` takes them. */
  readonly evidence?: EvidenceMember;
}

/**
 * Explains evidence for a person: the JSON of an `evidence` member or of a release request, a list of NVIDIA's tools, or one report or
 * quote alone. evidence.malformed and request.malformed where it is none of these, or JSON that is broken; whatever is wrong within is
 * said in its place.
 */
export function explainEvidence(bytes: Buffer, trust: HardwareTrust): Result<Explanation> {
  const json = jsonOf(bytes);
  if (json === undefined) return explainBlob(bytes, trust);
  if (!json.ok) return json;
  const list = nvidiaList(json.value);
  if (list !== undefined) {
    const seems = 'a list of devices as the tools of NVIDIA write it';
    const verdict = verifyEvidenceOffline(list, trust, NO_CONDITIONS);
    return accept({ seems, sections: sectionsOf(list), verdict, evidence: memberOf(list) });
  }
  const member = evidenceMember(json.value);
  if (!member.ok) return member;
  const evidence = decodeEvidence(member.value);
  const verdict = evidence.ok ? verifyEvidenceOffline(evidence.value, trust, NO_CONDITIONS) : evidence;
  const sections = evidence.ok ? sectionsOf(evidence.value) : sectionsOfParts(member.value);
  return accept({ seems: 'evidence as a release request has it', sections, verdict });
}

function explainBlob(bytes: Buffer, trust: HardwareTrust): Result<Explanation> {
  const blob = recognise(bytes);
  if (blob === undefined) {
    return reject(
      'evidence.malformed',
      'neither the JSON of evidence, nor an SEV-SNP report, a TDX quote, an HCL report, a measurement report of a GPU or a TPM quote',
    );
  }
  const { seems, evidence, alone } = blob;
  if (evidence === undefined) {
    const sections = [{ title: 'TPM quote (TPMS_ATTEST)', fields: explainAttest(blob.bytes) }];
    const why = 'a quote proves nothing without its signature, its AK and its PCR values';
    return accept({ seems, alone, sections, verdict: reject('evidence.malformed', why) });
  }
  const verdict = verifyEvidenceOffline(evidence, trust, NO_CONDITIONS);
  return accept({ seems, alone, sections: sectionsOf(evidence), verdict });
}

function memberOf({ gpus }: Evidence): EvidenceMember {
  return {
    gpus: gpus.map(({ report, certificates }) => {
      return { report: toBase64url(report), certificates: certificates.map((der) => toBase64url(der)) };
    }),
  };
}

/** undefined: it is none, and not meant to be. */
function jsonOf(bytes: Buffer): Result<unknown> | undefined {
  const first = /\S/.exec(bytes.subarray(0, 1024).toString('latin1'))?.[0];
  if (first !== '{' && first !== '[') return undefined;
  try {
    return accept(parseJson(bytes));
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    return reject('request.malformed', `it begins like JSON, and is none: ${error.message}`);
  }
}

function sectionsOf({ tpm, hcl, snp, tdx, gpus, tokens }: Evidence): readonly ExplainedSection[] {
  return [
    ...(hcl === undefined ? [] : hclSections(hcl)),
    ...(snp === undefined ? [] : section('SEV-SNP report', snp.report, () => explainSnp(snp))),
    ...(tdx === undefined ? [] : section('TDX quote', tdx.quote, () => explainTdx(tdx))),
    ...(tpm === undefined ? [] : explainTpm(tpm, hcl === undefined ? undefined : runtimeAk(hcl))),
    ...gpus.flatMap((gpu, i) => section(`Device ${String(i)}`, gpu.report, () => explainGpu(gpu, i))),
    ...tokens.map(explainToken),
  ];
}

/** The HCL report, and the hardware report that it holds or that is beside it. */
function hclSections(hcl: HclEvidence): readonly ExplainedSection[] {
  const { report, certificates, quote } = hcl;
  const inside = attempt(() => hardwareOf(parseHclFrame(report)));
  return [
    ...section('HCL report', report, () => explainHcl(hcl)),
    ...(inside?.kind === 'snp'
      ? section('SEV-SNP report', inside.report, () => explainSnp({ report: inside.report, certificates }))
      : []),
    ...(quote === undefined ? [] : section('TDX quote', quote, () => explainTdx({ quote }))),
  ];
}

function runtimeAk({ report }: HclEvidence): Buffer | undefined {
  return attempt(() => parseHclReport(report).akSpki);
}

/** Where all of it does not decode, the pieces that do, and what is wrong with the others. */
function sectionsOfParts({ tpm, hcl, snp, tdx, gpus = [], tokens = [] }: EvidenceMember): readonly ExplainedSection[] {
  const parts: readonly (readonly [string, EvidenceMember])[] = [
    ...(isThere(hcl) ? [['evidence.hcl', { hcl }] as const] : []),
    ...(isThere(snp) ? [['evidence.snp', { snp }] as const] : []),
    ...(isThere(tdx) ? [['evidence.tdx', { tdx }] as const] : []),
    ...(isThere(tpm) ? [['evidence.tpm', { tpm }] as const] : []),
    ...gpus.map((gpu, i) => [`evidence.gpus/${String(i)}`, { gpus: [gpu] }] as const),
    ...tokens.map((token, i) => [`evidence.tokens/${String(i)}`, { tokens: [token] }] as const),
  ];
  return parts.flatMap(([title, part]) => {
    const decoded = decodeEvidence(part);
    if (decoded.ok) return sectionsOf(decoded.value);
    return [{ title, fields: [{ name: 'structure', value: 'does not decode', note: decoded.detail, wrong: true }] }];
  });
}

/** Empty members count as absent. */
function isThere<T extends object>(member: T | undefined): member is T {
  return member !== undefined && Object.keys(member).length > 0;
}

function section(
  title: string,
  bytes: Buffer,
  explain: () => readonly ExplainedSection[],
): readonly ExplainedSection[] {
  try {
    return explain();
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    const value = `${String(bytes.length)} bytes`;
    return [{ title, fields: [{ name: 'structure', value, note: error.message, wrong: true }] }];
  }
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}
