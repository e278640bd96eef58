import { fromBase64 } from '../../bytes/base64.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { pemBlocks } from '../../crypto/pem.js';
import { MAX_CERTIFICATE_BYTES } from '../../crypto/x509.js';
import type { Evidence } from '../../evidence/evidence.js';
import { NO_EVIDENCE } from './evidence-file.js';

/** What a file without our JSON around it seems to be: by its first bytes and its length, nothing else. */
export interface Blob {
  /** For a person: `an SEV-SNP attestation report`. */
  readonly seems: string;
  /** It alone as evidence, without what would have to be beside it; undefined where it cannot stand alone. */
  readonly evidence: Evidence | undefined;
  readonly bytes: Buffer;
  /** The JSON in which it can be verified together with what belongs to it. */
  readonly alone: string;
}

const SNP_REPORT_BYTES = 1184;
/** Version, key type ECDSA P-256, TEE type: the first bytes of a quote of Intel. */
const QUOTE_VERSIONS: readonly number[] = [3, 4, 5];
const ECDSA_P256 = 2;
const TEE_SGX = 0;
const TEE_TDX = 0x81;
const SPDM_REQUEST = Buffer.of(0x11, 0xe0);
const HCLA = Buffer.from('HCLA', 'latin1');
const TPM_GENERATED = Buffer.from('ff544347', 'hex');
const MAX_CERTIFICATES = 8;
const B64 = '"<base64url>"';

/**
 * What a single file is: an SEV-SNP report, an Intel quote, an HCL report, a GPU measurement report or a TPM quote; as it is,
 * or in hex, base64 or base64url. Also a list as NVIDIA's tools write it (`[{"certificate":…,"evidence":…}]`), given as parsed JSON.
 * undefined: nothing that is known here.
 */
export function recognise(bytes: Buffer): Blob | undefined {
  return (
    recogniseBytes(bytes) ??
    textual(bytes)
      .map(recogniseBytes)
      .find((blob) => blob !== undefined)
  );
}

function recogniseBytes(bytes: Buffer): Blob | undefined {
  const is = (seems: string, alone: string, evidence?: Partial<Evidence>): Blob => {
    return { seems, evidence: evidence === undefined ? undefined : { ...NO_EVIDENCE, ...evidence }, bytes, alone };
  };
  const starts = (magic: Buffer): boolean => bytes.subarray(0, magic.length).equals(magic);
  if (starts(HCLA)) {
    const hcl = { report: bytes, certificates: [], quote: undefined };
    return is('an HCL report of an Azure confidential VM', `{"hcl":{"report":${B64},"certificates":[${B64}]}}`, {
      hcl,
    });
  }
  if (starts(TPM_GENERATED)) {
    const alone = `{"tpm":{"quoted":${B64},"signature":${B64},"ak":${B64},"pcrs":{"sha256":{"8":"<hex>"}}}}`;
    return is('a TPM attestation, without its signature', alone);
  }
  if (starts(SPDM_REQUEST)) {
    const alone = `{"gpus":[{"report":${B64},"certificates":[${B64}]}]}`;
    return is('a measurement report of an NVIDIA device, without its certificates', alone, {
      gpus: [{ report: bytes, certificates: [] }],
    });
  }
  if (bytes.length >= 8 && isQuote(bytes)) {
    const tee = bytes.readUInt32LE(4) === TEE_SGX ? 'SGX' : 'TDX';
    const seems = `an Intel ${tee} quote of version ${String(bytes.readUInt16LE(0))}`;
    return is(seems, `{"tdx":{"quote":${B64}}}`, { tdx: { quote: bytes } });
  }
  if (bytes.length === SNP_REPORT_BYTES) {
    const alone = `{"snp":{"report":${B64},"certificates":[${B64}]}}`;
    return is('an AMD SEV-SNP attestation report, without its certificates', alone, {
      snp: { report: bytes, certificates: [] },
    });
  }
  return undefined;
}

function isQuote(bytes: Buffer): boolean {
  const tee = bytes.readUInt32LE(4);
  return (
    QUOTE_VERSIONS.includes(bytes.readUInt16LE(0)) &&
    bytes.readUInt16LE(2) === ECDSA_P256 &&
    (tee === TEE_SGX || tee === TEE_TDX)
  );
}

/** What the text of a file may stand for. */
function textual(bytes: Buffer): readonly Buffer[] {
  const text = bytes.toString('latin1').replace(/\s+/g, '');
  if (/^(?:[0-9a-fA-F]{2})+$/.test(text)) return [Buffer.from(text, 'hex'), Buffer.from(text, 'base64')];
  return /^[0-9A-Za-z+/_-]+={0,2}$/.test(text) ? [Buffer.from(text, 'base64')] : [];
}

/** A list of devices as NVIDIA's tools write it; undefined for any other JSON. A device whose parts do not decode has no certificates. */
export function nvidiaList(json: unknown): Evidence | undefined {
  if (!Array.isArray(json) || json.length === 0) return undefined;
  const gpus: Evidence['gpus'][number][] = [];
  for (const device of json as readonly unknown[]) {
    if (typeof device !== 'object' || device === null) return undefined;
    const { evidence, certificate } = device as Readonly<Record<string, unknown>>;
    if (typeof evidence !== 'string') return undefined;
    const report = decoded(evidence);
    if (report === undefined) return undefined;
    gpus.push({ report, certificates: certificatesOf(certificate) });
  }
  return { ...NO_EVIDENCE, gpus };
}

function certificatesOf(certificate: unknown): readonly Buffer[] {
  const pem = typeof certificate === 'string' ? decoded(certificate) : undefined;
  if (pem === undefined) return [];
  try {
    return pemBlocks(pem.toString('latin1'), 'CERTIFICATE', MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES);
  } catch (error) {
    if (error instanceof MalformedError) return [];
    throw error;
  }
}

function decoded(text: string): Buffer | undefined {
  try {
    return fromBase64(text, 'evidence');
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}
