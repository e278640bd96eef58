import { sign } from 'node:crypto';
import { issueCrl } from './certificate.js';
import type { SimulatedMakers } from './makers.js';
import { SIMULATED_QE_PROD_ID, SIMULATED_QE_SIGNER, SIMULATED_QE_SVN } from './tdx.js';
import { SIMULATED_COMPONENTS, SIMULATED_FMSPC, SIMULATED_PCE_SVN } from './tdx-pck.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const DAYS_PAST = 1;
const DAYS_AHEAD = 29;

/** A signed document with the certificates of its signer, DER. */
export interface SimulatedDocument {
  readonly body: Buffer;
  readonly issuerChain: readonly Buffer[];
}

/** What Intel publishes, of a simulated Intel. */
export interface SimulatedIntelCollateral {
  readonly tcbInfos: readonly SimulatedDocument[];
  readonly qeIdentities: readonly SimulatedDocument[];
  /** DER: of the PCK CA, then of the root. */
  readonly crls: readonly Buffer[];
}

type Json = Readonly<Record<string, unknown>>;

/** What is to be otherwise. */
export interface IntelCollateralOverrides {
  /** Changes the inner object before it is signed. */
  readonly tcbInfo?: (info: Json) => Json;
  readonly qeIdentity?: (identity: Json) => Json;
  /** Serials on the CRL of the PCK CA, and on that of the root. */
  readonly revokedPcks?: readonly bigint[];
  readonly revokedByRoot?: readonly bigint[];
}

/**
 * Collateral that was issued a day before `nowMs` and is good for 29 days from there on: a SimulatedTd with its defaults is UpToDate by
 * it; one with lower SVNs (components from 2, PCE from 5, TDX module 1 from 2, quoting enclave from 4) is OutOfDate; lower ones have no
 * level.
 */
export function simulatedIntelCollateral(
  intel: SimulatedMakers['intel'],
  nowMs: number,
  overrides: IntelCollateralOverrides = {},
): SimulatedIntelCollateral {
  const dates = { thisUpdateMs: nowMs - DAYS_PAST * DAY_MS, nextUpdateMs: nowMs + DAYS_AHEAD * DAY_MS };
  const common = { issueDate: instant(dates.thisUpdateMs), nextUpdate: instant(dates.nextUpdateMs) };
  const info = { ...tcbInfo(), ...common };
  const identity = { ...qeIdentity(), ...common };
  const crl = (issuer: SimulatedMakers['intel']['root'], revoked: readonly bigint[] = []) =>
    issueCrl(issuer, { ...dates, number: 1, revoked });
  return {
    tcbInfos: [signDocument(intel, 'tcbInfo', overrides.tcbInfo?.(info) ?? info)],
    qeIdentities: [signDocument(intel, 'enclaveIdentity', overrides.qeIdentity?.(identity) ?? identity)],
    crls: [crl(intel.pckCa, overrides.revokedPcks), crl(intel.root, overrides.revokedByRoot)],
  };
}

/** Signs the inner object as Intel's PCS serves it. */
export function signDocument(
  { tcbSigning, root }: SimulatedMakers['intel'],
  member: 'tcbInfo' | 'enclaveIdentity',
  inner: Json,
): SimulatedDocument {
  const text = JSON.stringify(inner);
  const signature = sign('sha256', Buffer.from(text), { key: tcbSigning.key, dsaEncoding: 'ieee-p1363' });
  const body = Buffer.from(`{"${member}":${text},"signature":"${signature.toString('hex')}"}`);
  return { body, issuerChain: [tcbSigning.certificate, root.certificate] };
}

function tcbInfo(): Json {
  return {
    id: 'TDX',
    version: 3,
    fmspc: SIMULATED_FMSPC.toString('hex').toUpperCase(),
    pceId: '0000',
    tcbType: 0,
    tcbEvaluationDataNumber: 18,
    tdxModule: module(),
    tdxModuleIdentities: [
      {
        id: 'TDX_01',
        ...module(),
        tcbLevels: [
          { tcb: { isvsvn: 5 }, tcbDate: '2026-05-13T00:00:00Z', tcbStatus: 'UpToDate' },
          {
            tcb: { isvsvn: 2 },
            tcbDate: '2023-08-09T00:00:00Z',
            tcbStatus: 'OutOfDate',
            advisoryIDs: ['INTEL-SA-01036', 'INTEL-SA-01099'],
          },
        ],
      },
    ],
    tcbLevels: [
      platformLevel([...SIMULATED_COMPONENTS], SIMULATED_PCE_SVN, [5, 0, 3], '2026-05-13T00:00:00Z', 'UpToDate'),
      platformLevel([2, 2, 2, 2, 2, 1, 0, 2], 5, [2, 0, 2], '2023-08-09T00:00:00Z', 'OutOfDate', ['INTEL-SA-00837']),
    ],
  };
}

function module(): Json {
  return { mrsigner: '00'.repeat(48), attributes: '00'.repeat(8), attributesMask: 'FF'.repeat(8) };
}

function platformLevel(
  sgx: readonly number[],
  pcesvn: number,
  tdx: readonly number[],
  tcbDate: string,
  tcbStatus: string,
  advisoryIDs?: readonly string[],
): Json {
  const components = (svns: readonly number[]) => Array.from({ length: 16 }, (_, index) => ({ svn: svns[index] ?? 0 }));
  return {
    tcb: { sgxtcbcomponents: components(sgx), pcesvn, tdxtcbcomponents: components(tdx) },
    tcbDate,
    tcbStatus,
    ...(advisoryIDs === undefined ? {} : { advisoryIDs }),
  };
}

function qeIdentity(): Json {
  return {
    id: 'TD_QE',
    version: 2,
    tcbEvaluationDataNumber: 18,
    miscselect: '00000000',
    miscselectMask: 'FFFFFFFF',
    attributes: '11000000000000000000000000000000',
    attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
    mrsigner: SIMULATED_QE_SIGNER.toString('hex').toUpperCase(),
    isvprodid: SIMULATED_QE_PROD_ID,
    tcbLevels: [
      { tcb: { isvsvn: SIMULATED_QE_SVN }, tcbDate: '2026-05-13T00:00:00Z', tcbStatus: 'UpToDate' },
      { tcb: { isvsvn: 4 }, tcbDate: '2023-08-09T00:00:00Z', tcbStatus: 'OutOfDate', advisoryIDs: ['INTEL-SA-00615'] },
    ],
  };
}

function instant(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
