import { MalformedError } from '../../bytes/malformed-error.js';
import { equalBytes } from '../../bytes/equal.js';
import { toHex } from '../../bytes/hex.js';
import { digest } from '../../crypto/digest.js';
import type { Rejection, Result } from '../../reason/reason.js';
import type { ExplainedField, ExplainedSection } from '../explained.js';
import { type AkIdentity, CURVE_NAMES, presentedAk } from './ak.js';
import { parseAttest } from './attest.js';
import { BANK_OF_ALG, TPM_ALG_ECDSA, TPM_ALG_RSAPSS, TPM_ALG_RSASSA, TPMA_OBJECT } from './constants.js';
import type { TpmEvidence } from './evidence.js';
import { checkSelection } from './pcr-selection.js';
import { matchValues } from './pcr.js';
import { parsePublicArea, tpmtPublic } from './public-area.js';
import { verifyQuoteSignature } from './quote-signature.js';
import { parseSignature } from './signature.js';
import type { PublicArea, QuoteAttest, TpmSignature } from './structures.js';

const SCHEMES: ReadonlyMap<number, string> = new Map([
  [TPM_ALG_RSASSA, 'RSASSA-PKCS1-v1_5'],
  [TPM_ALG_RSAPSS, 'RSASSA-PSS'],
  [TPM_ALG_ECDSA, 'ECDSA'],
]);

/**
 * A quote for a person: the signed structure, its signature, the AK and the PCR values, field by field, each fault where it stands.
 * `runtimeAk` is the AK that an HCL report beside it names (SubjectPublicKeyInfo, DER). What does not parse is one field that says so.
 * Never throws. NOT looked at: what vouches for the AK, certificates, whether any value is good.
 */
export function explainTpm(evidence: TpmEvidence, runtimeAk?: Buffer): readonly ExplainedSection[] {
  const quote = parseAttest(evidence.quoted);
  const signature = attempt(() => parseSignature(evidence.signature));
  const ak = presentedAk(evidence);
  return [
    { title: 'TPM quote (TPMS_ATTEST)', fields: explainAttest(evidence.quoted) },
    {
      title: 'Signature of the quote (TPMT_SIGNATURE)',
      fields: signatureFields(evidence, signature, ak.ok ? ak.value : undefined),
    },
    { title: 'Attestation key (AK)', fields: akFields(evidence, ak, runtimeAk) },
    { title: 'PCR values', fields: pcrFields(evidence, quote.ok ? quote.value : undefined, signature) },
  ];
}

/** The fields of a TPMS_ATTEST alone. Never throws. */
export function explainAttest(quoted: Buffer): readonly ExplainedField[] {
  const quote = parseAttest(quoted);
  return quote.ok ? quoteFields(quote.value) : [fault(quote, quoted)];
}

function quoteFields(quote: QuoteAttest): readonly ExplainedField[] {
  const { clockInfo, pcrSelect } = quote;
  const selection = checkSelection(pcrSelect, {});
  const selected = pcrSelect.map(({ hashAlg, pcrs }) => `${hashName(hashAlg)}: ${pcrs.join(', ')}`).join('; ');
  return [
    { name: 'type', value: 'TPM_ST_ATTEST_QUOTE' },
    { name: 'qualifiedSigner', value: hexOr(quote.qualifiedSigner), note: 'the Name of the key in its hierarchy' },
    {
      name: 'extraData',
      value: hexOr(quote.extraData),
      note: 'what the caller bound the quote to: a nonce or a binding',
    },
    { name: 'clockInfo.clock', value: `${clockInfo.clock.toString()} ms` },
    { name: 'clockInfo.resetCount', value: String(clockInfo.resetCount), note: 'boots since the TPM was cleared' },
    {
      name: 'clockInfo.restartCount',
      value: String(clockInfo.restartCount),
      note: 'suspends and resumes since the boot',
    },
    {
      name: 'clockInfo.safe',
      value: String(clockInfo.safe),
      ...(clockInfo.safe ? {} : { note: 'the clock may have gone back after a power loss' }),
    },
    { name: 'firmwareVersion', value: `0x${quote.firmwareVersion.toString(16).padStart(16, '0')}` },
    selection.ok
      ? { name: 'pcrSelect', value: selected }
      : { name: 'pcrSelect', value: selected === '' ? '(nothing)' : selected, note: selection.detail, wrong: true },
    {
      name: 'pcrDigest',
      value: hexOr(quote.pcrDigest),
      note: 'over the selected values, in the order of the selection',
    },
  ];
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly detail: string };

function signatureFields(
  { quoted, signature }: TpmEvidence,
  parsed: Attempt<TpmSignature>,
  ak: AkIdentity | undefined,
): readonly ExplainedField[] {
  if (!parsed.ok) return [fault(parsed, signature)];
  const { value } = parsed;
  const scheme: ExplainedField = { name: 'sigAlg', value: SCHEMES.get(value.sigAlg) ?? hexId(value.sigAlg) };
  if (value.kind === 'unknown') return [{ ...scheme, note: 'not a scheme that is verified here', wrong: true }];
  const fields: ExplainedField[] = [scheme, { name: 'hash', value: hashName(value.hash) }];
  if (value.kind === 'rsa') fields.push({ name: 'sig', value: toHex(value.sig), note: bits(value.sig) });
  else fields.push({ name: 'signatureR', value: hexOr(value.r) }, { name: 'signatureS', value: hexOr(value.s) });
  if (ak === undefined)
    return [...fields, { name: 'verifies', value: 'unknown', note: 'there is no AK to verify it with' }];
  const verified = verifyQuoteSignature(quoted, signature, ak);
  if (verified.ok) return [...fields, { name: 'verifies', value: 'yes', note: 'under the AK below' }];
  return [...fields, { name: 'verifies', value: 'no', note: verified.detail, wrong: true }];
}

