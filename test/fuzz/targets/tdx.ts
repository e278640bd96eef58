import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { NO_COLLATERAL } from '../../../src/endorsement/collateral.js';
import { withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { readDocumentBody } from '../../../src/endorsement/intel/document-body.js';
import { parseQeIdentity } from '../../../src/endorsement/intel/qe-identity.js';
import { currentTcbInfo } from '../../../src/endorsement/intel/signed-documents.js';
import { parseTcbInfo } from '../../../src/endorsement/intel/tcb-info.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { SAFE_TDX_RULES } from '../../../src/evidence/tdx/evidence.js';
import { explainTdx } from '../../../src/evidence/tdx/explain.js';
import { parseTdxQuote } from '../../../src/evidence/tdx/quote.js';
import { verifyTdx } from '../../../src/evidence/tdx/verify.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { SimulatedTd } from '../../../src/simulator/tdx.js';
import { simulatedIntelCollateral } from '../../../src/simulator/tdx-collateral.js';
import { SIMULATED_FMSPC } from '../../../src/simulator/tdx-pck.js';
import type { FuzzTarget } from '../target.js';

const AT = Date.UTC(2026, 5, 1);
const makers = simulatedMakers(Buffer.alloc(32, 1));
const made = simulatedIntelCollateral(makers.intel, AT);
const crls = made.crls.map(parseCrl);
const collateral = { ...NO_COLLATERAL, ...made, crls };
const roots = withSimulator(makerRoots(makers));
const trust = { roots, collateral, paths: new KnownPaths(8), atMs: AT, requireCrls: false };
const quotes = ([4, 5] as const).map((version) =>
  new SimulatedTd(makers.intel, { seed: Buffer.alloc(32, 2), version }).quote(Buffer.alloc(64, 3)),
);
const rules = { ...SAFE_TDX_RULES, tcbStatus: ['UpToDate', 'OutOfDate'] as const };
/** Of which no mutation may be believed: all but what stands behind the signature data, and how PEM is broken into lines. */
const genuine = new Set(quotes.map(meaningOf));

function meaningOf(quote: Buffer): string {
  const { signed, signature, attestationKey, qeReport, qeSignature, qeAuthData, certificates } = parseTdxQuote(quote);
  const parts = [
    signed,
    signature,
    attestationKey,
    qeReport.bytes,
    qeSignature,
    qeAuthData,
    ...certificates.slice(0, 2),
  ];
  return Buffer.concat(parts).toString('hex');
}

/** What the parser gives; undefined where it refuses. Anything else that is thrown is a finding. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

const root = parseCertificate(makers.intel.root.certificate);
const documents = [...made.tcbInfos, ...made.qeIdentities].map(({ body }) => body);
const [info] = made.tcbInfos;

export const targets: readonly FuzzTarget[] = [
  {
    name: 'evidence/tdx',
    seeds: quotes,
    run: (input) => {
      parsed(() => explainTdx({ quote: input }));
      const result = verifyTdx({ quote: input }, trust, rules);
      if (result.ok && !genuine.has(meaningOf(input))) throw new Error('a changed quote is believed');
    },
  },
  {
    name: 'endorsement/intel',
    seeds: documents,
    run: (input) => {
      parsed(() => parseTcbInfo(readDocumentBody(input, 'tcbInfo').value));
      parsed(() => parseQeIdentity(readDocumentBody(input, 'enclaveIdentity').value));
      if (info === undefined) return;
      const tcbInfos = [{ ...info, body: Buffer.from(input) }];
      const platform = { fmspc: SIMULATED_FMSPC, pceId: Buffer.alloc(2), anchor: root };
      const found = currentTcbInfo({ ...trust, collateral: { ...collateral, tcbInfos } }, platform);
      const inner = (body: Buffer) => readDocumentBody(body, 'tcbInfo').inner;
      if (found.ok && !inner(input).equals(inner(info.body))) throw new Error('a changed TCB info is believed');
    },
  },
];
