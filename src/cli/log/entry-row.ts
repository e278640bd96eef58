import type { Members } from '../../translog/entry.js';

/** The names that salted members stand for, where they are known: member to name. */
export type PlainNames = Readonly<Record<string, unknown>>;

export const ENTRY_HEAD: readonly string[] = ['index', 'time', 'type', 'about'];

/** Members that say what an entry is about; the rest is in --json. */
const ABOUT = ['reason', 'deployment', 'key', 'version', 'policy_sha256', 'actor', 'token', 'ak_name'];

/** An entry on one line. */
export function entryRow(index: number, entry: Members, names: PlainNames = {}): readonly string[] {
  const text = (name: string) => {
    const value = names[name] ?? entry[name];
    return typeof value === 'string' ? value : '';
  };
  const about = ABOUT.filter((name) => text(name) !== '').map((name) => `${name}=${text(name)}`);
  return [String(index), text('time'), text('type'), about.join(' ')];
}
