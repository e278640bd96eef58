import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { TSchema } from 'typebox';
import {
  ChallengeRequestSchema,
  CreateKeySchema,
  CreateTokenSchema,
  KeyDeploymentsSchema,
  RegisterPolicySchema,
  ReleaseRequestSchema,
  RetirePolicySchema,
  SimulatedMachineRequestSchema,
  RevokeIdentitySchema,
  TrustAttesterSchema,
} from '../../../src/http/native/schemas.js';
import { compile } from '../../../src/http/native/validate.js';
import { HASH, releaseRequest } from '../fake-broker.js';

const validators = {
  challenge: compile(ChallengeRequestSchema),
  release: compile(ReleaseRequestSchema),
  policy: compile(RegisterPolicySchema),
  key: compile(CreateKeySchema),
  links: compile(KeyDeploymentsSchema),
  attester: compile(TrustAttesterSchema),
  revocation: compile(RevokeIdentitySchema),
  token: compile(CreateTokenSchema),
};

/** What is wrong with a value; undefined where it is accepted. */
function fault(validator: keyof typeof validators, value: unknown): string | undefined {
  const result = validators[validator](value);
  if (result.ok) return undefined;
  expect(result.reason).toBe('request.malformed');
  return result.detail;
}

/** The release request with one member changed, by its path. */
function releaseWith(path: string, value: unknown): unknown {
  const copy = structuredClone(releaseRequest) as unknown as Record<string, unknown>;
  const names = path.split('.');
  const last = names.pop() ?? '';
  let at = copy;
  for (const name of names) at = at[name] as Record<string, unknown>;
  if (value === undefined) Reflect.deleteProperty(at, last);
  else at[last] = value;
  return copy;
}

describe('a release request', () => {
  test('is accepted as the contract shows it, with every other member of evidence', () => {
    expect(fault('release', releaseRequest)).toBeUndefined();
    const others = {
      hcl: {},
      snp: { report: 'AA' },
      tdx: { quote: 'AA' },
      gpus: [{ report: 'AA' }],
      tokens: ['a.b.c'],
    };
    expect(fault('release', releaseWith('evidence', { ...releaseRequest.evidence, ...others }))).toBeUndefined();
    expect(fault('release', releaseWith('evidence', {}))).toBeUndefined();
    expect(fault('release', releaseWith('version', undefined))).toBeUndefined();
  });

  test.each([
    ['nonce', 'n'.repeat(42)],
    ['nonce', 'n'.repeat(44)],
    ['nonce', `${'n'.repeat(42)}=`],
    ['nonce', `${'n'.repeat(42)}+`],
    ['nonce', `${'n'.repeat(43)}\n`],
    ['nonce', 1],
    ['nonce', undefined],
    ['deployment', ''],
    ['deployment', 'a/b'],
    ['deployment', 'a'.repeat(128)],
    ['key', undefined],
    ['key', null],
    ['key', ['weights']],
    ['version', ''],
    ['version', null],
    ['version', 'a'.repeat(65)],
    ['recipient', undefined],
    ['recipient', 'EC'],
    ['recipient.d', 'AA'],
    ['recipient.kid', 'a'],
    ['recipient.x', 'A A'],
    ['recipient.x', 'A'.repeat(89)],
    ['recipient.n', 'A'.repeat(1367)],
    ['recipient.kty', undefined],
    ['recipient.alg', undefined],
    ['evidence', undefined],
    ['evidence', []],
    ['evidence.sgx', {}],
    ['evidence.tpm', null],
    ['evidence.tpm.quoted', undefined],
    ['evidence.tpm.quoted', ''],
    ['evidence.tpm.quoted', 'A='],
    ['evidence.tpm.quoted', 'A'.repeat(5463)],
    ['evidence.tpm.signature', undefined],
    ['evidence.tpm.signature', 'A'.repeat(2732)],
    ['evidence.tpm.ak', 'A'.repeat(2732)],
    ['evidence.tpm.nonce', 'AA'],
    ['evidence.tpm.ak_certificates', Array.from({ length: 9 }, () => 'AA')],
    ['evidence.tpm.ak_certificates', [1]],
    ['evidence.tpm.pcrs', undefined],
    ['evidence.tpm.pcrs', []],
    ['evidence.tpm.pcrs.sm3_256', {}],
    ['evidence.tpm.pcrs.SHA256', {}],
    ['evidence.tpm.pcrs.sha256.24', HASH],
    ['evidence.tpm.pcrs.sha256.08', HASH],
    ['evidence.tpm.pcrs.sha256.-1', HASH],
    ['evidence.tpm.pcrs.sha256.1e1', HASH],
    ['evidence.tpm.pcrs.sha256.0x8', HASH],
    ['evidence.tpm.pcrs.sha256. 8', HASH],
    ['evidence.tpm.pcrs.sha256.8', HASH.toUpperCase()],
    ['evidence.tpm.pcrs.sha256.8', ''],
    ['evidence.tpm.pcrs.sha256.8', 'abc'],
    ['evidence.tpm.pcrs.sha256.8', 'ab'.repeat(65)],
    ['evidence.tpm.pcrs.sha256.8', 8],
    ['evidence.hcl', 'AA'],
    ['evidence.hcl', Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`a${String(i)}`, 1]))],
    ['evidence.gpus', {}],
    ['evidence.gpus', Array.from({ length: 65 }, () => ({}))],
    ['evidence.tokens', Array.from({ length: 65 }, () => '')],
    ['decision', {}],
  ])('%s = %j is refused, by place', (path, value) => {
    const detail = fault('release', releaseWith(path, value)) ?? '';
    expect(detail).toMatch(/^body/);
    expect(detail).toContain(path.split('.')[0]);
  });

  test('every PCR index and bank is accepted at its bounds', () => {
    for (const bank of ['sha1', 'sha256', 'sha384', 'sha512']) {
      const values = Object.fromEntries(Array.from({ length: 24 }, (_, index) => [String(index), 'ab'.repeat(64)]));
      expect(fault('release', releaseWith('evidence.tpm.pcrs', { [bank]: values }))).toBeUndefined();
    }
  });
});

