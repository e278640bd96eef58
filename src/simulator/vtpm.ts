import { fromHex } from '../bytes/hex.js';
import { Writer } from '../bytes/writer.js';
import { digest } from '../crypto/digest.js';
import {
  ALG_OF_BANK,
  MAX_TPMT_HA_BYTES,
  PCR_SELECT_BYTES,
  TPM_GENERATED_VALUE,
  TPM_ST_ATTEST_QUOTE,
} from '../evidence/tpm/constants.js';
import type { PcrValues } from '../evidence/tpm/evidence.js';
import type { ClockInfo } from '../evidence/tpm/structures.js';
import { SimulatedAk, type AkScheme } from './ak.js';
import { SimulatedEk, type EkAlgorithm } from './ek.js';
import { PCR_BANKS, PcrBanks, SimulatedTpmError, type PcrBank } from './pcr-banks.js';

/** TPML_PCR_SELECTION: banks in the order in which they are quoted; a TPM accepts empty ones and the same one twice. */
export type PcrSelection = readonly { readonly bank: PcrBank; readonly pcrs: readonly number[] }[];

/** A quote as TPM2_Quote returns it, and the values that it is about. */
export interface SimulatedQuote {
  /** TPMS_ATTEST. */
  readonly quoted: Buffer;
  /** TPMT_SIGNATURE. */
  readonly signature: Buffer;
  /** Of exactly the selected PCRs. */
  readonly pcrs: PcrValues;
}

const FIRMWARE_VERSION = 0x0001_0000_0000_0000n;

/**
 * A TPM 2.0 in software that speaks the genuine wire structures: what it signs, a verifier of real quotes accepts, given
 * that it believes the AK. It knows locality 0 alone, has no authorisations, and keeps its keys in this process.
 */
export class SimulatedTpm {
  readonly #pcrs = new PcrBanks();
  #aks: SimulatedAk[] = [];
  readonly #eks = new Map<EkAlgorithm, Promise<SimulatedEk>>();
  readonly #ekCertificates = new Map<EkAlgorithm, Buffer>();
  #clockInfo: ClockInfo = { clock: 0n, resetCount: 1, restartCount: 0, safe: true };

  /** The AKs made or loaded, in order of creation. */
  get aks(): readonly SimulatedAk[] {
    return this.#aks;
  }

  /** As the next quote will say, but for `clock`, which moves on by a millisecond with each quote. */
  get clockInfo(): ClockInfo {
    return this.#clockInfo;
  }

  /** Makes an AK, or takes a given private key (PKCS#8 DER) for one. */
  async createAk(options: { readonly scheme: AkScheme; readonly pkcs8?: Uint8Array }): Promise<SimulatedAk> {
    const { scheme, pkcs8 } = options;
    const ak = pkcs8 === undefined ? await SimulatedAk.generate(scheme) : SimulatedAk.fromPkcs8(scheme, pkcs8);
    this.#aks = [...this.#aks, ak];
    return ak;
  }

  /**
   * The EK of an algorithm: a TPM has one, which is made when it is first asked for. A given private key (PKCS#8 DER) is taken
   * for it where it has not been made yet.
   */
  async ek(algorithm: EkAlgorithm = 'rsa2048', pkcs8?: Uint8Array): Promise<SimulatedEk> {
    const made = this.#eks.get(algorithm);
    if (made !== undefined && pkcs8 !== undefined) throw new SimulatedTpmError('TPM_RC_NV_DEFINED: the EK is there');
    if (made !== undefined) return made;
    const ek =
      pkcs8 === undefined ? SimulatedEk.generate(algorithm) : Promise.resolve(SimulatedEk.fromPkcs8(algorithm, pkcs8));
    this.#eks.set(algorithm, ek);
    return ek;
  }

  /** Keeps a certificate (DER) for the EK of an algorithm, as a maker does in NV memory; what it says is not looked at. */
  storeEkCertificate(algorithm: EkAlgorithm, certificate: Uint8Array): void {
    this.#ekCertificates.set(algorithm, Buffer.from(certificate));
  }

  /** The certificates (DER) that are kept, by the algorithm of their EK, in the order in which they came. */
  get ekCertificates(): ReadonlyMap<EkAlgorithm, Buffer> {
    return this.#ekCertificates;
  }

  /**
   * TPM2_ActivateCredential: the credential in a TPM2B_ID_OBJECT that was made for one of this TPM's EKs and for the Name of
   * one of its AKs. Throws SimulatedTpmError for everything else, and for keys of another TPM.
   */
  async activateCredential(
    { ak, ek }: { readonly ak: SimulatedAk; readonly ek: SimulatedEk },
    { credentialBlob, encryptedSecret }: { readonly credentialBlob: Uint8Array; readonly encryptedSecret: Uint8Array },
  ): Promise<Buffer> {
    if (!this.#aks.includes(ak) || (await this.#eks.get(ek.algorithm)) !== ek) {
      throw new SimulatedTpmError('TPM_RC_HANDLE: the key is not of this TPM');
    }
    return ek.openCredential(credentialBlob, encryptedSecret, ak.name);
  }

