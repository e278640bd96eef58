/** Certificates and CRLs of TPM makers, Google, AMD, Intel and NVIDIA, where those vectors are at hand. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { pemBlocks } from '../../src/crypto/pem.js';
import { parseCertificate, type Certificate } from '../../src/crypto/x509.js';
import { parseCrl, type RevocationList } from '../../src/crypto/x509-crl.js';
import { COMMON_NAME, onlyAttribute } from '../../src/crypto/x509-name.js';
import type { KeyUsage } from '../../src/crypto/x509-extensions.js';
import {
  authorityFault,
  mayHaveIssued,
  signatureFault,
  type Purpose,
} from '../../src/endorsement/certificate-checks.js';
import { gceInstance } from '../../src/endorsement/gce-instance.js';
import { validatePath, type PathRequest } from '../../src/endorsement/path.js';
import { AK_CERTIFICATE_PURPOSE, EK_CERTIFICATE_PURPOSE, tpmIdentity } from '../../src/endorsement/tpm-identity.js';
import { trustAnchors, trustAnchorsOf } from '../../src/endorsement/trust-anchors.js';

const VECTORS = join(import.meta.dirname, '../../../shared/vectors');
const AT = Date.UTC(2026, 10, 21);
/** As `openssl verify -partial_chain` counts them, less two that are signed with SHA-1. */
const GOOD_PAIRS = 19;
const KEY_USAGE_OF: Readonly<Record<string, KeyUsage>> = {
  rsa_sign: 'digitalSignature',
  ecc_sign: 'digitalSignature',
  rsa_enc: 'keyEncipherment',
  ecc_enc: 'keyAgreement',
};

/** Every certificate of a file, PEM or DER. */
function certificatesIn(file: string): Buffer[] {
  const bytes = readFileSync(join(VECTORS, file));
  return bytes[0] === 0x30 ? [bytes] : pemBlocks(bytes.toString('latin1'), 'CERTIFICATE', 16, 8192);
}

const parsed = (file: string): Certificate => parseCertificate(certificatesIn(file)[0]!);
const anchorsIn = (...files: readonly string[]) => trustAnchorsOf(files.flatMap(certificatesIn));

function validate(chain: readonly Buffer[], request: Pick<PathRequest, 'anchors'> & Partial<PathRequest>) {
  const result = validatePath({ chain, atMs: AT, purpose: {}, crls: [], crlPolicy: 'none', ...request });
  return result.ok ? result.path.length + 1 : `${result.fault}: ${result.detail}`;
}

const present = existsSync(join(VECTORS, 'tpm-certs')) && existsSync(join(VECTORS, 'snp'));
const describeWithVectors = present ? describe : describe.skip;

describeWithVectors('the CAs of TPM makers', () => {
  const files = present ? readdirSync(join(VECTORS, 'tpm-certs/roots')).map((name) => `tpm-certs/roots/${name}`) : [];
  const past = (name: string) => parsed(name).notAfterMs < AT;

  test('all 51 parse, and make one set of anchors', () => {
    expect(files).toHaveLength(51);
    const text = files.map((file) => readFileSync(join(VECTORS, file), 'latin1')).join('\n');
    expect(trustAnchors(text).certificates.length).toBeGreaterThan(40);
  });

  test('two are past their end', () => {
    expect(
      files
        .filter(past)
        .map((file) => basename(file))
        .sort(),
    ).toEqual(['IFX1.pem', 'IFX_RSA_01I.pem']);
  });

  test('each intermediate hangs on its issuer where that is there too, unless it is signed with SHA-1', () => {
    const all = files.map(parsed);
    const faults = all.map((child) => {
      const issuers = all.filter((issuer) => issuer !== child && mayHaveIssued(issuer, child));
      return issuers.map((issuer) => authorityFault(issuer, 0) ?? signatureFault(issuer, child) ?? 'good');
    });
    const count = (text: string) => faults.flat().filter((fault) => fault === text).length;
    expect(count('good')).toBe(GOOD_PAIRS);
    expect(count('good') + count('signed with an algorithm that is not accepted')).toBe(faults.flat().length);
  });
});

