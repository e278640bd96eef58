import forge from 'node-forge';

/** A test certificate: PEM texts, made in the test, valid around now. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface TestAuthority extends TestCertificate {
  /** A leaf for 127.0.0.1 and localhost, for servers and clients. */
  issue(commonName: string): TestCertificate;
}

const DAY_MS = 86_400_000;

/** A certificate authority with RSA keys of 2048 bits. */
export function createAuthority(commonName: string): TestAuthority {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const name = [{ name: 'commonName', value: commonName }];
  const build = (subject: string, publicKey: forge.pki.PublicKey, extensions: object[]): string => {
    const certificate = forge.pki.createCertificate();
    certificate.publicKey = publicKey;
    certificate.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`;
    certificate.validity.notBefore = new Date(Date.now() - DAY_MS);
    certificate.validity.notAfter = new Date(Date.now() + DAY_MS);
    certificate.setSubject([{ name: 'commonName', value: subject }]);
    certificate.setIssuer(name);
    certificate.setExtensions(extensions);
    certificate.sign(keys.privateKey, forge.md.sha256.create());
    return forge.pki.certificateToPem(certificate);
  };
  return {
    cert: build(commonName, keys.publicKey, [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ]),
    key: forge.pki.privateKeyToPem(keys.privateKey),
    issue: (subject) => {
      const leaf = forge.pki.rsa.generateKeyPair(2048);
      const cert = build(subject, leaf.publicKey, [
        { name: 'basicConstraints', cA: false },
        { name: 'extKeyUsage', serverAuth: true, clientAuth: true },
        {
          name: 'subjectAltName',
          altNames: [
            { type: 2, value: 'localhost' },
            { type: 7, ip: '127.0.0.1' },
          ],
        },
      ]);
      return { cert, key: forge.pki.privateKeyToPem(leaf.privateKey) };
    },
  };
}
