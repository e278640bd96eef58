import { createPublicKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compactDecrypt } from 'jose';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { releaseBinding } from '../../src/challenge/binding.js';
import { sha256 } from '../../src/crypto/digest.js';
import type { AuthorityKeys } from '../../src/evidence/authority/authority-keys.js';
import type { Broker } from '../../src/release/broker.js';
import type { BrokerContext } from '../../src/release/context.js';
import { createBroker } from '../../src/release/create-broker.js';
import type { ReleaseQuery, Store } from '../../src/release/store.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { authorities, token } from '../evidence/authority/tokens.js';
import {
  ADMIN,
  BOOT,
  bootedMachine,
  deploymentDocument,
  POLICY,
  released,
  TestBroker,
  valueOf,
} from '../helpers/test-broker.js';

const LLM = { deployment: 'llm', key: 'weights' } as const;
let broker: TestBroker;
let machine: SimulatorAttester;

beforeAll(async () => {
  broker = await TestBroker.start();
  machine = await bootedMachine();
  await broker.deploy('llm');
  await broker.deploy('other');
  await broker.pin(machine, 'llm');
  await broker.pin(machine, 'other');
  await broker.key('weights', 'llm', 'other');
  await broker.key('second', 'llm');
  await broker.key('foreign', 'other');
});

afterAll(() => broker.close());

describe('a genuine quote', () => {
  test.each(['P-256', 'P-384', 'X25519', 'RSA'] as const)('draws the key to a %s recipient', async (kind) => {
    const { request, recipient } = await broker.request(machine, { ...LLM, recipient: kind });
    const answer = released(await broker.broker.release(request));
    const { plaintext, protectedHeader } = await compactDecrypt(answer.jwe, recipient.privateKey);
    const kid = `weights/${answer.key.version}`;
    expect(protectedHeader).toMatchObject({ enc: 'A256GCM', cty: 'jwk+json', kid });
    expect(JSON.parse(Buffer.from(plaintext).toString('utf8'))).toMatchObject({ kty: 'oct', kid });
    expect(answer).toMatchObject({ key: { name: 'weights', kty: 'oct' } });
  });

  test.each(['rsassa', 'rsapss', 'ecdsa-p256', 'ecdsa-p384'] as const)(
    'of scheme %s is believed once its AK is pinned',
    async (scheme) => {
      const another = await bootedMachine(scheme);
      expect(await broker.release(another, LLM)).toMatchObject({ ok: false, reason: 'ak.untrusted' });
      await broker.pin(another, 'llm');
      released(await broker.release(another, LLM));
    },
  );

  test('leaves an entry that says what was released, to whom and why', async () => {
    const { request, recipient } = await broker.request(machine, LLM);
    const answer = released(await broker.broker.release(request));
    const [entry] = valueOf(await broker.broker.listEntries({ type: 'release', limit: 1 })).items;
    expect(entry?.entry).toMatchObject({
      type: 'release',
      release_id: answer.release_id,
      profile: 'development',
      broker: broker.context.broker,
      deployment: 'llm',
      key: 'weights',
      version: answer.key.version,
      policy_sha256: sha256(POLICY).toString('hex'),
      recipient: recipient.thumbprint,
      ak_name: machine.ak.name.toString('hex'),
      ak_trust: 'pinned',
      boot: 'pinned',
      jwe_sha256: sha256(Buffer.from(answer.jwe)).toString('hex'),
      nonce_sha256: sha256(Buffer.from(request.nonce, 'base64url')).toString('hex'),
    });
    expect(entry?.detail).toMatchObject({ met: true });
  });
});