describe('requests of administrators', () => {
  test.each([
    ['challenge', { deployment: 'llm', key: 'weights', version: 'latest' }],
    ['policy', { deployment: 'llm', sha256: HASH, sha384: 'ab'.repeat(48), not_before: '2026-11-01T00:00:00.5+01:00' }],
    ['key', { name: 'a', deployments: ['a', 'b'], material: { format: 'raw', data: 'AA' } }],
    ['key', { name: 'a'.repeat(127), deployments: [], type: 'EC', curve: 'P-256' }],
    ['links', { deployments: [] }],
    ['attester', { deployment: 'llm', spki_sha256: HASH }],
    ['token', { name: 'ci of team @x', role: 'admin', expires_at: '2027-01-01T00:00:00Z' }],
    ['revocation', { identity: HASH }],
    ['revocation', { identity: `ek/${HASH}` }],
    ['revocation', { identity: `certificate/${HASH}/${'0a'.repeat(20)}` }],
    ['revocation', { identity: `chip/${'0a'.repeat(64)}` }],
  ] as const)('%s %j is accepted', (validator, value) => {
    expect(fault(validator, value)).toBeUndefined();
  });

  test.each([
    ['challenge', { deployment: 'llm' }],
    ['challenge', { deployment: 'llm', key: 'weights', version: '' }],
    ['policy', { deployment: 'LLM', sha256: HASH }],
    ['policy', { deployment: 'llm', sha256: HASH.slice(1) }],
    ['policy', { deployment: 'llm', sha256: HASH, not_after: '2026-11-01' }],
    ['policy', { deployment: 'llm', sha256: HASH, not_after: '2026-11-01T00:00:00' }],
    ['policy', { deployment: 'llm', content: '' }],
    ['key', { name: 'a_b', deployments: [], type: 'oct' }],
    ['key', { name: 'a'.repeat(128), deployments: [], type: 'oct' }],
    ['key', { name: '', deployments: [], type: 'oct' }],
    ['key', { name: 'a', deployments: ['a', 'a'], type: 'oct' }],
    ['key', { name: 'a', deployments: 'a', type: 'oct' }],
    ['key', { name: 'a', type: 'oct' }],
    ['key', { name: 'a', deployments: [], type: 'DSA' }],
    ['key', { name: 'a', deployments: [], type: 'oct', size: 256.5 }],
    ['key', { name: 'a', deployments: [], type: 'oct', size: 0 }],
    ['key', { name: 'a', deployments: [], type: 'oct', size: 65_537 }],
    ['key', { name: 'a', deployments: [], type: 'oct', size: '256' }],
    ['key', { name: 'a', deployments: [], material: { format: 'der', data: 'AA' } }],
    ['key', { name: 'a', deployments: [], material: { format: 'raw', data: 'A'.repeat(174_764) } }],
    ['key', { name: 'a', deployments: [], material: { format: 'raw', data: 'AA', password: 'x' } }],
    ['links', { deployments: Array.from({ length: 257 }, (_, i) => `d${String(i)}`) }],
    ['attester', { deployment: 'llm', name: '../x' }],
    ['attester', { deployment: 'llm', public: 'A'.repeat(2732) }],
    ['revocation', {}],
    ['revocation', { identity: `EK/${HASH}` }],
    ['revocation', { identity: `../${HASH}` }],
    ['revocation', { identity: `certificate/${HASH}/${'0a'.repeat(21)}` }],
    ['revocation', { identity: HASH, kind: 'ak' }],
    ['token', { name: 'ci', role: 'root' }],
    ['token', { name: '', role: 'admin' }],
    ['token', { name: 'a\nb', role: 'admin' }],
    ['token', { name: 'a'.repeat(128), role: 'admin' }],
  ] as const)('%s %j is refused', (validator, value) => {
    expect(fault(validator, value)).toMatch(/^body/);
  });
});

