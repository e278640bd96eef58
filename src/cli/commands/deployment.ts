import { Option, type Command } from 'commander';
import type { AppliedView, ChangeView, DeploymentView } from '../../release/views.js';
import type { Profile } from '../compose/ports.js';
import { deploymentName } from '../arguments.js';
import type { CliContext } from '../context.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { answer, shown, type Block, type Outcome } from '../outcome.js';
import { noun, verb, type Act } from '../verb.js';

const MAX_SHOWN_VALUE = 160;
const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

/** `deployment apply|lint|list|show|freeze|unfreeze`. */
export function addDeployment(program: Command, act: Act): void {
  const deployment = noun(program, 'deployment', {
    summary: 'say what a workload must prove',
    description:
      'A deployment says which policies, which boot chain and which attesters are accepted. It is written down as a YAML or ' +
      'JSON document, whose schema is policies/deployment.schema.json in the package.',
    examples: ['portcullis deployment apply llm-inference.yaml --dry-run'],
    next: '`portcullis key create NAME --deployment D` makes a key that the deployment may draw.',
  });
  addApply(deployment, act);
  addLint(deployment, act);
  addList(deployment, act);
  addShow(deployment, act);
  addFreeze(deployment, act);
}

function addApply(deployment: Command, act: Act): void {
  verb(deployment, 'apply', {
    summary: 'create or update a deployment from a document',
    description:
      'Creates the deployment that the document names, or updates it to what the document says, and prints the difference. ' +
      'Files named in the document are read relative to it, and their content is sent. The document sets the whole list of ' +
      'accepted policies: what it lacks is retired.',
    examples: [
      'portcullis deployment apply llm-inference.yaml --dry-run',
      'portcullis deployment apply llm-inference.yaml',
    ],
    next: '`portcullis deployment show NAME`; `portcullis key create NAME --deployment D`.',
  })
    .argument('<file>', 'YAML or JSON document, - for stdin')
    .option('--dry-run', 'only say what would change')
    .action(act((context, file: string, options: { dryRun?: true }) => apply(context, file, options.dryRun === true)));
}

async function apply(context: CliContext, file: string, dryRun: boolean): Promise<Outcome> {
  const { readDeployment } = await import('../deployment-file.js');
  const document = await readDeployment(context, file);
  if (!document.ok) return document;
  const path = `/v1/deployments/${encodeURIComponent(document.value.metadata.name)}`;
  const reply = await context.call<AppliedView>('PUT', path, document.value, { dry_run: String(dryRun) });
  if (!reply.ok) return reply;
  const { deployment, created, changes, warnings } = reply.value;
  const done = changes.length === 0 && !created ? 'unchanged' : created ? 'created' : 'updated';
  const verdict = dryRun && done !== 'unchanged' ? `would be ${done}` : done;
  return answer(
    reply.value,
    [...changes.map(changeLine), `Deployment ${deployment.name}: ${verdict}.`],
    warnings.map((warning) => `warning: ${warning}`),
  );
}

function addLint(deployment: Command, act: Act): void {
  verb(deployment, 'lint', {
    summary: 'check a document offline',
    description:
      'Checks a deployment document without a broker: against the schema, whether a broker of the profile would take it, ' +
      'and for what is allowed yet probably not meant, such as a policy PCR that GRUB extends too.',
    examples: ['portcullis deployment lint llm-inference.yaml --profile production'],
    next: '`portcullis deployment apply FILE --dry-run` compares it with what the broker has.',
  })
    .argument('<file>', 'YAML or JSON document, - for stdin')
    .addOption(
      new Option('--profile <profile>', 'profile of the broker')
        .choices(['development', 'production'])
        .default('production'),
    )
    .action(
      act(async (context, file: string, options: { profile: Profile }) => {
        const { lintFile } = await import('../deployment-lint.js');
        const linted = await lintFile(context, file, options.profile);
        if (!linted.ok) return linted;
        const { name, warnings } = linted.value;
        const verdict = warnings.length === 0 ? 'nothing to say against it' : `${String(warnings.length)} warnings`;
        return answer(
          { deployment: name, warnings },
          [`Deployment ${name}: ${verdict}.`],
          warnings.map((warning) => `warning: ${warning}`),
        );
      }),
    );
}