describe('a nonce', () => {
  test('is spent once: in sequence, at the same moment, in another process, and after a restart', async () => {
    const first = await broker.request(machine, LLM);
    released(await broker.broker.release(first.request));
    const replayed = { ok: false, reason: 'challenge.replayed' };
    expect(await broker.broker.release(first.request)).toMatchObject(replayed);

    const { request } = await broker.request(machine, LLM);
    const twin = await broker.twin();
    const outcomes = await Promise.all(
      [1, 2, 3, 4].flatMap(() => [broker.broker.release(request), twin.broker.release(request)]),
    );
    expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(1);
    expect(outcomes.filter((outcome) => !outcome.ok && outcome.reason === 'challenge.replayed')).toHaveLength(7);
    expect(await twin.broker.release(first.request)).toMatchObject(replayed);
    await twin.close();

    await broker.restart();
    expect(await broker.broker.release(request)).toMatchObject(replayed);
  });

  test('that was purged stays spent: the floor has risen past it', async () => {
    const { request } = await broker.request(machine, LLM);
    released(await broker.broker.release(request));
    await broker.context.store.purgeNonces(Date.now());
    expect(await broker.broker.release(request)).toMatchObject({ reason: 'challenge.expired' });
  });

  test('is for one deployment, key and version', async () => {
    const { request } = await broker.request(machine, LLM);
    for (const change of [
      { deployment: 'other' },
      { key: 'second' },
      { version: '0'.repeat(32) },
      { key: 'Weights' },
    ]) {
      expect(await broker.broker.release({ ...request, ...change })).toMatchObject({ reason: 'challenge.invalid' });
    }
  });

  test('is not spent by a denial', async () => {
    const { request } = await broker.request(machine, LLM);
    const stolen = { ...request, recipient: (await createRecipient('P-256')).jwk };
    expect(await broker.broker.release(stolen)).toMatchObject({ reason: 'quote.binding' });
    released(await broker.broker.release(request));
  });

  test('of another broker is invalid here, and so is evidence made for it', async () => {
    const elsewhere = await TestBroker.start();
    await elsewhere.deploy('llm');
    await elsewhere.pin(machine, 'llm');
    await elsewhere.key('weights', 'llm');
    const theirs = await elsewhere.request(machine, LLM);
    expect(await broker.broker.release(theirs.request)).toMatchObject({ reason: 'challenge.invalid' });
    const ours = await broker.request(machine, LLM);
    const mixed = { ...ours.request, evidence: theirs.request.evidence };
    expect(await broker.broker.release(mixed)).toMatchObject({ reason: 'quote.binding' });
    await elsewhere.close();
  });

  test('expires', async () => {
    const brief = await TestBroker.start({ challengeTtlMs: 1 });
    await brief.deploy('llm');
    await brief.pin(machine, 'llm');
    await brief.key('weights', 'llm');
    const { request } = await brief.request(machine, LLM);
    expect(await brief.broker.release(request)).toMatchObject({ reason: 'challenge.expired' });
    await brief.close();
  });
});

describe('what the TPM measured', () => {
  const extended = async (...more: readonly (readonly [pcr: number, data: Buffer])[]) => {
    const tpm = new SimulatedTpm();
    for (const [pcr, digest] of Object.entries(BOOT)) tpm.extend('sha256', Number(pcr), digest);
    for (const [pcr, digest] of more) tpm.extend('sha256', pcr, digest);
    const attester = new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256' }));
    await broker.pin(attester, 'llm');
    return attester;
  };
  const policy = sha256(POLICY);

  test.each([
    ['nothing', []],
    ['another policy', [[8, sha256(Buffer.from('other'))]]],
    [
      'the policy twice',
      [
        [8, policy],
        [8, policy],
      ],
    ],
    [
      'something before the policy',
      [
        [8, Buffer.alloc(32, 1)],
        [8, policy],
      ],
    ],
    [
      'something after the policy',
      [
        [8, policy],
        [8, Buffer.alloc(32, 1)],
      ],
    ],
    ['the policy into PCR 16', [[16, policy]]],
  ] as [string, [number, Buffer][]][])('must be the policy alone, not: %s', async (_, extends_) => {
    const denial = await broker.release(await extended(...extends_), LLM);
    expect(denial).toMatchObject({ ok: false, reason: 'policy.hash', decision: { met: false } });
    const [condition] = denial.ok ? [] : (denial.decision?.conditions ?? []);
    expect(condition).toMatchObject({ claim: 'tpm.pcrs.sha256.8', operator: 'in', met: false });
    expect(condition).toHaveProperty('expected');
    expect(condition).toHaveProperty('found');
  });

  test('must have the boot chain of the deployment below it', async () => {
    const denial = await broker.release(await extended([8, policy], [7, Buffer.alloc(32, 9)]), LLM);
    expect(denial).toMatchObject({ ok: false, reason: 'policy.pcr' });
    const conditions = denial.ok ? [] : (denial.decision?.conditions ?? []);
    expect(conditions).toContainEqual(expect.objectContaining({ claim: 'tpm.pcrs.sha256.7', met: false }));
    expect(conditions).toContainEqual(expect.objectContaining({ claim: 'tpm.pcrs.sha256.4', met: true }));
  });

  test('is read by PCR index, never by position: PCR 16 in the place of PCR 8 does not pass', async () => {
    const attester = await extended([16, policy]);
    const { request } = await broker.request(attester, LLM);
    const positional: typeof attester.evidence = (extraData) => attester.evidence(extraData, { sha256: [4, 7, 16] });
    const tricked = await broker.request({ describe: () => 'trick', evidence: positional }, LLM);
    expect(await broker.broker.release(tricked.request)).toMatchObject({ reason: 'quote.pcr_selection' });
    const { pcrs } = tricked.request.evidence.tpm;
    const renamed = {
      sha256: { '4': pcrs['sha256']?.['4'] ?? '', '7': pcrs['sha256']?.['7'] ?? '', '8': pcrs['sha256']?.['16'] ?? '' },
    };
    const lying = { ...tricked.request, evidence: { tpm: { ...tricked.request.evidence.tpm, pcrs: renamed } } };
    expect(await broker.broker.release(lying)).toMatchObject({ reason: 'quote.pcr_selection' });
    expect(await broker.broker.release(request)).toMatchObject({ reason: 'policy.hash' });
  });

  test('is reported as it was quoted', async () => {
    const { request } = await broker.request(machine, LLM);
    const { tpm } = request.evidence;
    const altered = { ...tpm, pcrs: { sha256: { ...tpm.pcrs['sha256'], '8': 'ab'.repeat(32) } } };
    const denial = await broker.broker.release({ ...request, evidence: { tpm: altered } });
    expect(denial).toMatchObject({
      reason: 'quote.pcr_digest',
      decision: { met: false, conditions: [{ claim: 'quote.pcr_digest' }] },
    });
    const fewer = { ...tpm, pcrs: { sha256: { '8': tpm.pcrs['sha256']?.['8'] ?? '' } } };
    expect(await broker.broker.release({ ...request, evidence: { tpm: fewer } })).toMatchObject({
      reason: 'quote.pcr_values',
    });
  });
});

