import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { makeCredential } from '../../../src/evidence/tpm/credential.js';
import { parseEk, type EkPublic } from '../../../src/evidence/tpm/ek.js';
import { EK_ALGORITHMS, SimulatedEk, type EkAlgorithm } from '../../../src/simulator/ek.js';

const akName = Buffer.concat([Buffer.from('000b', 'hex'), randomBytes(32)]);
const eks = {} as Record<EkAlgorithm, { readonly simulated: SimulatedEk; readonly ek: EkPublic }>;
beforeAll(async () => {
  for (const algorithm of EK_ALGORITHMS) {
    const simulated = await SimulatedEk.generate(algorithm);
    const parsed = parseEk(simulated.tpm2bPublic);
    if (!parsed.ok) throw new Error(parsed.detail);
    eks[algorithm] = { simulated, ek: parsed.value };
  }
}, 60_000);

describe('a credential', () => {
  test.each(EK_ALGORITHMS)('of any length and for any Name is opened by its EK of %s', (algorithm) => {
    const { simulated, ek } = eks[algorithm];
    const name = fc.uint8Array({ minLength: 1, maxLength: 66 });
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 32 }), name, (credential, forName) => {
        const input = { ek, akName: Buffer.from(forName), credential };
        const { credentialBlob, encryptedSecret } = makeCredential(input, randomBytes);
        const opened = simulated.openCredential(credentialBlob, encryptedSecret, forName);
        expect(opened).toEqual(Buffer.from(credential));
      }),
      { numRuns: 20 },
    );
  });

  test('is another one each time that it is made, and the same of the same ephemeral key', () => {
    const credential = Buffer.alloc(32, 1);
    for (const algorithm of EK_ALGORITHMS) {
      const { ek } = eks[algorithm];
      const made = [1, 2].map(() => makeCredential({ ek, akName, credential }, randomBytes));
      expect(made[0]?.credentialBlob).not.toEqual(made[1]?.credentialBlob);
      expect(made[0]?.encryptedSecret).not.toEqual(made[1]?.encryptedSecret);
    }
    const [once, again] = [1, 2].map(() =>
      makeCredential({ ek: eks.ecc256.ek, akName, credential }, (bytes) => Buffer.alloc(bytes, 5)),
    );
    expect(once).toEqual(again);
  });

  test('has the sizes of the structures that carry it', () => {
    const sizes = EK_ALGORITHMS.map((algorithm) => {
      const input = { ek: eks[algorithm].ek, akName, credential: Buffer.alloc(32) };
      const { credentialBlob, encryptedSecret } = makeCredential(input, randomBytes);
      expect(credentialBlob.readUInt16BE(0)).toBe(credentialBlob.length - 2);
      expect(encryptedSecret.readUInt16BE(0)).toBe(encryptedSecret.length - 2);
      return [algorithm, credentialBlob.length, encryptedSecret.length];
    });
    expect(sizes).toEqual([
      ['rsa2048', 70, 258],
      ['ecc256', 70, 2 + 2 * 34],
      ['rsa3072', 86, 386],
      ['ecc384', 86, 2 + 2 * 50],
    ]);
  });

  test.each([0, 33])('of %p bytes is not made', (length) => {
    const input = { ek: eks.ecc256.ek, akName, credential: Buffer.alloc(length) };
    expect(() => makeCredential(input, randomBytes)).toThrow('1 to 32 bytes');
  });

  test.each([0, 67])('for a Name of %p bytes is not made', (length) => {
    const input = { ek: eks.ecc256.ek, akName: Buffer.alloc(length), credential: Buffer.alloc(32) };
    expect(() => makeCredential(input, randomBytes)).toThrow('Name');
  });

  test('draws again where the random bytes are no private key, and once only', () => {
    const input = { ek: eks.ecc256.ek, akName, credential: Buffer.alloc(32, 3) };
    const draws = [Buffer.alloc(32), Buffer.alloc(32, 5)];
    const made = makeCredential(input, () => draws.shift() ?? Buffer.alloc(0));
    const { simulated } = eks.ecc256;
    expect(simulated.openCredential(made.credentialBlob, made.encryptedSecret, akName)).toEqual(Buffer.alloc(32, 3));
    let asked = 0;
    const broken = (bytes: number) => (asked++, Buffer.alloc(bytes, 0xff));
    expect(() => makeCredential(input, broken)).toThrow('random source');
    expect(asked).toBe(2);
  });

  test('leaves the credential as it was, and none of the seed in what was drawn', () => {
    const credential = Buffer.alloc(32, 9);
    for (const algorithm of ['rsa2048', 'ecc256'] as const) {
      const drawn: Buffer[] = [];
      const random = (bytes: number) => drawn[drawn.push(randomBytes(bytes)) - 1]!;
      makeCredential({ ek: eks[algorithm].ek, akName, credential }, random);
      expect(credential).toEqual(Buffer.alloc(32, 9));
      expect(drawn).toEqual([Buffer.alloc(32)]);
    }
  });
});
