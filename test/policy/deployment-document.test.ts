import { X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type Json } from '../../src/bytes/canonical-json.js';
import { parseDeployment } from '../../src/policy/deployment-document.js';
import { policyHash } from '../../src/policy/policy-hash.js';
import { deploymentDocument } from '../../src/policy/render-deployment.js';
import { releasePolicyJson } from './arbitrary-release-policy.js';
import { makeCertificate } from './certificates.js';
import { HASH, hex, OTHER_HASH, OTHER_POLICY, parsed, POLICY, wireDocument } from './documents.js';

function detailOf(document: unknown): string {
  const result = parseDeployment(document);
  if (result.ok) throw new Error('accepted');
  expect(result.reason).toBe('request.malformed');
  return result.detail;
}

const CONTENT = { content: POLICY.toString('base64url') };

describe('what a document says', () => {
  test('the smallest one is filled up with the defaults', () => {
    const { deployment, policies } = parsed({ platform: undefined });
    expect(deployment).toEqual({
      name: 'llm-inference',
      measurement: { source: 'tpm', bank: 'sha256', pcr: 8, allowResettable: false },
      platform: { pcrs: {}, unmeasuredBoot: false },
      attesters: {
        trust: ['pinned'],
        roots: [],
        allow: { ek: [], ak: [], instance: [], cvm: [] },
        anyFromRoots: false,
      },
    });
    expect(policies).toEqual([{ ...HASH, content: POLICY }]);
  });

  test('everything that it can say is read', () => {
    const root = makeCertificate('root');
    const { deployment, policies } = parsed({
      metadata: { name: 'a', description: 'what it is for' },
      measurement: { source: 'snp.host_data', bank: 'sha384', pcr: 23, allowResettable: true },
      policies: [
        { ...CONTENT, ...HASH, notBefore: '2026-11-01T00:00:00Z', notAfter: '2026-11-01T02:00:00+01:00' },
        { ...OTHER_HASH },
      ],
      platform: { pcrs: { '0': [hex('0', 96), hex('1', 96)], '22': [hex('2', 96)] }, unmeasuredBoot: true },
      attesters: {
        trust: ['ek-certificate', 'cvm-report'],
        roots: [root],
        allow: {
          ek: [hex('a')],
          ak: [hex('b')],
          instance: [{ 'google.project': 'p', zone: 'z' }],
          cvm: [{ measurement: hex('c', 96) }, { idKeyDigest: hex('d', 96), vmpl: 1 }],
        },
        anyFromRoots: true,
      },
      release: { version: '1.0.0', anyOf: [{ authority: 'portcullis', allOf: [{ claim: 'tpm.safe', equals: true }] }] },
    });
    expect(deployment).toEqual({
      name: 'a',
      description: 'what it is for',
      measurement: { source: 'snp.host_data', bank: 'sha384', pcr: 23, allowResettable: true },
      platform: { pcrs: { '0': [hex('0', 96), hex('1', 96)], '22': [hex('2', 96)] }, unmeasuredBoot: true },
      attesters: {
        trust: ['ek-certificate', 'cvm-report'],
        roots: [new X509Certificate(root).toString()],
        allow: {
          ek: [hex('a')],
          ak: [hex('b')],
          instance: [{ 'google.project': 'p', zone: 'z' }],
          cvm: [
            { measurement: hex('c', 96), vmpl: 0 },
            { idKeyDigest: hex('d', 96), vmpl: 1 },
          ],
        },
        anyFromRoots: true,
      },
      release: {
        kind: 'anyOf',
        authorities: [
          {
            authority: 'portcullis',
            group: { kind: 'allOf', conditions: [{ claim: 'tpm.safe', operator: 'equals', value: true }] },
          },
        ],
      },
    });
    expect(policies).toEqual([
      { ...HASH, content: POLICY, notBeforeMs: Date.UTC(2026, 10, 1), notAfterMs: Date.UTC(2026, 10, 1, 1) },
      { ...OTHER_HASH },
    ]);
  });

  test('a policy known by its SHA-256 alone stays so', () => {
    expect(parsed({ policies: [{ sha256: HASH.sha256 }] }).policies).toEqual([{ sha256: HASH.sha256 }]);
  });

  test('every PCR index but that of the policy can have reference values', () => {
    const names = Array.from({ length: 24 }, (_, pcr) => String(pcr)).filter((pcr) => pcr !== '8');
    const pcrs = Object.fromEntries(names.map((pcr) => [pcr, [hex('a')]]));
    expect(Object.keys(parsed({ platform: { pcrs } }).deployment.platform.pcrs)).toEqual(names);
  });
});