describe('an AK', () => {
  test('that is pinned for another deployment is untrusted', async () => {
    const another = await bootedMachine();
    await broker.pin(another, 'other');
    expect(await broker.release(another, LLM)).toMatchObject({ reason: 'ak.untrusted' });
    released(await broker.release(another, { deployment: 'other', key: 'weights' }));
  });

  test('with other attributes has another Name, and is not the pinned one', async () => {
    const { request } = await broker.request(machine, LLM);
    const ak = Buffer.from(request.evidence.tpm.ak ?? '', 'base64url');
    ak.writeUInt32BE(ak.readUInt32BE(6) ^ (1 << 10), 6);
    const renamed = { ...request.evidence.tpm, ak: ak.toString('base64url') };
    expect(await broker.broker.release({ ...request, evidence: { tpm: renamed } })).toMatchObject({
      reason: 'ak.untrusted',
    });
  });

  test('that is revoked stays revoked under every Name, for every deployment, and cannot be trusted again', async () => {
    const doomed = await bootedMachine();
    await broker.pin(doomed, 'llm');
    await broker.pin(doomed, 'other');
    released(await broker.release(doomed, LLM));
    const { request } = await broker.request(doomed, LLM);
    const spki = sha256(
      createPublicKey({ key: doomed.ak.spki, format: 'der', type: 'spki' }).export({ format: 'der', type: 'spki' }),
    );
    valueOf(await broker.broker.revokeAttester(ADMIN, doomed.ak.name.toString('hex')));
    const revoked = { ok: false, reason: 'ak.revoked' };
    expect(await broker.broker.release(request)).toMatchObject(revoked);
    expect(await broker.release(doomed, { deployment: 'other', key: 'weights' })).toMatchObject(revoked);
    const ak = Buffer.from(request.evidence.tpm.ak ?? '', 'base64url');
    ak.writeUInt32BE(ak.readUInt32BE(6) ^ (1 << 10), 6);
    const renamed = { ...request.evidence.tpm, ak: ak.toString('base64url') };
    expect(await broker.broker.release({ ...request, evidence: { tpm: renamed } })).toMatchObject(revoked);
    const trust = await broker.broker.trustAttester(ADMIN, { deployment: 'llm', spki_sha256: spki.toString('hex') });
    expect(trust).toMatchObject({ ok: false, reason: 'resource.state' });
  });

  test('certified by the simulator CA is believed where the deployment says so, and only for the certified key', async () => {
    await broker.deploy('simulated', { attesters: { trust: ['simulator'] } });
    await broker.key('simkey', 'simulated');
    const asked = { deployment: 'simulated', key: 'simkey' };
    const tpm = machine.tpm;
    const ak = await tpm.createAk({ scheme: 'rsassa' });
    const simulated = valueOf(
      (await broker.broker.simulateMachine?.({
        deployment: 'simulated',
        ak: ak.tpm2bPublic.toString('base64url'),
      })) ?? {
        ok: false,
        reason: 'route.unknown',
        detail: '',
      },
    );
    released(await broker.release(new SimulatorAttester(tpm, ak, simulated.ak_certificates), asked));
    const other = await tpm.createAk({ scheme: 'rsassa' });
    const borrowed = new SimulatorAttester(tpm, other, simulated.ak_certificates);
    expect(await broker.release(borrowed, asked)).toMatchObject({ reason: 'ak.untrusted' });
    expect(await broker.release(new SimulatorAttester(tpm, other), asked)).toMatchObject({ reason: 'ak.untrusted' });
  });
});

