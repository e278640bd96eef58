import type { Command } from 'commander';
import { toBase64url } from '../../bytes/base64url.js';
import { expectedPcr, policyHash } from '../../policy/policy-hash.js';
import type { PolicyView } from '../../release/views.js';
import { deploymentName, rfc3339, sha256Hex } from '../arguments.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { answer, shown, type Block } from '../outcome.js';
import { noun, verb, type Act } from '../verb.js';

const MAX_POLICY_BYTES = 64 * 1024 * 1024;

/** `policy hash|register|list|show|retire`. */
export function addPolicy(program: Command, act: Act): void {
  const policy = noun(program, 'policy', {
    summary: 'hash, register and retire runtime policies',
    description:
      'Runtime policies say what may run in a workload. They are named by their hash, which the guest measures into its ' +
      'vTPM; a deployment accepts one or more of them, each between its dates.',
    examples: ['portcullis policy hash llm-inference.policy.json'],
    next: '`portcullis deployment --help` for the documents that name policies together with all else.',
  });
  addHash(policy, act);
  addRegister(policy, act);
  addList(policy, act);
  addShow(policy, act);
  addRetire(policy, act);
}

function addHash(policy: Command, act: Act): void {
  verb(policy, 'hash', {
    summary: 'policy hash and expected PCR value of a file',
    description:
      'Prints the policy hash of a file in both banks, and the value that a PCR of that bank holds after the policy was ' +
      'measured into it once from reset. Works offline; the file is taken as bytes, whatever its language.',
    examples: [
      'portcullis policy hash llm-inference.policy.json',
      'portcullis policy hash --json llm-inference.policy.json | jq -r .pcr.sha256',
    ],
    next: '`portcullis policy register FILE --deployment NAME` lets a deployment accept it.',
  })
    .argument('<file>', 'policy file, - for stdin')
    .action(
      act(async (context, file: string) => {
        const content = await context.read(file, MAX_POLICY_BYTES);
        if (!content.ok) return content;
        const { sha256, sha384 } = policyHash(content.value);
        const pcr = { sha256: expectedPcr('sha256', sha256), sha384: expectedPcr('sha384', sha384) };
        const rows = [
          ['policy hash', 'sha256', sha256],
          ['policy hash', 'sha384', sha384],
          ['expected PCR', 'sha256', pcr.sha256],
          ['expected PCR', 'sha384', pcr.sha384],
        ];
        return answer({ sha256, sha384, pcr }, [{ rows }]);
      }),
    );
}

function addRegister(policy: Command, act: Act): void {
  verb(policy, 'register', {
    summary: 'let a deployment accept a policy',
    description:
      'Adds a runtime policy to what a deployment accepts, beside those that it accepts already. The next `deployment ' +
      'apply` of a document that lacks it retires it again.',
    examples: [
      'portcullis policy register v2.policy.json --deployment llm-inference',
      'portcullis policy register v2.policy.json --deployment llm-inference --not-after 2027-11-01T00:00:00Z',
    ],
    next: '`portcullis deployment show NAME` lists what is accepted; `portcullis policy retire SHA256` ends it.',
  })
    .argument('<file>', 'policy file, - for stdin')
    .requiredOption('--deployment <name>', 'deployment that is to accept it', deploymentName)
    .option('--not-before <time>', 'accepted from this time on, RFC 3339 (default: at once)', rfc3339)
    .option('--not-after <time>', 'accepted before this time, RFC 3339 (default: without end)', rfc3339)
    .action(
      act(async (context, file: string, options: { deployment: string; notBefore?: string; notAfter?: string }) => {
        const content = await context.read(file, MAX_POLICY_BYTES);
        if (!content.ok) return content;
        const reply = await context.call<PolicyView>('POST', '/v1/policies', {
          deployment: options.deployment,
          content: toBase64url(content.value),
          not_before: options.notBefore,
          not_after: options.notAfter,
        });
        return shown(reply, (view) => [`Deployment ${options.deployment} accepts policy ${view.sha256}.`]);
      }),
    );
}

