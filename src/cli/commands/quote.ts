import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { ClaimTree } from '../../claims/claims.js';
import { hexBytes, integer, repeated } from '../arguments.js';
import type { CliContext } from '../context.js';
import { answer, UsageError, type Outcome } from '../outcome.js';
import type { QuoteVerifyInput } from '../quote-verify.js';
import { noun, verb, type Act } from '../verb.js';

/** Hex digits of a value of each bank. */
const BANK_DIGITS = { sha1: 40, sha256: 64, sha384: 96, sha512: 128 } as const;
/** Far more than any of the files is; what is larger is not what it should be. */
const MAX_FILE_BYTES = 1024 * 1024;
const MAX_POLICY_BYTES = 64 * 1024 * 1024;
const DEFAULT_POLICY_PCR = 8;
const MAX_PCR = 23;

type PcrCondition = QuoteVerifyInput['pcrConditions'][number];

/** `quote verify`. */
export function addQuote(program: Command, act: Act): void {
  const quote = noun(program, 'quote', {
    summary: 'check TPM quotes offline',
    description: 'Checks TPM 2.0 quotes with the verifier of the broker, offline, and without a deployment.',
    examples: ['portcullis quote verify --quoted quote.msg --signature quote.sig --ak ak.pub --pcrs quote.pcrs'],
    next: '`portcullis quote verify --help` has every option.',
  });
  verb(quote, 'verify', {
    summary: 'verify a quote and print what it proves',
    description:
      'Verifies a quote as tpm2_quote writes it: structure, AK attributes, signature, PCR selection and PCR values; then the ' +
      'conditions that are given. Exit code 0 when it is accepted, 1 with a reason code when it is not. It cannot say whether ' +
      'the AK is in a genuine TPM: who names the file vouches for it.',
    examples: [
      'tpm2_quote -c ak.ctx -l sha256:0,4,8 -q c0ffee -m quote.msg -s quote.sig -o quote.pcrs -g sha256',
      'portcullis quote verify --quoted quote.msg --signature quote.sig --ak ak.pub --pcrs quote.pcrs --extra-data c0ffee',
      'portcullis quote verify --quoted quote.msg --signature quote.sig --ak ak.pub --pcrs quote.pcrs --policy llm.policy.json --policy-pcr 8',
    ],
    next: 'docs/REASONS.md explains every reason code; `portcullis attester trust` pins the AK.',
  })
    .requiredOption('--quoted <file>', 'the quote: TPMS_ATTEST, as tpm2_quote -m writes it')
    .requiredOption('--signature <file>', 'its signature: TPMT_SIGNATURE, as tpm2_quote -s writes it')
    .requiredOption('--ak <file>', 'the AK: TPM2B_PUBLIC or TPMT_PUBLIC')
    .requiredOption('--pcrs <file>', 'PCR values: from tpm2_quote -o, tpm2_pcrread, or JSON {"sha256":{"8":"<hex>"}}')
    .option(
      '--extra-data <hex>',
      "extraData that the quote must hold; '' demands that it is empty (default: not checked)",
      hexBytes,
    )
    .option(
      '--pcr <bank:n=hex>',
      'value that a PCR must have, such as sha256:7=…; may be repeated',
      repeated(pcrCondition),
    )
    .option('--policy <file>', 'runtime policy that must have been measured, into a PCR of bank sha256')
    .option(
      '--policy-pcr <n>',
      `PCR that the policy is measured into, 0 to 23 (default: ${String(DEFAULT_POLICY_PCR)})`,
      integer(0, MAX_PCR),
    )
    .action(act(verify));
}

interface VerifyOptions {
  readonly quoted: string;
  readonly signature: string;
  readonly ak: string;
  readonly pcrs: string;
  readonly extraData?: Buffer;
  readonly pcr?: readonly PcrCondition[];
  readonly policy?: string;
  readonly policyPcr?: number;
}

async function verify(context: CliContext, options: VerifyOptions): Promise<Outcome> {
  if (options.policyPcr !== undefined && options.policy === undefined) {
    throw new UsageError('--policy-pcr says where a policy is measured; name the policy with --policy F');
  }
  const files: Buffer[] = [];
  for (const name of [options.quoted, options.signature, options.ak, options.pcrs]) {
    const read = await context.read(name, MAX_FILE_BYTES, 'evidence.malformed');
    if (!read.ok) return read;
    files.push(read.value);
  }
  const [quoted, signature, ak, pcrs] = files as [Buffer, Buffer, Buffer, Buffer];
  const input: QuoteVerifyInput = { quoted, signature, ak, pcrs, pcrConditions: options.pcr ?? [] };
  if (options.extraData !== undefined) input.extraData = options.extraData;
  if (options.policy !== undefined) {
    const content = await context.read(options.policy, MAX_POLICY_BYTES);
    if (!content.ok) return content;
    input.policy = { content: content.value, pcr: options.policyPcr ?? DEFAULT_POLICY_PCR };
  }
  const { verifyQuoteOffline } = await import('../quote-verify.js');
  const verified = verifyQuoteOffline(input);
  if (!verified.ok) {
    // For programs exactly these members; people also see what was expected and found.
    return context.json ? { ok: false, reason: verified.reason, detail: verified.detail } : verified;
  }
  const rows = flatten(verified.value);
  return answer({ ok: true, claims: verified.value }, ['The quote is accepted.', { head: ['claim', 'value'], rows }]);
}

/** `sha256:8=<hex>`; the value in lower case. */
function pcrCondition(text: string): PcrCondition {
  const [, bank = '', index = '', value = ''] = /^([^:=]*):(0|[1-9]\d?)=([0-9a-fA-F]*)$/.exec(text) ?? [];
  if (!isBank(bank) || Number(index) > MAX_PCR || value.length !== BANK_DIGITS[bank]) {
    throw new InvalidArgumentError(
      'It must be BANK:N=HEX: bank sha1, sha256, sha384 or sha512, N from 0 to 23, and a value as long as the bank has it.',
    );
  }
  return { bank, index: Number(index), value: value.toLowerCase() };
}

function isBank(text: string): text is keyof typeof BANK_DIGITS {
  return Object.hasOwn(BANK_DIGITS, text);
}

/** Claims with their dotted names. */
function flatten(claims: ClaimTree, prefix = ''): string[][] {
  return Object.entries(claims).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return typeof value === 'object' ? flatten(value, `${prefix}${name}.`) : [[`${prefix}${name}`, String(value)]];
  });
}
