import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pemBlocks } from '../../../src/crypto/pem.js';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { type Collateral, NO_COLLATERAL, type SignedDocument } from '../../../src/endorsement/collateral.js';

/** Collateral of Intel's, as Google's Go library for TDX has it in its tests; good in the middle of 2023. */
export const VECTORS = join(import.meta.dirname, '../../../../shared/vectors/tdx');

export const googleFile = (name: string): Buffer => readFileSync(join(VECTORS, 'google-collateral', name));

export function googleDocument(body: string, chain: string): SignedDocument {
  const issuerChain = pemBlocks(googleFile(chain).toString('latin1'), 'CERTIFICATE', 4, 8192);
  return { body: googleFile(body), issuerChain };
}

export function googleCollateral(): Collateral {
  return {
    ...NO_COLLATERAL,
    // DER, whatever the second is called.
    crls: [parseCrl(googleFile('rootcrl.der')), parseCrl(googleFile('pckcrl.pem'))],
    tcbInfos: [googleDocument('tcbInfo_v4.json', 'tcbInfoIssuerChain.pem')],
    qeIdentities: [googleDocument('qeIdentity.json', 'qeIdentityIssuerChain.pem')],
  };
}