describeWithVectors('EK and AK certificates of Google Compute Engine', () => {
  const ROOTS = 'tpm-certs/gce/roots';
  const families = [
    { family: 'pca', root: 'gcp_ek_ak_ca_root.crt', intermediate: 'gcp_ek_ak_ca_intermediate_v3.crt' },
    { family: 'uca', root: 'tpm_ek_root_1.cer', intermediate: 'tpm_ek_intermediate_3.crt' },
  ];
  const cases = families.flatMap((names) =>
    ['rsa_sign', 'rsa_enc', 'ecc_sign', 'ecc_enc'].map((kind) => ({ ...names, kind })),
  );
  const chainOf = ({ family, kind, intermediate }: (typeof cases)[number]) => [
    ...certificatesIn(`tpm-certs/gce/${family}_tpm_${kind}_cert.pem`),
    ...certificatesIn(`${ROOTS}/${intermediate}`),
  ];
  const purposeOf = ({ family, kind }: (typeof cases)[number]): Purpose => ({
    extendedKeyUsage: { oneOf: [EK_CERTIFICATE_PURPOSE], mayBeAbsent: family === 'pca' },
    keyUsage: { oneOf: [KEY_USAGE_OF[kind]!], mayBeAbsent: false },
  });

  test.each(cases)('$family $kind is good under its root', (names) => {
    const request = { anchors: anchorsIn(`${ROOTS}/${names.root}`), purpose: purposeOf(names) };
    expect(validate(chainOf(names), request)).toBe(3);
  });

  test.each(cases)('$family $kind is refused under the root of the other family', (names) => {
    const other = families.find(({ family }) => family !== names.family)!;
    expect(validate(chainOf(names), { anchors: anchorsIn(`${ROOTS}/${other.root}`) })).toMatch(
      /^chain: the issuer of CA 1 above the leaf is neither a trust anchor nor among the certificates, key identifier /,
    );
  });

  test.each(cases)('$family $kind is refused after its end, and before its beginning', (names) => {
    const anchors = anchorsIn(`${ROOTS}/${names.root}`);
    expect(validate(chainOf(names), { anchors, atMs: Date.UTC(2053, 0, 1) })).toBe('chain: the leaf is expired');
    expect(validate(chainOf(names), { anchors, atMs: Date.UTC(2022, 0, 1) })).toBe('chain: the leaf is not yet valid');
  });

  test.each(cases)('$family $kind is refused without its intermediate, and with a sibling of it', (names) => {
    const [leaf] = chainOf(names);
    const anchors = anchorsIn(`${ROOTS}/${names.root}`);
    expect(validate([leaf!], { anchors })).toMatch(/^chain: the issuer of the leaf is neither/);
    const sibling = certificatesIn(`${ROOTS}/tpm_ek_intermediate_2.crt`);
    expect(validate([leaf!, ...sibling], { anchors })).toMatch(/^chain: the issuer of the leaf is neither/);
  });

  test.each(cases)('$family $kind is refused for another use of its key', (names) => {
    const anchors = anchorsIn(`${ROOTS}/${names.root}`);
    const purpose: Purpose = { keyUsage: { oneOf: ['cRLSign'], mayBeAbsent: true } };
    expect(validate(chainOf(names), { anchors, purpose })).toBe('chain: the leaf is for another keyUsage');
    const ak: Purpose = { extendedKeyUsage: { oneOf: [AK_CERTIFICATE_PURPOSE], mayBeAbsent: true } };
    expect(validate(chainOf(names), { anchors, purpose: ak })).toMatch(/^chain: no purpose that was asked for/);
  });

  test('the instance is in every one of them', () => {
    const instances = cases.map((names) => gceInstance(parseCertificate(chainOf(names)[0]!)));
    const common = { zone: 'us-central1-a', projectNumber: '117478743145', projectId: 'google.com:wuale-gcp-testing' };
    const pca = { ...common, instanceId: '218557372616137117', instanceName: 'cs-debug-pca', production: true };
    const uca = { ...common, instanceId: '5780156274199835632', instanceName: 'cs-debug', production: true };
    expect(instances).toEqual([pca, pca, pca, pca, uca, uca, uca, uca]);
  });

  test('the TPM is named where the subjectAltName has it', () => {
    const google = { manufacturer: 'id:474F4F47', model: 'vTPM', version: 'id:20160511' };
    expect(tpmIdentity(parsed('tpm-certs/gce/uca_tpm_rsa_enc_cert.pem'))).toEqual(google);
    expect(tpmIdentity(parsed('tpm-certs/gce/pca_tpm_rsa_enc_cert.pem'))).toBeUndefined();
  });
});

describeWithVectors('VCEK and VLEK certificates of AMD', () => {
  const cases = [
    { leaf: 'ms-milan/vcek.pem', generation: 'milan' },
    { leaf: 'ms-crypto-milan/vcek.pem', generation: 'milan' },
    { leaf: 'trustee-milan-vcek/vcek.der', generation: 'milan' },
    { leaf: 'virtee-milan/vcek.der', generation: 'milan' },
    { leaf: 'dstack/vcek.pem', generation: 'milan' },
    { leaf: 'ms-crypto-genoa/vcek.pem', generation: 'genoa' },
    { leaf: 'trustee-e2e/vcek.der', generation: 'genoa' },
    { leaf: 'ms-turin/vcek.pem', generation: 'turin' },
    { leaf: 'virtee-turin/vcek.der', generation: 'turin' },
  ];
  const chainOf = ({ leaf, generation }: (typeof cases)[number]) => [
    certificatesIn(`snp/${leaf}`)[0]!,
    ...certificatesIn(`snp/roots/${generation}_ask_ark_asvk.pem`),
  ];

  test.each(cases)('$leaf is good under the ARK of $generation, and of no other generation', (names) => {
    for (const generation of ['milan', 'genoa', 'turin']) {
      const outcome = validate(chainOf(names), { anchors: anchorsIn(`snp/roots/ark_${generation}.pem`) });
      if (generation === names.generation) expect(outcome).toBe(3);
      else expect(outcome).toMatch(/^chain: /);
    }
  });

  test('a VLEK is good while it is valid', () => {
    const chain = chainOf({ leaf: 'trustee-milan-vlek/vlek.der', generation: 'milan' });
    const anchors = anchorsIn('snp/roots/ark_milan.pem');
    expect(validate(chain, { anchors, atMs: Date.UTC(2025, 5, 1) })).toBe(3);
    expect(validate(chain, { anchors })).toBe('chain: the leaf is expired');
  });

  test.each(['vcek-legacy-hwid', 'vcek-new-hwid'])('the doctored %s is refused', (name) => {
    const chain = chainOf({ leaf: `trustee-milan-vcek/${name}.der`, generation: 'milan' });
    expect(validate(chain, { anchors: anchorsIn('snp/roots/ark_milan.pem') })).toBe(
      'chain: the leaf is not signed by the key of its issuer',
    );
  });
});

