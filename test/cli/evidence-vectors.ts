/** `evidence` members made of the real vectors beside this repository: the parts as their files hold them, put into the JSON of a request. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import * as C from '../../src/evidence/tpm/constants.js';
import { encodePublicArea, encodeSignature } from '../evidence/tpm/encode.js';
import { AK_ATTRIBUTES } from '../evidence/tpm/software-quote.js';

const VECTORS = '../shared/vectors';

/** Whether the vectors are there; users of the package do not have them. */
export const HAVE_VECTORS = existsSync(`${VECTORS}/snp/README.md`);

export function file(name: string): Buffer {
  return readFileSync(`${VECTORS}/${name}`);
}

export function json(name: string): unknown {
  return JSON.parse(file(name).toString('utf8'));
}

export function b64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

/** DER of certificates in files of PEM or DER. */
export function certificates(...names: readonly string[]): readonly Buffer[] {
  return names.flatMap((name) => {
    const bytes = file(name);
    return bytes[0] === 0x30 ? [bytes] : pemCertificates(bytes.toString('latin1'));
  });
}

export function pemCertificates(text: string): readonly Buffer[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block).raw);
}

export function snp(report: Buffer, ...chain: readonly string[]) {
  return { snp: { report: b64(report), certificates: certificates(...chain).map(b64) } };
}

export function tdx(quote: Buffer) {
  return { tdx: { quote: b64(quote) } };
}

/** A measurement report in hex text, and its chain in PEM. */
export function gpu(report: string, chain: string) {
  const bytes = Buffer.from(file(report).toString('latin1').trim(), 'hex');
  return { report: b64(bytes), certificates: certificates(chain).map(b64) };
}

interface Device {
  readonly evidence: string;
  readonly certificate: string;
}

/** The devices of a list as the tools of NVIDIA write it. */
export function devices(name: string) {
  return (json(name) as readonly Device[]).map(({ evidence, certificate }) => ({
    report: b64(Buffer.from(evidence, 'base64')),
    certificates: pemCertificates(Buffer.from(certificate, 'base64').toString('latin1')).map(b64),
  }));
}

interface TrusteeEvidence {
  readonly hcl_report: string;
  readonly tpm_quote: { readonly message: string; readonly signature: string; readonly pcrs: readonly string[] };
  readonly vcek?: string;
  readonly td_quote?: string;
}

/** HCL report and quote of an Azure machine, as Trustee had them. The AK is in the runtime data alone. */
export function azure(name: 'trustee-snp' | 'trustee-tdx') {
  const evidence = json(`azure-hcl/${name}/evidence-v1.json`) as TrusteeEvidence;
  const { hcl_report: report, tpm_quote: quote, vcek, td_quote: tdQuote } = evidence;
  return {
    tpm: {
      quoted: b64(Buffer.from(quote.message, 'hex')),
      signature: b64(rsassa(Buffer.from(quote.signature, 'hex'))),
      pcrs: { sha256: Object.fromEntries(quote.pcrs.map((value, pcr) => [String(pcr), value])) },
    },
    hcl: {
      report: b64(Buffer.from(report, 'base64')),
      ...(vcek === undefined ? {} : { certificates: [b64(Buffer.from(vcek, 'base64'))] }),
      ...(tdQuote === undefined ? {} : { quote: b64(Buffer.from(tdQuote, 'base64')) }),
    },
  };
}

/** The quote of kinvolk: `u64 length, signature, u64 length, message, u64 count, PCRs of 32 bytes`, all little-endian. */
export function kinvolkTpm() {
  const bytes = file('azure-hcl/kinvolk/quote.bin');
  const parts: Buffer[] = [];
  let at = 0;
  const length = () => Number(bytes.readBigUInt64LE((at += 8) - 8));
  for (let i = 0; i < 2; i++) {
    const size = length();
    parts.push(bytes.subarray(at, (at += size)));
  }
  const [signature, message] = parts as [Buffer, Buffer];
  const pcrs = Array.from({ length: length() }, () => bytes.subarray(at, (at += 32)).toString('hex'));
  return {
    quoted: b64(message),
    signature: b64(rsassa(signature)),
    ak: b64(rsaArea(createPublicKey(file('azure-hcl/kinvolk/akpub.pem')).export({ format: 'jwk' }).n ?? '')),
    pcrs: { sha256: Object.fromEntries(pcrs.map((value, pcr) => [String(pcr), value])) },
  };
}

/** The public area of a restricted RSA 2048 signing key with this modulus (base64url): what the vTPM would show of it. */
export function rsaArea(modulus: string): Buffer {
  return encodePublicArea({
    nameAlg: C.TPM_ALG_SHA256,
    objectAttributes: AK_ATTRIBUTES,
    authPolicy: Buffer.alloc(0),
    symmetric: undefined,
    scheme: { scheme: C.TPM_ALG_RSASSA, hash: C.TPM_ALG_SHA256 },
    key: { kind: 'rsa', keyBits: 2048, exponent: 0, n: Buffer.from(modulus, 'base64url') },
  });
}

function rsassa(sig: Buffer): Buffer {
  return encodeSignature({ kind: 'rsa', sigAlg: C.TPM_ALG_RSASSA, hash: C.TPM_ALG_SHA256, sig });
}

/** A copy with one bit of a byte of a base64url text flipped; from the end where the place is negative. */
export function flipped(text: string, byte: number): string {
  const bytes = Buffer.from(text, 'base64url');
  const at = byte < 0 ? bytes.length + byte : byte;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return b64(bytes);
}
