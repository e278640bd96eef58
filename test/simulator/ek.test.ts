import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { makeCredential, type ProtectedCredential } from '../../src/evidence/tpm/credential.js';
import { defaultEkTemplate } from '../../src/evidence/tpm/ek-template.js';
import { parseEk } from '../../src/evidence/tpm/ek.js';
import { parseToolsCredential } from '../../src/evidence/tpm/tools-credential.js';
import type { SimulatedAk } from '../../src/simulator/ak.js';
import { EK_ALGORITHMS, SimulatedEk, type EkAlgorithm } from '../../src/simulator/ek.js';
import { SimulatedTpmError } from '../../src/simulator/pcr-banks.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';

const toolsAvailable = (process.env['PATH'] ?? '')
  .split(delimiter)
  .some((folder) => existsSync(join(folder, 'tpm2_makecredential')));

const credential = randomBytes(32);
const tpm = new SimulatedTpm();
let ak: SimulatedAk;
beforeAll(async () => {
  ak = await tpm.createAk({ scheme: 'ecdsa-p256' });
  await tpm.ek('rsa3072'); // takes seconds
}, 60_000);

function made(ek: SimulatedEk, akName = ak.name, content = credential): ProtectedCredential {
  const parsed = parseEk(ek.tpm2bPublic);
  if (!parsed.ok) throw new Error(parsed.detail);
  return makeCredential({ ek: parsed.value, akName, credential: content }, randomBytes);
}

describe('the EK of a simulated TPM', () => {
  test.each(EK_ALGORITHMS)('of %s is made once, by the default template', async (algorithm) => {
    const [ek, again] = await Promise.all([tpm.ek(algorithm), tpm.ek(algorithm)]);
    expect(again).toBe(ek);
    const assumed = defaultEkTemplate(ek.spki);
    expect(assumed).toMatchObject({ ok: true, value: { algorithm, publicArea: ek.publicArea } });
    expect(ek.tpm2bPublic.readUInt16BE(0)).toBe(ek.publicArea.length);
    expect(ek.tpm2bPublic.subarray(2)).toEqual(ek.publicArea);
  });

  test('is one of RSA-2048 unless another is asked for, and stays over a power cycle', async () => {
    const ek = await tpm.ek();
    expect(ek.algorithm).toBe('rsa2048');
    tpm.powerCycle();
    expect(await tpm.ek()).toBe(ek);
  });

  test('is the same again from its private key, and none from a key of another kind', async () => {
    const ek = await tpm.ek('ecc256');
    const loaded = await new SimulatedTpm().ek('ecc256', ek.exportPkcs8());
    expect(loaded.tpm2bPublic).toEqual(ek.tpm2bPublic);
    for (const algorithm of ['rsa2048', 'rsa3072', 'ecc384'] as const) {
      await expect(new SimulatedTpm().ek(algorithm, ek.exportPkcs8())).rejects.toThrow(TypeError);
    }
    await expect(tpm.ek('ecc256', ek.exportPkcs8())).rejects.toThrow('the EK is there');
    const { privateKey: odd } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicExponent: 3,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    });
    expect(() => SimulatedEk.fromPkcs8('rsa2048', odd)).toThrow(TypeError);
  });

  test('has its certificate kept, a copy of what was handed over', () => {
    const fresh = new SimulatedTpm();
    const der = Buffer.from('3000', 'hex');
    fresh.storeEkCertificate('ecc256', der);
    der.fill(0);
    expect([...fresh.ekCertificates]).toEqual([['ecc256', Buffer.from('3000', 'hex')]]);
  });
});

