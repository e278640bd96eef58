import { Option, type Command } from 'commander';
import type { TokenView } from '../../release/views.js';
import { durationMs, rfc3339 } from '../arguments.js';
import { addRangeOptions, type RangeOptions } from '../list-range.js';
import { answer, shown, UsageError } from '../outcome.js';
import { createOutputFile } from '../output-file.js';
import { noun, verb, type Act } from '../verb.js';

const NAME = /^[^\p{Cc}]{1,128}$/u;

/** `token create|list|revoke`. */
export function addToken(program: Command, act: Act): void {
  const token = noun(program, 'token', {
    summary: 'make and revoke admin tokens',
    description:
      'Admin tokens let people and programs call the admin interface, with one of three roles: auditor reads, operator ' +
      'changes deployments, policies, keys and attesters, admin makes tokens and rotates the KEK. No role reads a key.',
    examples: ['portcullis token create ci --role operator --expires-in 90d'],
    next: 'Give a token to the other commands with PORTCULLIS_TOKEN or --token-file F, never as an argument.',
  });
  addCreate(token, act);
  addList(token, act);
  addRevoke(token, act);
}

interface CreateOptions {
  readonly role: string;
  readonly expiresAt?: string;
  readonly expiresIn?: number;
  readonly out?: string;
}

function addCreate(token: Command, act: Act): void {
  verb(token, 'create', {
    summary: 'make a token; it is shown once',
    description:
      'Makes an admin token and prints it on stdout, once: the broker keeps only a hash. With --out it goes into a new file ' +
      'that nobody else can read instead.',
    examples: [
      'portcullis token create ci --role operator --expires-in 90d --out ci.token',
      'portcullis token create auditors --role auditor --expires-at 2027-01-01T00:00:00Z',
    ],
    next: '`portcullis token list` shows what exists; `portcullis token revoke ID` ends one.',
  })
    .argument('<name>', 'what it is for, 1 to 128 characters; stands in the log beside what is done with it')
    .addOption(
      new Option('--role <role>', 'what it may do').choices(['admin', 'operator', 'auditor']).makeOptionMandatory(),
    )
    .addOption(
      new Option('--expires-in <duration>', 'valid for so long: a number with s, m, h or d (default: without end)')
        .argParser(durationMs)
        .conflicts('expiresAt'),
    )
    .option('--expires-at <time>', 'valid before this time, RFC 3339', rfc3339)
    .option('--out <file>', 'write the token into this new file (0600) instead of printing it')
    .action(
      act(async (context, name: string, options: CreateOptions) => {
        if (!NAME.test(name))
          throw new UsageError('the name of a token is 1 to 128 characters, none of them control characters');
        const expiresAt =
          options.expiresIn === undefined
            ? options.expiresAt
            : new Date(context.parts.now() + options.expiresIn).toISOString();
        const body = { name, role: options.role, expires_at: expiresAt };
        const create = () => context.call<TokenView & { token: string }>('POST', '/v1/tokens', body);
        if (options.out === undefined) {
          const reply = await create();
          if (!reply.ok) return reply;
          return answer(
            reply.value,
            [reply.value.token],
            [
              `token ${reply.value.id} (${options.role}) is shown this once: keep it in a file of mode 0600, and give it with --token-file`,
            ],
          );
        }
        const file = await createOutputFile(context.io, options.out, false);
        try {
          const reply = await create();
          if (!reply.ok) return reply;
          const { token, ...view } = reply.value;
          await file.write(`${token}\n`);
          return answer({ ...view, file: options.out }, [`Token ${view.id} (${view.role}) is in ${options.out}.`]);
        } finally {
          await file.discard();
        }
      }),
    );
}

function addList(token: Command, act: Act): void {
  addRangeOptions(
    verb(token, 'list', {
      summary: 'list tokens, never their secrets',
      description: 'Lists admin tokens: id, name, role, state and dates. The tokens themselves are stored nowhere.',
      examples: ['portcullis token list'],
      next: '`portcullis token revoke ID` ends one.',
    }),
  ).action(
    act(async (context, options: RangeOptions) => {
      const reply = await context.list<TokenView>('/v1/tokens', options);
      return shown(reply, ({ items }) => [
        {
          head: ['id', 'name', 'role', 'state', 'created', 'expires'],
          rows: items.map((view) => [
            view.id,
            view.name,
            view.role,
            view.state,
            view.created_at,
            view.expires_at ?? '',
          ]),
        },
      ]);
    }),
  );
}

function addRevoke(token: Command, act: Act): void {
  verb(token, 'revoke', {
    summary: 'end a token',
    description: 'Revokes a token by its id: the 16 hex digits between the underscores. It works at once and for good.',
    examples: ['portcullis token revoke 3f9a0c51d2e47b86'],
    next: '`portcullis token list` shows it as revoked.',
  })
    .argument('<id>', 'id of the token, 16 hex digits; not the token itself')
    .action(
      act(async (context, id: string) => {
        // Checked here and not by commander, which would print what was typed.
        if (!/^[0-9a-f]{16}$/.test(id)) {
          throw new UsageError(
            'the id of a token is 16 hex digits, as `portcullis token list` shows them; not the token itself',
          );
        }
        const reply = await context.call<TokenView>('DELETE', `/v1/tokens/${id}`);
        return shown(reply, (view) => [`Token ${view.id} (${view.name}) is revoked.`]);
      }),
    );
}
