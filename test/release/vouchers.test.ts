import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { pemBlocks } from '../../src/crypto/pem.js';
import { AnchorSets } from '../../src/endorsement/anchor-sets.js';
import { KnownPaths, NO_REVOCATION_LISTS } from '../../src/endorsement/known-paths.js';
import { ekPath } from '../../src/release/vouchers.js';
import { ecKey, pem } from '../helpers/pki.js';
import {
  AK_USAGE,
  DIGITAL_SIGNATURE,
  EK_USAGE,
  gceInstance,
  KEY_AGREEMENT,
  TestAuthority,
  TPM_MODEL,
} from '../helpers/test-authority.js';
import { deployment } from '../policy/documents.js';

const VECTORS = join(import.meta.dirname, '../../../shared/vectors/tpm-certs/gce');
const AT = Date.UTC(2026, 10, 21);

function pathOf(chain: readonly Buffer[], roots: readonly string[]) {
  const vouchers = {
    ...{ simulatorCa: undefined, nowMs: AT, anchors: new AnchorSets(), paths: new KnownPaths(4) },
    revocationLists: NO_REVOCATION_LISTS,
  };
  return ekPath(vouchers, deployment({ attesters: { trust: ['ek-certificate'], roots } }), chain);
}

describe('the path of an EK certificate', () => {
  const maker = new TestAuthority('maker', AT);
  const { spki } = ecKey();
  const chainOf = (...says: readonly Buffer[]) => maker.ek(spki, { says });

  test.each<[string, readonly Buffer[]]>([
    ['that says it is for an EK', [KEY_AGREEMENT, EK_USAGE, TPM_MODEL]],
    ['without extended key usage, that names a cloud instance', [KEY_AGREEMENT, gceInstance('project', 'vm-1')]],
  ])('is good for one %s', (_what, says) => {
    expect(pathOf(chainOf(...says), maker.roots)).toMatchObject({ ok: true });
  });

  test.each<[string, readonly Buffer[]]>([
    ['without extended key usage, that names a TPM alone', [KEY_AGREEMENT, TPM_MODEL]],
    ['for an AK', [KEY_AGREEMENT, AK_USAGE]],
    ['for a key that signs', [DIGITAL_SIGNATURE, EK_USAGE, TPM_MODEL]],
    ['for a key that signs, in a cloud instance', [DIGITAL_SIGNATURE, gceInstance('project', 'vm-1')]],
  ])('is not good for one %s', (_what, says) => {
    expect(pathOf(chainOf(...says), maker.roots)).toMatchObject({ ok: false, fault: 'chain' });
  });
});

(existsSync(VECTORS) ? describe : describe.skip)('the EK certificate of a Google machine', () => {
  const read = (file: string): readonly Buffer[] => {
    const bytes = readFileSync(join(VECTORS, file));
    return bytes[0] === 0x30 ? [bytes] : pemBlocks(bytes.toString('latin1'), 'CERTIFICATE', 16, 8192);
  };

  test.each([
    ['pca_tpm_rsa', 'gcp_ek_ak_ca_root.crt', 'gcp_ek_ak_ca_intermediate_v3.crt'],
    ['pca_tpm_ecc', 'gcp_ek_ak_ca_root.crt', 'gcp_ek_ak_ca_intermediate_v3.crt'],
    ['uca_tpm_rsa', 'tpm_ek_root_1.cer', 'tpm_ek_intermediate_3.crt'],
    ['uca_tpm_ecc', 'tpm_ek_root_1.cer', 'tpm_ek_intermediate_3.crt'],
  ])('%s is good, and that of its AK is not taken for it', (name, root, ca) => {
    const roots = read(`roots/${root}`).map((der) => pem(der));
    const above = read(`roots/${ca}`);
    expect(pathOf([...read(`${name}_enc_cert.pem`), ...above], roots)).toMatchObject({ ok: true });
    expect(pathOf([...read(`${name}_sign_cert.pem`), ...above], roots)).toMatchObject({ ok: false, fault: 'chain' });
  });
});
