import type { Command } from 'commander';
import type { KeyView } from '../../release/views.js';
import { deploymentName, integer, keyName, repeated, versionId } from '../arguments.js';
import { shown } from '../outcome.js';
import { verb, type Act, type Lesson } from '../verb.js';
import { describeKey } from './key-text.js';

interface VersionOption {
  readonly version?: string;
}

/** The verbs of `key` that take a key which exists. */
export function addKeyState(key: Command, act: Act): void {
  addShow(key, act);
  addPost(key, act, 'rotate', {
    summary: 'make a new version',
    description:
      'Makes a new, newest version of the same type and size. Workloads that ask for `latest` get it from then on; those ' +
      'that name a version still get that one.',
    examples: ['portcullis key rotate weights'],
    next: '`portcullis key disable NAME --version V` ends the former version.',
  });
  addPostVersion(key, act, 'disable', {
    summary: 'stop releasing a key or one version',
    description:
      'Disables a key, or one version of it: releases are refused with key.disabled from the very next one on. When the ' +
      'newest version is disabled, `latest` is refused too and never falls back to an older one.',
    examples: ['portcullis key disable weights --version 0123456789abcdef0123456789abcdef'],
    next: '`portcullis key enable NAME` undoes it.',
  });
  addPostVersion(key, act, 'enable', {
    summary: 'release a disabled key or version again',
    description: 'Enables a key, or one version of it, that was disabled.',
    examples: ['portcullis key enable weights'],
    next: '`portcullis key show NAME` has the state of every version.',
  });
  addPost(key, act, 'freeze', {
    summary: 'stop every release of a key, at once',
    description:
      'Freezes a key, in an emergency: releases are refused with key.frozen from the very next commit on, requests in ' +
      'flight included. It is no recall: what was released is released.',
    examples: ['portcullis key freeze weights'],
    next: '`portcullis entries --type release` shows who drew it; `portcullis key unfreeze NAME` undoes it.',
  });
  addPost(key, act, 'unfreeze', {
    summary: 'lift a freeze',
    description: 'Lifts the freeze of a key. Its versions keep the states that they have.',
    examples: ['portcullis key unfreeze weights'],
    next: '`portcullis key show NAME`',
  });
  addDelete(key, act);
  addPostVersion(key, act, 'recover', {
    summary: 'undo a deletion within its window',
    description: 'Recovers a deleted key, or one deleted version, while its recovery window lasts.',
    examples: ['portcullis key recover weights'],
    next: '`portcullis key show NAME`',
  });
  addLink(key, act);
}

function addShow(key: Command, act: Act): void {
  verb(key, 'show', {
    summary: 'show one key, never its material',
    description: 'Shows a key: type, state, the deployments that may draw it, and its versions, newest first.',
    examples: ['portcullis key show weights'],
    next: '`portcullis key rotate NAME` makes a new version.',
  })
    .argument('<name>', 'name of the key', keyName)
    .option('--version <version>', 'only this version, 32 hex digits', versionId)
    .action(
      act(async (context, name: string, { version }: VersionOption) =>
        shown(await context.call<KeyView>('GET', `/v1/keys/${name}`, undefined, { version }), describeKey),
      ),
    );
}

function addPost(key: Command, act: Act, action: string, lesson: Lesson): void {
  verb(key, action, lesson)
    .argument('<name>', 'name of the key', keyName)
    .action(
      act(async (context, name: string) =>
        shown(await context.call<KeyView>('POST', `/v1/keys/${name}/${action}`, {}), describeKey),
      ),
    );
}

function addPostVersion(key: Command, act: Act, action: string, lesson: Lesson): void {
  verb(key, action, lesson)
    .argument('<name>', 'name of the key', keyName)
    .option('--version <version>', 'only this version, 32 hex digits (default: the key as a whole)', versionId)
    .action(
      act(async (context, name: string, { version }: VersionOption) =>
        shown(await context.call<KeyView>('POST', `/v1/keys/${name}/${action}`, { version }), describeKey),
      ),
    );
}

function addDelete(key: Command, act: Act): void {
  verb(key, 'delete', {
    summary: 'delete a key or one version, after a recovery window',
    description:
      'Deletes a key, or one version of it: it is no longer released from now on, and its material is destroyed when the ' +
      'recovery window ends. Copies in old backups are not touched.',
    examples: ['portcullis key delete weights --recovery-days 30'],
    next: '`portcullis key recover NAME` undoes it within the window.',
  })
    .argument('<name>', 'name of the key', keyName)
    .option('--version <version>', 'only this version, 32 hex digits (default: the key as a whole)', versionId)
    .option(
      '--recovery-days <days>',
      'days until the material is destroyed (default: as the broker has it)',
      integer(0, 3650),
    )
    .action(
      act(async (context, name: string, options: VersionOption & { recoveryDays?: number }) => {
        const days = options.recoveryDays === undefined ? undefined : String(options.recoveryDays);
        const query = { version: options.version, recovery_days: days };
        return shown(await context.call<KeyView>('DELETE', `/v1/keys/${name}`, undefined, query), describeKey);
      }),
    );
}

/** `link` and `unlink`: the list is read, changed and set as a whole. */
function addLink(key: Command, act: Act): void {
  const change = (action: 'link' | 'unlink', lesson: Lesson) =>
    verb(key, action, lesson)
      .argument('<name>', 'name of the key', keyName)
      .requiredOption('--deployment <name>', 'deployment; may be repeated', repeated(deploymentName))
      .action(
        act(async (context, name: string, { deployment }: { deployment: readonly string[] }) => {
          const before = await context.call<KeyView>('GET', `/v1/keys/${name}`);
          if (!before.ok) return before;
          const linked = before.value.deployments;
          const deployments =
            action === 'link'
              ? [...new Set([...linked, ...deployment])]
              : linked.filter((each) => !deployment.includes(each));
          const reply = await context.call<KeyView>('PUT', `/v1/keys/${name}/deployments`, { deployments });
          return shown(reply, describeKey);
        }),
      );
  change('link', {
    summary: 'let a deployment draw a key',
    description: 'Adds deployments to those that may draw a key.',
    examples: ['portcullis key link weights --deployment evaluation'],
    next: '`portcullis key unlink NAME --deployment D` undoes it.',
  });
  change('unlink', {
    summary: 'let a deployment no longer draw a key',
    description: 'Takes deployments out of those that may draw a key. It works on the very next release.',
    examples: ['portcullis key unlink weights --deployment evaluation'],
    next: '`portcullis key show NAME` has those that are left.',
  });
}
