import type { KeyView } from '../../release/views.js';
import type { Block } from '../outcome.js';

/** A key and its versions, for people. */
export function describeKey(view: KeyView): readonly Block[] {
  return [
    {
      rows: [
        ['name', view.name],
        [
          'type',
          [view.kty, view.curve ?? (view.size === undefined ? '' : `${String(view.size)} bit`)].join(' ').trim(),
        ],
        ['state', [view.state, ...(view.frozen ? ['frozen'] : [])].join(', ')],
        ...(view.purge_at === undefined ? [] : [['destroyed at', view.purge_at]]),
        ['deployments', view.deployments.join(', ')],
        ['created', view.created_at],
      ],
    },
    '',
    {
      head: ['version', 'state', 'created', 'destroyed at', 'KEK'],
      rows: view.versions.map((each) => [each.version, each.state, each.created_at, each.purge_at ?? '', each.kek]),
    },
  ];
}
