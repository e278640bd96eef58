import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JWK } from 'jose';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import type { Attester } from '../../src/workload/attester.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { AttesterError, BrokerAnswerError, ReleaseDeniedError } from '../../src/workload/errors.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { ReleaseClient, type ReleaseOptions } from '../../src/workload/release-client.js';
import type { Transport } from '../../src/workload/transport.js';
import { answerOf, NEWEST, SECRET, testBroker, type Lies, type TestBroker } from './test-broker.js';

const WEIGHTS = { deployment: 'llm-inference', key: 'weights' };
const OTHER_VERSION = 'f'.repeat(32);
const KINDS = ['P-256', 'P-384', 'X25519', 'RSA'] as const;

let attester: SimulatorAttester;
beforeAll(async () => {
  const tpm = new SimulatedTpm();
  attester = new SimulatorAttester(tpm, await tpm.createAk({ scheme: 'ecdsa-p256' }));
});

function ask(broker: Transport, options: Partial<ReleaseOptions> = {}) {
  return new ReleaseClient({ transport: broker, attester }).release({ ...WEIGHTS, ...options });
}

describe('a release', () => {
  test.each(KINDS)(
    'comes out to a recipient key of kind %s, with the quote bound to the request',
    async (recipient) => {
      const broker = testBroker();
      const released = await ask(broker, { recipient });
      expect(broker.bound).toBe(true);
      expect(released.key).toEqual({ ...SECRET, kid: `weights/${NEWEST}` });
      expect(JSON.parse(released.jwk.toString('utf8'))).toEqual(released.key);
      expect(released).toMatchObject({ kid: `weights/${NEWEST}`, version: NEWEST, releaseId: 'r-1' });
      expect(released.answer).toMatchObject({ release_id: 'r-1', jwe: expect.any(String) });
    },
  );

  test('sends exactly what the interface names, and a value for each PCR that was asked for', async () => {
    const broker = testBroker();
    await ask(broker);
    expect(broker.challenges).toEqual([{ ...WEIGHTS, version: 'latest' }]);
    const [sent] = broker.releases;
    expect(Object.keys(sent!).sort()).toEqual(['deployment', 'evidence', 'key', 'nonce', 'recipient', 'version']);
    expect(Object.keys(sent!.recipient).sort()).toEqual(['alg', 'crv', 'kty', 'x', 'y']);
    expect(Object.keys(sent!.evidence.tpm).sort()).toEqual(['ak', 'pcrs', 'quoted', 'signature']);
    expect(sent!.evidence.tpm['pcrs']).toEqual({
      sha256: { '0': '00'.repeat(32), '4': '00'.repeat(32), '8': '00'.repeat(32) },
    });
  });

  test('of a version that was named brings that version', async () => {
    const broker = testBroker();
    const released = await ask(broker, { version: OTHER_VERSION });
    expect(released.version).toBe(OTHER_VERSION);
    expect(broker.challenges[0]).toMatchObject({ version: OTHER_VERSION });
    expect(broker.releases[0]).toMatchObject({ version: OTHER_VERSION });
  });

  test('uses a fresh recipient key each time', async () => {
    const broker = testBroker();
    await ask(broker);
    await ask(broker);
    expect(broker.releases[0]?.recipient.x).not.toBe(broker.releases[1]?.recipient.x);
  });

  test.each(['EC', 'RSA', 'OKP'])('brings private keys of type %s', async (kty) => {
    const jwk = privateJwk(kty);
    expect((await ask(testBroker({}, jwk))).key).toEqual({ ...jwk, kid: `weights/${NEWEST}` });
  });
});

