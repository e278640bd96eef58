/** Endorsement keys and credentials of a swtpm, by tpm2-tools alone: what the project does itself is held against these. */
import { readFile } from 'node:fs/promises';
import type { Swtpm, SwtpmAk } from './swtpm.js';

/** As `tpm2_createek -G` names them. */
export type SwtpmEkAlg = 'rsa2048' | 'rsa3072' | 'ecc256' | 'ecc384';
export const SWTPM_EK_ALGS: readonly SwtpmEkAlg[] = ['rsa2048', 'ecc256', 'rsa3072', 'ecc384'];

export interface SwtpmEk {
  readonly alg: SwtpmEkAlg;
  /** Context file, for -C. */
  readonly context: string;
  /** TPM2B_PUBLIC file. */
  readonly publicFile: string;
  readonly public: Buffer;
}

/** The EK that the TPM makes by the default template. */
export async function createEk(tpm: Swtpm, alg: SwtpmEkAlg): Promise<SwtpmEk> {
  const context = tpm.file('ek.ctx');
  const publicFile = tpm.file('ek.pub');
  await tpm.run('tpm2_createek', '-G', alg, '-c', context, '-u', publicFile);
  return { alg, context, publicFile, public: await readFile(publicFile) };
}

/** TPM2_MakeCredential: the file that tpm2_makecredential writes. */
export async function toolsCredential(tpm: Swtpm, ek: SwtpmEk, akName: string, credential: Buffer): Promise<Buffer> {
  const out = tpm.file('cred.blob');
  const secret = await tpm.write('secret', credential);
  await tpm.run('tpm2_makecredential', '-u', ek.publicFile, '-s', secret, '-n', akName, '-o', out);
  return readFile(out);
}

/** TPM2_ActivateCredential of such a file; the credential. Rejects when the TPM or its tool refuses. */
export async function activate(tpm: Swtpm, ak: SwtpmAk, ek: SwtpmEk, file: Buffer): Promise<Buffer> {
  const out = tpm.file('activated');
  const input = await tpm.write('cred.blob', file);
  const args = ['-c', ak.context, '-C', ek.context, '-i', input, '-o', out];
  if (ek.alg === 'rsa3072' || ek.alg === 'ecc384') {
    await tpm.run('tpm2_activatecredential', ...args);
    return readFile(out);
  }
  const session = tpm.file('session.ctx');
  await tpm.run('tpm2_startauthsession', '--policy-session', '-S', session);
  try {
    await tpm.run('tpm2_policysecret', '-S', session, '-c', 'e');
    await tpm.run('tpm2_activatecredential', ...args, '-P', `session:${session}`);
    return await readFile(out);
  } finally {
    await tpm.run('tpm2_flushcontext', session);
  }
}

/** What is in an NV index. */
export async function readNv(tpm: Swtpm, index: string): Promise<Buffer> {
  const out = tpm.file('nv');
  await tpm.run('tpm2_nvread', index, '-o', out);
  return readFile(out);
}

/** Defines an NV index that anybody may read, and writes it. */
export async function writeNv(tpm: Swtpm, index: string, content: Buffer): Promise<void> {
  const attributes = 'ppwrite|ppread|ownerread|authread|no_da|platformcreate';
  const size = String(content.length);
  await tpm.run('tpm2_nvdefine', index, '-C', 'p', '-s', size, '-a', attributes);
  await tpm.run('tpm2_nvwrite', index, '-C', 'p', '-i', await tpm.write('nv', content));
}