function addList(deployment: Command, act: Act): void {
  addRangeOptions(
    verb(deployment, 'list', {
      summary: 'list deployments',
      description: 'Lists deployments, with the number of policies that each accepts.',
      examples: ['portcullis deployment list'],
      next: '`portcullis deployment show NAME` has the document.',
    }),
  ).action(
    act(async (context, options: RangeOptions) => {
      const reply = await context.list<DeploymentView>('/v1/deployments', options);
      return shown(reply, ({ items }) => [
        {
          head: ['name', 'state', 'policies', 'updated'],
          rows: items.map((view) => [
            view.name,
            view.frozen ? 'frozen' : 'active',
            String(view.policies.length),
            view.updated_at,
          ]),
        },
      ]);
    }),
  );
}

function addShow(deployment: Command, act: Act): void {
  verb(deployment, 'show', {
    summary: 'show one deployment',
    description: 'Shows a deployment: its document with the defaults filled in, and the policies that it accepts.',
    examples: [
      'portcullis deployment show llm-inference',
      'portcullis deployment show llm-inference --json | jq .policies',
    ],
    next: '`portcullis entries --deployment NAME` shows what happened with it.',
  })
    .argument('<name>', 'name of the deployment', deploymentName)
    .action(
      act(async (context, name: string) => {
        const { stringify } = await import('yaml');
        const reply = await context.call<DeploymentView>('GET', `/v1/deployments/${name}`);
        return shown(reply, (view) => [...describe(view), '', stringify(view.document).trimEnd()]);
      }),
    );
}

function addFreeze(deployment: Command, act: Act): void {
  for (const action of ['freeze', 'unfreeze'] as const) {
    const freezes = action === 'freeze';
    verb(deployment, action, {
      summary: freezes ? 'stop every release to a deployment, at once' : 'lift a freeze',
      description: freezes
        ? 'Freezes a deployment, in an emergency: every release to it is refused from the very next commit on, requests in flight included. It is no recall: what was released is released.'
        : 'Lifts the freeze of a deployment.',
      examples: [`portcullis deployment ${action} llm-inference`],
      next: freezes ? '`portcullis deployment unfreeze NAME` undoes it.' : '`portcullis deployment show NAME`',
    })
      .argument('<name>', 'name of the deployment', deploymentName)
      .action(
        act(async (context, name: string) => {
          const reply = await context.call<DeploymentView>('POST', `/v1/deployments/${name}/${action}`, {});
          return shown(reply, (view) => [`Deployment ${view.name} is ${view.frozen ? 'frozen' : 'active'}.`]);
        }),
      );
  }
}

function describe(view: DeploymentView): readonly Block[] {
  return [
    {
      rows: [
        ['name', view.name],
        ['state', view.frozen ? 'frozen' : 'active'],
        ['created', view.created_at],
        ['updated', view.updated_at],
      ],
    },
    '',
    {
      head: ['accepted policy', 'now', 'not before', 'not after', 'origin'],
      rows: view.policies.map((policy) => [
        policy.sha256,
        policy.valid ? 'yes' : 'no',
        policy.not_before ?? '',
        policy.not_after ?? '',
        policy.origin,
      ]),
    },
  ];
}

function changeLine({ path, change, before, after }: ChangeView): string {
  const values = [before, after].filter((value) => value !== undefined).map(short);
  return `${SIGNS[change]} ${path === '' ? 'document' : path}${values.length === 0 ? '' : `: ${values.join(' -> ')}`}`;
}

function short(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= MAX_SHOWN_VALUE ? text : `${text.slice(0, MAX_SHOWN_VALUE)}…`;
}
