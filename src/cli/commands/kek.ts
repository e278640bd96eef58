import type { Command } from 'commander';
import { shown } from '../outcome.js';
import { noun, verb, type Act } from '../verb.js';

/** `kek rotate`. */
export function addKek(program: Command, act: Act): void {
  const kek = noun(program, 'kek', {
    summary: 'rotate the key-encryption key',
    description:
      'The KEK wraps the data key of every key version, and the secrets of the broker itself. It never leaves its provider.',
    examples: ['portcullis kek rotate'],
    next: '`portcullis key show NAME` says which KEK wraps a version.',
  });
  verb(kek, 'rotate', {
    summary: 'make a new KEK and re-wrap everything',
    description:
      'Makes a new KEK, re-wraps everything under it while releases go on, and destroys the former one. Needs the admin ' +
      'role. Keys keep their versions: workloads notice nothing.',
    examples: ['portcullis kek rotate --json'],
    next: 'Make a new backup: a former one needs the former KEK.',
  }).action(
    act(async (context) => {
      const reply = await context.call<{ kek: string; rewrapped: number }>('POST', '/v1/kek/rotate', {});
      return shown(reply, (view) => [`KEK ${view.kek} is active; ${String(view.rewrapped)} wrappings were renewed.`]);
    }),
  );
}