describe('a recipient key', () => {
  const zeros = Buffer.alloc(32).toString('base64url');
  test.each([
    ['off the curve', { kty: 'EC', crv: 'P-256', x: zeros, y: zeros, alg: 'ECDH-ES+A256KW' }],
    ['of low order', { kty: 'OKP', crv: 'X25519', x: zeros, alg: 'ECDH-ES+A256KW' }],
    [
      'RSA with exponent 1',
      { kty: 'RSA', n: Buffer.alloc(256, 0xff).toString('base64url'), e: 'AQ', alg: 'RSA-OAEP-256' },
    ],
    ['of no kind', {}],
  ])('%s is refused', async (_, recipient) => {
    const { request } = await broker.request(machine, LLM);
    expect(await broker.broker.release({ ...request, recipient })).toMatchObject({ reason: 'request.malformed' });
  });

  test('with members beyond the contract is refused', async () => {
    const { request } = await broker.request(machine, LLM);
    for (const extra of [{ d: zeros }, { kid: 'x' }, { use: 'enc' }]) {
      const recipient = { ...request.recipient, ...extra };
      expect(await broker.broker.release({ ...request, recipient })).toMatchObject({ reason: 'request.malformed' });
    }
  });
});

describe('evidence', () => {
  test('that is absent, or not tied to the quote, is a denial', async () => {
    const { request } = await broker.request(machine, LLM);
    expect(await broker.broker.release({ ...request, evidence: {} })).toMatchObject({ reason: 'evidence.malformed' });
    const { quoted, signature, pcrs } = request.evidence.tpm;
    const withoutAk = { quoted, signature, pcrs };
    expect(await broker.broker.release({ ...request, evidence: { tpm: withoutAk } })).toMatchObject({
      reason: 'evidence.malformed',
    });
    for (const extra of [
      { snp: { report: 'AA' } },
      { snp: { certificates: [] } },
      { hcl: { report: 'AA' } },
      { tdx: { quote: 'AA' } },
      { gpus: [{}] },
      { tokens: ['a.b.c'] },
    ]) {
      const evidence = { ...request.evidence, ...extra };
      expect(await broker.broker.release({ ...request, evidence })).toMatchObject({ reason: 'evidence.malformed' });
    }
    const foreign = { tpm: { ...request.evidence.tpm, ak_certificates: [Buffer.alloc(10).toString('base64url')] } };
    expect(await broker.broker.release({ ...request, evidence: foreign })).toMatchObject({
      reason: 'evidence.unbound',
      decision: { met: false, conditions: [{ claim: 'evidence.tpm.ak_certificates', expected: false, found: true }] },
    });
    const empty = { ...request.evidence, hcl: {}, snp: {}, tdx: {}, gpus: [], tokens: [] };
    released(await broker.broker.release({ ...request, evidence: empty }));
  });

  test('in another spelling of base64url is refused', async () => {
    const { request } = await broker.request(machine, LLM);
    const { tpm } = request.evidence;
    for (const member of ['quoted', 'signature', 'ak'] as const) {
      const evidence = { tpm: { ...tpm, [member]: `${tpm[member] ?? ''}=` } };
      expect(await broker.broker.release({ ...request, evidence })).toMatchObject({ reason: 'request.malformed' });
    }
  });
});