describe('TPM2_ActivateCredential', () => {
  test.each(EK_ALGORITHMS)('gives out a credential for an AK and the EK of %s', async (algorithm) => {
    const ek = await tpm.ek(algorithm);
    expect(await tpm.activateCredential({ ak, ek }, made(ek))).toEqual(credential);
  });

  (toolsAvailable ? test : test.skip).each(EK_ALGORITHMS)(
    'opens what tpm2_makecredential makes for the EK of %s',
    async (algorithm) => {
      const ek = await tpm.ek(algorithm);
      const file = toolsCredential(ek, ak.name, credential);
      expect(await tpm.activateCredential({ ak, ek }, parseToolsCredential(file))).toEqual(credential);
    },
  );

  test('refuses a credential for the Name of another AK', async () => {
    const ek = await tpm.ek('ecc256');
    const other = await tpm.createAk({ scheme: 'ecdsa-p256' });
    await expect(tpm.activateCredential({ ak: other, ek }, made(ek))).rejects.toThrow('TPM_RC_INTEGRITY');
    expect(await tpm.activateCredential({ ak: other, ek }, made(ek, other.name))).toEqual(credential);
  });

  test.each<[EkAlgorithm, string]>([
    ['rsa2048', 'TPM_RC_VALUE'],
    ['ecc256', 'TPM_RC_INTEGRITY'],
  ])('refuses a credential for another EK of %s', async (algorithm, code) => {
    const stranger = await SimulatedEk.generate(algorithm);
    const ek = await tpm.ek(algorithm);
    await expect(tpm.activateCredential({ ak, ek }, made(stranger))).rejects.toThrow(code);
  });

  test('refuses keys of another TPM', async () => {
    const other = new SimulatedTpm();
    const [ek, otherEk] = [await tpm.ek('ecc256'), await other.ek('ecc256')];
    const otherAk = await other.createAk({ scheme: 'ecdsa-p256' });
    await expect(tpm.activateCredential({ ak, ek: otherEk }, made(otherEk))).rejects.toThrow('TPM_RC_HANDLE');
    await expect(tpm.activateCredential({ ak: otherAk, ek }, made(ek, otherAk.name))).rejects.toThrow('TPM_RC_HANDLE');
  });

  test.each(EK_ALGORITHMS)('refuses a credential under %s with one bit flipped, wherever', async (algorithm) => {
    const ek = await tpm.ek(algorithm);
    const { credentialBlob, encryptedSecret } = made(ek);
    const refused = (blob: Buffer, secret: Buffer) =>
      expect(() => ek.openCredential(blob, secret, ak.name)).toThrow(SimulatedTpmError);
    for (const changed of flipped(credentialBlob, STEP[algorithm])) refused(changed, encryptedSecret);
    for (const changed of flipped(encryptedSecret, STEP[algorithm])) refused(credentialBlob, changed);
    expect(ek.openCredential(credentialBlob, encryptedSecret, ak.name)).toEqual(credential);
  });

  test('refuses what is cut short or has a byte more', async () => {
    const ek = await tpm.ek('ecc256');
    const { credentialBlob, encryptedSecret } = made(ek);
    const open = (blob: Buffer, secret: Buffer) => () => ek.openCredential(blob, secret, ak.name);
    for (let length = 0; length < credentialBlob.length; length++) {
      expect(open(credentialBlob.subarray(0, length), encryptedSecret)).toThrow('TPM_RC_SIZE');
    }
    for (let length = 0; length < encryptedSecret.length; length++) {
      expect(open(credentialBlob, encryptedSecret.subarray(0, length))).toThrow('TPM_RC_SIZE');
    }
    const longer = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)]);
    expect(open(longer(credentialBlob), encryptedSecret)).toThrow('TPM_RC_SIZE');
    expect(open(credentialBlob, longer(encryptedSecret))).toThrow('TPM_RC_SIZE');
  });

  test('whatever it is given, it throws what a TPM says', async () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    for (const algorithm of ['rsa2048', 'ecc256'] as const) {
      const ek = await tpm.ek(algorithm);
      fc.assert(
        fc.property(bytes, bytes, fc.boolean(), (blob, secret, sized) => {
          const frame = (content: Uint8Array) =>
            sized ? Buffer.concat([Buffer.of(content.length >> 8, content.length & 0xff), content]) : content;
          expect(() => ek.openCredential(frame(blob), frame(secret), ak.name)).toThrow(SimulatedTpmError);
        }),
        { numRuns: 50 },
      );
    }
  });
});

/** Every bit where it is cheap, else a bit of each byte or of every third. */
const STEP: Readonly<Record<EkAlgorithm, number>> = { rsa2048: 9, ecc256: 1, rsa3072: 25, ecc384: 7 };

/** The bytes with one bit flipped: every bit, or one of each so many. */
function* flipped(bytes: Buffer, step: number): Generator<Buffer> {
  for (let bit = 0; bit < 8 * bytes.length; bit += step) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    yield changed;
  }
}

function toolsCredential(ek: SimulatedEk, akName: Buffer, content: Buffer): Buffer {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-credential-'));
  try {
    const [publicFile, secret, out] = [join(dir, 'ek.pub'), join(dir, 'secret'), join(dir, 'cred.blob')];
    writeFileSync(publicFile, ek.tpm2bPublic);
    writeFileSync(secret, content);
    const args = ['-T', 'none', '-u', publicFile, '-s', secret, '-n', akName.toString('hex'), '-o', out];
    execFileSync('tpm2_makecredential', args, { stdio: 'pipe' });
    return readFileSync(out);
  } finally {
    rmSync(dir, { recursive: true });
  }
}
