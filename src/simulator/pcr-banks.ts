import { DIGEST_BYTES, digest } from '../crypto/digest.js';
import { PCR_COUNT } from '../evidence/tpm/constants.js';
import type { BankName } from '../evidence/tpm/evidence.js';

/** The banks that the simulated TPM has. */
export type PcrBank = Exclude<BankName, 'sha512'>;
export const PCR_BANKS: readonly PcrBank[] = ['sha1', 'sha256', 'sha384'];

/** What a real TPM would refuse, too; the message names the response code. */
export class SimulatedTpmError extends Error {
  override readonly name = 'SimulatedTpmError';
}

/** 17 to 22 belong to the dynamic root of trust: all ones until it runs, and out of the guest's reach (locality 0). */
const DRTM_PCRS = { first: 17, last: 22 };
/** What locality 0 may reset: the debug PCR and the application PCR. */
const RESETTABLE_PCRS: ReadonlySet<number> = new Set([16, 23]);

/** The PCRs of a PC-client TPM, in all banks, as after TPM2_Startup(CLEAR). */
export class PcrBanks {
  readonly #values: Readonly<Record<PcrBank, Buffer[]>> = { sha1: [], sha256: [], sha384: [] };

  constructor() {
    this.clear();
  }

  /** Start values, as after a power cycle: 17 to 22 all FF, the others zero. */
  clear(): void {
    for (const bank of PCR_BANKS) {
      for (let index = 0; index < PCR_COUNT; index++) {
        const isDrtm = index >= DRTM_PCRS.first && index <= DRTM_PCRS.last;
        this.#values[bank][index] = Buffer.alloc(DIGEST_BYTES[bank], isDrtm ? 0xff : 0);
      }
    }
  }

  /** The value of a PCR; a copy. */
  read(bank: PcrBank, index: number): Buffer {
    return Buffer.from(this.#value(bank, index));
  }

  /** TPM2_PCR_Extend of one bank from locality 0: new = H(old || digest). 17 to 22 are refused as a real TPM does (TPM_RC_LOCALITY). */
  extend(bank: PcrBank, index: number, value: Uint8Array): void {
    const old = this.#value(bank, index);
    if (index >= DRTM_PCRS.first && index <= DRTM_PCRS.last) {
      throw new SimulatedTpmError(`TPM_RC_LOCALITY: PCR ${String(index)} cannot be extended from locality 0`);
    }
    this.#checkSize(bank, value);
    this.#values[bank][index] = digest(bank, old, value);
  }

  /** TPM2_PCR_Reset from locality 0, which may reset 16 and 23 alone: zero in every bank. */
  reset(index: number): void {
    if (!RESETTABLE_PCRS.has(index)) {
      throw new SimulatedTpmError(`TPM_RC_LOCALITY: PCR ${String(index)} cannot be reset from locality 0`);
    }
    for (const bank of PCR_BANKS) this.#values[bank][index] = Buffer.alloc(DIGEST_BYTES[bank]);
  }

  /** Sets a value outright, which no real TPM can do: stands for measurements that simulated firmware made. */
  set(bank: PcrBank, index: number, value: Uint8Array): void {
    this.#value(bank, index);
    this.#checkSize(bank, value);
    this.#values[bank][index] = Buffer.from(value);
  }

  #value(bank: PcrBank, index: number): Buffer {
    const value = this.#values[bank][index];
    if (value === undefined) throw new SimulatedTpmError(`TPM_RC_VALUE: there is no PCR ${String(index)}`);
    return value;
  }

  #checkSize(bank: PcrBank, value: Uint8Array): void {
    if (value.length !== DIGEST_BYTES[bank]) {
      throw new SimulatedTpmError(`TPM_RC_SIZE: a digest of ${bank} has ${String(DIGEST_BYTES[bank])} bytes`);
    }
  }
}
