import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { toBase64url } from '../src/bytes/base64url.js';
import { Writer } from '../src/bytes/writer.js';
import { pemBlocks } from '../src/crypto/pem.js';
import { MAX_CERTIFICATE_BYTES } from '../src/crypto/x509.js';
import { type HardwareTrust, NO_COLLATERAL } from '../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../src/endorsement/known-paths.js';
import { TPM_ALG_RSASSA, TPM_ALG_SHA256 } from '../src/evidence/tpm/constants.js';
import type { Machine } from './evidence-machines.js';

/** Evidence of real machines, which is no part of the project: beside the working directory, where it is at hand. */
const VECTORS = '../shared/vectors';
const MILAN = join(VECTORS, 'snp/ms-milan');
const AZURE = join(VECTORS, 'azure-hcl/trustee-snp');
/** When their certificates are valid. */
const AT_MS = Date.UTC(2026, 10, 21);
const MAX_PATHS = 16;

export const GENUINE_ABSENT = `no genuine evidence measured: ${VECTORS} is not there; the keys of AMD's CAs are RSA-4096, those of the simulator P-384`;

/** Recorded evidence below AMD's own roots, with their RSA-4096 keys; none where it is not at hand. It answers one challenge alone. */
export function genuineMachines(): readonly Machine[] {
  if (![MILAN, AZURE].every((folder) => existsSync(folder))) return [];
  const [vcek, ...others] = certificatesIn(join(MILAN, 'vcek.pem'));
  if (vcek === undefined || others.length > 0) throw new TypeError('not one VCEK');
  const milan = {
    snp: {
      report: toBase64url(readFileSync(join(MILAN, 'attestation_report.bin'))),
      certificates: [toBase64url(vcek)],
    },
  };
  const azure = {
    hcl: {
      report: toBase64url(readFileSync(join(AZURE, 'hcl-report.bin'))),
      certificates: certificatesIn(join(AZURE, 'vcek.pem')).map(toBase64url),
    },
    tpm: quoteIn(join(AZURE, 'tpm-quote-v1.json')),
  };
  const [report, quoted, signature] = [{ from: 0 }, { of: 'quoted', from: 0 }, { of: 'signature', from: 0 }] as const;
  return [
    {
      name: 'genuine SNP alone',
      answer: () => ({ member: milan, base: undefined }),
      trust: genuineTrust,
      guarded: [{ of: 'snp', ...report }],
    },
    {
      name: 'genuine HCL-SNP + vTPM',
      answer: () => ({ member: azure, base: undefined, extraData: Buffer.from('challenge') }),
      trust: genuineTrust,
      guarded: [{ of: 'hcl', ...report }, quoted, signature],
    },
  ];
}

function genuineTrust(): HardwareTrust {
  return {
    roots: PINNED_ROOTS,
    collateral: { ...NO_COLLATERAL },
    paths: new KnownPaths(MAX_PATHS),
    atMs: AT_MS,
    requireCrls: false,
  };
}

function certificatesIn(path: string): readonly Buffer[] {
  return pemBlocks(readFileSync(path, 'latin1'), 'CERTIFICATE', 8, MAX_CERTIFICATE_BYTES);
}

/** Message, bare signature and the values of PCR 0 to 23, all in hex. */
function quoteIn(path: string) {
  const { message, signature, pcrs } = JSON.parse(readFileSync(path, 'utf8')) as {
    readonly message: string;
    readonly signature: string;
    readonly pcrs: readonly string[];
  };
  const bare = Buffer.from(signature, 'hex');
  return {
    quoted: toBase64url(Buffer.from(message, 'hex')),
    signature: toBase64url(new Writer().u16be(TPM_ALG_RSASSA).u16be(TPM_ALG_SHA256).sized16(bare).finish()),
    pcrs: { sha256: Object.fromEntries(pcrs.map((value, index) => [String(index), value])) },
  };
}
