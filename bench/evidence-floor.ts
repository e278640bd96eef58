import { constants } from 'node:crypto';
import { parseCertificate, type Certificate } from '../src/crypto/x509.js';
import { ecSpki } from '../src/crypto/signature.js';
import type { HardwareTrust } from '../src/endorsement/collateral.js';
import { readDocumentBody } from '../src/endorsement/intel/document-body.js';
import { canonicalXml } from '../src/endorsement/rim/c14n.js';
import { elementsIn, isNamed } from '../src/endorsement/rim/elements.js';
import { DS, readSignature } from '../src/endorsement/rim/signature.js';
import { parseXml } from '../src/endorsement/rim/xml.js';
import type { TrustAnchors } from '../src/endorsement/trust-anchors.js';
import type { Evidence, EvidenceMember } from '../src/evidence/evidence.js';
import type { GpuEvidence } from '../src/evidence/gpu/evidence.js';
import { parseGpuReport } from '../src/evidence/gpu/report.js';
import { parseHclReport } from '../src/evidence/hcl/report.js';
import { decodeEvidence } from '../src/evidence/presented.js';
import { SNP_SIGNED_BYTES } from '../src/evidence/snp/constants.js';
import { generationOf } from '../src/evidence/snp/endorsed-key.js';
import type { SnpEvidence } from '../src/evidence/snp/evidence.js';
import { parseSnpReport } from '../src/evidence/snp/report.js';
import { parseTdxQuote } from '../src/evidence/tdx/quote.js';
import { presentedAk } from '../src/evidence/tpm/ak.js';
import { TPM_ALG_RSASSA } from '../src/evidence/tpm/constants.js';
import type { TpmEvidence } from '../src/evidence/tpm/evidence.js';
import { parseSignature } from '../src/evidence/tpm/signature.js';
import { type BareChecks, checksOf, ecdsaPiece, type KeyUse, signedStructure, together } from './evidence-bare.js';

/** Cold: nothing was seen before. Warm: certificates, collateral and AK were, and were good; all that is signed anew was not. */
export type Warmth = 'cold' | 'warm';

/**
 * The signature checks that nobody can spare who believes this evidence: cold every certificate below the roots, every piece of
 * collateral that is needed, report and quote; warm what is fresh alone. Keys that are not known are imported, each once.
 */
export function floorIn(member: EvidenceMember, trust: HardwareTrust, warmth: Warmth): BareChecks {
  const decoded = decodeEvidence(member);
  if (!decoded.ok) throw new TypeError(decoded.detail);
  return floorOf(decoded.value, trust, warmth);
}

function floorOf(evidence: Evidence, trust: HardwareTrust, warmth: Warmth): BareChecks {
  const { hcl, snp, tdx, tpm, gpus } = evidence;
  return together(
    ...(snp === undefined ? [] : [snpFloor(snp, trust, warmth)]),
    ...(hcl === undefined ? [] : [snpFloor(insideHcl(hcl), trust, warmth)]),
    ...(tdx === undefined ? [] : [tdxFloor(tdx.quote, trust, warmth)]),
    ...(tpm === undefined ? [] : [quoteFloor(tpm, warmth)]),
    ...gpus.map((gpu) => gpuFloor(gpu, trust, warmth)),
    ...(gpus.length === 0 || warmth === 'warm' ? [] : trust.collateral.rims.map((rim) => rimFloor(rim, trust))),
  );
}

function insideHcl({ report, certificates }: NonNullable<Evidence['hcl']>): SnpEvidence {
  const { hardware } = parseHclReport(report);
  if (hardware.kind !== 'snp') throw new TypeError('an HCL report of another kind');
  return { report: hardware.report, certificates };
}

function snpFloor({ report: bytes, certificates }: SnpEvidence, { roots }: HardwareTrust, warmth: Warmth): BareChecks {
  const report = parseSnpReport(bytes);
  const generation = generationOf(report, certificates);
  if (!generation.ok) throw new TypeError(generation.detail);
  const { anchors, intermediates } = roots.amd[generation.value];
  const path = pathOf([...certificates, ...intermediates], anchors);
  const signed = [ecdsaPiece('sha384', 'P-384', bytes.subarray(0, SNP_SIGNED_BYTES), report.signature)];
  return checksOf(...pathUses(path, warmth), { spki: path.leaf.spki, isKnown: warmth === 'warm', signed });
}