describe('a document is refused, with place and remedy, for', () => {
  const policies = (...entries: readonly object[]) => wireDocument({ policies: entries });
  const platform = (pcrs: object, members: object = {}) => wireDocument({ platform: { pcrs }, ...members });
  const attesters = (members: object) => wireDocument({ attesters: { trust: ['pinned'], ...members } });
  const name = (value: unknown) => wireDocument({ metadata: { name: value } });
  const pem = makeCertificate('twice');

  test.each<[string, unknown, string]>([
    ['null', null, 'the document: must be an object'],
    ['a list', [], 'the document: must be an object'],
    ['text', 'apiVersion: portcullis/v1', 'the document: must be an object'],
    ['another version', wireDocument({ apiVersion: 'portcullis/v2' }), '/apiVersion: must be "portcullis/v1"'],
    ['another kind', wireDocument({ kind: 'Pod' }), '/kind: must be "Deployment"'],
    ['no metadata', wireDocument({ metadata: undefined }), 'the member `metadata` is missing'],
    ['no attesters', wireDocument({ attesters: undefined }), 'the member `attesters` is missing'],
    ['an unknown member', wireDocument({ policy: [] }), 'the document: unknown member "policy"; known are apiVersion,'],
    [
      'an unknown member below',
      platform({}, { platform: { pcr: {} } }),
      '/platform: unknown member "pcr"; known are pcrs,',
    ],
    ['a member named __proto__', JSON.parse('{"__proto__":{}}'), 'the document: '],
    ['an empty name', name(''), '/metadata/name: must be 1 to 63'],
    ['a name of capitals', name('LLM'), '/metadata/name: must be 1 to 63 lower-case letters'],
    ['a name that starts with a hyphen', name('-a'), '/metadata/name'],
    ['a name that ends with a hyphen', name('a-'), '/metadata/name'],
    ['a name of 64 characters', name('a'.repeat(64)), '/metadata/name'],
    ['a name with a dot', name('a.b'), '/metadata/name'],
    ['a name with a line end', name('a\n'), '/metadata/name'],
    ['a name that is a number', name(1), '/metadata/name: must be a string (in YAML, put digits in quotes)'],
    [
      'a long description',
      wireDocument({ metadata: { name: 'a', description: 'x'.repeat(1025) } }),
      '/metadata/description',
    ],
    [
      'half a surrogate pair',
      wireDocument({ metadata: { name: 'a', description: '\udc00' } }),
      '/metadata/description: holds half',
    ],
    [
      'an unknown source',
      wireDocument({ measurement: { source: 'sgx' } }),
      '/measurement/source: must be tpm, snp.host_data or',
    ],
    ['the SHA-1 bank', wireDocument({ measurement: { bank: 'sha1' } }), '/measurement/bank: must be sha256 or sha384'],
    ['PCR 24', wireDocument({ measurement: { pcr: 24 } }), '/measurement/pcr: must be <= 23'],
    ['PCR -1', wireDocument({ measurement: { pcr: -1 } }), '/measurement/pcr: must be >= 0'],
    ['PCR 8.5', wireDocument({ measurement: { pcr: 8.5 } }), '/measurement/pcr: must be an integer'],
    ['a PCR in quotes', wireDocument({ measurement: { pcr: '8' } }), '/measurement/pcr: must be an integer'],
    [
      'a switch in quotes',
      wireDocument({ measurement: { allowResettable: 'false' } }),
      '/measurement/allowResettable: must be a boolean',
    ],
    ['no policies', wireDocument({ policies: [] }), '/policies: needs at least one entry'],
    ['a policy of nothing', policies({}), '/policies/0: must be a policy with content, or sha256, or both'],
    [
      'a policy of dates alone',
      policies({ notAfter: '2027-01-01T00:00:00Z' }),
      '/policies/0: must be a policy with content',
    ],
    ['a file name on the wire', policies({ file: 'a.json', ...HASH }), '/policies/0: unknown member "file"'],
    ['sha384 alone', policies({ sha384: HASH.sha384 }), '/policies/0: must be a policy with content, or sha256'],
    ['an empty file', policies({ content: '' }), '/policies/0/content: must be the bytes of the policy file'],
    ['padded base64', policies({ content: 'YQ==' }), '/policies/0/content'],
    ['base64url with stray bits', policies({ content: 'YR' }), '/policies/0/content: not canonical base64url'],
    ['a hash in capitals', policies({ sha256: hex('A') }), '/policies/0/sha256: must be 64 lower-case hex digits'],
    ['a short hash', policies({ sha256: hex('a', 62) }), '/policies/0/sha256'],
    ['a hash with a line end', policies({ sha256: `${hex('a')}\n` }), '/policies/0/sha256'],
    [
      'a hash that is a number',
      policies({ sha256: 12 }),
      '/policies/0/sha256: must be a string (in YAML, put digits in quotes)',
    ],
    [
      'sha256 of another file',
      policies({ ...CONTENT, sha256: OTHER_HASH.sha256 }),
      '/policies/0/sha256: is not the hash of the file',
    ],
    [
      'sha384 of another file',
      policies({ ...CONTENT, sha384: OTHER_HASH.sha384 }),
      '/policies/0/sha384: is not the hash of the file',
    ],
    [
      'the same policy twice',
      policies(CONTENT, { sha256: HASH.sha256 }),
      '/policies/1: is the same policy as /policies/0',
    ],
    [
      'a date without offset',
      policies({ ...CONTENT, notBefore: '2026-11-01T00:00:00' }),
      '/policies/0/notBefore: must be a date-time of RFC 3339',
    ],
    ['30 February', policies({ ...CONTENT, notAfter: '2026-02-30T00:00:00Z' }), '/policies/0/notAfter: is no day'],
    [
      'dates in the wrong order',
      policies({ ...CONTENT, notBefore: '2026-11-02T00:00:00Z', notAfter: '2026-11-01T00:00:00Z' }),
      '/policies/0: is never valid',
    ],
    [
      'dates that are equal',
      policies({ ...CONTENT, notBefore: '2026-11-01T01:00:00+01:00', notAfter: '2026-11-01T00:00:00Z' }),
      '/policies/0: is never valid',
    ],
    ['a PCR index of 24', platform({ '24': [hex('a')] }), '/platform/pcrs: unknown member "24"'],
    ['a PCR index with a leading zero', platform({ '04': [hex('a')] }), '/platform/pcrs: unknown member "04"'],
    ['a PCR index that is no number', platform({ x: [hex('a')] }), '/platform/pcrs: unknown member "x"'],
    ['the policy PCR as reference', platform({ '8': [hex('a')] }), '/platform/pcrs/8: is the policy PCR'],
    ['a reference PCR without values', platform({ '4': [] }), '/platform/pcrs/4: needs at least one entry'],
    [
      'a reference PCR with the same value twice',
      platform({ '4': [hex('a'), hex('a')] }),
      '/platform/pcrs/4: has the same entry twice',
    ],
    ['a reference value in capitals', platform({ '4': [hex('A')] }), '/platform/pcrs/4/0: must be lower-case hex'],
    [
      'a reference value of another bank',
      platform({ '4': [hex('a'), hex('a', 96)] }),
      '/platform/pcrs/4/1: must have the 64 hex digits of measurement.bank sha256',
    ],
    ['no trust', attesters({ trust: [] }), '/attesters/trust: needs at least one entry'],
    ['the same trust twice', attesters({ trust: ['pinned', 'pinned'] }), '/attesters/trust: has the same entry twice'],
    ['unknown trust', attesters({ trust: ['anyone'] }), '/attesters/trust/0: must be pinned, ek-certificate,'],
    ['a root that is no certificate', attesters({ roots: ['text'] }), '/attesters/roots/0: must hold PEM certificates'],
    [
      'the same root in two files',
      attesters({ roots: [pem, `# again\n${pem}`] }),
      '/attesters/roots: has the same certificate twice',
    ],
    ['an EK hash of another length', attesters({ allow: { ek: [hex('a', 96)] } }), '/attesters/allow/ek/0: must be 64'],
    [
      'an instance rule that any instance meets',
      attesters({ allow: { instance: [{}] } }),
      '/attesters/allow/instance/0',
    ],
    [
      'an instance rule with a list',
      attesters({ allow: { instance: [{ zone: ['a'] }] } }),
      '/attesters/allow/instance/0/zone: must be a string',
    ],
    [
      'a CVM rule that any CVM meets',
      attesters({ allow: { cvm: [{ vmpl: 0 }] } }),
      '/attesters/allow/cvm/0: must be a rule with measurement',
    ],
    [
      'VMPL 4',
      attesters({ allow: { cvm: [{ measurement: hex('a', 96), vmpl: 4 }] } }),
      '/attesters/allow/cvm/0/vmpl: must be <= 3',
    ],
    [
      'a bad release policy',
      wireDocument({ release: { version: '1.0.0', anyOf: [] } }),
      '/release/anyOf: must be a list, and may not be empty',
    ],
    ['an empty release policy', wireDocument({ release: null }), '/release: must be an object'],
  ])('%s', (_, document, detail) => {
    const clean: unknown = document === undefined ? undefined : JSON.parse(JSON.stringify(document));
    expect(detailOf(clean)).toContain(detail);
  });

  test('the SHA-384 bank with a policy known by its SHA-256 alone, while both hashes or the file will do', () => {
    const measurement = { bank: 'sha384' };
    const platform384 = { pcrs: { '4': [hex('4', 96)], '7': [hex('7', 96)] } };
    const withPolicy = (policy: object) => wireDocument({ measurement, platform: platform384, policies: [policy] });
    expect(detailOf(withPolicy({ sha256: HASH.sha256 }))).toContain('/policies/0: needs sha384 too');
    expect(parseDeployment(withPolicy(HASH)).ok).toBe(true);
    expect(parseDeployment(withPolicy(CONTENT)).ok).toBe(true);
    expect(detailOf(wireDocument({ measurement }))).toContain('must have the 96 hex digits of measurement.bank sha384');
  });

  test.each([
    ['snp.host_data', 'sha256', { sha256: hex('0') }],
    ['snp.host_data', 'sha384', { sha256: HASH.sha256, sha384: hex('0', 64) + hex('a', 32) }],
    ['tdx.mrconfigid', 'sha256', { sha256: hex('0') }],
    ['tdx.mrconfigid', 'sha384', { sha256: HASH.sha256, sha384: hex('0', 96) }],
  ])('a hash that fills %s in bank %s with zeros, as every guest without a policy has it', (source, bank, policy) => {
    const document = (from: string) =>
      wireDocument({ measurement: { source: from, bank }, platform: {}, policies: [policy] });
    expect(detailOf(document(source))).toContain(`/policies/0/${bank}: makes a field of zeros, which is that of every`);
    expect(parseDeployment(document('tpm')).ok).toBe(true);
  });

  test('nesting beyond 32, however deep', () => {
    let deep: unknown = [];
    for (let i = 0; i < 200_000; i++) deep = [deep];
    expect(detailOf(wireDocument({ platform: deep }))).toContain('nested deeper than 32');
  });

  test('an unknown member of any length, in a short sentence', () => {
    expect(detailOf(wireDocument({ ['x'.repeat(100_000)]: 1 })).length).toBeLessThan(400);
  });
});

