import { parseEntry } from '../translog/entry.js';
import type { Store } from './store.js';

/** How names stand in the log; undefined where no name stands in it yet. Nothing with a name is recorded before a deployment is. */
export async function namesInLog(store: Store): Promise<'plain' | 'salted' | undefined> {
  const [applied] = await store.read((view) => view.entries({ type: 'deployment.applied', limit: 1 }));
  if (applied === undefined) return undefined;
  return parseEntry(applied.entry)['names'] === 'salted' ? 'salted' : 'plain';
}
