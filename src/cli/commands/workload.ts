import { writeFile } from 'node:fs/promises';
import { Option, type Command } from 'commander';
import { toBase64url } from '../../bytes/base64url.js';
import type { AkScheme } from '../../simulator/ak.js';
import { deploymentName, keyName, versionId } from '../arguments.js';
import type { CliContext } from '../context.js';
import { answer, UsageError, type Outcome } from '../outcome.js';
import { createOutputFile } from '../output-file.js';
import { pathOf, whyUnreadable } from '../read-input.js';
import { persistentHandle, tpmChoice, type TpmChoice } from '../tpm-option.js';
import { noun, verb, type Act } from '../verb.js';
import type { ReleaseWish } from '../workload-release.js';

const HANDLE_TEXT = 'persistent handle of the AK (default: 0x81010002)';

/** `workload release|ak`. */
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
  addAk(workload, act);
}

function addRelease(workload: Command, act: Act): void {
  verb(workload, 'release', {
    summary: 'draw a key',
    description:
      'The whole workload side: asks for a challenge, quotes it with the TPM, sends the evidence, and decrypts the key that ' +
      'comes back to an ephemeral key of this process. The key is a JWK, printed on stdout or written to a file. With the ' +
      'simulator a machine is made up that boots as the deployment expects: development brokers only.',
    examples: [
      'portcullis workload release --deployment llm-inference --key weights',
      'portcullis workload release --deployment llm-inference --key weights --tpm device:/dev/tpmrm0 --out /run/keys/weights.jwk',
    ],
    next: 'When it is refused with ak.untrusted: `portcullis workload ak --help`; with policy.hash: `portcullis policy hash --help`.',
  })
    .requiredOption('--deployment <name>', 'deployment that this machine runs', deploymentName)
    .requiredOption('--key <name>', 'key to draw', keyName)
    .option('--version <version>', 'version of the key, 32 hex digits (default: latest)', versionId)
    .option('--tpm <tpm>', 'simulator, swtpm:host=H,port=P or device:PATH (default: simulator)', tpmChoice)
    .option('--ak-handle <handle>', HANDLE_TEXT, persistentHandle)
    .addOption(
      new Option('--recipient <kind>', 'kind of the ephemeral key that the answer is encrypted to')
        .choices(['P-256', 'P-384', 'X25519', 'RSA'])
        .default('P-256'),
    )
    .option('--out <file>', 'write the JWK into this file (0600, replaced if it is there) instead of printing it')
    .action(act(release));
}

async function release(
  context: CliContext,
  options: Omit<ReleaseWish, 'tpm'> & { tpm?: TpmChoice; out?: string },
): Promise<Outcome> {
  const { out, tpm = { kind: 'simulator' }, ...rest } = options;
  const wish = { tpm, ...rest };
  const { drawKey } = await import('../workload-release.js');
  const file = out === undefined ? undefined : await createOutputFile(context.io, out, true);
  try {
    const drawn = await drawKey(await context.address(), wish);
    if (!drawn.ok) return drawn;
    const { key, releaseId, kid, version, jwk, attester } = drawn.value;
    const about = { release_id: releaseId, key: { name: wish.key, version, kty: key.kty } };
    const note = `${kid} was released (${releaseId}) on the word of: ${attester}`;
    try {
      if (out === undefined) return answer({ ok: true, ...about, jwk: key }, [jwk.toString('utf8')], [note]);
      await file?.write(jwk);
      return answer({ ok: true, ...about, file: out }, [`Key ${kid} is in ${out}.`], [note]);
    } finally {
      jwk.fill(0);
    }
  } finally {
    await file?.discard();
  }
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
    throw new UsageError(
      'the simulator has no AK to pin: each run makes one, which development brokers certify; name a TPM',
    );
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
