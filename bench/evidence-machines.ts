import { toBase64url } from '../src/bytes/base64url.js';
import { quoteBinding } from '../src/challenge/binding.js';
import { sha256 } from '../src/crypto/digest.js';
import { parseCrl } from '../src/crypto/x509-crl.js';
import type { HardwareTrust, SignedDocument } from '../src/endorsement/collateral.js';
import type { HardwareRoots } from '../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../src/endorsement/known-paths.js';
import { trustAnchorsOf } from '../src/endorsement/trust-anchors.js';
import { expectedReportData } from '../src/evidence/appraise.js';
import type { EvidenceMember } from '../src/evidence/evidence.js';
import type { SimulatedAk } from '../src/simulator/ak.js';
import { SimulatedGpu } from '../src/simulator/gpu.js';
import { simulatedHclReport } from '../src/simulator/hcl.js';
import { makerRoots, simulatedMakers } from '../src/simulator/makers.js';
import { issueRim } from '../src/simulator/rim.js';
import { SimulatedSnp } from '../src/simulator/snp.js';
import { simulatedIntelCollateral } from '../src/simulator/tdx-collateral.js';
import { SimulatedTd } from '../src/simulator/tdx.js';
import { SimulatedTpm } from '../src/simulator/vtpm.js';

/** One answer to one challenge, as a request has it. */
export interface Piece {
  readonly member: EvidenceMember;
  /** What it answers, 32 bytes; undefined: a recorded one, whose report data and devices nobody asked for. */
  readonly base: Buffer | undefined;
  /** What the quote must hold, where there is no `base` that it follows from. */
  readonly extraData?: Buffer;
}

/** Bytes in which no bit can be changed without a refusal. */
export interface Guarded {
  readonly of: 'snp' | 'hcl' | 'tdx' | 'gpu' | 'quoted' | 'signature';
  readonly from: number;
  /** Of the first byte behind them; undefined: to the end. */
  readonly to?: number;
}

/** A machine that answers, and whoever believes in its makers. */
export interface Machine {
  readonly name: string;
  /** Of recorded evidence, the same one each time. */
  readonly answer: (base: Buffer) => Piece;
  /** Makes trust that knows nothing yet, of collateral that was never looked at. */
  readonly trust: () => HardwareTrust;
  readonly guarded: readonly Guarded[];
}

const AT_MS = Date.UTC(2026, 10, 22);
const YEAR_MS = 365 * 86_400_000;
const SEED = Buffer.alloc(32, 0xbe);
const PCRS = [{ bank: 'sha256', pcrs: [4, 7, 8, 9, 11] }] as const;
/** Header and TD report, length, signature, attestation key. */
const TDX_GUARDED_BYTES = 48 + 584 + 4 + 64 + 64;
const MAX_PATHS = 64;

const SNP: Guarded = { of: 'snp', from: 0 };
const HCL: Guarded = { of: 'hcl', from: 0 };
const TDX: Guarded = { of: 'tdx', from: 0, to: TDX_GUARDED_BYTES };
const GPU: Guarded = { of: 'gpu', from: 0 };
const QUOTE: readonly Guarded[] = [
  { of: 'quoted', from: 0 },
  { of: 'signature', from: 0 },
];

