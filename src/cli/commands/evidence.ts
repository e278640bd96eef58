import type { Command } from 'commander';
import type { ClaimTree } from '../../claims/claims.js';
import type { ExplainedField, ExplainedSection } from '../../evidence/explained.js';
import { hexBytes, rfc3339 } from '../arguments.js';
import type { CliContext } from '../context.js';
import type { EvidenceConditions, Verdict } from '../evidence/evidence-verify.js';
import { answer, type Block, type Outcome } from '../outcome.js';
import { noun, verb, type Act } from '../verb.js';

/** Characters of a value that a person is shown; all of it is in the JSON. */
const MAX_SHOWN = 132;
const SHOWN_OF_LONG = 64;

/** `evidence verify` and `evidence explain`. */
export function addEvidence(program: Command, act: Act): void {
  const evidence = noun(program, 'evidence', {
    summary: 'check and explain evidence offline',
    description:
      'Checks evidence of TPMs, confidential VMs (AMD SEV-SNP, Intel TDX, Azure HCL) and NVIDIA GPUs with the verifiers of the broker, offline.',
    examples: [
      'portcullis evidence explain evidence.json',
      'portcullis evidence verify evidence.json --policy llm-inference.yaml',
    ],
    next: '`portcullis evidence verify --help` has every option.',
  });
  verb(evidence, 'verify', {
    summary: 'verify evidence and print the claims that it proves',
    description:
      'Verifies everything in the `evidence` member of a release request, or of a whole request: signatures, chains to the roots pinned in the ' +
      'program, TCB and revocation by the collateral given, and that all of it is of one machine and one challenge. Without --policy the safe ' +
      'defaults apply: what may be debugged is refused, and no simulator is believed. Exit code 0 when it is accepted, 1 with a reason ' +
      'code when it is not. It does not know what a broker knows: pinned AKs, enrolments, revocations. With a deployment as --policy all that its ' +
      'rules ask for must be there, and a deployment that every broker refuses is refused. Only a deployment says which paravisor is believed: ' +
      'without one nothing makes an AK believable (no claim tpm.ak.trust), and hcl.* is only worth something beside a condition on snp.measurement, snp.id_key_digest or tdx.mrtd.',
    examples: [
      'portcullis evidence verify evidence.json --collateral ./collateral',
      'portcullis evidence verify request.json --policy llm-inference.yaml --at 2026-11-01T00:00:00Z --json',
      'portcullis evidence verify gpus.json --gpu-nonce 931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb',
    ],
    next: 'docs/CLAIMS.md lists the claims, docs/REASONS.md the reason codes; `portcullis evidence explain FILE` says what stands in it.',
  })
    .argument('<file>', 'JSON of an `evidence` member, or of a release request that has one')
    .option(
      '--extra-data <hex>',
      "extraData that the TPM quote must hold; '' demands that it is empty (default: not checked)",
      hexBytes,
    )
    .option(
      '--gpu-nonce <hex>',
      'nonce that every device must have answered, 32 bytes (default: not checked)',
      hexBytes,
    )
    .option(
      '--report-data <hex>',
      'report data that the SEV-SNP or TDX report must hold, all 64 bytes (default: not checked)',
      hexBytes,
    )
    .option('--policy <file>', 'deployment document, or release policy, that must be met, - for stdin')
    .option('--at <time>', 'the clock, RFC 3339 (default: now)', rfc3339)
    .option('--collateral <dir>', COLLATERAL)
    .action(act(verify));
  verb(evidence, 'explain', {
    summary: 'say what a piece of evidence holds, field by field',
    description:
      'Prints every field of the evidence in a file and marks what is wrong with it, then the verdict that `evidence verify` gives under the safe ' +
      'defaults. Takes the JSON of an `evidence` member or of a release request, a list of devices as the tools of NVIDIA write it, or one report or ' +
      'quote alone: binary, hex or base64. Exit code 0 when there was something to explain, whatever the verdict.',
    examples: [
      'portcullis evidence explain evidence.json --collateral ./collateral',
      'portcullis evidence explain snp-report.bin',
    ],
    next: '`portcullis evidence verify FILE` decides; docs/REASONS.md explains the reason codes.',
  })
    .argument('<file>', 'JSON of evidence, or one report or quote')
    .option('--at <time>', 'the clock, RFC 3339 (default: now)', rfc3339)
    .option('--collateral <dir>', COLLATERAL)
    .action(act(explain));
}

const COLLATERAL =
  'directory with tcbInfo.json, qeIdentity.json, *IssuerChain.pem, pckCrl.der, rootCaCrl.der, amd/*.crl and rim/*, what is there of it';

const UNBELIEVED =
  'note: nothing believes the claims hcl.* yet: anybody with such a processor can have it sign runtime data of his own. ' +
  'Check snp.measurement or tdx.mrtd, or give --policy a deployment that allows the paravisor';

