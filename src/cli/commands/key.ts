import { Option, type Command } from 'commander';
import { KEY_SPECS, parseKeySpec } from '../../keys/generator.js';
import type { KeyView } from '../../release/views.js';
import { deploymentName, integer, keyName, repeated } from '../arguments.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { shown, UsageError } from '../outcome.js';
import { noun, verb, type Act } from '../verb.js';
import { importMaterial } from './key-material.js';
import { addKeyState } from './key-state.js';
import { describeKey } from './key-text.js';

const MAX_BITS = 16_384;

/** `key create|import|list|show|rotate|disable|enable|freeze|unfreeze|delete|recover|link|unlink`. */
export function addKey(program: Command, act: Act): void {
  const key = noun(program, 'key', {
    summary: 'make, import and control the keys that are released',
    description:
      'Keys are kept wrapped and leave for an attested workload of a linked deployment only. No command prints key ' +
      'material: not these, and not those of an administrator.',
    examples: ['portcullis key create weights --type oct --deployment llm-inference'],
    next: '`portcullis workload release --help` draws a key, as a workload does.',
  });
  addCreate(key, act);
  addImport(key, act);
  addList(key, act);
  addKeyState(key, act);
}

interface CreateOptions {
  readonly type: string;
  readonly size?: number;
  readonly curve?: string;
  readonly deployment: readonly string[];
}

function addCreate(key: Command, act: Act): void {
  verb(key, 'create', {
    summary: 'make a key that nobody has seen',
    description:
      'Makes a key in the broker, and links it to the deployments that may draw it. Nobody sees it before a workload does.',
    examples: [
      'portcullis key create weights --deployment llm-inference',
      'portcullis key create signer --type EC --curve P-384 --deployment fine-tuning --deployment evaluation',
    ],
    next: '`portcullis key show NAME`; `portcullis key link NAME --deployment D` lets another deployment draw it.',
  })
    .argument('<name>', 'name of the key: 1 to 127 letters, digits and -', keyName)
    .addOption(new Option('--type <type>', 'kind of key').choices(Object.keys(KEY_SPECS)).default('oct'))
    .option('--size <bits>', 'oct: 128 to 4096 (default 256); RSA: 2048, 3072 (default), 4096', integer(1, MAX_BITS))
    .addOption(
      new Option('--curve <curve>', 'EC: P-256 (default), P-384, P-521; OKP: Ed25519 (default), X25519').choices([
        ...KEY_SPECS.EC,
        ...KEY_SPECS.OKP,
      ]),
    )
    .requiredOption('--deployment <name>', 'deployment that may draw it; may be repeated', repeated(deploymentName))
    .action(
      act(async (context, name: string, { type, size, curve, deployment }: CreateOptions) => {
        const spec = parseKeySpec({
          type,
          ...(size === undefined ? {} : { size }),
          ...(curve === undefined ? {} : { curve }),
        });
        if (!spec.ok) throw new UsageError(`--${spec.detail}`);
        const reply = await context.call<KeyView>('POST', '/v1/keys', {
          name,
          type,
          size,
          curve,
          deployments: deployment,
        });
        return shown(reply, (view) => [`Key ${view.name} is made.`, ...describeKey(view)]);
      }),
    );
}

interface ImportOptions {
  readonly file: string;
  readonly raw?: true;
  readonly deployment: readonly string[];
}

function addImport(key: Command, act: Act): void {
  verb(key, 'import', {
    summary: 'bring a key of your own',
    description:
      'Imports a private or symmetric key from a file: a JWK, a PKCS#8 key (PEM or DER, not encrypted), or with --raw the ' +
      'bytes of the file as they are, up to 64 KiB. It is wrapped at once and never comes back to an administrator.',
    examples: [
      'portcullis key import weights --file weights.jwk --deployment llm-inference',
      'openssl genpkey -algorithm ed25519 | portcullis key import signer --file - --deployment fine-tuning',
      'portcullis key import dataset --file dataset.key --raw --deployment clean-room',
    ],
    next: 'Destroy the file once the import is done, for example with shred -u.',
  })
    .argument('<name>', 'name of the key: 1 to 127 letters, digits and -', keyName)
    .requiredOption('--file <file>', 'file that holds the key, - for stdin')
    .option('--raw', 'take the bytes of the file as a symmetric key')
    .requiredOption('--deployment <name>', 'deployment that may draw it; may be repeated', repeated(deploymentName))
    .action(
      act(async (context, name: string, options: ImportOptions) => {
        const material = await importMaterial(context, options.file, options.raw === true);
        if (!material.ok) return material;
        const body = { name, deployments: options.deployment, material: material.value };
        const reply = await context.call<KeyView>('POST', '/v1/keys', body);
        return shown(reply, (view) => [`Key ${view.name} is imported.`, ...describeKey(view)]);
      }),
    );
}

function addList(key: Command, act: Act): void {
  addRangeOptions(
    verb(key, 'list', {
      summary: 'list keys, never their material',
      description: 'Lists keys with their type, their state, and the deployments that may draw them.',
      examples: ['portcullis key list', 'portcullis key list --json | jq -r .items[].name'],
      next: '`portcullis key show NAME` has the versions.',
    }),
  ).action(
    act(async (context, options: RangeOptions) => {
      const reply = await context.list<KeyView>('/v1/keys', options);
      return shown(reply, ({ items }) => [
        {
          head: ['name', 'type', 'state', 'deployments', 'versions', 'created'],
          rows: items.map((view) => [
            view.name,
            [view.kty, view.curve ?? view.size ?? ''].join(' ').trim(),
            view.frozen ? `${view.state}, frozen` : view.state,
            view.deployments.join(', '),
            String(view.versions.length),
            view.created_at,
          ]),
        },
      ]);
    }),
  );
}
