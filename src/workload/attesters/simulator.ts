import { toBase64url } from '../../bytes/base64url.js';
import type { SimulatedAk } from '../../simulator/ak.js';
import type { EkAlgorithm } from '../../simulator/ek.js';
import { PCR_BANKS, SimulatedTpmError, type PcrBank } from '../../simulator/pcr-banks.js';
import type { SimulatedTpm } from '../../simulator/vtpm.js';
import type {
  EkMember,
  EnrollingAttester,
  NeededPcrs,
  PlatformAttester,
  PlatformEvidence,
  ProtectedCredential,
  TpmEvidenceMember,
} from '../attester.js';
import { AttesterError } from '../errors.js';

/** Quotes with a simulated TPM: genuine structures that prove nothing about hardware. Only brokers of the development profile can be told to believe them. */
export class SimulatorAttester implements EnrollingAttester {
  readonly tpm: SimulatedTpm;
  readonly ak: SimulatedAk;
  readonly #akCertificates: readonly string[];
  readonly #platform: PlatformAttester | undefined;

  /** `akCertificates`: DER in base64url, leaf first. `platform`: what the machine has beside its TPM. */
  constructor(tpm: SimulatedTpm, ak: SimulatedAk, akCertificates: readonly string[] = [], platform?: PlatformAttester) {
    this.tpm = tpm;
    this.ak = ak;
    this.#akCertificates = akCertificates;
    this.#platform = platform;
  }

  describe(): string {
    const beside = this.#platform === undefined ? '' : `, ${this.#platform.describe()}`;
    return `simulated TPM (development only), AK ${this.ak.name.toString('hex')} (${this.ak.scheme})${beside}`;
  }

  async besideQuote(base: Buffer): Promise<PlatformEvidence> {
    return this.#platform?.besideQuote(base) ?? {};
  }

  async evidence(extraData: Buffer, pcrs: NeededPcrs): Promise<TpmEvidenceMember> {
    const selection = Object.entries(pcrs).map(([bank, indexes]) => ({ bank: bankOf(bank), pcrs: indexes }));
    const quote = this.tpm.quote(this.ak, extraData, selection);
    return {
      quoted: toBase64url(quote.quoted),
      signature: toBase64url(quote.signature),
      ak: toBase64url(this.ak.tpm2bPublic),
      pcrs: quote.pcrs,
      ...(this.#akCertificates.length === 0 ? {} : { ak_certificates: this.#akCertificates }),
    };
  }

  async readAkPublic(): Promise<Buffer> {
    return this.ak.tpm2bPublic;
  }

  /** Of the certificates that the simulated TPM keeps (`storeEkCertificate`). */
  async ek(algorithm?: EkAlgorithm): Promise<EkMember> {
    const [first] = this.tpm.ekCertificates.keys();
    const wanted = algorithm ?? first;
    const certificate = wanted === undefined ? undefined : this.tpm.ekCertificates.get(wanted);
    if (wanted === undefined || certificate === undefined) {
      throw new AttesterError(
        `the simulated TPM keeps no certificate for an EK${wanted === undefined ? '' : ` of ${wanted}`}`,
      );
    }
    return { tpm2bPublic: (await this.tpm.ek(wanted)).tpm2bPublic, certificates: [certificate] };
  }

  async activateCredential({ tpm2bPublic }: EkMember, credential: ProtectedCredential): Promise<Buffer> {
    for (const algorithm of this.tpm.ekCertificates.keys()) {
      const ek = await this.tpm.ek(algorithm);
      if (!ek.tpm2bPublic.equals(tpm2bPublic)) continue;
      try {
        return await this.tpm.activateCredential({ ak: this.ak, ek }, credential);
      } catch (cause) {
        if (!(cause instanceof SimulatedTpmError)) throw cause;
        throw new AttesterError(`the simulated TPM does not open the credential: ${cause.message}`, { cause });
      }
    }
    throw new AttesterError('the EK is not of this simulated TPM');
  }
}

/** Throws AttesterError. */
export function bankOf(name: string): PcrBank {
  const bank = PCR_BANKS.find((known) => known === name);
  if (bank === undefined) throw new AttesterError(`the simulated TPM has no PCR bank ${name}`);
  return bank;
}