const AS_EVIDENCE =
  '`evidence verify` takes it as {"gpus":[{"report":"<base64url>","certificates":["<base64url>"]}]}, the member `evidence` of ' +
  'what this command prints with --json';

interface ClockOptions {
  readonly at?: string;
  readonly collateral?: string;
}

interface VerifyOptions extends ClockOptions {
  readonly extraData?: Buffer;
  readonly gpuNonce?: Buffer;
  readonly reportData?: Buffer;
  readonly policy?: string;
}

async function verify(context: CliContext, file: string, options: VerifyOptions): Promise<Outcome> {
  const { decodeEvidenceFile, MAX_EVIDENCE_BYTES } = await import('../evidence/evidence-file.js');
  const read = await context.read(file, MAX_EVIDENCE_BYTES, 'evidence.malformed');
  if (!read.ok) return refused(context, read);
  const { readEvidencePolicy } = await import('../evidence/policy-file.js');
  const policy = options.policy === undefined ? undefined : await readEvidencePolicy(context, options.policy);
  if (policy?.ok === false) return refused(context, policy);
  const { offlineTrust } = await import('../evidence/collateral-option.js');
  const trust = await offlineTrust(context, options.collateral, options.at);
  const evidence = decodeEvidenceFile(read.value);
  if (!evidence.ok) return refused(context, evidence);
  const conditions: EvidenceConditions = {
    extraData: options.extraData,
    gpuNonce: options.gpuNonce,
    reportData: options.reportData,
    policy: policy?.value,
  };
  const { verifyEvidenceOffline } = await import('../evidence/evidence-verify.js');
  const verdict = verifyEvidenceOffline(evidence.value, trust, conditions);
  if (!verdict.ok) return refused(context, verdict);
  const rows = flatten(verdict.value);
  const text = ['The evidence is accepted.', { head: ['claim', 'value'], rows }];
  const isUnbelieved = policy?.value.kind !== 'deployment' && verdict.value['hcl'] !== undefined;
  return answer({ ok: true, claims: verdict.value }, text, isUnbelieved ? [UNBELIEVED] : []);
}

/** For programs exactly these members; people also see what was expected and found. */
function refused(context: CliContext, verdict: Exclude<Verdict, { readonly ok: true }>): Outcome {
  return context.json ? { ok: false, reason: verdict.reason, detail: verdict.detail } : verdict;
}

async function explain(context: CliContext, file: string, options: ClockOptions): Promise<Outcome> {
  const { MAX_EVIDENCE_BYTES } = await import('../evidence/evidence-file.js');
  const read = await context.read(file, MAX_EVIDENCE_BYTES, 'evidence.malformed');
  if (!read.ok) return read;
  const { offlineTrust } = await import('../evidence/collateral-option.js');
  const trust = await offlineTrust(context, options.collateral, options.at);
  const { explainEvidence } = await import('../evidence/evidence-explain.js');
  const explained = explainEvidence(read.value, trust);
  if (!explained.ok) return explained;
  const { seems, sections, verdict, alone, evidence } = explained.value;
  const shown = verdict.ok ? { ok: true } : { ok: false, reason: verdict.reason, detail: verdict.detail };
  const line = verdict.ok ? 'Verdict: accepted' : `Verdict: refused, ${verdict.reason}: ${verdict.detail}`;
  const hint = [
    ...(alone === undefined ? [] : [`With what belongs to it, \`evidence verify\` takes it as ${alone}`]),
    ...(evidence === undefined ? [] : [AS_EVIDENCE]),
  ];
  const text = [`This seems to be ${seems}.`, ...sections.flatMap(blocksOf), '', line, ...hint];
  return answer({ seems, sections, verdict: shown, ...(evidence === undefined ? {} : { evidence }) }, text);
}

function blocksOf({ title, fields }: ExplainedSection): readonly Block[] {
  return ['', title, { rows: fields.map(rowOf) }];
}

/** Value and note in one column: one long value would else push every note out of sight. */
function rowOf({ name, value, note, wrong }: ExplainedField): readonly string[] {
  const shown =
    value.length > MAX_SHOWN ? `${value.slice(0, SHOWN_OF_LONG)}… (${String(value.length)} characters)` : value;
  const said = note === undefined ? '' : wrong === true ? `   WRONG: ${note}` : `   (${note})`;
  return [wrong === true ? '!!' : '', name, `${shown}${said}`];
}

/** Claims with their dotted names. */
function flatten(claims: ClaimTree, prefix = ''): string[][] {
  return Object.entries(claims).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return typeof value === 'object' ? flatten(value, `${prefix}${name}.`) : [[`${prefix}${name}`, String(value)]];
  });
}
