import { canonicalJson, type Json } from '../../../src/bytes/canonical-json.js';
import { parseJson } from '../../../src/bytes/json.js';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { admitDeployment } from '../../../src/policy/admit.js';
import { parseDeployment } from '../../../src/policy/deployment-document.js';
import { evaluatePolicy, neededPcrs } from '../../../src/policy/evaluate.js';
import { isClaimName } from '../../../src/evidence/claim-names.js';
import { lintDeployment } from '../../../src/policy/lint.js';
import { parseReleasePolicy } from '../../../src/policy/parse-release-policy.js';
import { evaluateReleasePolicy } from '../../../src/policy/release-decision.js';
import { deploymentDocument, releasePolicyDocument } from '../../../src/policy/render-deployment.js';
import type { FuzzTarget } from '../target.js';

const RELEASE = {
  version: '1.0.0',
  anyOf: [
    {
      authority: 'portcullis',
      allOf: [
        { claim: 'tpm.safe', equals: true },
        {
          anyOf: [
            { claim: 'tpm.clock', less: '18446744073709551615' },
            { claim: 'tpm.pcrs.sha256.0', exists: false },
          ],
        },
      ],
    },
    {
      authority: 'https://issuer.example/',
      anyof: [
        { claim: 'a.b', notEquals: 'x' },
        { claim: 'c', greaterOrEquals: -1 },
      ],
    },
  ],
};

const DEPLOYMENT = {
  apiVersion: 'portcullis/v1',
  kind: 'Deployment',
  metadata: { name: 'a-1', description: 'é' },
  measurement: { source: 'tpm', bank: 'sha256', pcr: 14, allowResettable: false },
  policies: [
    { content: 'cG9saWN5', notBefore: '2026-11-01T00:00:00Z', notAfter: '2027-11-01T00:00:00.5+01:00' },
    { sha256: 'ab'.repeat(32), sha384: 'cd'.repeat(48) },
  ],
  platform: { pcrs: { '4': ['04'.repeat(32)], '7': ['07'.repeat(32)] }, unmeasuredBoot: false },
  attesters: {
    trust: ['pinned', 'simulator'],
    roots: ['-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n'],
    allow: {
      ek: [],
      ak: ['ab'.repeat(32)],
      instance: [{ zone: 'a' }],
      cvm: [{ measurement: 'ef'.repeat(48), vmpl: 0 }],
    },
    anyFromRoots: false,
  },
  release: RELEASE,
};

/** Fuzz targets of src/policy: `run` throws only on a finding. What is accepted must survive storing, rendering and use, and release nothing. */
export const targets: readonly FuzzTarget[] = [
  {
    name: 'policy/deployment',
    seeds: [DEPLOYMENT, { ...DEPLOYMENT, attesters: { trust: ['pinned'] } }].map(seed),
    run: (input) => {
      const result = parseDeployment(json(input));
      if (!result.ok) return;
      const { deployment, policies } = result.value;
      same(JSON.parse(canonicalJson(deployment as unknown as Json).toString()), deployment);
      const rendered = parseDeployment({
        ...plain(deploymentDocument(deployment)),
        policies: [{ sha256: 'ab'.repeat(32), sha384: 'cd'.repeat(48) }],
      });
      if (!rendered.ok) throw new Error(`a rendered deployment is refused: ${rendered.detail}`);
      same(rendered.value.deployment, deployment);
      neededPcrs(deployment);
      admitDeployment(deployment, 'production');
      lintDeployment({ deployment, policies, profile: 'production', nowMs: 0, isClaim: isClaimName });
      if (evaluatePolicy({ deployment, accepted: policies, pcrs: {}, results: [], nowMs: 0 }).ok) {
        throw new Error('a deployment releases to nobody’s evidence');
      }
    },
  },
  {
    name: 'policy/release-policy',
    seeds: [seed(RELEASE)],
    run: (input) => {
      const result = parseReleasePolicy(json(input));
      if (!result.ok) return;
      same(JSON.parse(canonicalJson(result.value as unknown as Json).toString()), result.value);
      const rendered = parseReleasePolicy(plain(releasePolicyDocument(result.value)));
      same(rendered, result);
      if (evaluateReleasePolicy(result.value, []).met) throw new Error('a release policy is met by no claims at all');
    },
  },
];

function seed(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

/** The JSON value of the input; undefined, which no parser of documents takes, where it has none. */
function json(input: Buffer): unknown {
  try {
    return parseJson(input);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function plain(value: unknown): object {
  return JSON.parse(JSON.stringify(value)) as object;
}

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [actual, expected].map((value) => canonicalJson(value as Json).toString());
  if (a !== b) throw new Error(`not the same after a round trip: ${String(a)} and ${String(b)}`);
}
