/**
 * A real software TPM for tests: swtpm with tpm2-tools, in a directory of its own, on free loopback ports, with an EK
 * certificate and the SHA-1, SHA-256 and SHA-384 banks. Starting takes about two seconds: start one per test file, in
 * `beforeAll`, and close it in `afterAll`. It dies with the test process, however that ends.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 30_000;

/** Whether swtpm, swtpm_setup and tpm2-tools are installed; tests that need them skip where they are not. */
export function swtpmAvailable(): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return ['swtpm', 'swtpm_setup', 'tpm2_quote'].every((tool) =>
    folders.some((folder) => existsSync(join(folder, tool))),
  );
}

export type SwtpmAkAlg = 'rsa-rsassa' | 'rsa-rsapss' | 'rsa3072-rsassa' | 'ecc256' | 'ecc384' | 'ecc521';
type Hash = 'sha1' | 'sha256' | 'sha384' | 'sha512';

/** For -G of tpm2_createak and of tpm2_create, the scheme, and the hash unless another one is asked for. */
const ALGS: Readonly<Record<SwtpmAkAlg, { key: string; object: string; scheme: string; hash: Hash }>> = {
  'rsa-rsassa': { key: 'rsa', object: 'rsa2048', scheme: 'rsassa', hash: 'sha256' },
  'rsa-rsapss': { key: 'rsa', object: 'rsa2048', scheme: 'rsapss', hash: 'sha256' },
  'rsa3072-rsassa': { key: 'rsa3072', object: 'rsa3072', scheme: 'rsassa', hash: 'sha256' },
  ecc256: { key: 'ecc256', object: 'ecc256', scheme: 'ecdsa', hash: 'sha256' },
  ecc384: { key: 'ecc384', object: 'ecc384', scheme: 'ecdsa', hash: 'sha384' },
  ecc521: { key: 'ecc521', object: 'ecc521', scheme: 'ecdsa', hash: 'sha512' },
};

/** What tpm2_create calls the attributes of a proper AK. */
export const AK_ATTRIBUTES = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign';

export interface CreateAkOptions {
  readonly alg: SwtpmAkAlg;
  /** The hash of the signing scheme. */
  readonly hash?: Hash;
  /** Attributes other than AK_ATTRIBUTES, as in `tpm2_create -a`. The key then lies under a storage key, not under the EK. */
  readonly attributes?: string;
  /** nameAlg other than sha256. */
  readonly nameAlg?: Hash;
  /** A key with scheme TPM_ALG_NULL; the TPM makes such a key only unrestricted. */
  readonly noScheme?: boolean;
}

export interface SwtpmAk {
  readonly scheme: string;
  readonly hash: Hash;
  /** Context file, for -c. */
  readonly context: string;
  /** TPM2B_PUBLIC file. */
  readonly publicFile: string;
  readonly public: Buffer;
  /** The TPM Name, hex, as the TPM says it. */
  readonly name: string;
}

export interface QuoteOptions {
  readonly ak: SwtpmAk;
  /** As in `tpm2_quote -l`: `sha256:0,4,8`, `sha1:0+sha256:all`. */
  readonly selection: string;
  /** Empty when left out. */
  readonly extraDataHex?: string;
  /** The bare values instead of C structs. */
  readonly bareValues?: boolean;
  /** A hash other than that of the AK's scheme (for AKs without scheme). */
  readonly hash?: Hash;
}

export interface SwtpmQuote {
  readonly quoted: Buffer;
  readonly signature: Buffer;
  readonly pcrs: Buffer;
  readonly files: { readonly quoted: string; readonly signature: string; readonly pcrs: string; readonly ak: string };
}

export interface Attestation {
  readonly attest: Buffer;
  readonly signature: Buffer;
}

/** A running swtpm. Commands run one after the other, and leave no transient object behind: swtpm has no resource manager. */
export class Swtpm {
  readonly dir: string;
  readonly port: number;
  /** For TPM2TOOLS_TCTI, or `--tpm` of portcullis. */
  readonly tcti: string;
  readonly #process: ChildProcess;
  #last: Promise<unknown> = Promise.resolve();
  #files = 0;

  constructor(dir: string, port: number, process: ChildProcess) {
    this.dir = dir;
    this.port = port;
    this.tcti = `swtpm:host=127.0.0.1,port=${String(port)}`;
    this.#process = process;
  }

  /** Folder of swtpm's certificate authority: issuercert.pem, swtpm-localca-rootca-cert.pem. */
  get caDir(): string {
    return join(this.dir, 'ca');
  }

  /** Context file of the RSA EK. */
  get ekContext(): string {
    return join(this.dir, 'ek.ctx');
  }

  /** TPM2B_PUBLIC file of the RSA EK. */
  get ekPublicFile(): string {
    return join(this.dir, 'ek.pub');
  }

  /** A fresh path in the directory of this TPM. */
  file(name: string): string {
    return join(this.dir, `${String(this.#files++)}-${name}`);
  }

