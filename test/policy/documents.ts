import { policyHash } from '../../src/policy/policy-hash.js';
import { parseDeployment, type ParsedDeployment } from '../../src/policy/deployment-document.js';
import type { Deployment } from '../../src/policy/deployment.js';

/** The bytes of two runtime policies, and their base64url. */
export const POLICY = Buffer.from('portcullis');
export const OTHER_POLICY = Buffer.from('another policy');
export const HASH = policyHash(POLICY);
export const OTHER_HASH = policyHash(OTHER_POLICY);

type Members = object;

/** The smallest wire document that the production profile admits, with members put in or replaced. */
export function wireDocument(members: Members = {}): Readonly<Record<string, unknown>> {
  return {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name: 'llm-inference' },
    policies: [{ content: POLICY.toString('base64url') }],
    platform: { pcrs: { '4': [hex('4')], '7': [hex('7')] } },
    attesters: { trust: ['pinned'] },
    ...members,
  };
}

/** 64 hex digits that repeat one. */
export function hex(digit: string, digits = 64): string {
  return digit.repeat(digits);
}

/** The same, parsed; throws what the parser refuses. */
export function parsed(members: Members = {}): ParsedDeployment {
  const result = parseDeployment(wireDocument(members));
  if (!result.ok) throw new Error(result.detail);
  return result.value;
}

export function deployment(members: Members = {}): Deployment {
  return parsed(members).deployment;
}