  /** The value of a PCR; a copy. */
  pcr(bank: PcrBank, index: number): Buffer {
    return this.#pcrs.read(bank, index);
  }

  /** TPM2_PCR_Extend of one bank: new = H(old || digest). Throws SimulatedTpmError for PCRs 17 to 22, which locality 0 cannot extend. */
  extend(bank: PcrBank, index: number, value: Uint8Array): void {
    this.#pcrs.extend(bank, index, value);
  }

  /** TPM2_PCR_Event: extends every bank with its own hash of the data. */
  event(index: number, data: Uint8Array): void {
    for (const bank of PCR_BANKS) this.#pcrs.extend(bank, index, digest(bank, data));
  }

  /** TPM2_PCR_Reset: 16 and 23, in every bank; SimulatedTpmError for any other. */
  resetPcr(index: number): void {
    this.#pcrs.reset(index);
  }

  /**
   * What the simulated firmware measured: PCR values given outright, bank to index to hex. No real TPM has such a
   * command; it stands in for a boot whose measurements are known only by their result.
   */
  setBootValues(values: PcrValues): void {
    for (const [name, indexes] of Object.entries(values)) {
      const bank = PCR_BANKS.find((known) => known === name);
      if (bank === undefined) throw new SimulatedTpmError(`the simulated TPM has no PCR bank ${name}`);
      for (const [index, hex] of Object.entries(indexes)) {
        if (String(Number(index)) !== index) throw new SimulatedTpmError(`TPM_RC_VALUE: there is no PCR ${index}`);
        this.#pcrs.set(bank, Number(index), fromHex(hex, `PCR ${index}`));
      }
    }
  }

  /** Sets what is named of the clock. */
  setClockInfo(clockInfo: Partial<ClockInfo>): void {
    this.#clockInfo = { ...this.#clockInfo, ...clockInfo };
  }

  /** Power off and on: PCRs at their start values, resetCount one higher, restartCount zero. Keys stay. */
  powerCycle(): void {
    this.#pcrs.clear();
    this.setClockInfo({ resetCount: this.#clockInfo.resetCount + 1, restartCount: 0 });
  }

  /** TPM2_Quote: signs extraData (up to 66 bytes), clock and the digest of the selected PCRs in the AK's scheme. */
  quote(ak: SimulatedAk, extraData: Uint8Array, selection: PcrSelection): SimulatedQuote {
    if (extraData.length > MAX_TPMT_HA_BYTES) throw new SimulatedTpmError('TPM_RC_SIZE: extraData is over 66 bytes');
    this.setClockInfo({ clock: this.#clockInfo.clock + 1n });
    const { clock, resetCount, restartCount, safe } = this.#clockInfo;
    const { values, pcrs } = this.#select(selection);
    const quoted = new Writer()
      .u32be(TPM_GENERATED_VALUE)
      .u16be(TPM_ST_ATTEST_QUOTE)
      .sized16(ak.qualifiedName)
      .sized16(extraData)
      .u64be(clock)
      .u32be(resetCount)
      .u32be(restartCount)
      .u8(safe ? 1 : 0)
      .u64be(FIRMWARE_VERSION)
      .bytes(encodeSelection(selection))
      .sized16(digest(ak.hash, ...values))
      .finish();
    return { quoted, signature: ak.sign(quoted), pcrs };
  }

  /** The selected values in the order of the digest (banks as selected, indexes ascending), and by name. */
  #select(selection: PcrSelection): { readonly values: readonly Buffer[]; readonly pcrs: PcrValues } {
    const values: Buffer[] = [];
    const pcrs: Record<string, Record<string, string>> = {};
    for (const { bank, pcrs: selected } of selection) {
      const named = (pcrs[bank] ??= {});
      for (const index of [...new Set(selected)].sort((a, b) => a - b)) {
        const value = this.#pcrs.read(bank, index);
        values.push(value);
        named[String(index)] = value.toString('hex');
      }
    }
    return { values, pcrs };
  }
}

/** TPML_PCR_SELECTION (TPM 2.0 Library part 2): PCR n is bit n%8 of byte n/8. */
function encodeSelection(selection: PcrSelection): Buffer {
  const writer = new Writer().u32be(selection.length);
  for (const { bank, pcrs } of selection) {
    const select = Buffer.alloc(PCR_SELECT_BYTES);
    for (const index of pcrs) select.writeUInt8(select.readUInt8(index >> 3) | (1 << (index & 7)), index >> 3);
    writer.u16be(ALG_OF_BANK[bank]).u8(PCR_SELECT_BYTES).bytes(select);
  }
  return writer.finish();
}
