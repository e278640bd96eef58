import { MalformedError } from '../../bytes/malformed-error.js';
import type { ClaimTree } from '../../claims/claims.js';
import type { HardwareTrust } from '../../endorsement/collateral.js';
import { pathIdentities, type RevocableIdentity } from '../../endorsement/identity.js';
import { gradeTcb, type TcbGrade } from '../../endorsement/intel/grade.js';
import { currentQeIdentity, currentTcbInfo } from '../../endorsement/intel/signed-documents.js';
import type { TcbStatus } from '../../endorsement/intel/tcb-status.js';
import { accept, reject, type Result } from '../../reason/reason.js';
import { type GradedTcb, tdxClaims } from './claims.js';
import type { TdxEvidence, TdxRules } from './evidence.js';
import { type VerifiedPck, verifyPckChain } from './pck-chain.js';
import { verifyQuoteSignature, verifyQuotingEnclave } from './qe.js';
import { parseTdxQuote, type TdReportBody, type TdxQuote, UnsupportedQuoteError } from './quote.js';
import { judgeTrustDomain } from './td-rules.js';

/** A quote that Intel's roots vouch for, on a platform that Intel grades as the rules want it. Only verifyTdx makes one. */
export interface VerifiedTdx {
  readonly quote: TdxQuote;
  /** The members below `tdx`. */
  readonly claims: ClaimTree;
  /** `chip/<PPID>`, and what the PCK certificate hangs on. */
  readonly identities: readonly RevocableIdentity[];
}

/** What the caller demands of a TD report. It is genuine; how Intel grades its platform, nobody has asked yet. */
export type TdReportCheck = (body: TdReportBody) => Result<undefined>;

/**
 * Verifies a TDX quote: structure; PCK chain; quoting enclave and attestation key; signature; attributes and service TDs; what `check`
 * demands, by default nothing; then, with Intel's collateral, revocation, TCB info and QE identity, which must all be there and
 * current, and the grade of the platform. What the quote itself says comes first, so that a splice is never told to try again.
 * NOT verified: report data, MRTD, RTMRs and all else that only the caller can know the right value of; they are claims. Refusals, in
 * this order: evidence.malformed, tdx.version; tdx.chain; tdx.qe; tdx.signature; tdx.debug, tdx.attributes, tdx.service_td; those of
 * `check`; collateral.unavailable; tdx.module, tdx.qe (not the one of Intel), tdx.tcb.
 */
export function verifyTdx(
  evidence: TdxEvidence,
  trust: HardwareTrust,
  rules: TdxRules,
  check: TdReportCheck = () => accept(undefined),
): Result<VerifiedTdx> {
  const parsed = parse(evidence);
  if (!parsed.ok) return parsed;
  const quote = parsed.value;
  const chain = verifyPckChain(quote.certificates, trust);
  if (!chain.ok) return chain;
  const pck = chain.value;
  const enclave = verifyQuotingEnclave(quote, pck.key);
  if (!enclave.ok) return enclave;
  const signature = verifyQuoteSignature(quote, pck.key);
  if (!signature.ok) return signature;
  const domain = judgeTrustDomain(quote.body, rules);
  if (!domain.ok) return domain;
  const checked = check(quote.body);
  if (!checked.ok) return checked;
  if (pck.unknown !== undefined) return pck.unknown;
  const tcb = grade(quote, pck, trust);
  if (!tcb.ok) return tcb;
  const accepted = acceptedStatus(tcb.value.grade, rules);
  if (!accepted.ok) return accepted;
  const claims = tdxClaims(quote, pck.platform, tcb.value);
  return accept({
    quote,
    claims,
    identities: [`chip/${pck.platform.ppid.toString('hex')}`, ...pathIdentities(pck.path)],
  });
}

function parse({ quote }: TdxEvidence): Result<TdxQuote> {
  try {
    return accept(parseTdxQuote(quote));
  } catch (error) {
    if (error instanceof UnsupportedQuoteError) return reject('tdx.version', error.message);
    if (error instanceof MalformedError) return reject('evidence.malformed', `TDX quote: ${error.message}`);
    throw error;
  }
}

function grade({ body, qeReport }: TdxQuote, pck: VerifiedPck, trust: HardwareTrust): Result<GradedTcb> {
  const { platform, path } = pck;
  const info = currentTcbInfo(trust, { fmspc: platform.fmspc, pceId: platform.pceId, anchor: path.anchor });
  if (!info.ok) return info;
  const identity = currentQeIdentity(trust, path.anchor);
  if (!identity.ok) return identity;
  const { teeTcbSvn, teeTcbSvn2, mrSignerSeam, seamAttributes } = body;
  const graded = gradeTcb(
    {
      sgxComponents: platform.components,
      pceSvn: platform.pceSvn,
      teeTcbSvns: teeTcbSvn2 === undefined ? [teeTcbSvn] : [teeTcbSvn, teeTcbSvn2],
      mrSignerSeam,
      seamAttributes,
      qe: qeReport,
    },
    info.value,
    identity.value,
  );
  if (!graded.ok) return graded;
  return accept({ grade: graded.value, info: info.value, identity: identity.value });
}

/**
 * The status of the whole and of each of the three must be accepted: the order of statuses is a convention, so that a rule that takes
 * OutOfDate has not taken ConfigurationNeeded, and one that takes either has not taken both at once. Revoked is never accepted.
 */
function acceptedStatus({ status, platform, module, qe }: TcbGrade, { tcbStatus }: TdxRules): Result<undefined> {
  const isAccepted = (one: TcbStatus) => one !== 'Revoked' && tcbStatus.includes(one);
  const parts = [
    { part: 'platform', claim: 'platform_status', level: platform },
    { part: 'TDX module', claim: 'module_status', level: module },
    { part: 'quoting enclave', claim: 'qe_status', level: qe },
  ];
  const refused = parts.filter(({ level }) => !isAccepted(level.status));
  const [first] = refused;
  if (first === undefined && isAccepted(status)) return accept(undefined);
  const told = refused.map(({ part, level }) => `${part}: ${level.status}, as of ${level.date}`);
  const isPart = first !== undefined && isAccepted(status);
  return reject(
    'tdx.tcb',
    first === undefined ? `platform, module and quoting enclave together: ${status}` : told.join('; '),
    {
      claim: `tdx.tcb.${isPart ? first.claim : 'status'}`,
      operator: 'in',
      expected: tcbStatus.filter((one) => one !== 'Revoked'),
      found: isPart ? first.level.status : status,
    },
  );
}
