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
  anyFromRoots: boolean;
  /** By policy hash. */
  readonly policies: Map<string, PolicyFacts>;
  /** What an administrator trusts: SPKI hash to AK Name. */
  readonly pins: Map<string, string>;
  /** The AKs that were enrolled for it by their EK, by SPKI hash. */
  readonly enrolled: Map<string, EnrolledAk>;
}

/** An AK that credential activation has proved to live in the TPM of an EK. */
export interface EnrolledAk {
  readonly name: string;
  /** SHA-256 of the EK's SPKI. */
  readonly ek: string;
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
  readonly quarantined: Set<string>;
  /** SPKI hashes of AKs, and what else was revoked, as `endorsement.revoked` names it. */
  readonly revoked: Set<string>;
}

/** Tells of a problem with the entry at hand. */
export type Say = (problem: string) => void;

type FactsState = Omit<HistoryState, 'version' | 'next' | 'time' | 'generation' | 'changed'>;

export function noFacts(): Facts {
  return {
    broker: undefined,
    deployments: new Map(),
    keys: new Map(),
    frozenKeys: new Set(),
    quarantined: new Set(),
    revoked: new Set(),
  };
}

export function factsToState(facts: Facts): FactsState {
  const { broker, deployments, keys, frozenKeys, quarantined, revoked } = facts;
  return {
    ...(broker === undefined ? {} : { broker: { ...broker } }),
    deployments: mapped(deployments, ({ policies, pins, trust, enrolled: aks, ...rest }) => ({
      ...rest,
      trust: [...trust],
      policies: Object.fromEntries(policies),
      pins: Object.fromEntries(pins),
      enrolled: mapped(aks, (ak) => ({ ...ak })),
    })),
    keys: mapped(keys, ({ state, deployments: linked, versions }) => ({
      state,
      deployments: [...linked],
      versions: Object.fromEntries(versions),
    })),
    frozenKeys: [...frozenKeys],
    quarantined: [...quarantined],
    revoked: [...revoked],
  };
}

export function factsFromState(state: FactsState): Facts {
  const { broker, deployments, keys, frozenKeys, quarantined, revoked } = state;
  return {
    broker: broker === undefined ? undefined : { ...broker },
    deployments: unmapped(deployments, ({ policies, pins, enrolled: aks, ...rest }) => ({
      ...rest,
      policies: new Map(Object.entries(policies)),
      pins: new Map(Object.entries(pins)),
      enrolled: unmapped(aks, (ak) => ak),
    })),
    keys: unmapped(keys, ({ state, deployments: linked, versions }) => ({
      state,
      deployments: new Set(linked),
      versions: new Map(Object.entries(versions)),
    })),
    frozenKeys: new Set(frozenKeys),
    quarantined: new Set(quarantined),
    revoked: new Set(revoked),
  };
}

function mapped<V, W>(map: ReadonlyMap<string, V>, change: (value: V) => W): Record<string, W> {
  return Object.fromEntries([...map].map(([name, value]) => [name, change(value)]));
}

function unmapped<V, W>(state: Readonly<Record<string, V>>, change: (value: V) => W): Map<string, W> {
  return new Map(Object.entries(state).map(([name, value]) => [name, change(value)]));
}
