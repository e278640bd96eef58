import type { Entry, EntryOf } from '../translog/entry-types.js';
import type { DeploymentFacts, Facts, KeyFacts, Say } from './history-facts.js';
import { checkRelease, checkBroker } from './history-release.js';

/** In place of the Name of an AK whose public area is not known. */
const UNKNOWN_NAME = 'unknown';

/** Takes what an entry changes into the facts, and says what does not fit to what was known before. */
export function takeEntry(facts: Facts, index: number, entry: Entry, say: Say): void {
  switch (entry.type) {
    case 'broker.initialised':
      if (facts.broker !== undefined) say('a broker is initialised in a log that has one');
      else facts.broker = { id: entry.broker, profile: entry.profile, origin: entry.log_origin };
      return;
    case 'broker.started':
      checkBroker(facts, entry, say);
      return;
    case 'log.rollback_accepted':
      takeRollback(facts, index, entry, say);
      return;
    case 'deployment.applied':
      takeDeployment(facts, entry, say);
      return;
    case 'deployment.frozen':
    case 'deployment.unfrozen': {
      const deployment = deploymentOf(facts, entry.deployment, say);
      if (deployment !== undefined) deployment.frozen = entry.type === 'deployment.frozen';
      return;
    }
    case 'policy.registered':
      takePolicy(facts, entry, say);
      return;
    case 'policy.retired': {
      const policies = deploymentOf(facts, entry.deployment, say)?.policies;
      if (policies?.delete(entry.policy_sha256) === false) {
        say(`policy ${entry.policy_sha256} is retired, which deployment ${entry.deployment} does not accept`);
      }
      return;
    }
    case 'key.created':
      takeKey(facts, entry, say);
      return;
    case 'key.rotated':
      takeVersion(facts, entry, say);
      return;
    case 'key.linked':
      takeLinks(facts, entry, say);
      return;
    case 'key.state':
      takeState(facts, entry, say);
      return;
    case 'key.purged':
      takePurge(facts, entry, say);
      return;
    case 'attester.trusted':
      if (facts.revoked.has(entry.ak_spki_sha256)) say(`AK ${entry.ak_spki_sha256} is trusted, which was revoked`);
      deploymentOf(facts, entry.deployment, say)?.pins.set(entry.ak_spki_sha256, entry.ak_name);
      return;
    case 'attester.revoked':
      facts.revoked.add(entry.ak_spki_sha256);
      return;
    case 'attester.enrolled':
      takeEnrolment(facts, entry, say);
      return;
    case 'attester.quarantined':
      if (entry.quarantined) facts.quarantined.add(entry.ak_spki_sha256);
      else facts.quarantined.delete(entry.ak_spki_sha256);
      return;
    case 'endorsement.revoked':
      facts.revoked.add(entry.identity);
      return;
    case 'release':
      checkRelease(facts, entry, say);
      return;
    // Tokens and KEKs decide no release by themselves; a denial let nothing out, and was recorded after what it saw.
    case 'token.created':
    case 'token.revoked':
    case 'kek.rotated':
    case 'kek.rewrapped':
    case 'attester.conflict':
    case 'attester.regressed':
    case 'denial':
    case 'denial.summary':
      return;
  }
}

/** The database that lost entries ends here; what it knew is what the entries before say. */
function takeRollback(facts: Facts, index: number, entry: EntryOf<'log.rollback_accepted'>, say: Say): void {
  const { broker, keys, frozenKeys } = facts;
  const size = String(index);
  if (entry.previous_size !== size)
    say(`a log of ${entry.previous_size} entries is gone on with, behind ${size} entries`);
  if (broker !== undefined && entry.previous_origin !== broker.origin) {
    say(`the log gone on with is ${entry.previous_origin}, while the entries before are those of ${broker.origin}`);
  }
  if (entry.frozen_keys !== keys.size) say(`${String(entry.frozen_keys)} keys are frozen, of ${String(keys.size)}`);
  if (broker !== undefined) broker.origin = entry.log_origin;
  for (const key of keys.keys()) frozenKeys.add(key.toLowerCase());
}

function takeDeployment(facts: Facts, entry: EntryOf<'deployment.applied'>, say: Say): void {
  const { deployment: name, trust, boot, bank, any_from_roots: anyFromRoots } = entry;
  const known = facts.deployments.get(name);
  if (entry.created !== (known === undefined)) {
    say(`deployment ${name} is ${entry.created ? 'created, which exists' : 'changed, which does not exist'}`);
  }
  const rules = { trust, boot, bank, anyFromRoots };
  if (known === undefined) {
    const nothing = { frozen: false, policies: new Map(), pins: new Map(), enrolled: new Map() };
    facts.deployments.set(name, { ...rules, ...nothing });
  } else {
    Object.assign(known, rules);
  }
}

function takePolicy(facts: Facts, entry: EntryOf<'policy.registered'>, say: Say): void {
  const { policy_sha384: sha384, not_before: notBefore, not_after: notAfter } = entry;
  deploymentOf(facts, entry.deployment, say)?.policies.set(entry.policy_sha256, {
    ...(sha384 === undefined ? {} : { sha384 }),
    ...(notBefore === undefined ? {} : { fromMs: Date.parse(notBefore) }),
    ...(notAfter === undefined ? {} : { untilMs: Date.parse(notAfter) }),
  });
}

