import type { HistoryState } from './history-state.js';

/** What is known of a policy that a deployment accepts; dates in ms since the Unix epoch. */
export interface PolicyFacts {
  readonly sha384?: string;
  /** Accepted from this time on. */
  readonly fromMs?: number;
  /** Accepted before this time. */
  readonly untilMs?: number;
}

export interface DeploymentFacts {
  trust: readonly string[];
  boot: string;
  bank: string;
  frozen: boolean;
  /** By policy hash. */
  readonly policies: Map<string, PolicyFacts>;
  /** SPKI hash to AK Name. */
  readonly pins: Map<string, string>;
}

export interface KeyFacts {
  state: string;
  readonly deployments: Set<string>;
  /** Version id to its state; `purged` once its material was destroyed. */
  readonly versions: Map<string, string>;
}

/** What the entries so far say of the broker, by names as they stand in the log. */
export interface Facts {
  broker: { readonly id: string; readonly profile: string; /** The name of the log. */ origin: string } | undefined;
  readonly deployments: Map<string, DeploymentFacts>;
  readonly keys: Map<string, KeyFacts>;
  /** In lower case: a freeze goes by name without regard to case, and outlives the key. */
  readonly frozenKeys: Set<string>;
  /** SPKI hashes. */
  readonly revoked: Set<string>;
}

/** Tells of a problem with the entry at hand. */
export type Say = (problem: string) => void;

type FactsState = Omit<HistoryState, 'version' | 'next' | 'time' | 'generation' | 'changed'>;

export function noFacts(): Facts {
  return { broker: undefined, deployments: new Map(), keys: new Map(), frozenKeys: new Set(), revoked: new Set() };
}

export function factsToState({ broker, deployments, keys, frozenKeys, revoked }: Facts): FactsState {
  return {
    ...(broker === undefined ? {} : { broker: { ...broker } }),
    deployments: mapped(deployments, ({ policies, pins, trust, ...rest }) => ({
      ...rest,
      trust: [...trust],
      policies: Object.fromEntries(policies),
      pins: Object.fromEntries(pins),
    })),
    keys: mapped(keys, ({ state, deployments: linked, versions }) => ({
      state,
      deployments: [...linked],
      versions: Object.fromEntries(versions),
    })),
    frozenKeys: [...frozenKeys],
    revoked: [...revoked],
  };
}

export function factsFromState({ broker, deployments, keys, frozenKeys, revoked }: FactsState): Facts {
  return {
    broker: broker === undefined ? undefined : { ...broker },
    deployments: unmapped(deployments, ({ policies, pins, ...rest }) => ({
      ...rest,
      policies: new Map(Object.entries(policies)),
      pins: new Map(Object.entries(pins)),
    })),
    keys: unmapped(keys, ({ state, deployments: linked, versions }) => ({
      state,
      deployments: new Set(linked),
      versions: new Map(Object.entries(versions)),
    })),
    frozenKeys: new Set(frozenKeys),
    revoked: new Set(revoked),
  };
}

function mapped<V, W>(map: ReadonlyMap<string, V>, change: (value: V) => W): Record<string, W> {
  return Object.fromEntries([...map].map(([name, value]) => [name, change(value)]));
}

function unmapped<V, W>(state: Readonly<Record<string, V>>, change: (value: V) => W): Map<string, W> {
  return new Map(Object.entries(state).map(([name, value]) => [name, change(value)]));
}