describe('administration', () => {
  test('decides over keys at the very next commit', async () => {
    await broker.key('governed', 'llm');
    const asked = { deployment: 'llm', key: 'governed' };
    const refused = async () => {
      const outcome = await broker.release(machine, asked);
      return outcome.ok ? 'released' : outcome.reason;
    };
    const { broker: api } = broker;
    expect(await refused()).toBe('released');
    valueOf(await api.setKeyEnabled(ADMIN, 'governed', false));
    expect(await refused()).toBe('key.disabled');
    valueOf(await api.setKeyEnabled(ADMIN, 'governed', true));
    valueOf(await api.setKeyFrozen(ADMIN, 'governed', true));
    expect(await refused()).toBe('key.frozen');
    valueOf(await api.setKeyFrozen(ADMIN, 'governed', false));
    valueOf(await api.setDeploymentFrozen(ADMIN, 'llm', true));
    expect(await refused()).toBe('deployment.frozen');
    valueOf(await api.setDeploymentFrozen(ADMIN, 'llm', false));
    expect(await refused()).toBe('released');
  });

  test('that acts while a release is under way stops it', async () => {
    await broker.key('raced', 'llm');
    const { request } = await broker.request(machine, { deployment: 'llm', key: 'raced' });
    const [frozen, outcome] = await Promise.all([
      broker.broker.setKeyFrozen(ADMIN, 'raced', true),
      broker.broker.release(request),
    ]);
    valueOf(frozen);
    const after = await broker.release(machine, { deployment: 'llm', key: 'raced' });
    expect(after).toMatchObject({ reason: 'key.frozen' });
    expect(outcome.ok || outcome.reason === 'key.frozen').toBe(true);
  });

  test('of versions: latest is the newest whatever its state, and never falls back', async () => {
    const first = await broker.key('versioned', 'llm');
    const asked = { deployment: 'llm', key: 'versioned' };
    const rotated = valueOf(await broker.broker.rotateKey(ADMIN, 'versioned'));
    const second = rotated.versions[0]?.version ?? '';
    expect(second).not.toBe(first);
    expect(released(await broker.release(machine, asked)).key.version).toBe(second);
    expect(released(await broker.release(machine, { ...asked, version: first })).key.version).toBe(first);
    valueOf(await broker.broker.setKeyEnabled(ADMIN, 'versioned', false, second));
    expect(await broker.release(machine, asked)).toMatchObject({ reason: 'key.disabled' });
    released(await broker.release(machine, { ...asked, version: first }));
    valueOf(await broker.broker.deleteKey(ADMIN, 'versioned', second, 0));
    expect(await broker.release(machine, asked)).toMatchObject({ reason: 'key.disabled' });
  });

  test('of links: a key is drawn by the deployments it names, and is unknown to others', async () => {
    expect(await broker.broker.issueChallenge({ deployment: 'llm', key: 'foreign' })).toMatchObject({
      reason: 'key.unknown',
    });
    expect(await broker.broker.issueChallenge({ deployment: 'llm', key: 'nothing' })).toMatchObject({
      reason: 'key.unknown',
    });
    expect(await broker.broker.issueChallenge({ deployment: 'nothing', key: 'weights' })).toMatchObject({
      reason: 'deployment.unknown',
    });
    const unknown = await broker.broker.issueChallenge({ ...LLM, version: '0'.repeat(32) });
    expect(unknown).toMatchObject({ reason: 'key.unknown' });
  });

  test('of policies: a policy is accepted inside its dates, and retired at once', async () => {
    const policy = Buffer.from('another policy');
    const host = await bootedMachine('ecdsa-p256', policy);
    await broker.deploy('dated');
    await broker.pin(host, 'dated');
    await broker.key('dated', 'dated');
    const asked = { deployment: 'dated', key: 'dated' };
    expect(await broker.release(host, asked)).toMatchObject({ reason: 'policy.hash' });
    const register = (dates: object) =>
      broker.broker.registerPolicy(ADMIN, { deployment: 'dated', content: policy.toString('base64url'), ...dates });
    const past = valueOf(await register({ not_after: '2020-01-01T00:00:00Z' }));
    expect(await broker.release(host, asked)).toMatchObject({ reason: 'policy.validity', decision: { met: false } });
    expect(await register({})).toMatchObject({ reason: 'resource.exists' });
    valueOf(await broker.broker.retirePolicy(ADMIN, past.sha256, 'dated'));
    expect(await broker.release(host, asked)).toMatchObject({ reason: 'policy.hash' });
    valueOf(await register({}));
    released(await broker.release(host, asked));
    valueOf(await broker.broker.applyDeployment(ADMIN, deploymentDocument('dated'), {}));
    expect(await broker.release(host, asked)).toMatchObject({ reason: 'policy.hash' });
  });

  test('of release policies: claims that are not met are named', async () => {
    const release = {
      version: '1.0.0',
      anyOf: [
        {
          authority: 'portcullis',
          allOf: [
            { claim: 'tpm.safe', equals: true },
            { claim: 'tpm.reset_count', greater: 1000 },
          ],
        },
      ],
    };
    await broker.deploy('claims', { release });
    await broker.pin(machine, 'claims');
    await broker.key('claims', 'claims');
    const denial = await broker.release(machine, { deployment: 'claims', key: 'claims' });
    expect(denial).toMatchObject({ reason: 'policy.claims', decision: { met: false } });
    expect(JSON.stringify(denial)).toContain('tpm.reset_count');
  });
});