/** The attestation key stands in each quote anew. */
function tdxFloor(bytes: Buffer, { roots, collateral }: HardwareTrust, warmth: Warmth): BareChecks {
  const quote = parseTdxQuote(bytes);
  const path = pathOf(quote.certificates, roots.intel);
  const half = 32;
  const halves = (pair: Buffer) => ({ r: pair.subarray(0, half), s: pair.subarray(half) });
  const { r: x, s: y } = halves(quote.attestationKey);
  const p256 = (data: Buffer, pair: Buffer) => ecdsaPiece('sha256', 'P-256', data, halves(pair));
  const fresh = checksOf(
    { spki: path.leaf.spki, isKnown: warmth === 'warm', signed: [p256(quote.qeReport.bytes, quote.qeSignature)] },
    { spki: ecSpki('P-256', x, y), isKnown: false, signed: [p256(quote.signed, quote.signature)] },
  );
  if (warmth === 'warm') return fresh;
  const authorities = [...path.authorities, path.anchor];
  const crls = collateral.crls.flatMap((crl) => {
    const issuer = authorities.find(({ subject }) => subject.der.equals(crl.issuer.der));
    return issuer === undefined
      ? []
      : [{ spki: issuer.spki, isKnown: issuer === path.anchor, signed: [signedStructure(crl)] }];
  });
  const documents = (['tcbInfo', 'enclaveIdentity'] as const).flatMap((member) =>
    collateral[member === 'tcbInfo' ? 'tcbInfos' : 'qeIdentities'].map(({ body, issuerChain }) => {
      const { inner, signature } = readDocumentBody(body, member);
      return { signer: pathOf(issuerChain, roots.intel), signed: [p256(inner, signature)] };
    }),
  );
  return together(
    checksOf(...pathUses(path, warmth), ...crls, ...documents.flatMap(({ signer }) => pathUses(signer, warmth))),
    fresh,
    checksOf(...documents.map(({ signer, signed }) => ({ spki: signer.leaf.spki, isKnown: false, signed }))),
  );
}

function quoteFloor(tpm: TpmEvidence, warmth: Warmth): BareChecks {
  const ak = presentedAk(tpm);
  const signature = parseSignature(tpm.signature);
  if (!ak.ok || signature.kind === 'unknown') throw new TypeError('a quote that is none');
  const { spki, curve } = ak.value;
  const use = { spki, isKnown: warmth === 'warm' };
  if (signature.kind === 'ecdsa' && curve !== undefined) {
    return checksOf({ ...use, signed: [ecdsaPiece('sha256', curve, tpm.quoted, signature)] });
  }
  if (signature.kind !== 'rsa' || signature.sigAlg !== TPM_ALG_RSASSA) throw new TypeError('a quote of another scheme');
  const options = { padding: constants.RSA_PKCS1_PADDING };
  return checksOf({ ...use, signed: [{ hash: 'sha256', data: tpm.quoted, signature: signature.sig, options }] });
}

function gpuFloor({ report: bytes, certificates }: GpuEvidence, { roots }: HardwareTrust, warmth: Warmth): BareChecks {
  const { signed, signature } = parseGpuReport(bytes);
  const path = pathOf(certificates, roots.nvidiaDevices);
  const pair = { r: signature.subarray(0, 48), s: signature.subarray(48) };
  const report = ecdsaPiece('sha384', 'P-384', signed, pair);
  return checksOf(...pathUses(path, warmth), { spki: path.leaf.spki, isKnown: warmth === 'warm', signed: [report] });
}

/** The signature is over a digest of the document in canonical form, which has to be made too; the form itself is not counted. */
function rimFloor(bytes: Buffer, { roots }: HardwareTrust): BareChecks {
  const root = parseXml(bytes);
  const element = elementsIn(root).find((child) => isNamed(child, DS, 'Signature'));
  if (element === undefined) throw new TypeError('a manifest without a signature');
  const { signedInfo, value, certificates } = readSignature(root);
  const path = pathOf(
    certificates.map(({ der }) => der),
    roots.nvidiaRims,
  );
  const piece = ecdsaPiece('sha384', 'P-384', signedInfo, { r: value.subarray(0, 48), s: value.subarray(48) });
  const { keys } = checksOf(...pathUses(path, 'cold'), { spki: path.leaf.spki, isKnown: false, signed: [piece] });
  return { keys, digested: [canonicalXml(root, element)] };
}

interface Path {
  readonly leaf: Certificate;
  /** Between leaf and anchor. */
  readonly authorities: readonly Certificate[];
  readonly anchor: Certificate;
}

/** The leaf stands first. By names alone: simulated and genuine chains have one path each. */
function pathOf(chain: readonly Buffer[], anchors: TrustAnchors): Path {
  const [leaf, ...pool] = chain.map(parseCertificate);
  if (leaf === undefined) throw new TypeError('no certificate');
  const authorities: Certificate[] = [];
  for (let last = leaf; ;) {
    const [anchor] = anchors.bySubject.get(last.issuer.der.toString('hex')) ?? [];
    if (anchor !== undefined) return { leaf, authorities, anchor };
    const { issuer } = last;
    const next = pool.find(({ subject }) => subject.der.equals(issuer.der));
    if (next === undefined) throw new TypeError('a chain without its root');
    authorities.push(next);
    last = next;
  }
}

/** Who signed each certificate of a path that is not known. */
function pathUses({ leaf, authorities, anchor }: Path, warmth: Warmth): readonly KeyUse[] {
  if (warmth === 'warm') return [];
  const issuers = [...authorities, anchor];
  return [leaf, ...authorities].map((issued, index) => {
    const issuer = issuers[index] ?? anchor;
    return { spki: issuer.spki, isKnown: issuer === anchor, signed: [signedStructure(issued)] };
  });
}
