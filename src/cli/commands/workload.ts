import { writeFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { toBase64url } from '../../bytes/base64url.js';
import type { AkScheme } from '../../simulator/ak.js';
import { deploymentName, integer, keyName, versionId } from '../arguments.js';
import type { CliContext } from '../context.js';
import { answer, UsageError, type Outcome } from '../outcome.js';
import { createOutputFile, type OutputFile } from '../output-file.js';
import { pathOf, whyUnreadable } from '../read-input.js';
import { persistentHandle, TPM_TEXT, tpmChoice, type TpmChoice } from '../tpm-option.js';
import { noun, verb, type Act } from '../verb.js';
import { LOG_KEY_TEXT, QUORUM_TEXT, readLogKey, readWitnesses, WITNESS_TEXT, witnessOption } from '../verifier-key.js';
import { SIMULATED_CVM_KINDS, type SimulatedCvmKind } from '../../workload/attesters/simulated-cvm-kinds.js';
import type { SimulatedHardwareWish } from '../workload-attester.js';
import type { Drawn, ReleaseWish } from '../workload-release.js';
import { addEnrol, ekOption, enrolmentNotes, HANDLE_TEXT, located } from './workload-enrol.js';

const MAX_QUORUM = 64;
const MAX_GPUS = 16;

/** `workload release|enrol|ak`. */
export function addWorkload(program: Command, act: Act): void {
  const workload = noun(program, 'workload', {
    summary: 'do what a workload does: attest and draw a key',
    description:
      'Runs beside a workload, in its machine: it attests with the TPM there and draws keys. It needs no admin token.',
    examples: [
      'portcullis workload release --deployment llm-inference --key weights --tpm device:/dev/tpmrm0 --out weights.jwk',
    ],
    next: 'Programs use ReleaseClient of portcullis/workload.',
  });
  addRelease(workload, act);
  addEnrol(workload, act);
  addAk(workload, act);
}

function addRelease(workload: Command, act: Act): void {
  verb(workload, 'release', {
    summary: 'draw a key',
    description:
      'The whole workload side: asks for a challenge, quotes it with the TPM, sends the evidence, verifies the receipt, and ' +
      'decrypts the key that comes back to an ephemeral key of this process. The key is a JWK, printed on stdout or written ' +
      'to a file. Without --log-key the log key is what the broker says it is, on the word of the connection. Where nothing ' +
      'vouches for the AK, it is enrolled by the EK of its TPM first (`portcullis workload enrol --help`). With the ' +
      'simulator a machine is made up that boots as the deployment expects: development brokers only; --cvm makes it a ' +
      'confidential VM, on AMD SEV-SNP or Intel TDX, by itself or below the paravisor of Azure (hcl). Evidence of genuine ' +
      'confidential VMs and GPUs is collected by programs, with an attester of their own.',
    examples: [
      'portcullis workload release --deployment llm-inference --key weights',
      'portcullis workload release --deployment llm-inference --key weights --tpm device:/dev/tpmrm0 --out /run/keys/weights.jwk',
      'portcullis workload release --deployment llm-inference --key weights --log-key log.vkey --receipt-out receipt.json',
      'portcullis workload release --deployment llm-inference --key weights --tpm simulator --cvm hcl-snp --gpus 1',
    ],
    next: 'When it is refused with ak.untrusted: `portcullis workload ak --help`; with policy.hash: `portcullis policy hash --help`.',
  })
    .requiredOption('--deployment <name>', 'deployment that this machine runs', deploymentName)
    .requiredOption('--key <name>', 'key to draw', keyName)
    .option('--version <version>', 'version of the key, 32 hex digits (default: latest)', versionId)
    .option('--tpm <tpm>', `${TPM_TEXT} (default: simulator)`, tpmChoice)
    .option('--no-tpm', 'a simulated confidential VM without a TPM: --cvm snp or tdx')
    .addOption(
      new Option('--cvm <kind>', 'the simulated machine is a confidential VM of this kind').choices(
        SIMULATED_CVM_KINDS,
      ),
    )
    .option('--gpus <n>', 'H100s that the simulated machine has (default: 0)', integer(0, MAX_GPUS))
    .option('--ak-handle <handle>', HANDLE_TEXT, persistentHandle)
    .addOption(ekOption())
    .option('--no-enrol', 'do not enrol the AK where nothing vouches for it')
    .addOption(
      new Option('--recipient <kind>', 'kind of the ephemeral key that the answer is encrypted to')
        .choices(['P-256', 'P-384', 'X25519', 'RSA'])
        .default('P-256'),
    )
    .option('--out <file>', 'write the JWK into this file (0600, replaced if it is there) instead of printing it')
    .option('--log-key <key>', LOG_KEY_TEXT)
    .option('--witness <key>', WITNESS_TEXT, witnessOption)
    .option('--quorum <n>', QUORUM_TEXT, integer(1, MAX_QUORUM))
    .option('--receipt-out <file>', 'write the receipt into this file (replaced if it is there)')
    .action(act(release));
}

type ReleaseOptions = Omit<ReleaseWish, 'tpm' | 'log' | 'hardware'> & {
  readonly tpm?: TpmChoice | false;
  readonly cvm?: SimulatedCvmKind;
  readonly gpus?: number;
  readonly out?: string;
  readonly logKey?: string;
  readonly witness?: readonly string[];
  readonly quorum?: number;
  readonly receiptOut?: string;
};

async function release(context: CliContext, options: ReleaseOptions): Promise<Outcome> {
  const { out, receiptOut, tpm = { kind: 'simulator' }, cvm, gpus, logKey, witness = [], quorum, ...rest } = options;
  const hardware = hardwareWish(tpm, cvm, gpus);
  const key = logKey === undefined ? undefined : await readLogKey(context, logKey);
  if (key?.ok === false) return key;
  const witnesses = await readWitnesses(context, witness, quorum);
  if (!witnesses.ok) return witnesses;
  const log = {
    ...(key === undefined ? {} : { logKey: key.value }),
    ...(witnesses.value === undefined ? {} : { witnesses: witnesses.value }),
  };
  const files: OutputFile[] = [];
  try {
    for (const name of [out, receiptOut]) {
      if (name !== undefined) files.push(await createOutputFile(context.io, name, true));
    }
    const { drawKey } = await import('../workload-release.js');
    const drawn = await drawKey(await context.address(), {
      ...rest,
      tpm: tpm === false ? tpm : located(context, tpm),
      ...(hardware === undefined ? {} : { hardware }),
      log,
    });
    if (!drawn.ok) return drawn;
    try {
      if (receiptOut !== undefined) await files.at(-1)?.write(`${JSON.stringify(drawn.value.receipt)}\n`);
      if (out !== undefined) await files[0]?.write(drawn.value.jwk);
      return released(drawn.value, options);
    } finally {
      drawn.value.jwk.fill(0);
    }
  } finally {
    for (const file of files) await file.discard();
  }
}

/** What a simulated machine is to have beside its TPM; undefined: nothing. Throws UsageError for a machine that there is not. */
function hardwareWish(
  tpm: TpmChoice | false,
  cvm: SimulatedCvmKind | undefined,
  gpus: number | undefined,
): SimulatedHardwareWish | undefined {
  if (tpm === false && (cvm === undefined || cvm.startsWith('hcl'))) {
    throw new UsageError('--no-tpm is for a confidential VM without paravisor: add --cvm snp or --cvm tdx');
  }
  if (cvm === undefined && gpus === undefined) return undefined;
  if (tpm !== false && tpm.kind !== 'simulator') {
    throw new UsageError('--cvm and --gpus simulate hardware, beside --tpm simulator or --no-tpm only');
  }
  return { ...(cvm === undefined ? {} : { cvm }), gpus: gpus ?? 0 };
}

function released(drawn: Drawn, { key: name, out }: ReleaseOptions): Outcome {
  const { key, releaseId, kid, version, jwk, attester, receipt, recorded, enrolment } = drawn;
  const { origin, index, size, logKeyPinned, witnesses } = recorded;
  const about = {
    release_id: releaseId,
    key: { name, version, kty: key.kty },
    receipt,
    log: { origin, index, size, pinned: logKeyPinned, witnesses },
    enrolled: enrolment !== undefined,
  };
  const word = logKeyPinned
    ? 'as the pinned log key signed'
    : 'on the word of the connection: pin the log key with --log-key';
  const notes = [
    ...(enrolment === undefined ? [] : enrolmentNotes(enrolment)),
    `${kid} was released (${releaseId}) on the word of: ${attester}`,
    `Recorded at index ${String(index)} of ${String(size)} in the log ${origin}, ${word}.`,
  ];
  if (out === undefined) return answer({ ok: true, ...about, jwk: key }, [jwk.toString('utf8')], notes);
  return answer({ ok: true, ...about, file: out }, [`Key ${kid} is in ${out}.`], notes);
}

interface AkOptions {
  readonly tpm: TpmChoice;
  readonly akHandle?: number;
  readonly scheme?: AkScheme;
  readonly out?: string;
}

function addAk(workload: Command, act: Act): void {
  verb(workload, 'ak', {
    summary: 'get the AK of this machine, for pinning',
    description:
      'Prints the public area of the AK that `workload release` quotes with, or writes it to a file (TPM2B_PUBLIC). Where the ' +
      'handle is empty, an AK is made under the EK of the TPM and kept there.',
    examples: [
      'portcullis workload ak --tpm device:/dev/tpmrm0 --out ak.pub',
      'portcullis workload ak --tpm swtpm:host=127.0.0.1,port=2321 --scheme ecdsa-p256 --json',
    ],
    next: 'An administrator pins it: `portcullis attester trust ak.pub --deployment NAME --name MACHINE`.',
  })
    .requiredOption('--tpm <tpm>', 'swtpm:host=H,port=P or device:PATH', tpmChoice)
    .option('--ak-handle <handle>', HANDLE_TEXT, persistentHandle)
    .addOption(
      new Option('--scheme <scheme>', 'how the AK signs, where it is made (default: rsassa)').choices([
        'rsassa',
        'rsapss',
        'ecdsa-p256',
        'ecdsa-p384',
      ]),
    )
    .option('--out <file>', 'write the public area into this file')
    .action(act(publicAk));
}

async function publicAk(context: CliContext, { tpm, akHandle, scheme, out }: AkOptions): Promise<Outcome> {
  if (tpm.kind === 'simulator') {
    throw new UsageError('the simulator has no AK to pin: development brokers certify the one that it has; name a TPM');
  }
  const { readAk } = await import('../workload-release.js');
  const read = await readAk(tpm.tcti, {
    ...(akHandle === undefined ? {} : { akHandle }),
    ...(scheme === undefined ? {} : { scheme }),
  });
  if (!read.ok) return read;
  const { tpm2bPublic, created, name, spkiSha256 } = read.value;
  const note = created ? 'The AK was made just now.' : 'The AK was there already.';
  const fields = { ak_name: name, ak_spki_sha256: spkiSha256, created };
  const rows = [
    ['AK Name', name],
    ['SPKI hash', spkiSha256],
  ];
  if (out === undefined) {
    const ak = toBase64url(tpm2bPublic);
    return answer({ ...fields, ak }, [{ rows: [...rows, ['TPM2B_PUBLIC', ak]] }], [note]);
  }
  await writeFile(pathOf(context.io, out), tpm2bPublic).catch((error: unknown) => {
    throw new UsageError(`cannot write ${out}: ${whyUnreadable(error)}`);
  });
  return answer({ ...fields, file: out }, [`The public area is in ${out}.`, { rows }], [note]);
}
