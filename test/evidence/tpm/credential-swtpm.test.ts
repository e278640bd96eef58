import { createECDH, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { makeCredential } from '../../../src/evidence/tpm/credential.js';
import { parseEk, type EkPublic } from '../../../src/evidence/tpm/ek.js';
import { encodeToolsCredential, parseToolsCredential } from '../../../src/evidence/tpm/tools-credential.js';
import { startSwtpm, swtpmAvailable, type Swtpm, type SwtpmAk } from '../../helpers/swtpm.js';
import {
  activate,
  createEk,
  SWTPM_EK_ALGS,
  toolsCredential,
  type SwtpmEk,
  type SwtpmEkAlg,
} from '../../helpers/swtpm-ek.js';

const credential = randomBytes(32);

(swtpmAvailable() ? describe : describe.skip)('with a real swtpm', () => {
  let tpm: Swtpm;
  let ak: SwtpmAk;
  let otherAk: SwtpmAk;
  const eks = {} as Record<SwtpmEkAlg, SwtpmEk>;
  beforeAll(async () => {
    tpm = await startSwtpm();
    ak = await tpm.createAk({ alg: 'rsa-rsassa' });
    otherAk = await tpm.createAk({ alg: 'ecc256' });
    for (const alg of SWTPM_EK_ALGS) eks[alg] = await createEk(tpm, alg);
  });
  afterAll(() => tpm.close());

  function ours(alg: SwtpmEkAlg, content = credential, name = ak.name, random = randomBytes): Buffer {
    const akName = Buffer.from(name, 'hex');
    return encodeToolsCredential(makeCredential({ ek: parsed(eks[alg]), akName, credential: content }, random));
  }

  test.each(SWTPM_EK_ALGS)(
    'our credential and that of TPM2_MakeCredential are both activated under %s',
    async (alg) => {
      const made = ours(alg);
      const tools = await toolsCredential(tpm, eks[alg], ak.name, credential);
      expect(made.length).toBe(tools.length);
      expect(encodeToolsCredential(parseToolsCredential(tools))).toEqual(tools);
      expect(await activate(tpm, ak, eks[alg], made)).toEqual(credential);
      expect(await activate(tpm, ak, eks[alg], tools)).toEqual(credential);
    },
  );

  test('a credential of one byte, and one for an AK with a Name of SHA-384, are activated', async () => {
    expect(await activate(tpm, ak, eks.ecc256, ours('ecc256', Buffer.of(7)))).toEqual(Buffer.of(7));
    const long = await tpm.createAk({ alg: 'ecc384', nameAlg: 'sha384' });
    expect(long.name).toHaveLength(2 * 50);
    expect(await activate(tpm, long, eks.ecc384, ours('ecc384', credential, long.name))).toEqual(credential);
  });

  test.each(['ecc256', 'ecc384'] as const)(
    'coordinates of %s that begin with a zero byte are of full length',
    async (alg) => {
      const { shortPoint, shortSecret } = scalarsFor(parsed(eks[alg]));
      for (const scalar of [shortPoint, shortSecret]) {
        const made = ours(alg, credential, ak.name, () => Buffer.from(scalar));
        expect(await activate(tpm, ak, eks[alg], made)).toEqual(credential);
      }
    },
  );

  test.each(SWTPM_EK_ALGS)('a credential under %s for another Name is refused', async (alg) => {
    const toOurs = activate(tpm, otherAk, eks[alg], ours(alg));
    await expect(toOurs).rejects.toThrow('integrity check failed');
    const toOther = activate(tpm, ak, eks[alg], ours(alg, credential, otherAk.name));
    await expect(toOther).rejects.toThrow('integrity check failed');
  });

  test('a credential for an EK of another TPM is refused', async () => {
    const other = await startSwtpm();
    try {
      for (const alg of ['rsa2048', 'ecc256'] as const) {
        const ek = parsed(await createEk(other, alg));
        const made = makeCredential({ ek, akName: Buffer.from(ak.name, 'hex'), credential }, randomBytes);
        await expect(activate(tpm, ak, eks[alg], encodeToolsCredential(made))).rejects.toThrow(
          'Esys_ActivateCredential',
        );
      }
    } finally {
      await other.close();
    }
  });

  // Every bit is turned in the tests of the simulator; here one bit of each field, at its ends and in its middle.
  test.each(['rsa2048', 'ecc384'] as const)(
    'a flipped bit in any field under %s is refused',
    async (alg) => {
      const made = ours(alg);
      const hmacBytes = alg === 'rsa2048' ? 32 : 48;
      const secretAt = 8 + 2 + 2 + hmacBytes + 34;
      const places = [9, 11, 12, 12 + hmacBytes / 2, 11 + hmacBytes, 12 + hmacBytes, secretAt - 1];
      for (const at of [...places, secretAt + 1, secretAt + 2, secretAt + 5, secretAt + 40, made.length - 1]) {
        const changed = Buffer.from(made);
        changed[at]! ^= 0x10;
        await expect(activate(tpm, ak, eks[alg], changed)).rejects.toThrow();
      }
      expect(await activate(tpm, ak, eks[alg], made)).toEqual(credential);
    },
    30_000,
  );
});

function parsed(ek: SwtpmEk): EkPublic {
  const result = parseEk(ek.public);
  if (!result.ok) throw new Error(result.detail);
  return result.value;
}

/** Ephemeral keys whose public x-coordinate, and whose secret with the EK, begin with a zero byte. */
function scalarsFor({ key }: EkPublic): { shortPoint: Buffer; shortSecret: Buffer } {
  if (key.kind !== 'ecc') throw new Error('an ECC EK');
  const ecdh = createECDH(key.curve === 'P-256' ? 'prime256v1' : 'secp384r1');
  const ek = Buffer.concat([Buffer.of(4), key.x, key.y]);
  let [shortPoint, shortSecret]: (Buffer | undefined)[] = [];
  for (let i = 1; shortPoint === undefined || shortSecret === undefined; i++) {
    const scalar = Buffer.alloc(key.x.length);
    scalar.writeUInt32BE(i, scalar.length - 4);
    ecdh.setPrivateKey(scalar);
    if (ecdh.getPublicKey()[1] === 0) shortPoint ??= scalar;
    if (ecdh.computeSecret(ek)[0] === 0) shortSecret ??= scalar;
  }
  return { shortPoint, shortSecret };
}