describe('an explanation', () => {
  test('hides what was expected where the broker is told to', async () => {
    const terse = await TestBroker.start({ explain: 'codes' });
    await terse.deploy('llm');
    await terse.key('weights', 'llm');
    const wrong = await bootedMachine('ecdsa-p256', Buffer.from('wrong'));
    await terse.pin(wrong, 'llm');
    const denial = await terse.release(wrong, LLM);
    expect(denial).toMatchObject({ reason: 'policy.hash', decision: { met: false } });
    const { pcrs } = (await terse.request(wrong, LLM)).request.evidence.tpm;
    const text = JSON.stringify(denial);
    expect(text).not.toContain('expected');
    expect(text).toContain(pcrs['sha256']?.['8']);
    const [record] = valueOf(await terse.broker.listEntries({ type: 'denial', limit: 1 })).items;
    expect(JSON.stringify(record?.detail)).toContain('expected');
    await terse.close();
  });
});

describe('a release that changes keep overtaking', () => {
  /** The broker over a store in which `change` is made each time that the facts of a release were read. */
  function overtaken(change: (made: number) => Promise<unknown>, more: Partial<BrokerContext> = {}): Broker {
    let made = 0;
    const { store } = broker.context;
    const get = (_: Store, name: keyof Store): unknown =>
      name === 'releaseFacts'
        ? async (query: ReleaseQuery) => {
            const facts = await store.releaseFacts(query);
            await change(++made);
            return facts;
          }
        : (store[name] as () => unknown).bind(store);
    return createBroker({ ...broker.context, ...more, store: new Proxy(store, { get: get as never }) });
  }

  test('is granted all the same, under the state that the last of them has left', async () => {
    const busy = overtaken((made) => broker.broker.setDeploymentFrozen(ADMIN, 'other', made % 2 === 1));
    for (let draw = 0; draw < 3; draw++) {
      const { request } = await broker.request(machine, LLM);
      const { receipt } = released(await busy.release(request));
      const { generation } = await broker.context.store.read((view) => view.state());
      expect(JSON.parse(receipt.entry)).toMatchObject({ type: 'release', state_generation: String(generation) });
    }
    await broker.broker.setDeploymentFrozen(ADMIN, 'other', false);
  });

  test('is denied where one of them freezes what it asks for', async () => {
    const freezing = overtaken((made) => broker.broker.setDeploymentFrozen(ADMIN, made === 3 ? 'llm' : 'other', true));
    const { request } = await broker.request(machine, LLM);
    expect(await freezing.release(request)).toMatchObject({ ok: false, reason: 'deployment.frozen' });
    for (const name of ['llm', 'other']) await broker.broker.setDeploymentFrozen(ADMIN, name, false);
    released(await broker.broker.release(request));
  });

  test('asks nobody for the keys of authorities while everybody waits for it', async () => {
    const known = authorities();
    let asked = 0;
    const counting: AuthorityKeys = {
      ...known,
      keys: (authority, kid) => {
        asked++;
        return known.keys(authority, kid);
      },
    };
    const change = () => broker.broker.setDeploymentFrozen(ADMIN, 'other', ++changes % 2 === 1);
    let changes = 0;
    const busy = overtaken(change, { authorities: counting });
    const { request, recipient } = await broker.request(machine, LLM);
    const { nonce } = request;
    const asking = { ...LLM, broker: broker.context.broker, nonce, version: 'latest', recipient: recipient.thumbprint };
    const atS = Math.floor(Date.now() / 1000);
    const terms = { iat: atS, nbf: atS, exp: atS + 600, eat_nonce: releaseBinding(asking).toString('base64url') };
    const evidence = { ...request.evidence, tokens: [token(terms)] };
    released(await busy.release({ ...request, evidence }));
    expect(asked).toBe(3);
    await broker.broker.setDeploymentFrozen(ADMIN, 'other', false);
  });
});
