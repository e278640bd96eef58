import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import YAML from 'yaml';
import { parseJson } from '../../src/bytes/json.js';
import { claimTree, type ClaimTree, type ClaimValue, mergeClaims } from '../../src/claims/claims.js';
import { admitDeployment } from '../../src/policy/admit.js';
import { bootChain } from '../../src/policy/boot-chain.js';
import { parseDateTime } from '../../src/policy/date-time.js';
import type { EvaluatedNode } from '../../src/policy/decision.js';
import { parseDeployment, type ParsedDeployment } from '../../src/policy/deployment-document.js';
import { evaluatePolicy } from '../../src/policy/evaluate.js';
import { inlineFiles } from '../../src/policy/inline-files.js';
import { isClaimName } from '../../src/evidence/claim-names.js';
import { lintDeployment } from '../../src/policy/lint.js';

const POLICIES = path.resolve(import.meta.dirname, '../../policies');
const FILES = readdirSync(POLICIES, { recursive: true, encoding: 'utf8' });
const DOCUMENTS = FILES.filter((file) => file.endsWith('.yaml'));
const CASES = FILES.filter((file) => file.endsWith('.cases.json'));

interface JsonClaims {
  readonly [name: string]: ClaimValue | JsonClaims;
}

/** One case of a `*.cases.json` file, explained in policies/README.md. */
interface PolicyCase {
  readonly name: string;
  readonly at: string;
  readonly measured: string | null;
  readonly pcrs?: Readonly<Record<string, string | null>>;
  readonly claims: JsonClaims;
  readonly expect: string;
  readonly unmet?: readonly string[];
}

function read(file: string): Buffer {
  return readFileSync(path.join(POLICIES, file));
}

function load(file: string): ParsedDeployment {
  const wire = inlineFiles(YAML.parse(read(file).toString()), (name) => read(path.join(path.dirname(file), name)));
  if (!wire.ok) throw new Error(wire.detail);
  const parsed = parseDeployment(wire.value);
  if (!parsed.ok) throw new Error(parsed.detail);
  return parsed.value;
}

/** What the guest measures and the TPM computes, written down again here: H(0^len || H(file)). */
function measuredInto(bank: string, content: Buffer): string {
  const digest = createHash(bank).update(content).digest();
  return createHash(bank).update(Buffer.alloc(digest.length)).update(digest).digest('hex');
}

/** What the host puts into HOST_DATA, and the processor signs: the SHA-256 of the file. */
function hostData({ deployment }: ParsedDeployment, { measured }: PolicyCase, folder: string): JsonClaims {
  if (deployment.measurement.source !== 'snp.host_data') return {};
  const content = measured === null ? undefined : read(path.join(folder, measured));
  const value = content === undefined ? Buffer.alloc(32) : createHash('sha256').update(content).digest();
  return { snp: { host_data: value.toString('hex') } };
}

function pcrsOf({ deployment }: ParsedDeployment, example: PolicyCase, folder: string): Record<string, string> {
  const { bank, pcr, source } = deployment.measurement;
  if (source !== 'tpm') return {};
  const zeros = '0'.repeat(bank === 'sha256' ? 64 : 96);
  const policyPcr = example.measured === null ? zeros : measuredInto(bank, read(path.join(folder, example.measured)));
  const references = Object.entries(deployment.platform.pcrs).map(([name, [first]]) => [name, first] as const);
  const values = { ...Object.fromEntries(references), [String(pcr)]: policyPcr, ...example.pcrs };
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function tree(claims: JsonClaims): ClaimTree {
  return claimTree(
    Object.fromEntries(
      Object.entries(claims).map(([name, value]) => [name, typeof value === 'object' ? tree(value) : value]),
    ),
  );
}

function unmetClaims(node: EvaluatedNode): readonly string[] {
  if (node.met) return [];
  return 'claim' in node ? [node.claim] : [...(node.anyOf ?? []), ...(node.allOf ?? [])].flatMap(unmetClaims);
}

test('there are at least three examples, and every deployment has its cases', () => {
  expect(new Set(DOCUMENTS.map((file) => path.dirname(file))).size).toBeGreaterThanOrEqual(3);
  expect(CASES.map((file) => file.replace('.cases.json', '.yaml')).sort()).toEqual([...DOCUMENTS].sort());
});

test.each(FILES.filter((file) => file.endsWith('.policy.json')))(
  '%s is a runtime policy of ours, pinned by digests',
  (file) => {
    const policy = parseJson(read(file)) as { kind: string; containers: { image: string }[] };
    expect(policy.kind).toBe('RuntimePolicy');
    expect(policy.containers.length).toBeGreaterThan(0);
    for (const { image } of policy.containers) expect(image).toMatch(/@sha256:[0-9a-f]{64}$/);
  },
);

describe.each(DOCUMENTS)('%s', (file) => {
  const parsed = load(file);

  test('is admitted in the production profile, on a pinned boot chain', () => {
    expect(admitDeployment(parsed.deployment, 'production')).toEqual({ ok: true, value: { warnings: [] } });
    expect(bootChain(parsed.deployment)).toBe('pinned');
  });

  test('is without lint, but for who else may extend the policy PCR, and whose a launch measurement is', () => {
    const nowMs = Date.UTC(2026, 11, 1);
    const warnings = lintDeployment({ ...parsed, profile: 'production', nowMs, isClaim: isClaimName });
    const ofEverybody = /^(?:measurement\.pcr |attesters\.allow\.cvm: whoever runs )/;
    expect(warnings.filter((warning) => !ofEverybody.test(warning))).toEqual([]);
  });

  const { deployment, cases } = parseJson(read(file.replace('.yaml', '.cases.json'))) as {
    readonly deployment: string;
    readonly cases: readonly PolicyCase[];
  };

  test('is the deployment of its cases, some of which are released and some refused', () => {
    expect(deployment).toBe(path.basename(file));
    const outcomes = new Set(cases.map(({ expect: outcome }) => outcome));
    expect(outcomes.has('released')).toBe(true);
    expect(outcomes.size).toBeGreaterThan(1);
  });

  test.each(cases)('$name: $expect', (example) => {
    const nowMs = parseDateTime(example.at);
    if (nowMs === undefined) throw new Error(`no date: ${example.at}`);
    const onlyFields = hostData(parsed, example, path.dirname(file));
    const outcome = evaluatePolicy({
      deployment: parsed.deployment,
      accepted: parsed.policies,
      pcrs: { [parsed.deployment.measurement.bank]: pcrsOf(parsed, example, path.dirname(file)) },
      results: [{ authority: 'portcullis', claims: mergeClaims(tree(example.claims), tree(onlyFields)) }],
      nowMs,
    });
    const { conditions } = outcome.ok ? outcome.value.decision : outcome.decision;
    expect(outcome.ok ? 'released' : outcome.reason).toBe(example.expect);
    expect(conditions.flatMap(unmetClaims)).toEqual(example.unmet ?? []);
  });
});

test('both parties of the clean room accept the same policy', () => {
  const [hospital, insurer] = ['hospital', 'insurer'].map((party) =>
    load(`clean-room/${party}.yaml`).policies.map(({ sha256 }) => sha256),
  );
  expect(hospital).toEqual(insurer);
});
