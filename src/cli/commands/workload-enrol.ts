import { Option, type Command } from 'commander';
import { toBase64url } from '../../bytes/base64url.js';
import { MalformedError } from '../../bytes/malformed-error.js';
import { pemBlocks } from '../../crypto/pem.js';
import { EK_ALGORITHMS, type EkAlgorithm } from '../../simulator/ek.js';
import type { Enrolment } from '../../workload/enrol.js';
import { deploymentName, repeated } from '../arguments.js';
import type { CliContext } from '../context.js';
import { answer, UsageError, type Outcome } from '../outcome.js';
import { pathOf, readSmallInput } from '../read-input.js';
import { persistentHandle, TPM_TEXT, tpmChoice, type TpmChoice } from '../tpm-option.js';
import { verb, type Act } from '../verb.js';
import type { Enrolled } from '../workload-enrol.js';

export const HANDLE_TEXT = 'persistent handle of the AK (default: 0x81010002)';

const MAX_CERTIFICATES = 8;
const MAX_CERTIFICATE_BYTES = 8192;
const MAX_FILE_BYTES = 128 * 1024;
const DER_SEQUENCE = 0x30;

/** `--ek`, of every command that may enrol. */
export function ekOption(): Option {
  return new Option(
    '--ek <algorithm>',
    'EK that vouches for the AK (default: the first that the TPM has a certificate for)',
  ).choices(EK_ALGORITHMS);
}

/** `workload enrol`. */
export function addEnrol(workload: Command, act: Act): void {
  verb(workload, 'enrol', {
    summary: 'prove to a broker that the AK lives in a genuine TPM',
    description:
      'Enrols the AK of this machine for a deployment that trusts ek-certificate: shows the certificate that the maker of the ' +
      'TPM gave its EK, and has the TPM open a credential that only the TPM with both keys can open. Where the handle is empty, ' +
      'an AK is made and kept there. The TPM is then known, and believed as far as the deployment says: by the EK hash in ' +
      'attesters.allow.ek, or once an administrator trusts the AK. Doing it again is no harm. A simulated TPM needs ' +
      'simulator-ca.pem, of the data directory of a development broker, in attesters.roots, and a FILE if its AK is to be the ' +
      'same the next time.',
    examples: [
      'portcullis workload enrol --deployment llm-inference --tpm device:/dev/tpmrm0',
      'portcullis workload enrol --deployment llm-inference --tpm device:/dev/tpmrm0 --ek-certificate ek.der --ek-certificate maker.pem',
      'portcullis workload enrol --deployment hello --tpm simulator:tpm.json',
    ],
    next: '`portcullis workload release` with the same --tpm draws a key, and enrols by itself where it has to.',
  })
    .requiredOption('--deployment <name>', 'deployment that this machine runs', deploymentName)
    .option('--tpm <tpm>', `${TPM_TEXT} (default: simulator)`, tpmChoice)
    .option('--ak-handle <handle>', HANDLE_TEXT, persistentHandle)
    .addOption(ekOption())
    .option(
      '--ek-certificate <file>',
      'certificate of the EK, and of authorities above it, instead of those in the TPM; DER or PEM, the EK first; may be repeated',
      repeated((file) => file),
    )
    .action(act(enrolThis));
}

interface EnrolOptions {
  readonly deployment: string;
  readonly tpm?: TpmChoice;
  readonly akHandle?: number;
  readonly ek?: EkAlgorithm;
  readonly ekCertificate?: readonly string[];
}

async function enrolThis(context: CliContext, options: EnrolOptions): Promise<Outcome> {
  const { ekCertificate: files, tpm = { kind: 'simulator' }, ...rest } = options;
  if (files !== undefined && tpm.kind === 'simulator') {
    throw new UsageError('--ek-certificate is for a TPM; the broker certifies the EK of a simulated one');
  }
  const ekCertificates = files === undefined ? undefined : await readCertificates(context, files);
  const { enrolMachine } = await import('../workload-enrol.js');
  const enrolled = await enrolMachine(await context.address(), {
    ...rest,
    tpm: located(context, tpm),
    ...(ekCertificates === undefined ? {} : { ekCertificates }),
  });
  return enrolled.ok ? shown(enrolled.value, tpm) : enrolled;
}