const lies: readonly [string, Lies, Partial<ReleaseOptions>?][] = [
  ['a challenge for another deployment', { challenge: (a) => ({ ...a, deployment: 'other' }) }],
  ['a challenge for another key', { challenge: (a) => ({ ...a, key: 'other' }) }],
  ['a challenge for another version', { challenge: (a) => ({ ...a, version: OTHER_VERSION }) }],
  [
    'a challenge for latest where a version was named',
    { challenge: (a) => ({ ...a, version: 'latest' }) },
    { version: NEWEST },
  ],
  ['a challenge without a broker', { challenge: (a) => ({ ...a, broker: '' }) }],
  ['a nonce that is too short', { challenge: (a) => ({ ...a, nonce: Buffer.alloc(31).toString('base64url') }) }],
  ['a nonce that is padded', { challenge: (a) => ({ ...a, nonce: `${String(a['nonce'])}=` }) }],
  ['a nonce that is no text', { challenge: (a) => ({ ...a, nonce: 5 }) }],
  ['a challenge that never expires', { challenge: (a) => ({ ...a, expires_at: 'never' }) }],
  ['a challenge for an unknown bank', { challenge: (a) => ({ ...a, pcrs: { md5: [0] } }) }],
  ['a challenge for PCR 24', { challenge: (a) => ({ ...a, pcrs: { sha256: [24] } }) }],
  ['a challenge with PCRs twice', { challenge: (a) => ({ ...a, pcrs: { sha256: [8, 8] } }) }],
  ['a challenge with PCRs out of order', { challenge: (a) => ({ ...a, pcrs: { sha256: [8, 4] } }) }],
  ['a challenge with PCRs as text', { challenge: (a) => ({ ...a, pcrs: { sha256: ['8'] } }) }],
  ['a challenge with PCRs as a list', { challenge: (a) => ({ ...a, pcrs: [8] }) }],
  ['a challenge that is a list', { challenge: (a) => [a] }],
  ['a release of another key', { release: (a) => ({ ...a, key: { ...keyOf(a), name: 'other' } }) }],
  [
    'a release of another version than was named',
    { release: (a) => ({ ...a, key: { ...keyOf(a), version: OTHER_VERSION } }) },
    { version: NEWEST },
  ],
  ['a release of a version that is none', { release: (a) => ({ ...a, key: { ...keyOf(a), version: 'latest' } }) }],
  [
    'a release whose version differs from that of the JWE',
    { release: (a) => ({ ...a, key: { ...keyOf(a), version: OTHER_VERSION } }) },
  ],
  ['a release of another kty than announced', { release: (a) => ({ ...a, key: { ...keyOf(a), kty: 'RSA' } }) }],
  ['a release without an id', { release: ({ key, jwe }) => ({ key, jwe }) }],
  ['a release without a key', { release: ({ release_id, jwe }) => ({ release_id, jwe }) }],
  ['a release without a JWE', { release: ({ release_id, key }) => ({ release_id, key }) }],
  ['a JWE that is none', { release: (a) => ({ ...a, jwe: 'a.b.c.d.e' }) }],
  ['a JWE with a byte changed', { release: (a) => ({ ...a, jwe: flipped(String(a['jwe'])) }) }],
  ['a JWE cut short', { release: (a) => ({ ...a, jwe: String(a['jwe']).slice(0, -4) }) }],
  ['a JWE to another recipient', { recipient: () => OTHER_RECIPIENT }],
  ['a JWE without a kid', { header: (all) => without(all, 'kid') }],
  ['a JWE with the kid of another key', { header: (h) => ({ ...h, kid: `other/${NEWEST}` }) }],
  ['a JWE with the kid of another version', { header: (h) => ({ ...h, kid: `weights/${OTHER_VERSION}` }) }],
  ['a JWE of another content type', { header: (h) => ({ ...h, cty: 'text/plain' }) }],
  ['a JWE without a content type', { header: (all) => without(all, 'cty') }],
  ['a JWE with another alg for the same key', { header: (h) => ({ ...h, alg: 'ECDH-ES+A128KW' }) }],
  ['a JWE with direct key agreement', { header: (h) => ({ ...h, alg: 'ECDH-ES' }) }],
  ['a JWE with another enc', { header: (h) => ({ ...h, enc: 'A128CBC-HS256' }) }],
  ['a JWE that is compressed', { header: (h) => ({ ...h, zip: 'DEF' }) }],
  ['an RSA JWE with OAEP over SHA-1', { header: (h) => ({ ...h, alg: 'RSA-OAEP' }) }, { recipient: 'RSA' }],
  ['a JWK with the kid of another key', { jwk: (jwk) => ({ ...jwk, kid: `other/${NEWEST}` }) }],
  ['a JWK without a kid', { jwk: (all) => without(all, 'kid') }],
  ['a JWK of another kty', { jwk: (jwk) => ({ ...jwk, kty: 'EC', d: 'AA' }) }],
  ['a JWK without a secret part', { jwk: (all) => without(all, 'k') }],
  ['a JWK that is a list', { jwk: (jwk) => [jwk] }],
  ['a plaintext that is not JSON', { plaintext: Buffer.from('{"kty":"oct"') }],
  [
    'a plaintext with a member twice',
    { plaintext: Buffer.from(`{"kty":"oct","kty":"oct","k":"AA","kid":"weights/${NEWEST}"}`) },
  ],
  ['a plaintext of nothing', { plaintext: Buffer.alloc(0) }],
];