describe('limits', () => {
  const accepted = (members: object) => parseDeployment(wireDocument(members)).ok;

  test('64 policies pass, 65 do not', () => {
    const policies = (count: number) => ({
      policies: Array.from({ length: count }, (_, i) => ({ sha256: policyHash(Buffer.from(String(i))).sha256 })),
    });
    expect([accepted(policies(64)), accepted(policies(65))]).toEqual([true, false]);
  });

  test('64 values of a reference PCR pass, 65 do not', () => {
    const values = (count: number) => Array.from({ length: count }, (_, i) => i.toString(16).padStart(64, '0'));
    const platform = (count: number) => ({ platform: { pcrs: { '4': values(count) } } });
    expect([accepted(platform(64)), accepted(platform(65))]).toEqual([true, false]);
  });

  test('4096 allowed keys pass, 4097 do not', () => {
    const ek = (count: number) => Array.from({ length: count }, (_, i) => i.toString(16).padStart(64, '0'));
    const attesters = (count: number) => ({ attesters: { trust: ['pinned'], allow: { ek: ek(count) } } });
    expect([accepted(attesters(4096)), accepted(attesters(4097))]).toEqual([true, false]);
  });

  test('a policy file of 768 KiB passes, one byte more does not', () => {
    const policy = (bytes: number) => ({ policies: [{ content: Buffer.alloc(bytes, 'x').toString('base64url') }] });
    expect([accepted(policy(786_432)), accepted(policy(786_433))]).toEqual([true, false]);
  });
});

