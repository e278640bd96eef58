import { accept, reject, type Result } from '../reason/reason.js';
import type { Principal } from './broker.js';
import type { BrokerContext } from './context.js';
import { changeKey, noSuchVersion } from './keys.js';
import { rfc3339 } from './time.js';
import type { KeyState, KeyVersionRecord } from './records.js';
import type { KeyView } from './views.js';

/** How long a deleted key can be recovered, unless the caller says otherwise. */
const DEFAULT_RECOVERY_DAYS = 7;
const DAY_MS = 86_400_000;

/** Enables or disables a key, or one version of it. resource.state for what is deleted. */
export async function setKeyEnabled(
  context: BrokerContext,
  by: Principal,
  name: string,
  enabled: boolean,
  version?: string,
): Promise<Result<KeyView>> {
  return setState(context, by, { name, version, to: enabled ? 'enabled' : 'disabled', from: ['enabled', 'disabled'] });
}

/** Deletes a key, or one version of it. Its material is destroyed when the recovery window (days, 0 to 90) is over. */
export async function deleteKey(
  context: BrokerContext,
  by: Principal,
  name: string,
  version?: string,
  recoveryDays: number = DEFAULT_RECOVERY_DAYS,
): Promise<Result<KeyView>> {
  const purgeAtMs = context.clock() + recoveryDays * DAY_MS;
  return setState(context, by, { name, version, to: 'deleted', from: ['enabled', 'disabled'], purgeAtMs });
}

/** Takes a deletion back while its window lasts. What comes back is disabled: enabling it is a decision of its own. */
export async function recoverKey(
  context: BrokerContext,
  by: Principal,
  name: string,
  version?: string,
): Promise<Result<KeyView>> {
  return setState(context, by, { name, version, to: 'disabled', from: ['deleted'] });
}

/**
 * Destroys what was deleted and whose recovery window is over. Of a version the record stays, without material, so that
 * `latest` never falls back to an older one. Returns how many keys and versions were destroyed. Nothing
 * brings them back: `nowMs` must not come from a clock that may have jumped ahead.
 */
export async function purgeDeleted(context: BrokerContext, nowMs: number): Promise<number> {
  const due = (record: { readonly purgeAtMs?: number }) => record.purgeAtMs !== undefined && record.purgeAtMs <= nowMs;
  const { keys: dueKeys, versions: dueVersions } = await context.store.read((view) => view.purgeable(nowMs));
  if (dueKeys.length + dueVersions.length === 0) return 0;
  await context.store.change(async (change) => {
    for (const key of dueKeys) {
      const current = await change.keys.get(key.name);
      if (current === undefined || !due(current)) continue;
      await change.append('key.purged', { key: key.name });
      for (const version of await change.keyVersions.of(key.name))
        await change.keyVersions.remove(key.name, version.version);
      await change.keys.remove(key.name);
    }
    for (const version of dueVersions) {
      const current = await change.keyVersions.get(version.key, version.version);
      if (current === undefined || !due(current) || current.ciphertext.length === 0) continue;
      await change.append('key.purged', { key: version.key, version: version.version });
      await change.keyVersions.put({ ...current, wrappedDek: Buffer.alloc(0), ciphertext: Buffer.alloc(0) });
    }
  });
  return dueKeys.length + dueVersions.length;
}

interface StateChange {
  readonly name: string;
  readonly version: string | undefined;
  readonly to: KeyState;
  readonly from: readonly KeyState[];
  readonly purgeAtMs?: number;
}

async function setState(context: BrokerContext, by: Principal, wanted: StateChange): Promise<Result<KeyView>> {
  const { name, to, from, purgeAtMs } = wanted;
  return changeKey(context, name, async (change, key, versions) => {
    const version = versions.find((each) => each.version === wanted.version);
    if (wanted.version !== undefined && version === undefined) return noSuchVersion();
    const state = version?.state ?? key.state;
    const destroyed = version?.ciphertext.length === 0;
    if (!from.includes(state) || destroyed) {
      return reject('resource.state', `it is ${destroyed ? 'destroyed' : state}, so it cannot become ${to}`);
    }
    await change.append('key.state', {
      actor: by.tokenId,
      key: key.name,
      version: version?.version,
      state: to,
      purge_at: purgeAtMs === undefined ? undefined : rfc3339(purgeAtMs),
    });
    if (version === undefined) await change.keys.put(withState(key, to, purgeAtMs));
    else await change.keyVersions.put(withState<KeyVersionRecord>(version, to, purgeAtMs));
    return accept(undefined);
  });
}

function withState<R extends { readonly state: KeyState; readonly purgeAtMs?: number }>(
  record: R,
  state: KeyState,
  purgeAtMs: number | undefined,
): R {
  const changed: { purgeAtMs?: number } & Omit<R, 'purgeAtMs'> = { ...record, state };
  if (purgeAtMs === undefined) delete changed.purgeAtMs;
  else changed.purgeAtMs = purgeAtMs;
  return changed as R;
}
