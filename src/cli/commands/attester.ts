import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { toBase64url } from '../../bytes/base64url.js';
import { deploymentName } from '../arguments.js';
import type { CliContext } from '../context.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { shown } from '../outcome.js';
import { pathOf } from '../read-input.js';
import { noun, verb, type Act } from '../verb.js';
import { addQuarantine, addRevocations, addRevoke } from './attester-revoke.js';
import { attesterSegment } from './attester-segment.js';
import { attesterTable, describeAttester, type ShownAttester } from './attester-text.js';

const MAX_PUBLIC_BYTES = 8 * 1024;
const SPKI_HASH = /^[0-9a-f]{64}$/i;

/** `attester trust|list|show|quarantine|revoke|revocations`. */
export function addAttester(program: Command, act: Act): void {
  const attester = noun(program, 'attester', {
    summary: 'say which TPMs are believed',
    description:
      'An attester is a TPM, known by its attestation key (AK). A deployment that trusts `pinned` attesters believes those ' +
      'that were pinned for it; one that trusts certificates believes those that it lists under `attesters.allow`, and ' +
      'others are pending until you trust them.',
    examples: ['portcullis attester trust ak.pub --deployment llm-inference --name node-1'],
    next: '`portcullis workload ak --help` gets the AK of a machine.',
  });
  addTrust(attester, act);
  addList(attester, act);
  addShow(attester, act);
  addQuarantine(attester, act);
  addRevoke(attester, act);
  addRevocations(attester, act);
}

function addTrust(attester: Command, act: Act): void {
  verb(attester, 'trust', {
    summary: 'pin an AK for a deployment, or trust a pending one',
    description:
      'Trusts the AK of a TPM for a deployment: from a file with its public area (TPM2B_PUBLIC or TPMT_PUBLIC, as ' +
      'tpm2_createak -u writes it), or, for an attester that the broker knows already, such as one that is pending, by the ' +
      'SHA-256 of its SubjectPublicKeyInfo. Compare the hash with what the machine itself says: what the list shows of ' +
      'an AK that was only seen is not authenticated. The AK must be a restricted signing key that cannot leave its TPM.',
    examples: [
      'portcullis attester trust ak.pub --deployment llm-inference --name node-1',
      'portcullis attester trust 9f64…(64 hex digits)…0a --deployment fine-tuning',
    ],
    next: '`portcullis attester list` shows it; `portcullis attester revoke NAME` ends the trust.',
  })
    .argument('<file|spki>', 'file with the public area, - for stdin; or SPKI hash, 64 hex digits')
    .requiredOption('--deployment <name>', 'deployment that is to believe it', deploymentName)
    .option('--name <name>', 'what to call it; unique (default: made of its hash)')
    .action(
      act(async (context, what: string, options: { deployment: string; name?: string }) => {
        const spki = SPKI_HASH.test(what) && !existsSync(pathOf(context.io, what));
        const subject = spki ? { spki_sha256: what.toLowerCase() } : await publicArea(context, what);
        if ('ok' in subject) return subject;
        const { deployment, name } = options;
        const reply = await context.call<ShownAttester>('POST', '/v1/attesters', { deployment, name, ...subject });
        return shown(reply, (view) => [
          `Deployment ${deployment} trusts attester ${view.name ?? what}.`,
          ...(view.state === 'quarantined' ? ['It is in quarantine, and believed once that is ended.'] : []),
          ...describeAttester(view),
        ]);
      }),
    );
}

async function publicArea(context: CliContext, file: string) {
  const area = await context.read(file, MAX_PUBLIC_BYTES, 'evidence.malformed');
  return area.ok ? { public: toBase64url(area.value) } : area;
}

function addList(attester: Command, act: Act): void {
  addRangeOptions(
    verb(attester, 'list', {
      summary: 'list the attesters that the broker knows',
      description:
        'Lists every attester that was pinned, was enrolled, or asked for a key with something good to vouch for it, by SPKI ' +
        'hash: what vouches for it, its state and its deployments; in brackets, where there is none, the one that it last ' +
        'asked for.',
      examples: ['portcullis attester list'],
      next: '`portcullis attester show NAME` has the hashes and the public key.',
    }),
  ).action(
    act(async (context, options: RangeOptions) => {
      const reply = await context.list<ShownAttester>('/v1/attesters', options);
      return shown(reply, ({ items }) => [attesterTable(items)]);
    }),
  );
}

function addShow(attester: Command, act: Act): void {
  verb(attester, 'show', {
    summary: 'show one attester',
    description:
      'Shows one attester: AK Name, SPKI hash, public key for comparison by eye, who believes it and what vouches for it, ' +
      'the TPM it is in, and when and how it was last seen.',
    examples: ['portcullis attester show node-1'],
    next: '`portcullis attester revoke NAME` ends the trust.',
  })
    .argument('<name>', 'name, AK Name (hex) or SPKI hash (hex)')
    .action(
      act(async (context, id: string) =>
        shown(await context.call<ShownAttester>('GET', `/v1/attesters/${attesterSegment(id)}`), describeAttester),
      ),
    );
}