function addList(policy: Command, act: Act): void {
  const list = verb(policy, 'list', {
    summary: 'list the registered policies',
    description: 'Lists the registered policies, with the deployments that accept them.',
    examples: ['portcullis policy list', 'portcullis policy list --deployment llm-inference --json'],
    next: '`portcullis policy show SHA256` has the dates.',
  }).option('--deployment <name>', 'only those that this deployment accepts', deploymentName);
  addRangeOptions(list).action(
    act(async (context, options: RangeOptions & { deployment?: string }) => {
      const reply = await context.list<PolicyView>('/v1/policies', options, { deployment: options.deployment });
      return shown(reply, ({ items }) => [
        {
          head: ['sha256', 'bytes', 'accepted by', 'created'],
          rows: items.map((view) => [
            view.sha256,
            view.size === undefined ? '' : String(view.size),
            view.deployments.map((link) => `${link.deployment}${link.valid ? '' : ' (not now)'}`).join(', '),
            view.created_at,
          ]),
        },
      ]);
    }),
  );
}

function addShow(policy: Command, act: Act): void {
  verb(policy, 'show', {
    summary: 'show one policy',
    description: 'Shows one registered policy: its hashes, and which deployments accept it between which dates.',
    examples: ['portcullis policy show $(portcullis policy hash --json llm-inference.policy.json | jq -r .sha256)'],
    next: '`portcullis policy retire SHA256` ends its acceptance.',
  })
    .argument('<sha256>', 'policy hash, 64 hex digits', sha256Hex)
    .option('--deployment <name>', 'only what concerns this deployment', deploymentName)
    .action(
      act(async (context, sha256: string, { deployment }: { deployment?: string }) => {
        const reply = await context.call<PolicyView>('GET', `/v1/policies/${sha256}`);
        if (!reply.ok || deployment === undefined) return shown(reply, describe);
        const deployments = reply.value.deployments.filter((link) => link.deployment === deployment);
        return shown({ ok: true, value: { ...reply.value, deployments } }, describe);
      }),
    );
}

function addRetire(policy: Command, act: Act): void {
  verb(policy, 'retire', {
    summary: 'no longer accept a policy',
    description:
      'Ends the acceptance of a policy, by one deployment or by all. It works on the very next release, requests in flight ' +
      'included; what was released is released.',
    examples: ['portcullis policy retire 4b2f…(64 hex digits)…9c --deployment llm-inference'],
    next: 'Take it out of the deployment document too, or the next `portcullis deployment apply` brings it back.',
  })
    .argument('<sha256>', 'policy hash, 64 hex digits', sha256Hex)
    .option('--deployment <name>', 'only for this deployment (default: all)', deploymentName)
    .action(
      act(async (context, sha256: string, { deployment }: { deployment?: string }) => {
        const reply = await context.call<PolicyView>('POST', `/v1/policies/${sha256}/retire`, { deployment });
        const who = deployment === undefined ? 'No deployment accepts' : `Deployment ${deployment} no longer accepts`;
        return shown(reply, () => [`${who} policy ${sha256}.`]);
      }),
    );
}

function describe(view: PolicyView): readonly Block[] {
  const fields = [
    ['sha256', view.sha256],
    ['sha384', view.sha384 ?? '(not known)'],
    ['bytes', view.size === undefined ? '(content not known)' : String(view.size)],
    ['created', view.created_at],
  ];
  const rows = view.deployments.map((link) => [
    link.deployment,
    link.valid ? 'yes' : 'no',
    link.not_before ?? '',
    link.not_after ?? '',
    link.origin,
  ]);
  const head = ['deployment', 'accepted now', 'not before', 'not after', 'origin'];
  return [{ rows: fields }, '', rows.length === 0 ? 'No deployment accepts it.' : { head, rows }];
}