function akFields(
  { ak: bytes, akCertificates }: TpmEvidence,
  ak: Result<AkIdentity>,
  runtimeAk: Buffer | undefined,
): readonly ExplainedField[] {
  const area = bytes === undefined ? undefined : attempt(() => parsePublicArea(tpmtPublic(bytes)));
  if (bytes !== undefined && area?.ok === false) return [fault(area, bytes)];
  const from = akCertificates.length > 0 ? 'the first of ak_certificates' : 'the runtime data of the HCL report';
  const fields: readonly ExplainedField[] =
    area?.ok === true
      ? areaFields(area.value)
      : [{ name: 'public area', value: '(left out)', note: `the key is the one in ${from}` }];
  if (!ak.ok) return [...fields, { name: 'suitable', value: 'no', note: ak.detail, wrong: true }];
  const { name, spkiSha256, spki } = ak.value;
  const other = runtimeAk !== undefined && !equalBytes(runtimeAk, spki);
  return [
    ...fields,
    { name: 'Name', value: name },
    {
      name: 'SPKI SHA-256',
      value: spkiSha256,
      ...(other
        ? { note: 'another key than the one in the runtime data of the HCL report', wrong: true as const }
        : {}),
    },
  ];
}

function areaFields({ key, nameAlg, objectAttributes, scheme, authPolicy }: PublicArea): readonly ExplainedField[] {
  const set = Object.entries(TPMA_OBJECT).filter(([, mask]) => (objectAttributes & mask) !== 0);
  const kind =
    key.kind === 'rsa' ? `RSA ${String(key.keyBits)}` : `ECC ${CURVE_NAMES.get(key.curve) ?? hexId(key.curve)}`;
  const made = scheme === undefined ? 'TPM_ALG_NULL' : (SCHEMES.get(scheme.scheme) ?? hexId(scheme.scheme));
  const hash = scheme?.hash === undefined ? '' : ` with ${hashName(scheme.hash)}`;
  return [
    { name: 'type', value: kind },
    { name: 'nameAlg', value: hashName(nameAlg) },
    {
      name: 'objectAttributes',
      value: `0x${(objectAttributes >>> 0).toString(16).padStart(8, '0')}`,
      note: set.map(([name]) => name).join(' '),
    },
    { name: 'authPolicy', value: hexOr(authPolicy) },
    { name: 'scheme', value: `${made}${hash}` },
  ];
}

function pcrFields(
  { pcrs }: TpmEvidence,
  quote: QuoteAttest | undefined,
  signature: Attempt<TpmSignature>,
): readonly ExplainedField[] {
  const values = Object.entries(pcrs).flatMap(([bank, byNumber]) =>
    Object.entries(byNumber).map(([pcr, value]): ExplainedField => {
      const unset = /^0+$/.test(value) ? 'nothing was measured into it' : undefined;
      return { name: `${bank} ${pcr}`, value, ...(unset === undefined ? {} : { note: unset }) };
    }),
  );
  const selected = quote === undefined ? undefined : checkSelection(quote.pcrSelect, {});
  if (quote === undefined || selected?.ok !== true) return values;
  const matched = matchValues(selected.value, pcrs);
  if (!matched.ok)
    return [...values, { name: 'values', value: 'not those selected', note: matched.detail, wrong: true }];
  const hash = signature.ok && signature.value.kind !== 'unknown' ? BANK_OF_ALG.get(signature.value.hash) : undefined;
  if (hash === undefined) return values;
  if (equalBytes(digest(hash, ...matched.value.ordered), quote.pcrDigest)) {
    return [...values, { name: 'digest', value: 'as signed', note: 'the values hash to pcrDigest' }];
  }
  return [...values, { name: 'digest', value: 'other', note: 'the values do not hash to pcrDigest', wrong: true }];
}

function fault({ detail }: Pick<Rejection, 'detail'>, bytes: Buffer): ExplainedField {
  return { name: 'structure', value: `${String(bytes.length)} bytes`, note: detail, wrong: true };
}

function attempt<T>(parse: () => T): Attempt<T> {
  try {
    return { ok: true, value: parse() };
  } catch (error) {
    if (error instanceof MalformedError) return { ok: false, detail: error.message };
    throw error;
  }
}

function hexOr(bytes: Buffer): string {
  return bytes.length === 0 ? '(empty)' : toHex(bytes);
}

function bits(bytes: Buffer): string {
  return `${String(bytes.length * 8)} bits`;
}

function hashName(alg: number): string {
  return BANK_OF_ALG.get(alg) ?? hexId(alg);
}

function hexId(id: number): string {
  return `0x${id.toString(16).padStart(4, '0')}`;
}
