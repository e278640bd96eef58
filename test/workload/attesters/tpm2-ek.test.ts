import { randomBytes, X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseAk } from '../../../src/evidence/tpm/ak.js';
import { makeCredential, type ProtectedCredential } from '../../../src/evidence/tpm/credential.js';
import { defaultEkTemplate } from '../../../src/evidence/tpm/ek-template.js';
import { hasKey, parseEk, type EkPublic } from '../../../src/evidence/tpm/ek.js';
import { createSimulatorCa, issueEkCertificate } from '../../../src/simulator/ca.js';
import type { EkMember } from '../../../src/workload/attester.js';
import { Tpm2ToolsAttester } from '../../../src/workload/attesters/tpm2-tools.js';
import { AttesterError } from '../../../src/workload/errors.js';
import { startSwtpm, swtpmAvailable, type Swtpm } from '../../helpers/swtpm.js';
import { createEk, readNv, writeNv } from '../../helpers/swtpm-ek.js';

const onSwtpm = swtpmAvailable() ? describe : describe.skip;
const credential = randomBytes(32);
const terms = { notBefore: new Date(0), notAfter: new Date(4e12), serial: Buffer.of(1) };

onSwtpm('with a real swtpm', () => {
  let swtpm: Swtpm;
  let attester: Tpm2ToolsAttester;
  beforeAll(async () => {
    swtpm = await startSwtpm();
    attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti });
    await attester.ensureAk();
  });
  afterAll(() => swtpm.close());

  /** A credential as a broker makes it: of the certificate and the AK alone, by the default template. */
  async function madeFor({ certificates }: EkMember, akName?: Buffer): Promise<ProtectedCredential> {
    const ak = parseAk(await attester.readAkPublic());
    const ek = defaultEkTemplate(spkiOf(certificates[0]));
    if (!ak.ok || !ek.ok) throw new Error('AK or EK');
    const name = akName ?? Buffer.from(ak.value.name, 'hex');
    return makeCredential({ ek: ek.value, akName: name, credential }, randomBytes);
  }

  test.each([
    ['rsa2048', '0x01c00002', '0x81010001'],
    ['ecc384', '0x01c00016', '0x81010016'],
  ] as const)('the certified EK of %s is read, and a credential for it is activated', async (algorithm, nv, handle) => {
    const ek = await attester.ek(algorithm);
    expect(ek.certificates).toEqual([await readNv(swtpm, nv)]);
    expect(ek.tpm2bPublic).toEqual(await publicAt(handle));
    expect(hasKey(parsed(ek), spkiOf(ek.certificates[0]))).toBe(true);
    expect(await attester.activateCredential(ek, await madeFor(ek))).toEqual(credential);
  });

  test('unless another is asked for it is the EK of RSA-2048', async () => {
    expect(parsed(await attester.ek()).algorithm).toBe('rsa2048');
    await expect(attester.ek('ecc256')).rejects.toThrow('no certificate for an EK of ecc256');
  });

  test('an EK of P-256 is made anew; its certificate is cut out of the memory, and the chain is read', async () => {
    const { spki } = parsed({ tpm2bPublic: (await createEk(swtpm, 'ecc256')).public });
    const ca = await createSimulatorCa();
    const leaf = issueEkCertificate(ca, spki, terms);
    const authority = new X509Certificate(ca.certificatePem).raw;
    await writeNv(swtpm, '0x01c0000a', Buffer.concat([leaf, Buffer.alloc(100)]));
    // Over two indexes, as makers do for whom one is too small.
    await writeNv(swtpm, '0x01c00101', authority.subarray(300));
    await writeNv(swtpm, '0x01c00100', authority.subarray(0, 300));
    try {
      const ek = await attester.ek('ecc256');
      expect(ek.certificates).toEqual([leaf, authority]);
      expect(parsed(ek).spki).toEqual(spki);
      expect(await attester.activateCredential(ek, await madeFor(ek))).toEqual(credential);
    } finally {
      for (const index of ['0x01c0000a', '0x01c00100', '0x01c00101'])
        await swtpm.run('tpm2_nvundefine', index, '-C', 'p');
    }
  });

  test('certificates that are handed over are taken instead of those in the TPM', async () => {
    const { spki } = parsed({ tpm2bPublic: (await createEk(swtpm, 'ecc256')).public });
    const leaf = issueEkCertificate(await createSimulatorCa(), spki, terms);
    const ekCertificates = [leaf, Buffer.from('3000', 'hex')].map((der) => der.toString('base64url'));
    const handed = new Tpm2ToolsAttester({ tcti: swtpm.tcti, ekCertificates });
    const ek = await handed.ek();
    expect(ek.certificates).toEqual([leaf, Buffer.from('3000', 'hex')]);
    expect(await handed.activateCredential(ek, await madeFor(ek))).toEqual(credential);
    await expect(handed.ek('rsa2048')).rejects.toThrow('for a key of ecc256, not rsa2048');
  });

  test('a certificate for a key that the TPM does not have is an error', async () => {
    const other = issueEkCertificate(await createSimulatorCa(), foreignSpki(), terms);
    const given = new Tpm2ToolsAttester({ tcti: swtpm.tcti, ekCertificates: [other.toString('base64url')] });
    await expect(given.ek()).rejects.toThrow('no EK with the key of the certificate');
    const none = new Tpm2ToolsAttester({ tcti: swtpm.tcti, ekCertificates: ['bGVhZg'] });
    await expect(none.ek()).rejects.toThrow('cannot be read');
  });

  test.each(['rsa2048', 'ecc384'] as const)(
    'a credential under %s for another AK, or changed, is refused',
    async (algorithm) => {
      const ek = await attester.ek(algorithm);
      const another = Buffer.concat([Buffer.of(0, 0x0b), randomBytes(32)]);
      await expect(attester.activateCredential(ek, await madeFor(ek, another))).rejects.toThrow(
        'integrity check failed',
      );
      const good = await madeFor(ek);
      const changed = Buffer.from(good.credentialBlob);
      changed[changed.length - 1]! ^= 1;
      const refused = attester.activateCredential(ek, { ...good, credentialBlob: changed });
      await expect(refused).rejects.toThrow(AttesterError);
      expect(await attester.activateCredential(ek, good)).toEqual(credential);
    },
  );

  test('no session, object or file is left behind, whether it succeeds or fails', async () => {
    const files = () =>
      readdirSync(tmpdir()).filter((name) => name.startsWith(`portcullis-tpm-${String(process.pid)}-`));
    const before = files();
    const ek = await attester.ek('rsa2048');
    const good = await madeFor(ek);
    await attester.activateCredential(ek, good);
    const broken = { ...good, credentialBlob: Buffer.from('0000', 'hex') };
    await expect(attester.activateCredential(ek, broken)).rejects.toThrow(AttesterError);
    expect(await leftInTpm()).toBe('');
    const session = swtpm.file('session.ctx');
    await swtpm.run('tpm2_startauthsession', '--policy-session', '-S', session);
    expect(await leftInTpm()).not.toBe(''); // as it would be with a session left
    await swtpm.run('tpm2_flushcontext', session);
    expect(files().filter((name) => !before.includes(name))).toEqual([]);
  });

  async function leftInTpm(): Promise<string> {
    let handles = '';
    for (const what of ['handles-loaded-session', 'handles-saved-session', 'handles-transient']) {
      handles += (await swtpm.run('tpm2_getcap', what)).trim();
    }
    return handles;
  }

  async function publicAt(handle: string): Promise<Buffer> {
    const out = swtpm.file('pub');
    await swtpm.run('tpm2_readpublic', '-c', handle, '-o', out);
    return readFile(out);
  }
});

