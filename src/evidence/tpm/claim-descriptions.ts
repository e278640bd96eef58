import type { ClaimDescription } from '../../claims/claim-description.js';

/**
 * The claims that come from a TPM quote and from what vouches for its AK, and the two that the policy itself adds. Not every one
 * is there every time: those of `tpm.ek`, `tpm.certificate` and `tpm.instance` only where such a certificate vouched.
 */
export const TPM_CLAIMS: readonly ClaimDescription[] = [
  {
    name: 'tpm.quote.signature_algorithm',
    type: 'string',
    meaning: 'Scheme and hash of the signature of the quote: `ecdsa-sha384`, `rsapss-sha256` and so on.',
  },
  {
    name: 'tpm.pcrs.sha256.<n>',
    type: 'string',
    meaning: 'The value of a PCR of the SHA-256 bank that the quote covers, hex; `<n>` is 0 to 23.',
  },
  { name: 'tpm.pcrs.sha384.<n>', type: 'string', meaning: 'The same of the SHA-384 bank.' },
  { name: 'tpm.pcrs.sha512.<n>', type: 'string', meaning: 'The same of the SHA-512 bank.' },
  {
    name: 'tpm.ak.name',
    type: 'string',
    meaning: 'The Name of the AK, hex; `unknown` where its public area was left out.',
  },
  {
    name: 'tpm.ak.trust',
    type: 'string',
    meaning:
      'What made the AK believable: `pinned`, `ek-certificate`, `ak-certificate`, `cvm-report` or `simulator`; absent where nothing did.',
  },
  {
    name: 'tpm.ek.spki_sha256',
    type: 'string',
    meaning: 'SHA-256 of the SPKI of the EK that the AK was enrolled by, hex.',
  },
  { name: 'tpm.ek.serial', type: 'string', meaning: 'Serial number of the EK certificate, hex.' },
  {
    name: 'tpm.ek.manufacturer',
    type: 'string',
    meaning: 'The maker of the TPM as the EK certificate has it: `id:` and four bytes in hex.',
  },
  { name: 'tpm.ek.model', type: 'string', meaning: 'The model of the TPM as the EK certificate has it.' },
  { name: 'tpm.ek.version', type: 'string', meaning: 'The firmware version of the TPM as the EK certificate has it.' },
  { name: 'tpm.certificate.serial', type: 'string', meaning: 'Serial number of the AK certificate, hex.' },
  { name: 'tpm.instance.zone', type: 'string', meaning: 'The zone of the Google machine that the certificate names.' },
  { name: 'tpm.instance.projectId', type: 'string', meaning: 'Its project, by name.' },
  { name: 'tpm.instance.projectNumber', type: 'string', meaning: 'Its project, by number, decimal.' },
  { name: 'tpm.instance.instanceId', type: 'string', meaning: 'Its instance id, decimal.' },
  { name: 'tpm.instance.instanceName', type: 'string', meaning: 'Its instance name.' },
  {
    name: 'tpm.instance.production',
    type: 'string',
    meaning: '`true` where Google says that its production issued the certificate, else `false`.',
  },
  { name: 'tpm.clock', type: 'string', meaning: 'Milliseconds that the TPM has run since it was cleared, decimal.' },
  { name: 'tpm.reset_count', type: 'number', meaning: 'Boots since the TPM was cleared.' },
  { name: 'tpm.restart_count', type: 'number', meaning: 'Suspends and resumes since the boot.' },
  {
    name: 'tpm.safe',
    type: 'boolean',
    meaning: 'Whether the clock has surely not gone back after a power loss.',
  },
  {
    name: 'tpm.firmware_version',
    type: 'string',
    meaning: 'Decimal: `TPM2_PT_FIRMWARE_VERSION_1` times 2^32 plus `_2` of `tpm2_getcap properties-fixed`.',
  },
];

/** What is known only once a policy was found to be the one that was measured. */
export const POLICY_CLAIMS: readonly ClaimDescription[] = [
  {
    name: 'policy.sha256',
    type: 'string',
    meaning: 'SHA-256 of the runtime policy that was measured, hex.',
  },
  { name: 'deployment', type: 'string', meaning: 'The name of the deployment.' },
];