/** For a deployment, an AK has one EK and one Name for good, until it is forgotten: whoever enrols it by another takes over its identity. */
function takeEnrolment(facts: Facts, entry: EntryOf<'attester.enrolled'>, say: Say): void {
  const { ak_spki_sha256: spki, ak_name: name, ek_spki_sha256: ek, replaced } = entry;
  const named = `AK ${spki}`;
  if (facts.revoked.has(spki)) say(`${named} is enrolled, which was revoked`);
  if (facts.revoked.has(`ek/${ek}`)) say(`${named} is enrolled by EK ${ek}, which was revoked`);
  const deployment = deploymentOf(facts, entry.deployment, say);
  if (deployment !== undefined) {
    const { enrolled, pins } = deployment;
    const known = enrolled.get(spki);
    if (known !== undefined && known.ek !== ek) say(`${named} is enrolled by EK ${ek}, while it was by EK ${known.ek}`);
    // One that was pinned for its certificate alone gets its Name from the enrolment.
    if (pins.get(spki) === UNKNOWN_NAME) pins.set(spki, name);
    const names = [known?.name, pins.get(spki)];
    if (names.some((each) => each !== undefined && each !== name)) {
      say(`${named} is enrolled under another Name than before`);
    }
    enrolled.set(spki, { name, ek });
  }
  if (replaced !== undefined) forget(facts, replaced, ek, say);
}

/** What another EK has enrolled is not forgotten with it. */
function forget(facts: Facts, spki: string, ek: string, say: Say): void {
  const holding = [...facts.deployments.values()].filter(({ enrolled }) => enrolled.get(spki)?.ek === ek);
  if (holding.length === 0) say(`AK ${spki} is forgotten, which EK ${ek} did not enrol`);
  for (const { enrolled } of holding) enrolled.delete(spki);
}

function takeKey(facts: Facts, entry: EntryOf<'key.created'>, say: Say): void {
  if (facts.keys.has(entry.key)) say(`key ${entry.key} is created, which exists`);
  const key = { state: 'enabled', deployments: new Set<string>(), versions: new Map([[entry.version, 'enabled']]) };
  facts.keys.set(entry.key, key);
  link(facts, key, entry.deployments, say);
}

function takeVersion(facts: Facts, entry: EntryOf<'key.rotated'>, say: Say): void {
  const key = keyOf(facts, entry.key, say);
  if (key?.state === 'deleted') say(`key ${entry.key} is rotated, which is deleted`);
  if (key?.versions.has(entry.version) === true) say(`version ${entry.version} of key ${entry.key} is made twice`);
  key?.versions.set(entry.version, 'enabled');
}

function takeLinks(facts: Facts, entry: EntryOf<'key.linked'>, say: Say): void {
  const key = keyOf(facts, entry.key, say);
  if (key === undefined) return;
  for (const name of entry.unlinked) {
    if (!key.deployments.delete(name))
      say(`key ${entry.key} is unlinked from deployment ${name}, which may not draw it`);
  }
  link(facts, key, entry.linked, say);
}

function link(facts: Facts, key: KeyFacts, deployments: readonly string[], say: Say): void {
  for (const name of deployments) {
    deploymentOf(facts, name, say);
    key.deployments.add(name);
  }
}

function takeState(facts: Facts, entry: EntryOf<'key.state'>, say: Say): void {
  const key = keyOf(facts, entry.key, say);
  const { version, state, frozen } = entry;
  if (frozen === true) facts.frozenKeys.add(entry.key.toLowerCase());
  if (frozen === false) facts.frozenKeys.delete(entry.key.toLowerCase());
  if (key === undefined || state === undefined) return;
  if (version === undefined) {
    key.state = state;
    return;
  }
  const before = key.versions.get(version);
  if (before === undefined) say(`version ${version} of key ${entry.key} does not exist`);
  else if (before === 'purged') say(`version ${version} of key ${entry.key} was destroyed`);
  else key.versions.set(version, state);
}

function takePurge(facts: Facts, entry: EntryOf<'key.purged'>, say: Say): void {
  const key = keyOf(facts, entry.key, say);
  const { version } = entry;
  const state = version === undefined ? key?.state : key?.versions.get(version);
  if (key !== undefined && state !== 'deleted') {
    say(`${version === undefined ? '' : `version ${version} of `}key ${entry.key} is destroyed, which was not deleted`);
  }
  if (version === undefined) facts.keys.delete(entry.key);
  else if (state !== undefined) key?.versions.set(version, 'purged');
}

function deploymentOf(facts: Facts, name: string, say: Say): DeploymentFacts | undefined {
  const found = facts.deployments.get(name);
  if (found === undefined) say(`deployment ${name} does not exist`);
  return found;
}

function keyOf(facts: Facts, name: string, say: Say): KeyFacts | undefined {
  const found = facts.keys.get(name);
  if (found === undefined) say(`key ${name} does not exist`);
  return found;
}