  /** Writes a fresh file and returns its path. */
  async write(name: string, content: Buffer): Promise<string> {
    const path = this.file(name);
    await writeFile(path, content);
    return path;
  }

  /** Runs one of the tpm2-tools, then flushes transient objects; returns its stdout. Rejects when it fails. */
  async run(tool: string, ...args: readonly string[]): Promise<string> {
    const turn = this.#last.then(async () => {
      const options = { env: { ...process.env, TPM2TOOLS_TCTI: this.tcti }, timeout: COMMAND_TIMEOUT_MS };
      try {
        return (await run(tool, args, options)).stdout;
      } finally {
        await run('tpm2_flushcontext', ['-t'], options);
      }
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** An AK under the EK, as tpm2_createak makes it; with `attributes`, `nameAlg` or `noScheme` a key under a storage key. */
  async createAk(options: CreateAkOptions): Promise<SwtpmAk> {
    const { key, object, scheme, hash: ownHash } = ALGS[options.alg];
    const hash = options.hash ?? ownHash;
    const context = this.file('ak.ctx');
    const publicFile = this.file('ak.pub');
    const ak = { scheme, hash, context, publicFile };
    if (options.attributes === undefined && options.nameAlg === undefined && options.noScheme !== true) {
      const files = ['-c', context, '-u', publicFile, '-r', this.file('ak.priv')];
      await this.run('tpm2_createak', '-C', this.ekContext, '-G', key, '-g', hash, '-s', scheme, ...files);
    } else {
      const template = `${object}:${options.noScheme === true ? 'null' : `${scheme}-${hash}`}:null`;
      const how = ['-g', options.nameAlg ?? 'sha256', '-a', options.attributes ?? AK_ATTRIBUTES];
      const files = ['-c', context, '-u', publicFile, '-r', this.file('ak.priv')];
      await this.run('tpm2_create', '-C', join(this.dir, 'primary.ctx'), '-G', template, ...how, ...files);
    }
    const nameFile = this.file('ak.name');
    await this.run('tpm2_readpublic', '-c', context, '-n', nameFile);
    return { ...ak, public: await readFile(publicFile), name: (await readFile(nameFile)).toString('hex') };
  }

  /** TPM2_PCR_Extend with a digest of the bank, hex. */
  async extend(pcr: number, bank: Hash, digestHex: string): Promise<void> {
    await this.run('tpm2_pcrextend', `${String(pcr)}:${bank}=${digestHex}`);
  }

  /** The text of tpm2_pcrread. */
  async pcrRead(selection: string): Promise<string> {
    return this.run('tpm2_pcrread', selection);
  }

  async quote({ ak, selection, extraDataHex = '', bareValues, hash }: QuoteOptions): Promise<SwtpmQuote> {
    const [quoted, signature, pcrs] = [this.file('quoted'), this.file('signature'), this.file('pcrs')];
    const args = ['-c', ak.context, '-l', selection, '-g', hash ?? ak.hash, '-m', quoted, '-s', signature, '-o', pcrs];
    if (extraDataHex !== '') args.push('-q', extraDataHex);
    if (bareValues === true) args.push('-F', 'values');
    await this.run('tpm2_quote', ...args, '--scheme', ak.scheme);
    return {
      quoted: await readFile(quoted),
      signature: await readFile(signature),
      pcrs: await readFile(pcrs),
      files: { quoted, signature, pcrs, ak: ak.publicFile },
    };
  }

  /** Signs bytes with an unrestricted key; a TPMT_SIGNATURE. */
  async sign(key: SwtpmAk, message: Buffer): Promise<Buffer> {
    const signature = this.file('signature');
    const file = await this.write('message', message);
    await this.run(
      'tpm2_sign',
      '-c',
      key.context,
      '-g',
      key.hash,
      '-s',
      key.scheme,
      '-f',
      'tss',
      '-o',
      signature,
      file,
    );
    return readFile(signature);
  }

  /** TPM2_Certify of the AK by itself. */
  async certify(ak: SwtpmAk): Promise<Attestation> {
    return this.#attest(['tpm2_certify', '-C', ak.context, '-c', ak.context, '-g', ak.hash], '-o', '-s', ak);
  }

  /** TPM2_GetTime. */
  async time(ak: SwtpmAk, extraDataHex: string): Promise<Attestation> {
    return this.#attest(
      ['tpm2_gettime', '-c', ak.context, '-q', extraDataHex, '-g', ak.hash],
      '--attestation',
      '-o',
      ak,
    );
  }

  /** TPM2_NV_Certify of an index that it defines. */
  async nvCertify(ak: SwtpmAk): Promise<Attestation> {
    const index = '0x1500001';
    const content = await this.write('nv', Buffer.from('12345678'));
    await this.run('tpm2_nvdefine', index, '-C', 'o', '-s', '8', '-a', 'ownerread|ownerwrite|authread|authwrite');
    await this.run('tpm2_nvwrite', index, '-C', 'o', '-i', content);
    const command = ['tpm2_nvcertify', index, '-C', ak.context, '-c', 'o', '-g', ak.hash, '--size', '8'];
    return this.#attest(command, '--attestation', '-o', ak);
  }

