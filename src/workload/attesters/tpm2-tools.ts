import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBase64url } from '../../bytes/base64url.js';
import { toHex } from '../../bytes/hex.js';
import type { AkScheme } from '../../simulator/ak.js';
import type { EkAlgorithm } from '../../simulator/ek.js';
import type { EkMember, EnrollingAttester, NeededPcrs, ProtectedCredential, TpmEvidenceMember } from '../attester.js';
import { AttesterError } from '../errors.js';
import { AK_TEMPLATES, akSigning } from './tpm-public.js';
import { activateWithTools, readEk } from './tpm2-ek.js';
import { assertTcti, withTpm, type RunTool } from './tpm2-command.js';
import { quotedValues, selectionArgument } from './tpm2-quote-values.js';

/** Where an AK is kept unless said otherwise: in the range that the owner hierarchy may use. */
export const DEFAULT_AK_HANDLE = 0x8101_0002;

export interface Tpm2ToolsOptions {
  /** `swtpm:host=H,port=P` or `device:PATH`. */
  readonly tcti: string;
  /** Persistent handle of the AK; default 0x81010002. Azure keeps one at 0x81000003. */
  readonly akHandle?: number;
  /** Of the AK that is made where the handle is empty; default rsassa. An AK that is there keeps its own. */
  readonly scheme?: AkScheme;
  /** Certificates for the AK, DER in base64url, leaf first. */
  readonly akCertificates?: readonly string[];
  /** Certificates for an EK, DER in base64url, leaf first, where the TPM keeps none itself. Given any, none are read from the TPM. */
  readonly ekCertificates?: readonly string[];
}

/**
 * Quotes with a real TPM, or with swtpm, through tpm2-tools. The AK is made once, under an EK, and kept at a persistent
 * handle, so that an administrator can pin it; hierarchies without authorisation values are assumed. One instance runs one
 * tool at a time, since a TPM without a resource manager serves one connection. Every method throws AttesterError when a
 * tool is missing or fails.
 */
export class Tpm2ToolsAttester implements EnrollingAttester {
  readonly #tcti: string;
  readonly #handle: string;
  readonly #scheme: AkScheme | undefined;
  readonly #akCertificates: readonly string[];
  readonly #ekCertificates: readonly Buffer[];
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: Tpm2ToolsOptions) {
    assertTcti(options.tcti);
    this.#tcti = options.tcti;
    this.#handle = handleText(options.akHandle ?? DEFAULT_AK_HANDLE);
    this.#scheme = options.scheme;
    this.#akCertificates = options.akCertificates ?? [];
    this.#ekCertificates = (options.ekCertificates ?? []).map((text) => Buffer.from(text, 'base64url'));
  }

  describe(): string {
    return `TPM ${this.#tcti}, AK at ${this.#handle}`;
  }

  /**
   * Makes EK and AK, and persists the AK, unless there is a key at the handle already. Returns its public area, which an
   * administrator pins. Refuses a key that is no AK, or of another scheme than was asked for.
   */
  async ensureAk(): Promise<{ readonly tpm2bPublic: Buffer; readonly created: boolean }> {
    return this.#exclusively(async (run, dir) => {
      const persistent = await run('tpm2_getcap', ['handles-persistent']);
      const created = !persistent.toLowerCase().includes(this.#handle);
      if (created) await this.#createAk(run, AK_TEMPLATES[this.#scheme ?? 'rsassa']);
      const tpm2bPublic = await this.#readPublic(run, dir);
      const { scheme, hash } = akSigning(tpm2bPublic);
      const wanted = this.#scheme === undefined ? undefined : AK_TEMPLATES[this.#scheme];
      if (wanted !== undefined && (wanted.scheme !== scheme || wanted.hash !== hash)) {
        throw new AttesterError(
          `the AK at ${this.#handle} signs with ${scheme} and ${hash}; name another handle, or leave the scheme out`,
        );
      }
      return { tpm2bPublic, created };
    });
  }

  /** TPM2B_PUBLIC of the AK at the handle. */
  async readAkPublic(): Promise<Buffer> {
    return this.#exclusively((run, dir) => this.#readPublic(run, dir));
  }

  /**
   * An EK with its certificates: those of the options, else those that the maker keeps in the TPM. It is the key at a persistent
   * handle that has the certificate's key, or one made anew by the default template.
   */
  async ek(algorithm?: EkAlgorithm): Promise<EkMember> {
    return this.#exclusively((run, dir) => readEk(run, dir, this.#ekCertificates, algorithm));
  }

  /** TPM2_ActivateCredential for the AK at the handle. */
  async activateCredential(ek: EkMember, credential: ProtectedCredential): Promise<Buffer> {
    return this.#exclusively((run, dir) => activateWithTools(run, dir, this.#handle, ek, credential));
  }

  /** Extends a digest into one bank of a PCR: what an enforcer does with a policy before it lets anything run. */
  async extendPolicy(bank: 'sha256' | 'sha384', pcr: number, digest: Uint8Array): Promise<void> {
    await this.#exclusively((run) => run('tpm2_pcrextend', [`${String(pcr)}:${bank}=${toHex(digest)}`]));
  }

  async evidence(extraData: Buffer, pcrs: NeededPcrs): Promise<TpmEvidenceMember> {
    return this.#exclusively(async (run, dir) => {
      const ak = await this.#readPublic(run, dir);
      const signing = akSigning(ak);
      const selection = selectionArgument(pcrs);
      const extra = toHex(extraData);
      await run('tpm2_quote', [
        ...['-c', this.#handle, '--scheme', signing.scheme, '-g', signing.hash, '-l', selection, '-q', extra],
        ...['-m', 'quoted', '-s', 'signature', '-o', 'values', '-F', 'values'],
      ]);
      const quoted = await readFile(join(dir, 'quoted'));
      return {
        quoted: toBase64url(quoted),
        signature: toBase64url(await readFile(join(dir, 'signature'))),
        ak: toBase64url(ak),
        pcrs: quotedValues(pcrs, signing.hash, quoted, await readFile(join(dir, 'values'))),
        ...(this.#akCertificates.length === 0 ? {} : { ak_certificates: this.#akCertificates }),
      };
    });
  }

  async #createAk(run: RunTool, template: (typeof AK_TEMPLATES)[AkScheme]): Promise<void> {
    const { algorithm, hash, scheme } = template;
    await run('tpm2_createek', ['-G', 'rsa', '-c', 'ek.ctx']);
    await run('tpm2_createak', ['-C', 'ek.ctx', '-c', 'ak.ctx', '-G', algorithm, '-g', hash, '-s', scheme]);
    await run('tpm2_evictcontrol', ['-C', 'o', '-c', 'ak.ctx', this.#handle]);
  }

  async #readPublic(run: RunTool, dir: string): Promise<Buffer> {
    await run('tpm2_readpublic', ['-c', this.#handle, '-o', 'ak.pub']);
    return readFile(join(dir, 'ak.pub'));
  }

  /** Runs after whatever this instance is doing now, failed or not. */
  async #exclusively<T>(work: (run: RunTool, dir: string) => Promise<T>): Promise<T> {
    const turn = this.#last.then(() => withTpm(this.#tcti, work));
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

function handleText(handle: number): string {
  if (!Number.isInteger(handle) || handle < 0x8100_0000 || handle > 0x81ff_ffff) {
    throw new AttesterError('a persistent handle lies between 0x81000000 and 0x81ffffff');
  }
  return `0x${handle.toString(16)}`;
}
