import { MalformedError } from '../../bytes/malformed-error.js';
import { toHex } from '../../bytes/hex.js';
import { parseCertificate, type Certificate } from '../../crypto/x509.js';
import { COMMON_NAME, onlyAttribute } from '../../crypto/x509-name.js';
import type { Result } from '../../reason/reason.js';
import type { ExplainedField, ExplainedSection } from '../explained.js';
import { SAFE_TDX_RULES, type TdxEvidence } from './evidence.js';
import { pckPlatform } from './pck.js';
import { verifyQuoteSignature, verifyQuotingEnclave } from './qe.js';
import { parseTdxQuote, type TdReportBody, type TdxQuote } from './quote.js';
import { attributesOf, judgeTrustDomain, unknownAttributes } from './td-rules.js';

/**
 * A quote for a person, field by field, each fault where it stands: attributes that the safe defaults refuse, signatures that do not
 * verify under the keys in the quote itself. NOT looked at: whether Intel vouches for those keys, what is revoked, how the platform is
 * graded. Throws MalformedError where the quote does not parse, and nothing else.
 */
export function explainTdx({ quote: bytes }: TdxEvidence): readonly ExplainedSection[] {
  const quote = parseTdxQuote(bytes);
  const certificates = quote.certificates.map((der) => attempt(() => parseCertificate(der)));
  return [
    { title: 'TDX quote', fields: quoteFields(quote) },
    { title: `Trust domain (TD report, ${quote.bodyType})`, fields: bodyFields(quote.body) },
    { title: 'Quoting enclave', fields: enclaveFields(quote, certificates[0]) },
    { title: 'Platform (PCK certificate)', fields: platformFields(certificates[0]) },
    { title: 'Certificates', fields: certificates.map(certificateField) },
  ];
}

function quoteFields(quote: TdxQuote): readonly ExplainedField[] {
  const signature = verifyQuoteSignature(quote);
  return [
    { name: 'version', value: String(quote.version) },
    { name: 'attestation key', value: toHex(quote.attestationKey), note: 'x and y on P-256, of the quoting enclave' },
    judged('signature', signature, 'by the attestation key, over header and TD report'),
    { name: 'user data', value: toHex(quote.userData), note: 'chosen by the quoting enclave; names the platform' },
    {
      name: 'trailing bytes',
      value: String(quote.trailingBytes),
      ...(quote.trailingBytes === 0 ? {} : { note: 'nothing signs them; they are ignored' }),
    },
  ];
}

function bodyFields(body: TdReportBody): readonly ExplainedField[] {
  const { mrServiceTd, teeTcbSvn2 } = body;
  const [svn = 0, version = 0] = body.teeTcbSvn;
  return [
    {
      name: 'TEE_TCB_SVN',
      value: toHex(body.teeTcbSvn),
      note: `TDX module ${String(version)}, SVN ${String(svn)}, at launch`,
    },
    ...(teeTcbSvn2 === undefined ? [] : [{ name: 'TEE_TCB_SVN_2', value: toHex(teeTcbSvn2), note: 'what runs now' }]),
    { name: 'MRSEAM', value: toHex(body.mrSeam), note: 'measurement of the TDX module' },
    { name: 'MRSIGNERSEAM', value: hexOrZero(body.mrSignerSeam), note: 'zero for the modules of Intel' },
    wrongUnlessZero('SEAMATTRIBUTES', body.seamAttributes, 'a TDX module that is not for production'),
    attributesField(body),
    { name: 'XFAM', value: toHex(body.xfam), note: 'CPU features that the trust domain may use' },
    { name: 'MRTD', value: toHex(body.mrTd), note: 'measurement of what the trust domain started with' },
    { name: 'MRCONFIGID', value: hexOrZero(body.mrConfigId), note: 'set by the host at launch' },
    { name: 'MROWNER', value: hexOrZero(body.mrOwner) },
    { name: 'MROWNERCONFIG', value: hexOrZero(body.mrOwnerConfig) },
    ...body.rtmrs.map((rtmr, index) => ({ name: `RTMR${String(index)}`, value: hexOrZero(rtmr) })),
    { name: 'REPORTDATA', value: toHex(body.reportData), note: 'what the trust domain bound the quote to' },
    ...(mrServiceTd === undefined
      ? []
      : [wrongUnlessZero('MRSERVICETD', mrServiceTd, 'a service TD is bound: refused unless it is expected')]),
  ];
}