  async #attest([tool = '', ...args]: string[], attestFlag: string, signatureFlag: string, ak: SwtpmAk) {
    const [attest, signature] = [this.file('attest'), this.file('signature')];
    const scheme = tool === 'tpm2_certify' ? [] : ['-s', ak.scheme];
    await this.run(tool, ...args, ...scheme, attestFlag, attest, signatureFlag, signature);
    return { attest: await readFile(attest), signature: await readFile(signature) };
  }

  /** Ends the TPM; its directory goes too. */
  async close(): Promise<void> {
    await this.#last;
    await stop(this.#process);
  }
}

/** Manufactures and starts a TPM, with certificates for a P-384 EK and an RSA EK of 2048 bits, or of as many as asked for. */
export async function startSwtpm(options: { readonly ekBits?: 2048 | 3072 } = {}): Promise<Swtpm> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options.ekBits ?? 2048);
    } catch (error) {
      // Another process may have taken the ports between finding and using them.
      if (attempt === 3) throw error;
    }
  }
}

async function startOnce(ekBits: number): Promise<Swtpm> {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-swtpm-'));
  await manufacture(dir, ekBits);
  const port = await freePortPair();
  const supervisor = launch(dir, port);
  try {
    await untilListening(port);
    const tpm = new Swtpm(dir, port, supervisor);
    await tpm.run('tpm2_createek', '-G', 'rsa', '-c', tpm.ekContext, '-u', tpm.ekPublicFile);
    await tpm.run('tpm2_createprimary', '-C', 'o', '-G', 'ecc', '-c', join(dir, 'primary.ctx'));
    return tpm;
  } catch (error) {
    await stop(supervisor);
    throw error;
  }
}

async function manufacture(dir: string, ekBits: number): Promise<void> {
  const at = (name: string) => join(dir, name);
  await mkdir(at('ca'));
  await mkdir(at('state'));
  const ca = [
    'statedir = @',
    'signingkey = @/signkey.pem',
    'issuercert = @/issuercert.pem',
    'certserial = @/certserial',
  ];
  await writeFile(at('localca.conf'), ca.map((line) => line.replace('@', at('ca'))).join('\n') + '\n');
  const platform = ['--platform-manufacturer Test', '--platform-version 1.0', '--platform-model Test'];
  await writeFile(at('localca.options'), platform.join('\n') + '\n');
  const tool = (await run('sh', ['-c', 'command -v swtpm_localca || echo /usr/bin/swtpm_localca'])).stdout.trim();
  const setup = [
    `create_certs_tool = ${tool}`,
    `create_certs_tool_config = ${at('localca.conf')}`,
    `create_certs_tool_options = ${at('localca.options')}`,
    'active_pcr_banks = sha256',
  ];
  await writeFile(at('setup.conf'), setup.join('\n') + '\n');
  const where = ['--tpm2', '--tpmstate', at('state'), '--config', at('setup.conf')];
  const what = ['--create-ek-cert', '--create-platform-cert', '--pcr-banks', 'sha1,sha256,sha384', '--lock-nvram'];
  const size = ekBits === 2048 ? [] : ['--rsa-keysize', String(ekBits)];
  await run('swtpm_setup', [...where, ...what, ...size, '--overwrite'], { timeout: COMMAND_TIMEOUT_MS });
}

/** The shell waits for the end of its stdin, which comes when we close it or die; then the TPM and its directory go. */
const SUPERVISE =
  'dir=$1; shift; swtpm "$@" & pid=$!; while read -r _; do :; done; kill $pid; wait $pid; rm -rf "$dir"';

function launch(dir: string, port: number): ChildProcess {
  const tcp = (at: number) => `type=tcp,port=${String(at)},bindaddr=127.0.0.1`;
  const where = ['socket', '--tpm2', '--tpmstate', `dir=${join(dir, 'state')}`];
  const how = ['--server', tcp(port), '--ctrl', tcp(port + 1), '--flags', 'not-need-init,startup-clear'];
  return spawn('sh', ['-c', SUPERVISE, 'supervise', dir, ...where, ...how], { stdio: ['pipe', 'ignore', 'ignore'] });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.stdin?.end();
  await exited;
}

async function freePortPair(): Promise<number> {
  for (;;) {
    const first = await listen(0);
    const second = first === undefined ? undefined : await listen(first.port + 1);
    first?.close();
    second?.close();
    if (first !== undefined && second !== undefined) return first.port;
  }
}

async function listen(port: number): Promise<{ port: number; close: () => void } | undefined> {
  const server = createServer();
  try {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  } catch {
    return undefined;
  }
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

async function untilListening(port: number): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch {
      await delay(10);
    } finally {
      socket.destroy();
    }
  }
  throw new Error('swtpm does not listen');
}