/** Simulated machines, one of each kind, and one of several kinds. */
export async function simulatedMachines(): Promise<readonly Machine[]> {
  const makers = simulatedMakers(SEED);
  const tpm = new SimulatedTpm();
  const p256 = await tpm.createAk({ scheme: 'ecdsa-p256' });
  // The paravisor of Azure makes RSA keys.
  const rsa = await tpm.createAk({ scheme: 'rsassa' });
  const { spki: ekSpki } = await tpm.createAk({ scheme: 'rsassa' });
  const snp = new SimulatedSnp({ generation: 'Milan', seed: SEED });
  const vcek = snp.certificate(makers, { notBeforeMs: AT_MS - YEAR_MS, notAfterMs: AT_MS + YEAR_MS });
  const td = new SimulatedTd(makers.intel, { seed: SEED });
  const gpu = new SimulatedGpu(makers.nvidiaDevices, { seed: SEED });
  const rims = gpu.reference().map((rim) => issueRim(makers.nvidiaRims, rim));
  const trust = trustMaker(makerRoots(makers), { ...simulatedIntelCollateral(makers.intel, AT_MS), rims });

  const quote = (base: Buffer, ak: SimulatedAk) => {
    const { quoted, signature, pcrs } = tpm.quote(ak, base, PCRS);
    return { quoted: toBase64url(quoted), signature: toBase64url(signature), pcrs: pcrs as Record<string, never> };
  };
  const hcl = () => ({
    report: toBase64url(
      simulatedHclReport({
        akSpki: rsa.spki,
        ekSpki,
        hardware: { kind: 'snp', report: (data) => snp.report(data) },
      }),
    ),
    certificates: [toBase64url(vcek)],
  });
  const device = (base: Buffer) => {
    const { report, certificates } = gpu.evidence(base);
    return { hash: report, member: { report: toBase64url(report), certificates: certificates.map(toBase64url) } };
  };
  const answering = (member: (base: Buffer) => EvidenceMember) => (base: Buffer) => ({ base, member: member(base) });
  return [
    {
      name: 'SNP + vTPM',
      answer: answering((base) => ({
        snp: {
          report: toBase64url(snp.report(expectedReportData(base, p256.spki))),
          certificates: [toBase64url(vcek)],
        },
        tpm: { ...quote(base, p256), ak: toBase64url(p256.tpm2bPublic) },
      })),
      trust,
      guarded: [SNP, ...QUOTE],
    },
    {
      name: 'HCL-SNP + vTPM',
      answer: answering((base) => ({ hcl: hcl(), tpm: quote(base, rsa) })),
      trust,
      guarded: [HCL, ...QUOTE],
    },
    {
      name: 'TDX',
      answer: answering((base) => ({
        tdx: { quote: toBase64url(td.quote(expectedReportData(base, undefined))) },
      })),
      trust,
      guarded: [TDX],
    },
    { name: 'one GPU', answer: answering((base) => ({ gpus: [device(base).member] })), trust, guarded: [GPU] },
    {
      name: 'HCL-SNP + vTPM + GPU',
      answer: answering((base) => {
        const { hash, member } = device(base);
        return { hcl: hcl(), tpm: quote(quoteBinding(base, [hash]), rsa), gpus: [member] };
      }),
      trust,
      guarded: [HCL, GPU, ...QUOTE],
    },
  ];
}

/** Roots alone, as they are pinned: those of the simulator instead of the genuine ones, not beside them. */
function rootsOf({ amd, intel, nvidiaDevices, nvidiaRims }: ReturnType<typeof makerRoots>): HardwareRoots {
  const generation = ({ ark, intermediates }: (typeof amd)['Milan']) => ({
    anchors: trustAnchorsOf([ark]),
    intermediates,
  });
  return {
    amd: { Milan: generation(amd.Milan), Genoa: generation(amd.Genoa), Turin: generation(amd.Turin) },
    intel: trustAnchorsOf([intel]),
    nvidiaDevices: trustAnchorsOf([nvidiaDevices]),
    nvidiaRims: trustAnchorsOf([nvidiaRims]),
  };
}

interface Published {
  readonly crls: readonly Buffer[];
  readonly tcbInfos: readonly SignedDocument[];
  readonly qeIdentities: readonly SignedDocument[];
  readonly rims: readonly Buffer[];
}

/** Each trust has copies of its own: what is remembered of a document is remembered for its Buffer. CRLs are parsed when they are loaded, by the product too. */
function trustMaker(certificates: ReturnType<typeof makerRoots>, published: Published): () => HardwareTrust {
  const roots = rootsOf(certificates);
  const copies = (documents: readonly SignedDocument[]) =>
    documents.map(({ body, issuerChain }) => ({ body: Buffer.from(body), issuerChain }));
  return () => ({
    roots,
    collateral: {
      crls: published.crls.map((crl) => parseCrl(crl)),
      tcbInfos: copies(published.tcbInfos),
      qeIdentities: copies(published.qeIdentities),
      rims: published.rims.map((rim) => Buffer.from(rim)),
    },
    paths: new KnownPaths(MAX_PATHS),
    atMs: AT_MS,
    requireCrls: false,
  });
}

/** A challenge that nobody has seen. */
export function baseOf(number: number): Buffer {
  return sha256(Buffer.from(`challenge ${String(number)} of the bench`));
}
