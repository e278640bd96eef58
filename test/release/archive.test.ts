import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { compactDecrypt } from 'jose';
import { canonicalJson } from '../../src/bytes/canonical-json.js';
import { open } from '../../src/crypto/aead.js';
import { openAppraisal } from '../../src/release/archive.js';
import { StoreIntegrityError } from '../../src/release/store.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { ADMIN, bootedMachine, released, TestBroker, valueOf } from '../helpers/test-broker.js';

const LLM = { deployment: 'llm', key: 'canary' } as const;
const CANARY = randomBytes(32);

let broker: TestBroker;
let machine: SimulatorAttester;
let releaseId: string;
let sealed: Buffer;
let jwe: string;
/** What was opened by hand: the whole of what is kept. */
let text: string;

beforeAll(async () => {
  broker = await TestBroker.start({ archiveEvidence: true });
  machine = await bootedMachine();
  await broker.deploy('llm');
  await broker.pin(machine, 'llm');
  const material = { format: 'raw', data: CANARY.toString('base64url') } as const;
  valueOf(await broker.broker.createKey(ADMIN, { name: 'canary', deployments: ['llm'], material }));
  const { request, recipient } = await broker.request(machine, LLM);
  const answer = released(await broker.broker.release(request));
  ({ release_id: releaseId, jwe } = answer);
  const { plaintext } = await compactDecrypt(jwe, recipient.privateKey);
  expect(JSON.parse(Buffer.from(plaintext).toString())).toMatchObject({ k: CANARY.toString('base64url') });
  sealed = (await broker.context.store.archived(releaseId))?.sealed ?? Buffer.alloc(0);
  const { context } = broker;
  const bound = { broker: context.broker, purpose: 'portcullis/archive/v1', release_id: releaseId };
  text = open(context.archive.key, sealed, canonicalJson(bound)).toString('utf8');
});
afterAll(() => broker.close());

/** Whether bytes stand in a text in any of the spellings that are in use here. */
function holds(haystack: Buffer, secret: Buffer): boolean {
  const spellings = [secret, ...(['hex', 'base64', 'base64url'] as const).map((each) => secret.toString(each))];
  return spellings.some((spelling) => haystack.includes(spelling));
}

describe('an archived release', () => {
  test('holds no key, wrapped or not, and no secret of the broker', async () => {
    const kept = Buffer.from(text);
    const facts = await broker.context.store.releaseFacts({ ...LLM, version: 'latest', akSpkiSha256: undefined });
    const { wrappedDek, ciphertext } = facts.version ?? {};
    if (wrappedDek === undefined || ciphertext === undefined) throw new Error('no key version');
    const { archive, tokenKey, nonceKey } = broker.context;
    for (const secret of [CANARY, wrappedDek, ciphertext, archive.key, tokenKey, nonceKey(1).key]) {
      expect(holds(kept, secret)).toBe(false);
    }
    for (const part of jwe.split('.').filter((each) => each.length > 8)) expect(text).not.toContain(part);
    expect(Object.keys((JSON.parse(text) as { facts: { version: object } }).facts.version)).toEqual([
      'version',
      'state',
    ]);
  });

  test('holds what was presented and what decided, which the sealed bytes do not show', () => {
    const quoted = (JSON.parse(text) as { request: { evidence: { tpm: { quoted: string } } } }).request.evidence.tpm
      .quoted;
    expect(quoted.length).toBeGreaterThan(100);
    for (const shown of [quoted, 'llm', machine.ak.name.toString('hex')]) {
      expect(text).toContain(shown);
      expect(sealed.includes(shown)).toBe(false);
    }
  });

  test('opens to what was sealed', () => {
    const { facts, request, circumstances } = valueOf(openAppraisal(broker.context, releaseId, sealed));
    expect(request).toMatchObject(LLM);
    expect(facts).toMatchObject({ deployment: { deployment: { name: 'llm' } }, akRevoked: false, keyFrozen: false });
    expect(facts.attester?.publicArea).toBeInstanceOf(Buffer);
    expect(circumstances).toMatchObject({ profile: 'development', simulatorCa: undefined });
  });

  test('does not open with any byte changed, cut or added', () => {
    const opened = (blob: Buffer) => () => openAppraisal(broker.context, releaseId, blob);
    for (let at = 0; at < sealed.length; at++) {
      const flipped = Buffer.from(sealed);
      flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
      expect(opened(flipped)).toThrow(StoreIntegrityError);
    }
    for (let length = 0; length < sealed.length; length += 7) {
      expect(opened(sealed.subarray(0, length))).toThrow(StoreIntegrityError);
    }
    expect(opened(Buffer.concat([sealed, Buffer.alloc(1)]))).toThrow(StoreIntegrityError);
  });

  test('does not open for another release, another broker or under another key', () => {
    const { broker: name, archive } = broker.context;
    const other = '0'.repeat(32);
    expect(() => openAppraisal(broker.context, other, sealed)).toThrow(StoreIntegrityError);
    expect(() => openAppraisal({ broker: `${name}x`, archive }, releaseId, sealed)).toThrow(StoreIntegrityError);
    const another = { on: true, key: Buffer.alloc(32, 1) };
    expect(() => openAppraisal({ broker: name, archive: another }, releaseId, sealed)).toThrow(StoreIntegrityError);
  });

  test('is sealed anew each time: no two releases share a nonce of the cipher', async () => {
    const again = released(await broker.release(machine, LLM));
    const second = await broker.context.store.archived(again.release_id);
    expect(second?.sealed.subarray(0, 12)).not.toEqual(sealed.subarray(0, 12));
  });
});