function attributesField(body: TdReportBody): ExplainedField {
  const unknown = unknownAttributes(body);
  const meaning = [...attributesOf(body), ...(unknown === 0n ? [] : [`unknown 0x${unknown.toString(16)}`])].join(', ');
  const field = { name: 'TDATTRIBUTES', value: toHex(body.tdAttributes) };
  const judgement = judgeTrustDomain(body, { ...SAFE_TDX_RULES, serviceTd: true });
  if (!judgement.ok) return { ...field, note: `${meaning}: ${judgement.reason}`, wrong: true };
  return meaning === '' ? field : { ...field, note: meaning };
}

function enclaveFields(quote: TdxQuote, leaf: Certificate | string | undefined): readonly ExplainedField[] {
  const { qeReport, qeAuthData } = quote;
  const key = typeof leaf === 'object' ? attempt(() => leaf.publicKey()) : 'no PCK certificate';
  const signed: ExplainedField =
    typeof key === 'string'
      ? { name: 'signature', value: 'cannot be verified', note: key, wrong: true }
      : judged(
          'signature',
          verifyQuotingEnclave(quote, key),
          'by the PCK, over a report that names the attestation key',
        );
  return [
    signed,
    { name: 'MRSIGNER', value: toHex(qeReport.mrSigner) },
    { name: 'MRENCLAVE', value: toHex(qeReport.mrEnclave) },
    { name: 'ISVPRODID', value: String(qeReport.isvProdId) },
    { name: 'ISVSVN', value: String(qeReport.isvSvn) },
    { name: 'ATTRIBUTES', value: toHex(qeReport.attributes) },
    { name: 'CPUSVN', value: toHex(qeReport.cpuSvn) },
    { name: 'authentication data', value: toHex(qeAuthData) },
  ];
}

function platformFields(leaf: Certificate | string | undefined): readonly ExplainedField[] {
  const platform = typeof leaf === 'object' ? attempt(() => pckPlatform(leaf)) : 'no PCK certificate';
  if (typeof platform === 'string') {
    return [{ name: 'SGX extension', value: 'cannot be read', note: platform, wrong: true }];
  }
  const { smtEnabled } = platform;
  return [
    { name: 'FMSPC', value: toHex(platform.fmspc), note: 'which TCB info of Intel it is graded by' },
    { name: 'PPID', value: toHex(platform.ppid), note: 'names the processor package' },
    { name: 'PCE id', value: toHex(platform.pceId) },
    { name: 'PCE SVN', value: String(platform.pceSvn) },
    { name: 'TCB components', value: platform.components.join(' ') },
    { name: 'SGX type', value: platform.sgxType },
    ...(smtEnabled === undefined ? [] : [{ name: 'SMT', value: smtEnabled ? 'on' : 'off' }]),
  ];
}

function certificateField(certificate: Certificate | string, index: number): ExplainedField {
  const name = index === 0 ? 'leaf' : `issuer ${String(index)}`;
  if (typeof certificate === 'string') return { name, value: 'does not parse', note: certificate, wrong: true };
  const { subject, serial, notBeforeMs, notAfterMs } = certificate;
  return {
    name,
    value: onlyAttribute(subject.attributes, COMMON_NAME) ?? 'without a common name',
    note: `serial ${serial}, valid from ${new Date(notBeforeMs).toISOString()} to ${new Date(notAfterMs).toISOString()}`,
  };
}

function judged(name: string, result: Result<undefined>, meaning: string): ExplainedField {
  if (result.ok) return { name, value: 'verifies', note: meaning };
  return { name, value: 'does not verify', note: `${result.reason}: ${result.detail}`, wrong: true };
}

function wrongUnlessZero(name: string, value: Buffer, note: string): ExplainedField {
  return value.some((byte) => byte !== 0)
    ? { name, value: toHex(value), note, wrong: true }
    : { name, value: hexOrZero(value) };
}

function hexOrZero(value: Buffer): string {
  return value.every((byte) => byte === 0) ? `${String(value.length)} zero bytes` : toHex(value);
}

/** What is made, or why it cannot be. */
function attempt<T extends object>(make: () => T): T | string {
  try {
    return make();
  } catch (error) {
    if (error instanceof MalformedError) return error.message;
    throw error;
  }
}