describeWithVectors('the PCK certificate of an Intel quote', () => {
  const QUOTE = 'tdx/google-prod-v4/quote.dat';
  const IN_CRL_WINDOW = Date.UTC(2023, 5, 20);
  const anchors = () => anchorsIn('tdx/roots/intel_sgx_root_ca.pem');
  const chain = () => {
    const quote = readFileSync(join(VECTORS, QUOTE)).toString('latin1');
    const end = '-----END CERTIFICATE-----';
    return pemBlocks(
      quote.slice(quote.indexOf('-----BEGIN'), quote.lastIndexOf(end) + end.length),
      'CERTIFICATE',
      3,
      8192,
    );
  };
  const crl = (file: string): RevocationList => parseCrl(readFileSync(join(VECTORS, 'tdx/google-collateral', file)));

  test('it is good under the root, also by the CRLs of its time', () => {
    expect(validate(chain(), { anchors: anchors() })).toBe(3);
    const crls = [crl('rootcrl.der'), crl('pckcrl.pem')];
    expect(validate(chain(), { anchors: anchors(), atMs: IN_CRL_WINDOW, crls, crlPolicy: 'required' })).toBe(3);
  });

  test('one CRL of two is not enough, and neither is one that is stale', () => {
    const request = { anchors: anchors(), crlPolicy: 'required' } as const;
    expect(validate(chain(), { ...request, atMs: IN_CRL_WINDOW, crls: [crl('pckcrl.pem')] })).toBe(
      'collateral: CA 1 above the leaf: no CRL of its issuer covers it',
    );
    expect(validate(chain(), { ...request, crls: [crl('rootcrl.der'), crl('pckcrl.pem')] })).toBe(
      'collateral: the leaf: the CRL of its issuer is past its nextUpdate',
    );
  });

  test('the CRL of the PCK CA lists serials', () => {
    const list = crl('pckcrl.pem');
    expect(list.entries).toBeGreaterThan(10);
    expect(list.lists('6fc34e5023e728923435d61aa4b83c618166ad35')).toBe(true);
    expect(list.lists(parseCertificate(chain()[0]!).serial)).toBe(false);
  });

  test('a test PKI of the same names is refused', () => {
    const sample = ['pckCert.pem', 'pckSignChain.pem'].flatMap((name) =>
      certificatesIn(`tdx/intel-qvl-sample/${name}`),
    );
    expect(validate(sample, { anchors: anchors() })).toMatch(/^chain: /);
  });
});

describeWithVectors('certificates of NVIDIA', () => {
  const CHAINS = [
    'gpu/nvtrust-hopper/hopperCertChain.txt',
    'gpu/nvat/testdata/sample_attestation_data/gpu/blackwellCertChain.txt',
    'gpu/nvat/testdata/switchCertChain.txt',
    'gpu/trustee/hopper_cert_chain_case1.txt',
  ];

  test.each(CHAINS)('%s is good under the device root', (file) => {
    const root = file.includes('switch') ? 'switch_verifier_device_root' : 'verifier_device_root';
    const chain = certificatesIn(file);
    expect(validate(chain, { anchors: anchorsIn(`gpu/roots/${root}.pem`) })).toBe(5);
    // In any order behind the leaf, and for ever.
    const shuffled = [chain[0]!, ...chain.slice(1).reverse()];
    const atMs = Date.UTC(9999, 11, 31);
    expect(validate(shuffled, { anchors: anchorsIn(`gpu/roots/${root}.pem`), atMs })).toBe(5);
  });

  test('a device chain is refused under the root of the reference values', () => {
    const chain = certificatesIn(CHAINS[0]!);
    expect(validate(chain, { anchors: anchorsIn('gpu/roots/verifier_RIM_root.pem') })).toMatch(/^chain: /);
  });

  test('the leaf names itself', () => {
    const leaf = parseCertificate(certificatesIn(CHAINS[0]!)[0]!);
    expect(onlyAttribute(leaf.subject.attributes, COMMON_NAME)).toBe('GH100 A01 GSP FMC LF');
  });
});
