/** What simulated makers publish, as files of a directory of collateral. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crlIssuers } from '../../src/collateral/crl-issuers.js';
import { itemsOf, type Pieces } from '../../src/collateral/items.js';
import { parsePiece } from '../../src/collateral/piece.js';
import { type Standing, standingsOf } from '../../src/collateral/standing.js';
import { withSimulator } from '../../src/endorsement/hardware-roots.js';
import { issueCrl } from '../../src/simulator/certificate.js';
import { makerRoots, simulatedMakers } from '../../src/simulator/makers.js';
import { issueRim } from '../../src/simulator/rim.js';
import { signDocument, simulatedIntelCollateral } from '../../src/simulator/tdx-collateral.js';
import { pemBlock } from '../helpers/pki.js';

export const DAY_MS = 86_400_000;
/** What is made here was issued a day before and is good for 29 days. */
export const NOW_MS = Date.UTC(2026, 10, 22);
export const FMSPC = '50434C000001';
export const DRIVER = 'NV_GPU_DRIVER_GH100_550.144.03';
export const VBIOS = 'NV_GPU_VBIOS_1010_0200_882_96005E0001';

export const MAKERS = simulatedMakers(Buffer.alloc(32, 7));
export const ROOTS = withSimulator(makerRoots(MAKERS));
/** Makers that nobody believes, by the same names. */
export const FORGERS = simulatedMakers(Buffer.alloc(32, 8));

export type Files = ReadonlyMap<string, Buffer>;

const pem = (...ders: readonly Buffer[]) => Buffer.from(ders.map((der) => pemBlock('CERTIFICATE', der)).join(''));

export const TCB_CHAIN = pem(MAKERS.intel.tcbSigning.certificate, MAKERS.intel.root.certificate);
export const PCK_CHAIN = pem(MAKERS.intel.pckCa.certificate, MAKERS.intel.root.certificate);

interface Draft {
  readonly makers?: typeof MAKERS;
  /** When it is fetched: it was issued a day before. */
  readonly atMs?: number;
  readonly number?: number;
}

export function tcbInfo(fmspc = FMSPC, { makers = MAKERS, atMs = NOW_MS, number = 18 }: Draft = {}): Buffer {
  const change = { tcbInfo: (info: object) => ({ ...info, fmspc, tcbEvaluationDataNumber: number }) };
  return simulatedIntelCollateral(makers.intel, atMs, change).tcbInfos[0]!.body;
}

export function qeIdentity({ makers = MAKERS, atMs = NOW_MS, number = 18 }: Draft = {}): Buffer {
  const change = { qeIdentity: (identity: object) => ({ ...identity, tcbEvaluationDataNumber: number }) };
  return simulatedIntelCollateral(makers.intel, atMs, change).qeIdentities[0]!.body;
}

type Issuer = Parameters<typeof issueCrl>[0];

export function crl(
  issuer: Issuer,
  { atMs = NOW_MS, number = 5 }: Draft = {},
  revoked: readonly bigint[] = [],
): Buffer {
  return issueCrl(issuer, { thisUpdateMs: atMs - DAY_MS, nextUpdateMs: atMs + 29 * DAY_MS, number, revoked });
}

export function rim(kind: 'driver' | 'vbios' = 'driver', makers = MAKERS, wanted = Buffer.alloc(48, 1)): Buffer {
  return issueRim(makers.nvidiaRims, {
    kind,
    version: kind === 'driver' ? '550.144.03' : '96.00.5E.00.01',
    meta: { product: 'GH100' },
    measurements: new Map([[0, [wanted]]]),
  });
}

/** One of each. */
export function everything(draft: Draft = {}): Map<string, Buffer> {
  const { makers = MAKERS } = draft;
  return new Map([
    ['tcbInfo.json', tcbInfo(FMSPC, draft)],
    ['qeIdentity.json', qeIdentity(draft)],
    ['tcbInfoIssuerChain.pem', TCB_CHAIN],
    ['pckCrl.der', crl(makers.intel.pckCa, draft)],
    ['pckCrlIssuerChain.pem', PCK_CHAIN],
    ['rootCaCrl.der', crl(makers.intel.root, draft)],
    ['amd/vcek-Milan.crl', crl(makers.amd.Milan.ark, draft)],
    ['amd/vlek-Milan.crl', crl(makers.amd.Milan.ark, { ...draft, number: 3 })],
    [`rim/${DRIVER}.xml`, rim('driver', makers)],
  ]);
}

export function put(directory: string, files: Files): void {
  for (const [name, content] of files) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), content);
  }
}

export function piecesOf(files: Files): Pieces {
  return new Map([...files].map(([name, bytes]) => [name, parsePiece(bytes)]));
}

export function standings(files: Files): ReadonlyMap<string, Standing> {
  const pieces = piecesOf(files);
  const found = standingsOf(itemsOf(pieces), { roots: ROOTS, crlIssuers: crlIssuers(ROOTS, pieces) });
  return new Map(found.map((standing) => [standing.item.file, standing]));
}

export { signDocument };
