import { fromBase64url, toBase64url } from '../../bytes/base64url.js';
import { fromHex } from '../../bytes/hex.js';
import { digest } from '../../crypto/digest.js';
import type { AkScheme, SimulatedAk } from '../../simulator/ak.js';
import type { EkAlgorithm } from '../../simulator/ek.js';
import { PCR_BANKS, SimulatedTpmError, type PcrBank } from '../../simulator/pcr-banks.js';
import { SimulatedTpm } from '../../simulator/vtpm.js';
import { ask, membersIn, textIn, type Members } from '../ask.js';
import type { EkMember, EnrollingAttester, NeededPcrs, ProtectedCredential, TpmEvidenceMember } from '../attester.js';
import { AttesterError, BrokerAnswerError } from '../errors.js';
import type { Transport } from '../transport.js';

/** Quotes with a simulated TPM: genuine structures that prove nothing about hardware. Only brokers of the development profile can be told to believe them. */
export class SimulatorAttester implements EnrollingAttester {
  readonly tpm: SimulatedTpm;
  readonly ak: SimulatedAk;
  readonly #akCertificates: readonly string[];

  /** `akCertificates`: DER in base64url, leaf first. */
  constructor(tpm: SimulatedTpm, ak: SimulatedAk, akCertificates: readonly string[] = []) {
    this.tpm = tpm;
    this.ak = ak;
    this.#akCertificates = akCertificates;
  }

  describe(): string {
    return `simulated TPM (development only), AK ${this.ak.name.toString('hex')} (${this.ak.scheme})`;
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

export interface SimulatedBootOptions {
  /** The runtime policy file to measure; default: the digest that the broker names, so that the machine is one it accepts. */
  readonly policy?: Uint8Array;
  /** Default rsassa. */
  readonly scheme?: AkScheme;
  /** A TPM that was there before, and its AK; default: both are made. */
  readonly kept?: { readonly tpm: SimulatedTpm; readonly ak: SimulatedAk };
  /** Has the broker certify the EK of this algorithm, for an enrolment: where the simulator CA is among the roots of the deployment. */
  readonly ek?: EkAlgorithm;
}

/**
 * Starts a simulated machine that boots as a deployment expects: makes an AK, has the broker's simulator CA certify it,
 * and an EK where one is wanted (POST /v1/simulator/machines, development profile only), sets the boot chain's PCRs to the values that the broker
 * answers, and extends the policy's digest into the policy PCR. Throws ReleaseDeniedError (`route.unknown` from a
 * production broker), BrokerUnreachableError, BrokerAnswerError.
 */
export async function bootSimulatedMachine(
  transport: Transport,
  deployment: string,
  options: SimulatedBootOptions = {},
): Promise<SimulatorAttester> {
  const tpm = options.kept?.tpm ?? new SimulatedTpm();
  const ak = options.kept?.ak ?? (await tpm.createAk({ scheme: options.scheme ?? 'rsassa' }));
  const request = {
    deployment,
    ak: toBase64url(ak.tpm2bPublic),
    ...(options.ek === undefined ? {} : { ek: toBase64url((await tpm.ek(options.ek)).tpm2bPublic) }),
  };
  const answer = await ask(transport, '/v1/simulator/machines', request, 201);
  const measured = membersIn(answer, 'policy');
  const bank = bankOf(textIn(measured, 'bank', 16));
  const { pcr } = measured;
  if (typeof pcr !== 'number') throw new BrokerAnswerError('the simulated machine has no policy PCR');
  const named = textIn(measured, 'digest', 128);
  const firmware = bootValues(membersIn(answer, 'pcrs'));
  const certificates = certificatesIn(answer, 'ak_certificates');
  const [ekCertificate] = answer['ek_certificates'] === undefined ? [] : certificatesIn(answer, 'ek_certificates');
  try {
    if (options.ek !== undefined && ekCertificate !== undefined) {
      tpm.storeEkCertificate(options.ek, fromBase64url(ekCertificate, 'EK certificate'));
    }
    tpm.setBootValues(firmware);
    tpm.extend(bank, pcr, options.policy === undefined ? fromHex(named, 'digest') : digest(bank, options.policy));
  } catch (cause) {
    throw new AttesterError('the simulated TPM cannot boot as the broker says', { cause });
  }
  return new SimulatorAttester(tpm, ak, certificates);
}

function bootValues(banks: Members): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const values: Record<string, Record<string, string>> = {};
  for (const bank of Object.keys(banks)) {
    const indexes = membersIn(banks, bank);
    values[bankOf(bank)] = Object.fromEntries(
      Object.keys(indexes).map((index) => [index, textIn(indexes, index, 128)]),
    );
  }
  return values;
}

function certificatesIn(answer: Members, member: string): readonly string[] {
  const certificates: unknown = answer[member];
  if (!Array.isArray(certificates) || !certificates.every((item) => typeof item === 'string')) {
    throw new BrokerAnswerError(`the simulated machine has no ${member}`);
  }
  return certificates;
}

function bankOf(name: string): PcrBank {
  const bank = PCR_BANKS.find((known) => known === name);
  if (bank === undefined) throw new AttesterError(`the simulated TPM has no PCR bank ${name}`);
  return bank;
}
