import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { encryptToRecipient } from '../../src/keys/jwe.js';
import { parseRecipient } from '../../src/keys/recipient.js';
import { parseVerifierKey } from '../../src/translog/note.js';
import { BrokerAnswerError } from '../../src/workload/errors.js';
import { createRecipient, type Recipient } from '../../src/workload/recipient.js';
import { openReleaseAnswer } from '../../src/workload/released-key.js';
import { canonical, TestLog } from '../helpers/test-log.js';

const version = 'ab'.repeat(16);
const kid = `weights/${version}`;
const nonce = randomBytes(32);
const challenge = {
  deployment: 'd',
  key: 'weights',
  version: 'latest',
  nonce: nonce.toString('base64url'),
  broker: 'b',
  pcrs: {},
};

/** An answer with the JWE that the broker makes, and a receipt for it. */
async function answerTo(recipient: Recipient, jwk: object) {
  const checked = parseRecipient(recipient.jwk);
  if (!checked.ok) throw new Error(checked.detail);
  expect(checked.value.thumbprint).toBe(recipient.thumbprint);
  const jwe = await encryptToRecipient(checked.value, Buffer.from(JSON.stringify(jwk)), kid, randomBytes);
  const log = new TestLog('b/0123456789abcdef');
  const { deployment, key, broker } = challenge;
  const entry = canonical({
    ...{ type: 'release', time: '2026-11-22T12:00:00Z', profile: 'production', release_id: 'r' },
    ...{ broker, deployment, key, version, policy_sha256: '11'.repeat(32), recipient: recipient.thumbprint },
    ...{ ak_name: '000b', boot: 'unmeasured', state_generation: '0' },
    ...{ jwe_sha256: hex(Buffer.from(jwe)), nonce_sha256: hex(nonce) },
  });
  const answer = {
    release_id: 'r',
    key: { name: 'weights', version, kty: 'oct' },
    jwe,
    receipt: log.receipt(log.append(entry)),
  };
  return { answer, log: { key: parseVerifierKey(log.key.vkey), pinned: true } };
}

function hex(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test.each(['P-256', 'P-384', 'X25519', 'RSA'] as const)(
  'what the broker encrypts to a recipient key of kind %s opens, also 64 KiB of it',
  async (kind) => {
    const recipient = await createRecipient(kind);
    const jwk = { kty: 'oct', k: randomBytes(65_536).toString('base64url'), kid };
    const { answer, log } = await answerTo(recipient, jwk);
    expect((await openReleaseAnswer(answer, { challenge, recipient, log })).key).toEqual(jwk);
    const other = { ...(await createRecipient(kind)), thumbprint: recipient.thumbprint };
    await expect(openReleaseAnswer(answer, { challenge, recipient: other, log })).rejects.toThrow('does not open');
  },
);

test('nothing is decrypted before the receipt is verified', async () => {
  const recipient = await createRecipient('P-256');
  const { answer, log } = await answerTo(recipient, { kty: 'oct', k: 'AA', kid });
  const guarded: Recipient = {
    ...recipient,
    get privateKey(): never {
      throw new Error('the private key was touched');
    },
  };
  const asked = { challenge, recipient: guarded, log };
  await expect(openReleaseAnswer(answer, asked)).rejects.toThrow('the private key was touched');
  for (const receipt of [undefined, { ...answer.receipt, index: 1 }]) {
    await expect(openReleaseAnswer({ ...answer, receipt }, asked)).rejects.toThrow(BrokerAnswerError);
  }
});