describe('a broker that lies gets no key accepted:', () => {
  test.each(lies.map(([what, lie, options]) => ({ what, lie, options })))('$what', async ({ lie, options }) => {
    await expect(ask(testBroker(lie), options)).rejects.toThrow(BrokerAnswerError);
  });

  test('any other answer to a challenge', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        await expect(ask(testBroker({ challenge: () => value }))).rejects.toThrow(BrokerAnswerError);
      }),
      { numRuns: 100 },
    );
  });

  test('any other value of any member of a release', async () => {
    const path = fc.constantFrom('release_id', 'jwe', 'key', 'key.name', 'key.version', 'key.kty');
    const value = fc.jsonValue().filter((json) => typeof json !== 'string');
    await fc.assert(
      fc.asyncProperty(path, value, async (member, other) => {
        const lie = (answer: Record<string, unknown>) =>
          member.startsWith('key.')
            ? { ...answer, key: { ...keyOf(answer), [member.slice(4)]: other } }
            : { ...answer, [member]: other };
        await expect(ask(testBroker({ release: lie }))).rejects.toThrow(BrokerAnswerError);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a refusal', () => {
  const decision = { met: false, conditions: [{ claim: 'tpm.pcrs.sha256.8', met: false }] };
  const problem = {
    type: 'urn:portcullis:problem:policy.hash',
    title: 'Policy not met',
    status: 403,
    reason: 'policy.hash',
    detail: 'the policy PCR equals that of no policy',
    decision,
    request_id: 'req-7',
  };

  test('of a release says status, reason, detail, decision and request id', async () => {
    const error = await failure(ask(refusing('/v1/releases', 403, problem)));
    expect(error).toBeInstanceOf(ReleaseDeniedError);
    const { request_id: requestId, reason, detail } = problem;
    expect(error).toMatchObject({ status: 403, reason, detail, decision, requestId });
    expect(String(error)).toBe(`ReleaseDeniedError: policy.hash: ${detail}`);
  });

  test('of a challenge is one too, and no evidence is made', async () => {
    const error = await failure(ask(refusing('/v1/challenges', 404, { reason: 'key.unknown', detail: 'none' }), {}));
    expect(error).toMatchObject({ name: 'ReleaseDeniedError', status: 404, reason: 'key.unknown' });
  });

  test('for now says when to come back', async () => {
    const broker: Transport = {
      ...testBroker(),
      post: async () => ({ ...answerOf(429, { reason: 'request.rate_limited' }), retryAfterSeconds: 3 }),
      close: () => Promise.resolve(),
    };
    const error = await failure(ask(broker));
    expect(error).toMatchObject({ status: 429, reason: 'request.rate_limited', retryAfterSeconds: 3 });
  });

  test('is printable whatever the broker writes', async () => {
    const detail = `\u001b[2Jwiped\u0007${'x'.repeat(10_000)}`;
    const error = await failure(ask(refusing('/v1/releases', 403, { reason: 'policy.hash', detail })));
    expect(error.message).not.toMatch(/\p{Cc}/u);
    expect(error.message.length).toBeLessThan(2_100);
  });

  test.each([
    ['no reason', 403, { detail: 'no' }],
    ['a reason that is none', 403, { reason: 'Not Allowed!' }],
    ['a list', 500, []],
    ['a success that is no answer', 204, {}],
    ['a redirection', 302, {}],
    ['a challenge status for a release', 201, {}],
  ])('with %s is a wrong answer', async (_what, status, body) => {
    await expect(ask(refusing('/v1/releases', status, body))).rejects.toThrow(BrokerAnswerError);
  });
});

test('an answer over a mebibyte is refused, also from a transport that does not bound it', async () => {
  const huge: Transport = {
    ...testBroker(),
    post: async () => ({ status: 201, body: Buffer.alloc(1024 * 1024 + 1, 0x20) }),
    close: () => Promise.resolve(),
  };
  await expect(ask(huge)).rejects.toThrow(/over 1048576 bytes/);
});

test('without evidence nothing is asked for, and the error says why', async () => {
  const broker = testBroker();
  const failing: Attester = {
    describe: () => 'broken',
    evidence: () => Promise.reject(new AttesterError('the TPM does not answer')),
  };
  const release = new ReleaseClient({ transport: broker, attester: failing }).release(WEIGHTS);
  await expect(release).rejects.toThrow(AttesterError);
  expect(broker.releases).toEqual([]);
});

test('a client closes the transport that it made and leaves the caller theirs', async () => {
  let closed = 0;
  const transport: TestBroker = {
    ...testBroker(),
    close: async () => {
      closed++;
    },
  };
  await new ReleaseClient({ transport, attester }).close();
  expect(closed).toBe(0);
  await new ReleaseClient({ url: 'http://127.0.0.1:1', attester }).close();
});

test('recipient keys have members of full length, and a private half that stays where it is', async () => {
  for (const [kind, bytes] of [
    ['P-256', 32],
    ['P-384', 48],
    ['X25519', 32],
    ['RSA', 384],
  ] as const) {
    const { jwk, privateKey } = await createRecipient(kind);
    const member = jwk['n'] ?? jwk['x'] ?? '';
    expect(Buffer.from(member, 'base64url').length).toBe(bytes);
    expect(privateKey.extractable).toBe(false);
    expect(Object.keys(jwk)).not.toContain('d');
  }
});

test('a thousand EC recipient keys are made without one whose private key is too short to import', async () => {
  // A private key starts with a zero byte once in 256.
  for (let i = 0; i < 1000; i++) expect((await createRecipient('P-256')).jwk['crv']).toBe('P-256');
});

function refusing(path: string, status: number, body: unknown): Transport {
  const honest = testBroker();
  return { ...honest, post: async (at, sent) => (at === path ? answerOf(status, body) : honest.post(at, sent)) };
}

async function failure(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('a key came out');
    },
    (error: unknown) => error as Error,
  );
}

function keyOf(answer: Record<string, unknown>): Record<string, unknown> {
  return answer['key'] as Record<string, unknown>;
}

function without(members: object, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([member]) => member !== name));
}

function flipped(jwe: string): string {
  const parts = jwe.split('.');
  const ciphertext = Buffer.from(parts[3] ?? '', 'base64url');
  ciphertext[0] = (ciphertext[0] ?? 0) ^ 1;
  parts[3] = ciphertext.toString('base64url');
  return parts.join('.');
}

function privateJwk(kty: string): JWK {
  const encoding = {
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { format: 'jwk' },
  } as unknown as {
    privateKeyEncoding: { type: 'pkcs8'; format: 'pem' };
    publicKeyEncoding: { type: 'spki'; format: 'pem' };
  };
  const pair =
    kty === 'EC'
      ? generateKeyPairSync('ec', { namedCurve: 'P-384', ...encoding })
      : kty === 'RSA'
        ? generateKeyPairSync('rsa', { modulusLength: 2048, ...encoding })
        : generateKeyPairSync('ed25519', encoding);
  return pair.privateKey as unknown as JWK;
}

const OTHER_RECIPIENT = (await createRecipient('P-256')).jwk as JWK;
