import { describe, expect, test } from '@jest/globals';
import { derivedAk } from '../../bench/derived-ak.js';
import { prepareRecipient, Quoter } from '../../bench/quoter.js';
import { releaseBinding } from '../../src/challenge/binding.js';
import { verifyQuote } from '../../src/evidence/tpm/quote.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { createRecipient } from '../../src/workload/recipient.js';

const SUBJECT = { broker: '0f'.repeat(16), deployment: 'bench', pcrs: { sha256: [4, 7, 8] } };
const NONCES = ['A'.repeat(43), `${'B'.repeat(42)}A`];

describe.each(['rsassa', 'ecdsa-p256'] as const)('the requests of the bench, %s', (scheme) => {
  test('have each a quote of their own over their own binding, which the verifier accepts', async () => {
    const tpm = new SimulatedTpm();
    const ak = await tpm.createAk({ scheme });
    const quoter = new Quoter({ tpm, ak }, SUBJECT);
    const recipient = prepareRecipient(await createRecipient('P-256'));
    const requests = NONCES.map((nonce) => JSON.parse(quoter.request(nonce, 'k', recipient)) as Request);
    for (const [at, { nonce, deployment, key, recipient: jwk, evidence }] of requests.entries()) {
      expect({ nonce, deployment, key, jwk }).toEqual({
        nonce: NONCES[at],
        deployment: 'bench',
        key: 'k',
        jwk: JSON.parse(recipient.json) as unknown,
      });
      const { quoted, signature, ak: area, pcrs } = evidence.tpm;
      const bytes = (text: string) => Buffer.from(text, 'base64url');
      const { broker } = SUBJECT;
      const { thumbprint } = recipient;
      const extraData = releaseBinding({ broker, deployment, key, nonce, recipient: thumbprint, version: 'latest' });
      const verified = verifyQuote(
        { quoted: bytes(quoted), signature: bytes(signature), ak: bytes(area), pcrs, akCertificates: [] },
        { extraData, neededPcrs: SUBJECT.pcrs, trust: () => ({ ok: true, value: { kind: 'pinned' as const } }) },
      );
      expect(verified.ok).toBe(true);
    }
    expect(new Set(requests.map((each) => each.evidence.tpm.signature)).size).toBe(NONCES.length);
  });

  test('are ASCII, so that their length is that of their bytes', async () => {
    const tpm = new SimulatedTpm();
    const quoter = new Quoter({ tpm, ak: await tpm.createAk({ scheme }) }, SUBJECT);
    const request = quoter.request('A'.repeat(43), 'k', prepareRecipient(await createRecipient('P-256')));
    expect(Buffer.byteLength(request)).toBe(request.length);
  });
});

test('a derived AK is the same each time, and another one for another number', () => {
  const [first, again, other] = [derivedAk(7), derivedAk(7), derivedAk(8)];
  expect(first.name.equals(again.name)).toBe(true);
  expect(first.name.equals(other.name)).toBe(false);
});

interface Request {
  readonly nonce: string;
  readonly deployment: string;
  readonly key: string;
  readonly recipient: unknown;
  readonly evidence: {
    readonly tpm: {
      readonly quoted: string;
      readonly signature: string;
      readonly ak: string;
      readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
    };
  };
}
