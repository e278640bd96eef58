import type { Json } from '../bytes/canonical-json.js';
import type { Deployment, Platform } from './deployment.js';
import type { ConditionGroup, PolicyCondition, ReleasePolicy } from './release-policy.js';

/**
 * A deployment as a document again, with its defaults and without `policies`: with these added (and roots as PEM text),
 * `parseDeployment` gives the same deployment.
 */
export function deploymentDocument(deployment: Deployment): Readonly<Record<string, Json | undefined>> {
  const { name, description, measurement, platform, attesters, release } = deployment;
  return {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name, description },
    measurement: { ...measurement },
    platform: hardwareDocument(platform),
    attesters: { ...attesters, allow: { ...attesters.allow, cvm: attesters.allow.cvm.map((rule) => ({ ...rule })) } },
    release: release && releasePolicyDocument(release),
  };
}

function hardwareDocument({ snp, tdx, gpus, ...others }: Platform): Readonly<Record<string, Json | undefined>> {
  return { ...others, snp: snp && { ...snp }, tdx: tdx && { ...tdx }, gpus: gpus && { ...gpus } };
}

/** A release policy in its grammar, anyOf and allOf in camel case. */
export function releasePolicyDocument({ kind, authorities }: ReleasePolicy): Json {
  const list = authorities.map(({ authority, group }) => ({ authority, ...groupDocument(group) }));
  return { version: '1.0.0', [kind]: list };
}

function groupDocument({ kind, conditions }: ConditionGroup): Readonly<Record<string, Json | undefined>> {
  return { [kind]: conditions.map(conditionDocument) };
}

function conditionDocument(condition: PolicyCondition): Json {
  if (!('claim' in condition)) return groupDocument(condition);
  const { claim, operator, value } = condition;
  return { claim, [operator]: value };
}
