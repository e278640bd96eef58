/**
 * A broker for tests of the client: answers challenges and releases as the interface says, with receipts of a log of its
 * own, appraises nothing but the binding, and shares no code with the client. `lie` changes an answer before it goes out.
 */
import { createHash, randomBytes } from 'node:crypto';
import { CompactEncrypt, importJWK, type JWK } from 'jose';
import type { Transport, TransportAnswer } from '../../src/workload/transport.js';
import { canonical, TestLog, type WireReceipt } from '../helpers/test-log.js';

export const BROKER = 'broker-under-test';
export const ORIGIN = `${BROKER}/0123456789abcdef`;
export const NEWEST = '0123456789abcdef0123456789abcdef';
export const POLICY_SHA256 = '11'.repeat(32);
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
  /** The entry before it is logged; what comes after it in the log; the receipt before it goes out. */
  readonly entry?: (entry: Members) => Members;
  readonly receipt?: (receipt: WireReceipt, log: TestLog) => unknown;
  /** The answer to GET /log/key. */
  readonly logKey?: (vkey: string) => TransportAnswer;
}

export interface TestBroker extends Transport {
  readonly releases: SentRelease[];
  readonly challenges: Members[];
  /** Whether the quote of the last release was bound to its request. */
  bound: boolean | undefined;
  readonly log: TestLog;
  /** How often the log key was asked for. */
  keyAsked: number;
}

export function testBroker(lies: Lies = {}, released: JWK = SECRET): TestBroker {
  const broker: TestBroker = {
    releases: [],
    challenges: [],
    bound: undefined,
    log: new TestLog(ORIGIN),
    keyAsked: 0,
    async get(path) {
      if (path !== '/log/key') return answerOf(404, { reason: 'route.unknown', detail: 'no such route' });
      broker.keyAsked++;
      const { vkey } = broker.log.key;
      return lies.logKey?.(vkey) ?? { status: 200, body: Buffer.from(`${vkey}\n`) };
    },
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
        return answerOf(200, tell(lies.release, await releaseFor(sent, lies, released, broker.log)));
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

async function releaseFor(sent: SentRelease, lies: Lies, released: JWK, log: TestLog): Promise<Members> {
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
  const release_id = 'r-1';
  const entry = entryFor(sent, { release_id, version, jwe_sha256: hex(jwe) });
  log.append(canonical({ type: 'denial.summary', before: log.size }));
  const index = log.append(canonical(lies.entry?.(entry) ?? entry));
  log.append(canonical({ type: 'denial.summary', after: index }));
  const receipt = log.receipt(index);
  const told = lies.receipt === undefined ? receipt : lies.receipt(receipt, log);
  return { release_id, key: { name: sent.key, version, kty: released.kty }, jwe, receipt: told };
}

function entryFor(sent: SentRelease, about: Members): Members {
  return {
    type: 'release',
    time: '2026-11-22T12:00:00.000Z',
    profile: 'development',
    broker: BROKER,
    deployment: sent.deployment,
    key: sent.key,
    policy_sha256: POLICY_SHA256,
    recipient: thumbprintOf(sent.recipient),
    ak_name: `000b${'22'.repeat(32)}`,
    boot: 'pinned',
    state_generation: '5',
    nonce_sha256: hex(Buffer.from(sent.nonce, 'base64url')),
    ...about,
  };
}

function hex(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** By RFC 7638. */
function thumbprintOf({ crv, e, kty, n, x, y }: JWK): string {
  const required = kty === 'EC' ? { crv, kty, x, y } : kty === 'OKP' ? { crv, kty, x } : { e, kty, n };
  return createHash('sha256').update(JSON.stringify(required)).digest('base64url');
}

/** extraData of the quote against the binding, spelled out: members in the order of RFC 8785. */
function isBound(sent: SentRelease): boolean {
  const recipient = thumbprintOf(sent.recipient);
  const { deployment, key, nonce, version } = sent;
  const purpose = 'portcullis/release/v1';
  const binding = JSON.stringify({ broker: BROKER, deployment, key, nonce, purpose, recipient, version });
  const quoted = Buffer.from(sent.evidence.tpm.quoted, 'base64url');
  const extraAt = 8 + quoted.readUInt16BE(6);
  const extraData = quoted.subarray(extraAt + 2, extraAt + 2 + quoted.readUInt16BE(extraAt));
  return extraData.equals(createHash('sha256').update(binding).digest());
}