/** The TPM with its file relative to the working directory of the run. */
export function located(context: CliContext, tpm: TpmChoice): TpmChoice {
  return tpm.kind === 'simulator' && tpm.file !== undefined ? { ...tpm, file: pathOf(context.io, tpm.file) } : tpm;
}

async function readCertificates(context: CliContext, files: readonly string[]): Promise<readonly string[]> {
  const certificates: string[] = [];
  for (const file of files) {
    const content = await readSmallInput(context.io, file, MAX_FILE_BYTES);
    try {
      const found =
        content[0] === DER_SEQUENCE
          ? [content]
          : pemBlocks(content.toString('latin1'), 'CERTIFICATE', MAX_CERTIFICATES, MAX_CERTIFICATE_BYTES);
      if (found.length === 0) throw new MalformedError('no certificate');
      certificates.push(...found.map(toBase64url));
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      throw new UsageError(`${file} holds no DER or PEM certificate: ${error.message}`);
    }
  }
  return certificates;
}

function shown(enrolled: Enrolled, tpm: TpmChoice): Outcome {
  const { deployment, akName, akSpkiSha256, ekSpkiSha256, ekAlgorithm, identity, state, attester, akCreated } =
    enrolled;
  const { manufacturer, model, version } = identity ?? {};
  const json = {
    ok: true,
    deployment,
    attester: { ak_name: akName, ak_spki_sha256: akSpkiSha256, trust: 'ek-certificate', state },
    ek: { algorithm: ekAlgorithm, spki_sha256: ekSpkiSha256, manufacturer, model, version },
    ak_created: akCreated,
  };
  const rows = [
    ['deployment', deployment],
    ['TPM', attester],
    ['maker', manufacturer === undefined ? 'the certificate does not say' : makerText(manufacturer)],
    ...(model === undefined ? [] : [['model', model]]),
    ...(version === undefined ? [] : [['firmware', version]]),
    ['EK', ekAlgorithm],
    ['EK hash', ekSpkiSha256],
    ['AK Name', akName],
    ['AK hash', akSpkiSha256],
    ['state', state],
  ];
  const forgotten =
    tpm.kind === 'simulator' && tpm.file === undefined
      ? ['This simulated TPM is gone now, and its AK with it: --tpm simulator:FILE keeps one.']
      : [];
  return answer(json, [{ rows }], [...enrolmentNotes(enrolled), ...forgotten]);
}

/** What has come of an enrolment, and what is left to do. */
export function enrolmentNotes(enrolment: Enrolment): readonly string[] {
  const { deployment, akSpkiSha256, ekSpkiSha256, state } = enrolment;
  if (state === 'trusted') return [`The AK is enrolled, and trusted by ${deployment}.`];
  return [
    `The AK is enrolled, and pending: no rule of ${deployment} lets it in. An administrator trusts this AK with ` +
      `\`portcullis attester trust ${akSpkiSha256} --deployment ${deployment}\`, or whatever AK this TPM makes by adding ` +
      `${ekSpkiSha256} to attesters.allow.ek of the deployment.`,
  ];
}

/** `id:` and four bytes of ASCII in hex (TCG Vendor ID Registry), with the letters behind. */
function makerText(manufacturer: string): string {
  const hex = /^id:([0-9a-f]{8})$/i.exec(manufacturer)?.[1];
  const letters = hex === undefined ? '' : Buffer.from(hex, 'hex').toString('latin1').replaceAll('\0', '').trim();
  return /^[\x20-\x7e]+$/.test(letters) ? `${letters} (${manufacturer})` : manufacturer;
}