describe('what a refusal says', () => {
  test('names place and rule', () => {
    expect(fault('challenge', { deployment: 'llm', key: 'a', extra: 1 })).toBe('body: unknown member extra');
    expect(fault('challenge', { key: 'a' })).toBe('body: the member deployment is missing');
    expect(fault('release', releaseWith('recipient.x', '=='))).toBe(
      'body.recipient.x: not of the form that is asked for here',
    );
    expect(fault('challenge', [])).toBe('body: must be object');
  });

  test('never repeats a value, nor a name that is no plain name', () => {
    const canary = 'canary secret "\'<>';
    for (const value of [
      { deployment: canary, key: 'a' },
      { deployment: 'a', key: 'a', [canary]: 1 },
      { deployment: 'a', key: 'a', version: canary },
      canary,
    ]) {
      expect(fault('challenge', value)).not.toContain('canary');
    }
    expect(fault('release', releaseWith('evidence.tpm.pcrs.sha256', { [canary]: HASH }))).not.toContain('canary');
  });

  test('no JSON value makes a validator throw, and none is changed by it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.values(validators)), (value, validate) => {
        const before = JSON.stringify(value);
        const result = validate(value);
        expect(result.ok || result.reason === 'request.malformed').toBe(true);
        expect(JSON.stringify(value)).toBe(before);
      }),
    );
  });
});

describe('every schema of a request', () => {
  /** Places of a schema where a string, array, number or object has no bound. */
  function unbounded(schema: unknown, at: string): string[] {
    if (typeof schema !== 'object' || schema === null) return [];
    const node = schema as Record<string, unknown>;
    const found: string[] = [];
    if (node['type'] === 'string' && !('const' in node) && node['maxLength'] === undefined) found.push(`${at}: string`);
    if (node['type'] === 'array' && node['maxItems'] === undefined) found.push(`${at}: array`);
    if (node['type'] === 'integer' && node['maximum'] === undefined) found.push(`${at}: integer`);
    if (node['type'] === 'number') found.push(`${at}: number`);
    if (node['type'] === 'object' && node['additionalProperties'] !== false && node['maxProperties'] === undefined) {
      found.push(`${at}: object`);
    }
    for (const [name, value] of Object.entries(node)) {
      if (name === 'anyOf')
        (value as unknown[]).forEach((member, index) => found.push(...unbounded(member, `${at}|${String(index)}`)));
      else if (name === 'properties' || name === 'patternProperties') {
        for (const [member, below] of Object.entries(value as object))
          found.push(...unbounded(below, `${at}.${member}`));
      } else if (name === 'items') found.push(...unbounded(value, `${at}[]`));
    }
    return found;
  }

  test.each<[string, TSchema]>([
    ['ChallengeRequest', ChallengeRequestSchema],
    ['ReleaseRequest', ReleaseRequestSchema],
    ['RegisterPolicy', RegisterPolicySchema],
    ['RetirePolicy', RetirePolicySchema],
    ['CreateKey', CreateKeySchema],
    ['KeyDeployments', KeyDeploymentsSchema],
    ['TrustAttester', TrustAttesterSchema],
    ['RevokeIdentity', RevokeIdentitySchema],
    ['CreateToken', CreateTokenSchema],
    ['SimulatedMachineRequest', SimulatedMachineRequestSchema],
  ])('%s is closed and bounded everywhere', (name, schema) => {
    expect(unbounded(schema, name)).toEqual([]);
  });
});
