import { fromBase64url, toBase64url } from '../src/bytes/base64url.js';
import { quoteBinding } from '../src/challenge/binding.js';
import type { HardwareTrust } from '../src/endorsement/collateral.js';
import { appraiseCvm, expectedReportData, hasCvm, namesAk, SAFE_HARDWARE_RULES } from '../src/evidence/appraise.js';
import type { EvidenceMember } from '../src/evidence/evidence.js';
import { verifyGpus } from '../src/evidence/gpu/verify.js';
import { decodeEvidence } from '../src/evidence/presented.js';
import { presentedAk } from '../src/evidence/tpm/ak.js';
import { verifyQuote } from '../src/evidence/tpm/quote.js';
import { TrustedAks } from '../src/evidence/tpm/trusted-aks.js';
import { accept, reject, type Result } from '../src/reason/reason.js';
import type { Guarded, Machine, Piece } from './evidence-machines.js';

const MAX_AKS = 64;

/** Who verifies, with all that is remembered. */
export interface Verifier {
  readonly trust: HardwareTrust;
  readonly aks: TrustedAks;
}

/** One that has seen nothing yet. */
export function coldVerifier({ trust }: Machine): Verifier {
  return { trust: trust(), aks: new TrustedAks(MAX_AKS) };
}

/** All that a broker does with evidence that is good, from the text of the request to claims, in its order; policies, store and answer left out. */
export function verifyPiece({ member, base, extraData }: Piece, { trust, aks }: Verifier): Result<undefined> {
  const decoded = decodeEvidence(member);
  if (!decoded.ok) return decoded;
  const evidence = decoded.value;
  const { tpm, gpus } = evidence;
  const ak = tpm === undefined ? undefined : presentedAk(tpm, aks);
  if (ak?.ok === false) return ak;
  const reportData = base === undefined ? undefined : expectedReportData(base, ak?.value.spki);
  const cvm = hasCvm(evidence) ? appraiseCvm(evidence, trust, SAFE_HARDWARE_RULES, reportData) : undefined;
  if (cvm?.ok === false) return cvm;
  if (tpm !== undefined) {
    const reports = gpus.map(({ report }) => report);
    const quote = verifyQuote(tpm, {
      extraData: base === undefined ? extraData : quoteBinding(base, reports),
      neededPcrs: {},
      trust: ({ spki }) =>
        cvm !== undefined && namesAk(cvm.value.cvm, spki)
          ? accept({ kind: 'cvm-report' as const })
          : reject('ak.untrusted', 'no report names the AK'),
      known: aks,
    });
    if (!quote.ok) return quote;
  }
  if (gpus.length === 0) return accept(undefined);
  const devices = verifyGpus(gpus, trust, { nonce: base, rules: SAFE_HARDWARE_RULES.gpus });
  return devices.ok ? accept(undefined) : devices;
}

/** Throws where the verifier refuses. */
export function demandAccepted(piece: Piece, verifier: Verifier): void {
  const result = verifyPiece(piece, verifier);
  if (!result.ok) throw new Error(`good evidence was refused: ${result.reason}: ${result.detail}`);
}

/** The same piece with one bit changed among those that are guarded; `at` from 0 to 1 says where. */
export function withFlippedBit(piece: Piece, guarded: Guarded, at: number): Piece {
  const { member } = piece;
  const { tpm, hcl, snp, tdx, gpus = [] } = member;
  const change = (text: string | undefined) => flipped(text ?? '', guarded, at);
  const changed = (): EvidenceMember => {
    switch (guarded.of) {
      case 'snp':
        return { ...member, snp: { ...snp, report: change(snp?.report) } };
      case 'hcl':
        return { ...member, hcl: { ...hcl, report: change(hcl?.report) } };
      case 'tdx':
        return { ...member, tdx: { quote: change(tdx?.quote) } };
      case 'gpu':
        return { ...member, gpus: gpus.map((gpu) => ({ ...gpu, report: change(gpu.report) })) };
      case 'quoted':
      case 'signature':
        if (tpm === undefined) throw new TypeError('no quote');
        return { ...member, tpm: { ...tpm, [guarded.of]: change(tpm[guarded.of]) } };
    }
  };
  return { ...piece, member: changed() };
}

function flipped(text: string, { from, to }: Guarded, at: number): string {
  const bytes = fromBase64url(text, 'evidence');
  const bits = 8 * ((to ?? bytes.length) - from);
  const bit = 8 * from + Math.min(bits - 1, Math.floor(at * bits));
  bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return toBase64url(bytes);
}
