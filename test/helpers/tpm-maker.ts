/** A maker of TPMs: root, CA, and certificates for the EKs of simulated machines, valid by the clock of this machine. */
import { sha256 } from '../../src/crypto/digest.js';
import type { Result } from '../../src/reason/reason.js';
import type { Activated, Broker, EnrolmentRequest } from '../../src/release/broker.js';
import type { EnrolmentView } from '../../src/release/views.js';
import type { SimulatedAk } from '../../src/simulator/ak.js';
import type { EkAlgorithm, SimulatedEk } from '../../src/simulator/ek.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import {
  authorityKeyId,
  basicConstraints,
  certificate,
  crl,
  ecKey,
  extendedKeyUsage,
  extension,
  keyUsage,
  pem,
  subjectKeyId,
  type CertificateSpec,
} from './pki.js';
import { int } from './pki-der.js';
import { BOOT, POLICY, valueOf } from './test-broker.js';

const DAY = 86_400_000;
const EK_PURPOSE = '2.23.133.8.1';
const CA_USAGE = keyUsage(5, 6);
const KEY_ENCIPHERMENT = 2;
const KEY_AGREEMENT = 4;

export class TpmMaker {
  readonly name: string;
  readonly root: Buffer;
  readonly ca: Buffer;
  readonly keys = { root: ecKey(), ca: ecKey() };
  #serial = 100;

  constructor(name = 'Maker') {
    this.name = name;
    const { root, ca } = this.keys;
    const common = { issuer: `${name} root`, signer: root, ...this.#validity() };
    const ids = { root: sha256(root.spki).subarray(0, 20), ca: sha256(ca.spki).subarray(0, 20) };
    this.root = certificate({
      ...common,
      serial: 1,
      subject: `${name} root`,
      key: root,
      extensions: [basicConstraints(true), CA_USAGE, subjectKeyId(ids.root)],
    });
    this.ca = certificate({
      ...common,
      serial: 2,
      subject: `${name} CA`,
      key: ca,
      extensions: [basicConstraints(true), CA_USAGE, subjectKeyId(ids.ca), authorityKeyId(ids.root)],
    });
  }

  get rootPem(): string {
    return pem(this.root);
  }

  /** DER: a certificate for the EK, then the CA. */
  certify(ek: Pick<SimulatedEk, 'spki' | 'algorithm'>, change: Partial<CertificateSpec> = {}): readonly Buffer[] {
    const { ca } = this.keys;
    const usage = ek.algorithm.startsWith('rsa') ? KEY_ENCIPHERMENT : KEY_AGREEMENT;
    const leaf = certificate({
      serial: this.#serial++,
      subject: `${this.name} EK`,
      issuer: `${this.name} CA`,
      key: { spki: ek.spki, privateKey: ca.privateKey },
      signer: ca,
      ...this.#validity(),
      extensions: [
        basicConstraints(false),
        keyUsage(usage),
        extendedKeyUsage([EK_PURPOSE]),
        authorityKeyId(sha256(ca.spki).subarray(0, 20)),
      ],
      ...change,
    });
    return [leaf, this.ca];
  }

  /** A CRL (DER) of the CA, or of the root. */
  crl(revoked: readonly number[], by: 'root' | 'ca' = 'ca', nextUpdate = Date.now() + DAY): Buffer {
    const key = this.keys[by];
    return crl({
      issuer: `${this.name} ${by === 'ca' ? 'CA' : 'root'}`,
      signer: key,
      thisUpdate: Date.now() - DAY,
      nextUpdate,
      revoked: revoked.map((serial) => ({ serial })),
      extensions: [authorityKeyId(sha256(key.spki).subarray(0, 20)), extension('2.5.29.20', false, int(1))],
    });
  }

  #validity() {
    return { notBefore: Date.now() - 100 * DAY, notAfter: Date.now() + 100 * DAY };
  }
}

/** A machine that has booted as deployments here expect, with a certified EK. */
export class CertifiedMachine {
  readonly tpm: SimulatedTpm;
  readonly ek: SimulatedEk;
  readonly certificates: readonly Buffer[];
  readonly attester: SimulatorAttester;

  constructor(tpm: SimulatedTpm, ek: SimulatedEk, ak: SimulatedAk, certificates: readonly Buffer[]) {
    this.tpm = tpm;
    this.ek = ek;
    this.certificates = certificates;
    this.attester = new SimulatorAttester(tpm, ak);
  }

  static async make(
    maker: TpmMaker,
    algorithm: EkAlgorithm = 'ecc256',
    change: Partial<CertificateSpec> = {},
  ): Promise<CertifiedMachine> {
    const tpm = new SimulatedTpm();
    for (const [pcr, digest] of Object.entries(BOOT)) tpm.extend('sha256', Number(pcr), digest);
    tpm.extend('sha256', 8, sha256(POLICY));
    const ek = await tpm.ek(algorithm);
    const ak = await tpm.createAk({ scheme: 'ecdsa-p256' });
    return new CertifiedMachine(tpm, ek, ak, maker.certify(ek, change));
  }

  /** The same TPM with a new AK. */
  async withNewAk(): Promise<CertifiedMachine> {
    return new CertifiedMachine(
      this.tpm,
      this.ek,
      await this.tpm.createAk({ scheme: 'ecdsa-p256' }),
      this.certificates,
    );
  }

  get ekSpkiSha256(): string {
    return sha256(this.ek.spki).toString('hex');
  }

  get akSpkiSha256(): string {
    return sha256(this.attester.ak.spki).toString('hex');
  }

  request(deployment: string, change: Partial<EnrolmentRequest> = {}): EnrolmentRequest {
    return {
      deployment,
      ek_certificates: this.certificates.map((der) => der.toString('base64url')),
      ak: this.attester.ak.tpm2bPublic.toString('base64url'),
      ...change,
    };
  }

  /** What the TPM finds in the credential, base64url. */
  async secretOf(view: EnrolmentView): Promise<string> {
    const secret = await this.tpm.activateCredential(
      { ak: this.attester.ak, ek: this.ek },
      {
        credentialBlob: Buffer.from(view.credential_blob, 'base64url'),
        encryptedSecret: Buffer.from(view.encrypted_secret, 'base64url'),
      },
    );
    return secret.toString('base64url');
  }

  /** What its activation is asked with, after an enrolment that was granted. */
  async prove(broker: Broker, deployment: string) {
    const view = valueOf(await broker.enrol(this.request(deployment)));
    return { enrolment: view.enrolment, secret: await this.secretOf(view) };
  }

  async enrol(broker: Broker, deployment: string): Promise<Result<Activated>> {
    return broker.activateEnrolment(await this.prove(broker, deployment));
  }
}