describe('properties', () => {
  const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/);
  const document = fc.record({
    metadata: fc.record(
      {
        name: fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?$/),
        description: fc.string({ unit: 'grapheme', maxLength: 50 }),
      },
      { requiredKeys: ['name'] },
    ),
    measurement: fc.record(
      { pcr: fc.constantFrom(8, 12, 16, 23), allowResettable: fc.boolean() },
      { requiredKeys: [] },
    ),
    platform: fc.record({
      pcrs: fc.dictionary(fc.constantFrom('0', '4', '7', '11'), fc.uniqueArray(sha256, { minLength: 1, maxLength: 3 })),
      unmeasuredBoot: fc.boolean(),
    }),
    attesters: fc.record({
      trust: fc.uniqueArray(fc.constantFrom('pinned', 'ek-certificate', 'simulator'), { minLength: 1 }),
      allow: fc.record(
        { ek: fc.uniqueArray(sha256, { maxLength: 3 }), instance: fc.constant([{ zone: 'a' }]) },
        { requiredKeys: [] },
      ),
    }),
    release: releasePolicyJson,
  });

  test('a deployment is plain JSON: stored in canonical form, and rendered as a document, it is read back unchanged', () => {
    fc.assert(
      fc.property(document, (members) => {
        const { deployment } = parsed(members);
        const json = deployment as unknown as Json;
        expect(JSON.parse(canonicalJson(json).toString())).toEqual(deployment);
        const rendered = JSON.parse(canonicalJson(deploymentDocument(deployment)).toString()) as object;
        expect(parseDeployment({ ...rendered, policies: [CONTENT] })).toMatchObject({
          ok: true,
          value: { deployment },
        });
      }),
    );
  });

  test('no JSON value in place of a member makes the parser throw', () => {
    const members = Object.keys(wireDocument({ measurement: 1, release: 1 }));
    fc.assert(
      fc.property(fc.constantFrom(...members), fc.jsonValue(), (member, value) => {
        expect(typeof parseDeployment(wireDocument({ [member]: value })).ok).toBe('boolean');
      }),
    );
  });
});

test('another file is another policy', () => {
  expect(parsed({ policies: [{ content: OTHER_POLICY.toString('base64url') }] }).policies[0]?.sha256).toBe(
    OTHER_HASH.sha256,
  );
});
