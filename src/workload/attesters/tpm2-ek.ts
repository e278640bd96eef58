import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MalformedError } from '../../bytes/malformed-error.js';
import { Reader } from '../../bytes/reader.js';
import { Writer } from '../../bytes/writer.js';
import { EK_ALGORITHMS, type EkAlgorithm } from '../../simulator/ek.js';
import type { EkMember, ProtectedCredential } from '../attester.js';
import { AttesterError } from '../errors.js';
import { certificatesInRow, certifiedKey, leadingCertificate } from './ek-certificate.js';
import type { RunTool } from './tpm2-command.js';

/** Where makers keep the certificates of EKs (TCG EK Credential Profile). */
const CERTIFICATE_INDEXES: Readonly<Record<EkAlgorithm, number>> = {
  rsa2048: 0x01c0_0002,
  ecc256: 0x01c0_000a,
  ecc384: 0x01c0_0016,
  rsa3072: 0x01c0_001c,
};
/** The certificates of the authorities above, one behind the other over as many indexes as they need. */
const isChainIndex = (index: number) => index >= 0x01c0_0100 && index <= 0x01c0_01ff;
/** Persistent handles of the endorsement hierarchy. */
const isEkHandle = (handle: number) => handle >= 0x8101_0000 && handle <= 0x8101_ffff;

/**
 * An EK and its certificates: `given`, or from NV memory, of the algorithm, or the first that there is. The EK has the
 * certificate's key, or this is an AttesterError.
 */
export async function readEk(
  run: RunTool,
  dir: string,
  given: readonly Buffer[],
  algorithm?: EkAlgorithm,
): Promise<EkMember> {
  const certificates = given.length > 0 ? given : await readCertificates(run, dir, algorithm);
  const [leaf = Buffer.alloc(0)] = certificates;
  const key = certifiedKey(leaf);
  if (algorithm !== undefined && algorithm !== key.algorithm) {
    throw new AttesterError(`the EK certificate is for a key of ${key.algorithm}, not ${algorithm}`);
  }
  const { tpm2bPublic } = await findEk(run, dir, key.algorithm, (area) => endsWith(area, key.unique));
  return { tpm2bPublic, certificates };
}

/** TPM2_ActivateCredential for the AK at a handle; the EK is found again by its public area. */
export async function activateWithTools(
  run: RunTool,
  dir: string,
  ak: string,
  ek: EkMember,
  { credentialBlob, encryptedSecret }: ProtectedCredential,
): Promise<Buffer> {
  const [leaf = Buffer.alloc(0)] = ek.certificates;
  const { object } = await findEk(run, dir, certifiedKey(leaf).algorithm, (area) => area.equals(ek.tpm2bPublic));
  await writeFile(join(dir, 'credential'), toolsFile(credentialBlob, encryptedSecret), { mode: 0o600 });
  const activate = ['-c', ak, '-C', object, '-i', 'credential', '-o', 'activated'];
  if (usesAuthValue(ek.tpm2bPublic)) await run('tpm2_activatecredential', activate);
  else await withPolicySession(run, (session) => run('tpm2_activatecredential', [...activate, '-P', session]));
  return readFile(join(dir, 'activated'));
}

async function readCertificates(run: RunTool, dir: string, algorithm?: EkAlgorithm): Promise<readonly Buffer[]> {
  const indexes = await handles(run, 'handles-nv-index');
  const wanted = algorithm === undefined ? EK_ALGORITHMS : [algorithm];
  const index = wanted.map((each) => CERTIFICATE_INDEXES[each]).find((each) => indexes.includes(each));
  if (index === undefined) {
    throw new AttesterError(
      `the TPM keeps no certificate for an EK${algorithm === undefined ? '' : ` of ${algorithm}`}; ` +
        'where its maker publishes one, hand it over as a file',
    );
  }
  const leaf = leadingCertificate(await readNv(run, dir, index));
  const chain: Buffer[] = [];
  for (const each of indexes.filter(isChainIndex).sort((a, b) => a - b)) chain.push(await readNv(run, dir, each));
  return [leaf, ...certificatesInRow(Buffer.concat(chain))];
}

async function readNv(run: RunTool, dir: string, index: number): Promise<Buffer> {
  await run('tpm2_nvread', [hex(index), '-o', 'nv']);
  return readFile(join(dir, 'nv'));
}

/** The EK whose public area fits: at a persistent handle, or made by the default template. `object` is for -c and -C. */
async function findEk(
  run: RunTool,
  dir: string,
  algorithm: EkAlgorithm,
  fits: (tpm2bPublic: Buffer) => boolean,
): Promise<{ readonly object: string; readonly tpm2bPublic: Buffer }> {
  for (const handle of (await handles(run, 'handles-persistent')).filter(isEkHandle)) {
    await run('tpm2_readpublic', ['-c', hex(handle), '-o', 'ek.pub']);
    const tpm2bPublic = await readFile(join(dir, 'ek.pub'));
    if (fits(tpm2bPublic)) return { object: hex(handle), tpm2bPublic };
  }
  await run('tpm2_createek', ['-G', algorithm, '-c', 'ek.ctx', '-u', 'ek.pub']);
  const tpm2bPublic = await readFile(join(dir, 'ek.pub'));
  if (fits(tpm2bPublic)) return { object: 'ek.ctx', tpm2bPublic };
  throw new AttesterError(
    'the TPM has no EK with the key of the certificate, neither at a persistent handle nor by the default template',
  );
}

/** A policy session that satisfies PolicySecret of the endorsement hierarchy; it is flushed whatever happens. */
async function withPolicySession(run: RunTool, use: (session: string) => Promise<unknown>): Promise<void> {
  await run('tpm2_startauthsession', ['--policy-session', '-S', 'session']);
  try {
    await run('tpm2_policysecret', ['-S', 'session', '-c', 'e']);
    await use('session:session');
  } catch (error) {
    await run('tpm2_flushcontext', ['session']).catch(() => undefined); // what went wrong first is what counts
    throw error;
  }
  await run('tpm2_flushcontext', ['session']);
}

const ATTRIBUTE_USER_WITH_AUTH = 1 << 6;

/** EKs of the high range may be used with their (empty) authValue; those of the low range by their policy alone. */
function usesAuthValue(tpm2bPublic: Buffer): boolean {
  try {
    const r = new Reader(tpm2bPublic);
    r.take(6, 'size, type and nameAlg');
    return (r.u32be('objectAttributes') & ATTRIBUTE_USER_WITH_AUTH) !== 0;
  } catch (cause) {
    if (cause instanceof MalformedError) throw new AttesterError('the EK has no public area', { cause });
    throw cause;
  }
}

/** What `tpm2_makecredential -o` writes. */
function toolsFile(credentialBlob: Buffer, encryptedSecret: Buffer): Buffer {
  return new Writer().u32be(0xbadcc0de).u32be(1).bytes(credentialBlob).bytes(encryptedSecret).finish();
}

/** The handles that tpm2_getcap lists, one a line: `- 0x81010001`. */
async function handles(run: RunTool, what: 'handles-nv-index' | 'handles-persistent'): Promise<readonly number[]> {
  const listed = (await run('tpm2_getcap', [what])).matchAll(/^- (0x[0-9a-f]{1,8})$/gim);
  return Array.from(listed, ([, handle]) => Number(handle));
}

function hex(handle: number): string {
  return `0x${handle.toString(16).padStart(8, '0')}`;
}

function endsWith(bytes: Buffer, tail: Buffer): boolean {
  return bytes.length >= tail.length && bytes.subarray(bytes.length - tail.length).equals(tail);
}
