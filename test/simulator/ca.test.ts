import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { createSimulatorCa, issueAkCertificate, issueEkCertificate } from '../../src/simulator/ca.js';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const withOpenssl = hasOpenssl ? test : test.skip;

const DAY_MS = 86_400_000;
const now = Date.now();
const terms = {
  notBefore: new Date(now - DAY_MS),
  notAfter: new Date(now + 30 * DAY_MS),
  serial: Buffer.from('ff01', 'hex'),
};
const ca = await createSimulatorCa();
const keys = {
  rsa: generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  }).publicKey,
  p256: ecSpki('P-256'),
  p384: ecSpki('P-384'),
};

function ecSpki(namedCurve: string): Buffer {
  return generateKeyPairSync('ec', {
    namedCurve,
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  }).publicKey;
}

describe.each(Object.entries(keys))('a certificate for a key of kind %s', (_kind, spki) => {
  test.each([
    ['AK', issueAkCertificate],
    ['EK', issueEkCertificate],
  ])('as an %s is signed by the CA over exactly that key, and is no CA itself', (what, issue) => {
    const leaf = new X509Certificate(issue(ca, spki, terms));
    const root = new X509Certificate(ca.certificatePem);
    expect(leaf.checkIssued(root)).toBe(true);
    expect(leaf.verify(root.publicKey)).toBe(true);
    expect(leaf.ca).toBe(false);
    expect(leaf.publicKey.export({ type: 'spki', format: 'der' })).toEqual(spki);
    expect(leaf.subject).toContain(`CN=Portcullis simulator ${what} (development only)`);
    expect(leaf.issuer).toBe(root.subject);
    expect(leaf.serialNumber).toBe('FF01');
    expect(Date.parse(leaf.validTo)).toBe(Math.floor(terms.notAfter.getTime() / 1000) * 1000);
  });

  withOpenssl('is accepted by openssl verify with strict checks, and only under its own CA', async () => {
    const other = await createSimulatorCa();
    for (const issue of [issueAkCertificate, issueEkCertificate]) {
      const leaf = new X509Certificate(issue(ca, spki, terms)).toString();
      expect(opensslVerify(ca.certificatePem, leaf)).toBe(true);
      expect(opensslVerify(other.certificatePem, leaf)).toBe(false);
    }
  });

  withOpenssl('says in its extensions what it is for', () => {
    const ak = opensslText(issueAkCertificate(ca, spki, terms));
    expect(ak).toContain('2.23.133.8.3');
    expect(ak).toContain('Digital Signature');
    const ek = opensslText(issueEkCertificate(ca, spki, terms));
    expect(ek).toContain('2.23.133.8.1');
    expect(ek).toContain('2.23.133.2.1');
    expect(ek).toContain('id:53494D00');
    expect(ek).toContain(spki === keys.rsa ? 'Key Encipherment' : 'Key Agreement');
  });
});

test('the CA is a CA, says that it is for development only, and no two are alike', async () => {
  const root = new X509Certificate(ca.certificatePem);
  expect(root.ca).toBe(true);
  expect(root.verify(root.publicKey)).toBe(true);
  expect(root.subject).toMatch(/CN=Portcullis simulator CA [0-9a-f]{8} \(development only\)/);
  const other = new X509Certificate((await createSimulatorCa()).certificatePem);
  expect(other.subject).not.toBe(root.subject);
  expect(other.serialNumber).not.toBe(root.serialNumber);
});

test('a serial of nothing, of zero, or of 21 bytes is refused; 20 bytes are not', () => {
  const withSerial = (serial: Buffer) => issueAkCertificate(ca, keys.p256, { ...terms, serial });
  expect(() => withSerial(Buffer.alloc(0))).toThrow(RangeError);
  expect(() => withSerial(Buffer.alloc(16))).toThrow(RangeError);
  expect(() => withSerial(Buffer.alloc(21, 1))).toThrow(RangeError);
  expect(new X509Certificate(withSerial(Buffer.alloc(20, 1))).serialNumber).toBe('01'.repeat(20));
});

test('bytes that are no public key get no certificate', () => {
  expect(() => issueAkCertificate(ca, Buffer.from('3000', 'hex'), terms)).toThrow();
});

function opensslVerify(caPem: string, leafPem: string): boolean {
  const dir = mkdtempSync(join(tmpdir(), 'portcullis-test-'));
  try {
    writeFileSync(join(dir, 'ca.pem'), caPem);
    writeFileSync(join(dir, 'leaf.pem'), leafPem);
    const args = ['verify', '-x509_strict', '-check_ss_sig', '-CAfile', join(dir, 'ca.pem'), join(dir, 'leaf.pem')];
    return spawnSync('openssl', args).status === 0;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function opensslText(der: Buffer): string {
  return execFileSync('openssl', ['x509', '-inform', 'der', '-noout', '-text'], { input: der, encoding: 'utf8' });
}
