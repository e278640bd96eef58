import type { EntryOf } from '../translog/entry-types.js';
import type { DeploymentFacts, Facts, PolicyFacts, Say } from './history-facts.js';

/**
 * How long before its record a release may have been decided: an entry has the time of its commit, while the dates of a
 * policy are looked at before the key is wrapped and the disk waited for.
 */
const DECISION_MS = 10_000;

type Release = EntryOf<'release'>;

/** That everything which an administrator had decided by then allowed the release. */
export function checkRelease(facts: Facts, entry: Release, say: Say): void {
  checkBroker(facts, entry, say);
  const deployment = facts.deployments.get(entry.deployment);
  if (deployment === undefined) {
    say(`released to deployment ${entry.deployment}, which did not exist`);
  } else {
    checkDeployment(deployment, entry, say);
    checkPolicy(deployment, entry, say);
    checkAttester(facts, deployment, entry, say);
  }
  checkKey(facts, entry, say);
}

/** That broker and profile are those that the log began with. */
export function checkBroker(
  { broker }: Facts,
  entry: { readonly broker: string; readonly profile: string },
  say: Say,
): void {
  if (broker === undefined) return;
  if (entry.broker !== broker.id) say(`broker ${entry.broker} writes in the log of broker ${broker.id}`);
  if (entry.profile !== broker.profile) {
    say(`the profile is ${entry.profile}, while the broker was initialised for ${broker.profile}`);
  }
}

function checkDeployment(deployment: DeploymentFacts, entry: Release, say: Say): void {
  if (deployment.frozen) say(`released to deployment ${entry.deployment}, which was frozen`);
  if (deployment.boot !== entry.boot) {
    say(
      `the boot chain is said to be ${entry.boot}, while that of deployment ${entry.deployment} was ${deployment.boot}`,
    );
  }
}

function checkPolicy(deployment: DeploymentFacts, entry: Release, say: Say): void {
  const policy = deployment.policies.get(entry.policy_sha256);
  const named = `policy ${entry.policy_sha256}`;
  if (policy === undefined) {
    say(`released under ${named}, which deployment ${entry.deployment} did not accept then`);
    return;
  }
  const inSha384 = deployment.bank === 'sha384';
  if (
    inSha384 ? policy.sha384 === undefined || entry.policy_sha384 !== policy.sha384 : entry.policy_sha384 !== undefined
  ) {
    say(`released under ${named} by another SHA-384 than it was registered with`);
  }
  if (!inDates(policy, entry.time)) say(`released under ${named} at ${entry.time}, outside of its dates`);
}

function inDates({ fromMs, untilMs }: PolicyFacts, time: string): boolean {
  if (fromMs === undefined && untilMs === undefined) return true;
  const committedMs = Date.parse(time);
  return committedMs >= (fromMs ?? -Infinity) && committedMs - DECISION_MS < (untilMs ?? Infinity);
}

/** Where a machine without a TPM would have an AK: nothing that the log can name. */
const NO_AK = '(none)';

function checkAttester(facts: Facts, deployment: DeploymentFacts, entry: Release, say: Say): void {
  const spki = entry.ak_spki_sha256 ?? NO_AK;
  if (facts.revoked.has(spki)) say(`released to AK ${spki}, which was revoked`);
  if (facts.quarantined.has(spki)) say(`released to AK ${spki}, which was in quarantine`);
  for (const ek of new Set([entry.ek_spki_sha256, deployment.enrolled.get(spki)?.ek])) {
    if (ek !== undefined && facts.revoked.has(`ek/${ek}`)) say(`released to AK ${spki} of EK ${ek}, which was revoked`);
  }
  const trusts = deployment.trust.includes(entry.ak_trust);
  checkRule(deployment, entry, say);
  switch (entry.ak_trust) {
    case 'pinned':
      if (!trusts || deployment.pins.get(spki) !== entry.ak_name) {
        say(`released to AK ${spki}, which was not pinned for deployment ${entry.deployment} by this Name`);
      }
      return;
    case 'simulator':
      if (!trusts || facts.broker?.profile !== 'development') {
        say(`released to a simulator, AK ${spki}, which deployment ${entry.deployment} did not trust`);
      }
      return;
    case 'ek-certificate':
      if (!trusts || !isEnrolled(deployment, entry)) {
        say(
          `released to AK ${spki}, which EK ${entry.ek_spki_sha256 ?? '(none)'} did not enrol for deployment ${entry.deployment} by this Name`,
        );
      }
      return;
    case 'ak-certificate':
      if (!trusts)
        say(`released to AK ${spki} for its certificate, which deployment ${entry.deployment} did not trust`);
      return;
    case 'cvm-report':
      if (!trusts || entry.cvm === undefined || entry.cvm_measurement === undefined) {
        say(
          `released to AK ${spki} for the report of a confidential VM, which the entry does not name or deployment ${entry.deployment} did not trust`,
        );
      }
      return;
  }
}

function isEnrolled({ enrolled }: DeploymentFacts, entry: Release): boolean {
  const known = enrolled.get(entry.ak_spki_sha256 ?? NO_AK);
  return known !== undefined && known.ek === entry.ek_spki_sha256 && known.name === entry.ak_name;
}

/** Certificates need a rule that lets the AK in, other kinds have none. A list stands in the document, which the log has the hash of. */
function checkRule(deployment: DeploymentFacts, entry: Release, say: Say): void {
  const { ak_trust: trust, ak_allowed_by: rule, ak_spki_sha256: spki = NO_AK, ek_spki_sha256: ek } = entry;
  const byEk = trust === 'ek-certificate';
  if ((rule !== undefined) !== (byEk || trust === 'ak-certificate') || (rule === 'ek' && !byEk)) {
    say(`released to AK ${spki} by trust of kind ${trust}, let in by ${rule ?? 'nothing'}`);
  }
  if ((ek !== undefined) !== byEk) {
    say(`released to AK ${spki} by trust of kind ${trust}, ${byEk ? 'without its' : 'with an'} EK`);
  }
  if (rule === 'any-from-roots' && !deployment.anyFromRoots) {
    say(`released to AK ${spki} for its root alone, which deployment ${entry.deployment} did not allow`);
  }
  if (rule === 'administrator' && !deployment.pins.has(spki)) {
    say(`released to AK ${spki}, which no administrator had trusted for deployment ${entry.deployment}`);
  }
}

function checkKey(facts: Facts, entry: Release, say: Say): void {
  const key = facts.keys.get(entry.key);
  if (key === undefined) {
    say(`released key ${entry.key}, which did not exist`);
    return;
  }
  const version = key.versions.get(entry.version);
  if (key.state !== 'enabled') say(`released key ${entry.key}, which was ${key.state}`);
  if (version === undefined) say(`released version ${entry.version} of key ${entry.key}, which did not exist`);
  else if (version !== 'enabled') say(`released version ${entry.version} of key ${entry.key}, which was ${version}`);
  if (facts.frozenKeys.size > 0 && facts.frozenKeys.has(entry.key.toLowerCase())) {
    say(`released key ${entry.key}, which was frozen`);
  }
  if (!key.deployments.has(entry.deployment)) {
    say(`released key ${entry.key}, which deployment ${entry.deployment} could not draw then`);
  }
}