onSwtpm('with a swtpm whose RSA EK has 3072 bits', () => {
  test('the certified EK is read, its template is the default, and a credential is activated', async () => {
    const swtpm = await startSwtpm({ ekBits: 3072 });
    try {
      const attester = new Tpm2ToolsAttester({ tcti: swtpm.tcti, scheme: 'ecdsa-p256' });
      const { tpm2bPublic } = await attester.ensureAk();
      const ak = parseAk(tpm2bPublic);
      if (!ak.ok) throw new Error(ak.detail);
      await expect(attester.ek('rsa2048')).rejects.toThrow('no certificate');
      const ek = await attester.ek('rsa3072');
      const assumed = defaultEkTemplate(spkiOf(ek.certificates[0]));
      if (!assumed.ok) throw new Error(assumed.detail);
      expect(assumed.value.publicArea).toEqual(ek.tpm2bPublic.subarray(2));
      const akName = Buffer.from(ak.value.name, 'hex');
      const made = makeCredential({ ek: assumed.value, akName, credential }, randomBytes);
      expect(await attester.activateCredential(ek, made)).toEqual(credential);
    } finally {
      await swtpm.close();
    }
  }, 120_000);
});

test('without a TPM it is an error', async () => {
  const attester = new Tpm2ToolsAttester({ tcti: 'swtpm:host=127.0.0.1,port=1' });
  await expect(attester.ek()).rejects.toThrow(AttesterError);
});

function parsed({ tpm2bPublic }: Pick<EkMember, 'tpm2bPublic'>): EkPublic {
  const result = parseEk(tpm2bPublic);
  if (!result.ok) throw new Error(result.detail);
  return result.value;
}

function spkiOf(certificate: Buffer | undefined): Buffer {
  return new X509Certificate(certificate ?? Buffer.alloc(0)).publicKey.export({ type: 'spki', format: 'der' });
}

/** Of a fixed P-256 key that no TPM has: the base point. */
function foreignSpki(): Buffer {
  const x = '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296';
  const y = '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5';
  return Buffer.from(`3059301306072a8648ce3d020106082a8648ce3d03010703420004${x}${y}`, 'hex');
}
