/**
 * A broker for tests of the client: answers challenges and releases as the interface says, appraises nothing but the
 * binding, and shares no code with the client. `lie` changes an answer before it goes out.
 */
import { createHash, randomBytes } from 'node:crypto';
import { CompactEncrypt, importJWK, type JWK } from 'jose';
import type { Transport, TransportAnswer } from '../../src/workload/transport.js';

export const BROKER = 'broker-under-test';
export const NEWEST = '0123456789abcdef0123456789abcdef';
export const SECRET: JWK = { kty: 'oct', k: Buffer.alloc(32, 0x5a).toString('base64url') };

type Members = Record<string, unknown>;
export interface SentRelease {
  readonly nonce: string;
  readonly deployment: string;
  readonly key: string;
  readonly version: string;
  readonly recipient: JWK;
  readonly evidence: { readonly tpm: Record<string, unknown> & { readonly quoted: string } };
}

/** What a liar may change. */
export interface Lies {
  readonly challenge?: (answer: Members) => unknown;
  readonly release?: (answer: Members) => unknown;
  /** Members of the released JWK, the protected header, and which key it is encrypted to. */
  readonly jwk?: (jwk: JWK) => unknown;
  readonly header?: (header: Members) => Members;
  readonly recipient?: (recipient: JWK) => JWK;
  readonly plaintext?: Uint8Array;
}

export interface TestBroker extends Transport {
  readonly releases: SentRelease[];
  readonly challenges: Members[];
  /** Whether the quote of the last release was bound to its request. */
  bound: boolean | undefined;
}

export function testBroker(lies: Lies = {}, released: JWK = SECRET): TestBroker {
  const broker: TestBroker = {
    releases: [],
    challenges: [],
    bound: undefined,
    async post(path, body) {
      if (path === '/v1/challenges') {
        const asked = body as Members;
        broker.challenges.push(asked);
        return answerOf(201, tell(lies.challenge, challengeFor(asked)));
      }
      if (path === '/v1/releases') {
        const sent = body as unknown as SentRelease;
        broker.releases.push(sent);
        broker.bound = isBound(sent);
        return answerOf(200, tell(lies.release, await releaseFor(sent, lies, released)));
      }
      return answerOf(404, { reason: 'route.unknown', detail: 'no such route' });
    },
    close: () => Promise.resolve(),
  };
  return broker;
}

export function answerOf(status: number, body: unknown): TransportAnswer {
  return { status, body: Buffer.from(JSON.stringify(body)) };
}

function tell<T>(lie: ((honest: T) => unknown) | undefined, honest: T): unknown {
  return lie === undefined ? honest : lie(honest);
}

function challengeFor(asked: Members): Members {
  return {
    nonce: randomBytes(32).toString('base64url'),
    broker: BROKER,
    deployment: asked['deployment'],
    key: asked['key'],
    version: asked['version'] ?? 'latest',
    expires_at: '2026-11-22T12:00:00.000Z',
    pcrs: { sha256: [0, 4, 8] },
  };
}

async function releaseFor(sent: SentRelease, lies: Lies, released: JWK): Promise<Members> {
  const version = sent.version === 'latest' ? NEWEST : sent.version;
  const kid = `${sent.key}/${version}`;
  const jwk = tell(lies.jwk, { ...released, kid });
  const honest = { alg: sent.recipient.alg ?? '', enc: 'A256GCM', kid, cty: 'jwk+json' };
  const header = (lies.header?.(honest) ?? honest) as { alg: string; enc: string };
  const to = lies.recipient?.(sent.recipient) ?? sent.recipient;
  const plaintext = lies.plaintext ?? Buffer.from(JSON.stringify(jwk));
  const jwe = await new CompactEncrypt(plaintext)
    .setProtectedHeader(header)
    .encrypt(await importJWK({ ...to, alg: header.alg }));
  return { release_id: 'r-1', key: { name: sent.key, version, kty: released.kty }, jwe };
}

/** extraData of the quote against the binding, spelled out: members in the order of RFC 8785, thumbprint by RFC 7638. */
function isBound(sent: SentRelease): boolean {
  const { crv, e, kty, n, x, y } = sent.recipient;
  const required = kty === 'EC' ? { crv, kty, x, y } : kty === 'OKP' ? { crv, kty, x } : { e, kty, n };
  const recipient = createHash('sha256').update(JSON.stringify(required)).digest('base64url');
  const { deployment, key, nonce, version } = sent;
  const purpose = 'portcullis/release/v1';
  const binding = JSON.stringify({ broker: BROKER, deployment, key, nonce, purpose, recipient, version });
  const quoted = Buffer.from(sent.evidence.tpm.quoted, 'base64url');
  const extraAt = 8 + quoted.readUInt16BE(6);
  const extraData = quoted.subarray(extraAt + 2, extraAt + 2 + quoted.readUInt16BE(extraAt));
  return extraData.equals(createHash('sha256').update(binding).digest());
}
