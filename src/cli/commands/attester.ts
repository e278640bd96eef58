import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { toBase64url } from '../../bytes/base64url.js';
import type { AttesterView } from '../../release/views.js';
import { deploymentName } from '../arguments.js';
import type { CliContext } from '../context.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { shown, UsageError, type Block } from '../outcome.js';
import { pathOf } from '../read-input.js';
import { noun, verb, type Act } from '../verb.js';

const MAX_PUBLIC_BYTES = 8 * 1024;
const SPKI_HASH = /^[0-9a-f]{64}$/i;
const MAX_ID_LENGTH = 256;

/** `attester trust|list|show|revoke`. */
export function addAttester(program: Command, act: Act): void {
  const attester = noun(program, 'attester', {
    summary: 'say which TPMs are believed',
    description:
      'An attester is a TPM, known by its attestation key (AK). A deployment that trusts `pinned` attesters believes those ' +
      'that were pinned for it, and no others.',
    examples: ['portcullis attester trust ak.pub --deployment llm-inference --name node-1'],
    next: '`portcullis workload ak --help` gets the AK of a machine.',
  });
  addTrust(attester, act);
  addList(attester, act);
  addShow(attester, act);
  addRevoke(attester, act);
}

function addTrust(attester: Command, act: Act): void {
  verb(attester, 'trust', {
    summary: 'pin an AK for a deployment',
    description:
      'Pins the AK of a TPM for a deployment: from a file with its public area (TPM2B_PUBLIC or TPMT_PUBLIC, as ' +
      'tpm2_createak -u writes it), or, for an attester that the broker knows already, by the SHA-256 of its ' +
      'SubjectPublicKeyInfo. The AK must be a restricted signing key that cannot leave its TPM.',
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
        const reply = await context.call<AttesterView>('POST', '/v1/attesters', { deployment, name, ...subject });
        return shown(reply, (view) => [`Deployment ${deployment} trusts attester ${view.name}.`, ...describe(view)]);
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
      description: 'Lists attesters with their trust, their state and the deployments that believe them.',
      examples: ['portcullis attester list'],
      next: '`portcullis attester show NAME` has the hashes and the public key.',
    }),
  ).action(
    act(async (context, options: RangeOptions) => {
      const reply = await context.list<AttesterView>('/v1/attesters', options);
      return shown(reply, ({ items }) => [
        {
          head: ['name', 'trust', 'state', 'deployments', 'SPKI hash'],
          rows: items.map((view) => [
            view.name,
            view.trust,
            view.state,
            view.deployments.join(', '),
            view.ak_spki_sha256,
          ]),
        },
      ]);
    }),
  );
}

function addShow(attester: Command, act: Act): void {
  verb(attester, 'show', {
    summary: 'show one attester',
    description: 'Shows one attester: AK Name, SPKI hash, public key for comparison by eye, and who believes it.',
    examples: ['portcullis attester show node-1'],
    next: '`portcullis attester revoke NAME` ends the trust.',
  })
    .argument('<name>', 'name, AK Name (hex) or SPKI hash (hex)')
    .action(
      act(async (context, id: string) =>
        shown(await context.call<AttesterView>('GET', `/v1/attesters/${segment(id)}`), describe),
      ),
    );
}

function addRevoke(attester: Command, act: Act): void {
  verb(attester, 'revoke', {
    summary: 'believe an attester no longer, for good',
    description:
      'Revokes an AK for every deployment, for good: on the very next release, requests in flight included. It is no ' +
      'recall: what was released is released. An SPKI hash that the broker has never seen can be revoked too.',
    examples: ['portcullis attester revoke node-1'],
    next: 'Make a new AK in the TPM and pin that one, should the machine be trusted again.',
  })
    .argument('<name>', 'name, AK Name (hex) or SPKI hash (hex)')
    .action(
      act(async (context, id: string) => {
        const reply = await context.call<{ ak_spki_sha256: string }>('POST', `/v1/attesters/${segment(id)}/revoke`, {});
        return shown(reply, (view) => [`Attester ${id} is revoked (SPKI hash ${view.ak_spki_sha256}).`]);
      }),
    );
}

/** The name of an attester as one segment of a path; no segment that a URL would resolve away. */
function segment(id: string): string {
  if (id === '' || id === '.' || id === '..' || id.length > MAX_ID_LENGTH) {
    throw new UsageError(
      'an attester is named by its name, AK Name or SPKI hash, as `portcullis attester list` shows them',
    );
  }
  return encodeURIComponent(id);
}

function describe(view: AttesterView): readonly Block[] {
  return [
    {
      rows: [
        ['name', view.name],
        ['trust', view.trust],
        ['state', view.state],
        ['deployments', view.deployments.join(', ')],
        ['AK Name', view.ak_name],
        ['SPKI hash', view.ak_spki_sha256],
        ['created', view.created_at],
      ],
    },
    '',
    view.pem.trimEnd(),
  ];
}
