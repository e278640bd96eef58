import { randomBytes } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { encryptToRecipient } from '../../src/keys/jwe.js';
import { parseRecipient } from '../../src/keys/recipient.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { openReleaseAnswer } from '../../src/workload/released-key.js';

const version = 'ab'.repeat(16);
const kid = `weights/${version}`;
const challenge = { deployment: 'd', key: 'weights', version: 'latest', nonce: '', broker: 'b', pcrs: {} };

test.each(['P-256', 'P-384', 'X25519', 'RSA'] as const)(
  'what the broker encrypts to a recipient key of kind %s opens, also 64 KiB of it',
  async (kind) => {
    const recipient = await createRecipient(kind);
    const checked = parseRecipient(recipient.jwk);
    if (!checked.ok) throw new Error(checked.detail);
    expect(checked.value.thumbprint).toBe(recipient.thumbprint);
    const jwk = { kty: 'oct', k: randomBytes(65_536).toString('base64url'), kid };
    const jwe = await encryptToRecipient(checked.value, Buffer.from(JSON.stringify(jwk)), kid, randomBytes);
    const answer = { release_id: 'r', key: { name: 'weights', version, kty: 'oct' }, jwe };
    expect((await openReleaseAnswer(answer, challenge, recipient)).key).toEqual(jwk);
    const other = await createRecipient(kind);
    await expect(openReleaseAnswer(answer, challenge, other)).rejects.toThrow('does not open');
  },
);
