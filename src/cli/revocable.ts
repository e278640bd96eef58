/** What a file or a hash on the command line means for a revocation: identities of endorsement/identity.ts, and what they are, for people. */
import { existsSync } from 'node:fs';
import { MalformedError } from '../bytes/malformed-error.js';
import { sha256Hex } from '../crypto/digest.js';
import { pemBlocks } from '../crypto/pem.js';
import { MAX_CERTIFICATE_BYTES, parseCertificate, type Certificate } from '../crypto/x509.js';
import { COMMON_NAME, onlyAttribute } from '../crypto/x509-name.js';
import {
  authorityIdentity,
  certificateIdentity,
  ekIdentity,
  isRevocable,
  type RevocableIdentity,
} from '../endorsement/identity.js';
import { parseEk } from '../evidence/tpm/ek.js';
import type { CliContext } from './context.js';
import { UsageError } from './outcome.js';
import { pathOf } from './read-input.js';

const SHA256 = /^[0-9a-f]{64}$/i;
/** PEM is larger than what is in it, and tools write text before it. */
const MAX_FILE_BYTES = 32 * 1024;

export interface Revocable {
  readonly identity: RevocableIdentity;
  /** On one line: what would be revoked. */
  readonly description: string;
}

/** An EK: the SHA-256 of its SubjectPublicKeyInfo, or a file with its certificate (PEM or DER) or its public area (TPM2B_PUBLIC or TPMT_PUBLIC). */
export async function revocableEk(context: CliContext, given: string): Promise<Revocable> {
  const hash = hashIn(context, given);
  if (hash !== undefined) return { identity: ekIdentity(hash), description: `EK ${hash}` };
  const bytes = await fileOf(context, given);
  const certificate = certificateIn(bytes);
  if (certificate === undefined) {
    const ek = parseEk(bytes);
    if (!ek.ok) {
      throw new UsageError(`${given} holds neither one certificate (PEM or DER) nor the public area of an EK`);
    }
    return { identity: ekIdentity(ek.value.spkiSha256), description: `EK ${ek.value.spkiSha256}` };
  }
  if (isAuthority(certificate)) throw new UsageError(`${given} is the certificate of a CA; --authority revokes one`);
  const spki = sha256Hex(spkiOf(certificate, given));
  return { identity: ekIdentity(spki), description: `EK ${spki}, of the certificate of ${nameOf(certificate)}` };
}

/** One certificate, of an EK, an AK or a CA, by its issuer and serial number: a file, PEM or DER. */
export async function revocableCertificate(context: CliContext, file: string): Promise<Revocable> {
  const certificate = certificateIn(await fileOf(context, file));
  if (certificate === undefined) throw new UsageError(`${file} does not hold one certificate, PEM or DER`);
  return {
    identity: certificateIdentity(certificate),
    description: `certificate ${certificate.serial} of ${nameOf(certificate)}`,
  };
}

/** A CA, with every certificate that its key has signed or will sign: the SHA-256 of its SubjectPublicKeyInfo, or a file with its certificate. */
export async function revocableAuthority(context: CliContext, given: string): Promise<Revocable> {
  const hash = hashIn(context, given);
  if (hash !== undefined) return { identity: `ca/${hash}`, description: `CA ${hash}` };
  const certificate = certificateIn(await fileOf(context, given));
  if (certificate === undefined) throw new UsageError(`${given} does not hold one certificate, PEM or DER`);
  if (!isAuthority(certificate)) {
    throw new UsageError(`${given} is not the certificate of a CA; --certificate or --ek revokes what it is for`);
  }
  return { identity: authorityIdentity(certificate), description: `CA ${nameOf(certificate)}` };
}

/** The chip of a confidential machine, by its id in hex. */
export function revocableChip(hex: string): Revocable {
  const identity = `chip/${hex.toLowerCase()}`;
  if (!isRevocable(identity)) throw new UsageError('--chip is the id of a chip: 16 to 128 hex digits');
  return { identity, description: `chip ${hex.toLowerCase()}` };
}

/** A file of that name comes first: nobody calls a file by a hash without meaning it. */
function hashIn(context: CliContext, given: string): string | undefined {
  return SHA256.test(given) && !existsSync(pathOf(context.io, given)) ? given.toLowerCase() : undefined;
}

async function fileOf(context: CliContext, file: string): Promise<Buffer> {
  const read = await context.read(file, MAX_FILE_BYTES);
  if (!read.ok) throw new UsageError(`${read.detail}; one certificate is expected`);
  return read.value;
}

/** The only certificate in the bytes, PEM or DER. */
function certificateIn(bytes: Buffer): Certificate | undefined {
  try {
    const text = bytes.toString('latin1');
    const ders = text.includes('-----BEGIN ') ? pemBlocks(text, 'CERTIFICATE', 1, MAX_CERTIFICATE_BYTES) : [bytes];
    const [der] = ders;
    return der === undefined ? undefined : parseCertificate(der);
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function isAuthority({ basicConstraints }: Certificate): boolean {
  return basicConstraints?.ca === true;
}

/** As everybody writes the key, however the certificate does. */
function spkiOf(certificate: Certificate, file: string): Buffer {
  try {
    return certificate.publicKey().key.export({ format: 'der', type: 'spki' });
  } catch (error) {
    if (error instanceof MalformedError) throw new UsageError(`${file}: its key is not one of an EK: ${error.message}`);
    throw error;
  }
}

/** For people. EK certificates often have no subject of their own. */
function nameOf({ subject, issuer, serial }: Certificate): string {
  const name = onlyAttribute(subject.attributes, COMMON_NAME);
  const above = onlyAttribute(issuer.attributes, COMMON_NAME) ?? 'an issuer without a name';
  return name ?? `number ${serial} by ${above}`;
}
