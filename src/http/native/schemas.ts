import { MAX_GPUS, MAX_TOKENS } from '../../evidence/evidence.js';
import { Type, type TObject, type TSchema } from 'typebox';
import { DATE_TIME_PATTERN } from '../../policy/date-time.js';
import { DeploymentWireSchema } from '../../policy/deployment-schema.js';
import {
  MAX_AK_PUBLIC_BYTES,
  MAX_EK_CERTIFICATE_BYTES,
  MAX_EK_CERTIFICATES,
  MAX_EK_CHAIN_BYTES,
  MAX_ENROLMENT_BYTES,
} from '../../release/enrolment-token.js';

/**
 * Schemas of what comes in: JSON Schema 2020-12, one source for validation, TypeScript types and the OpenAPI document.
 * Every object is closed, and every string, array and number bounded, unless its comment says why not. A `title` makes
 * a schema a component of the OpenAPI document. Shapes only: names are resolved, bytes decoded and dates read by the use cases.
 */

/** Deployment names, contract: lower case. */
export const DEPLOYMENT_NAME = '^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$';
export const KEY_NAME = '^[0-9A-Za-z-]{1,127}$';
/** What an attester may be found by: its name, its AK Name (up to 132 hex digits), or its SPKI hash. */
export const ATTESTER_ID = '^[0-9A-Za-z][0-9A-Za-z._-]{0,131}$';
export const SHA256 = '^[0-9a-f]{64}$';
export const TOKEN_ID = '^[0-9a-f]{16}$';
/** `latest`, or a version id; any other word is a version that does not exist. */
export const VERSION = '^[0-9A-Za-z]{1,64}$';

const SHA384 = '^[0-9a-f]{96}$';
const BASE64URL = '^[0-9A-Za-z_-]+$';

export function closed<P extends Record<string, TSchema>>(
  title: string,
  properties: P,
  options: object = {},
): TObject<P> {
  return Type.Object(properties, { additionalProperties: false, title, ...options });
}

function matching(pattern: string, maxLength: number, description?: string) {
  return Type.String({ pattern, maxLength, ...(description === undefined ? {} : { description }) });
}

/** base64url without padding of at most `maxBytes`. */
function bytes(maxBytes: number, description: string) {
  return Type.String({
    pattern: BASE64URL,
    maxLength: Math.ceil((maxBytes * 4) / 3),
    description: `${description}; base64url without padding`,
  });
}

const deploymentName = matching(DEPLOYMENT_NAME, 63);
const keyName = matching(KEY_NAME, 127);
const dateTime = matching(DATE_TIME_PATTERN, 40, 'a date-time of RFC 3339 with its offset from UTC');
/** Any word in place of a name: one that cannot exist is answered like one that does not. */
const anyName = matching(KEY_NAME, 127);

export const ChallengeRequestSchema = closed('ChallengeRequest', {
  deployment: anyName,
  key: anyName,
  version: Type.Optional(matching(VERSION, 64, 'a version id, or latest (the default)')),
});

const RecipientSchema = closed(
  'Recipient',
  {
    kty: matching('^[A-Za-z]{1,8}$', 8, 'EC, OKP or RSA'),
    alg: matching('^[0-9A-Za-z+-]{1,32}$', 32, 'ECDH-ES+A256KW, or RSA-OAEP-256 for RSA'),
    crv: Type.Optional(matching('^[0-9A-Za-z-]{1,16}$', 16, 'P-256, P-384 or X25519')),
    x: Type.Optional(bytes(66, 'coordinate of full field length')),
    y: Type.Optional(bytes(66, 'coordinate of full field length')),
    n: Type.Optional(bytes(1024, 'modulus, 2048 to 4096 bits, minimal')),
    e: Type.Optional(bytes(8, 'AQAB')),
  },
  { description: 'The ephemeral public JWK that the key is encrypted to; exactly the members of its type.' },
);

/** PCR indexes 0 to 23 in canonical decimal; values of 1 to 64 bytes, since a value of another length is a wrong value and not another shape. */
const PcrValuesSchema = Type.Object(
  {},
  {
    patternProperties: {
      '^(?:[0-9]|1[0-9]|2[0-3])$': Type.String({ pattern: '^(?:[0-9a-f]{2}){1,64}$', maxLength: 128 }),
    },
    additionalProperties: false,
    title: 'PcrValues',
    description: 'PCR index to value in lower-case hex',
  },
);

const TpmEvidenceSchema = closed('TpmEvidence', {
  quoted: bytes(4096, 'TPMS_ATTEST'),
  signature: bytes(2048, 'TPMT_SIGNATURE'),
  ak: Type.Optional(bytes(2048, 'TPM2B_PUBLIC or TPMT_PUBLIC')),
  pcrs: Type.Object(
    {
      sha1: Type.Optional(PcrValuesSchema),
      sha256: Type.Optional(PcrValuesSchema),
      sha384: Type.Optional(PcrValuesSchema),
      sha512: Type.Optional(PcrValuesSchema),
    },
    { additionalProperties: false, description: 'a value for every PCR that the quote selects, and for no other' },
  ),
  ak_certificates: Type.Optional(Type.Array(bytes(16_384, 'DER, the leaf first'), { maxItems: 8 })),
  event_log: Type.Optional(bytes(16 * 1024 * 1024, 'TCG2 event log')),
});

const certificates = (description: string) =>
  Type.Optional(Type.Array(bytes(8192, 'DER'), { maxItems: 8, description }));

/** Members are optional, so that an empty object counts as absent; one with anything in it needs its report. */
const HclEvidenceSchema = closed('HclEvidence', {
  report: Type.Optional(bytes(8192, 'HCL report as read from NV index 0x01400001 of an Azure confidential VM')),
  certificates: certificates('the VCEK, and the ASK or not'),
  quote: Type.Optional(bytes(16_384, 'TD quote, for TDX machines')),
});
const SnpEvidenceSchema = closed('SnpEvidence', {
  report: Type.Optional(bytes(2048, 'AMD SEV-SNP attestation report')),
  certificates: certificates('the VCEK or VLEK, and the ASK or ASVK or not'),
});
const TdxEvidenceSchema = closed('TdxEvidence', {
  quote: Type.Optional(bytes(16_384, 'Intel TDX quote of version 4 or 5')),
});
const GpuEvidenceSchema = closed('GpuEvidence', {
  report: Type.Optional(bytes(16_384, 'SPDM GET_MEASUREMENTS request and response')),
  certificates: certificates('of the device, the leaf first'),
});

export const ReleaseRequestSchema = closed('ReleaseRequest', {
  nonce: matching('^[0-9A-Za-z_-]{43}$', 43, 'as the challenge gave it'),
  deployment: anyName,
  key: anyName,
  version: Type.Optional(matching(VERSION, 64, 'as the challenge was asked for')),
  recipient: RecipientSchema,
  evidence: closed('Evidence', {
    tpm: Type.Optional(TpmEvidenceSchema),
    hcl: Type.Optional(HclEvidenceSchema),
    snp: Type.Optional(SnpEvidenceSchema),
    tdx: Type.Optional(TdxEvidenceSchema),
    gpus: Type.Optional(Type.Array(GpuEvidenceSchema, { maxItems: MAX_GPUS, description: 'NVIDIA GPUs and switches' })),
    tokens: Type.Optional(
      Type.Array(Type.String({ maxLength: 65_536, description: 'compact JWT' }), {
        maxItems: MAX_TOKENS,
        description: 'attestation tokens of configured authorities',
      }),
    ),
  }),
});

/** The use case validates the document, with messages made for those who write it; the route only demands an object. */
export const AnyObjectSchema = Type.Object({}, { title: 'AnyObject' });

/** What the OpenAPI document shows in its place. */
export const DeploymentDocumentSchema = { ...DeploymentWireSchema, title: 'DeploymentDocument' };

export const RegisterPolicySchema = closed('RegisterPolicy', {
  deployment: deploymentName,
  content: Type.Optional(bytes(16 * 1024 * 1024, 'the policy file')),
  sha256: Type.Optional(matching(SHA256, 64)),
  sha384: Type.Optional(matching(SHA384, 96)),
  not_before: Type.Optional(dateTime),
  not_after: Type.Optional(dateTime),
});

export const RetirePolicySchema = closed('RetirePolicy', { deployment: Type.Optional(deploymentName) });

const deploymentNames = Type.Array(deploymentName, { maxItems: 256, uniqueItems: true });

export const CreateKeySchema = closed(
  'CreateKey',
  {
    name: keyName,
    deployments: deploymentNames,
    type: Type.Optional(
      Type.Union([Type.Literal('oct'), Type.Literal('RSA'), Type.Literal('EC'), Type.Literal('OKP')]),
    ),
    size: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_536, description: 'bits' })),
    curve: Type.Optional(matching('^[0-9A-Za-z-]{1,16}$', 16, 'P-256, P-384, P-521, X25519 or Ed25519')),
    material: Type.Optional(
      closed('KeyMaterial', {
        format: Type.Union([Type.Literal('jwk'), Type.Literal('pkcs8'), Type.Literal('raw')]),
        data: bytes(128 * 1024, 'the bytes of the file'),
      }),
    ),
  },
  { description: 'A key that the broker generates (type, with size or curve), or one that is imported (material).' },
);

export const KeyDeploymentsSchema = closed('KeyDeployments', { deployments: deploymentNames });

export const KeyVersionSelectionSchema = closed('KeyVersionSelection', {
  version: Type.Optional(matching(VERSION, 64)),
});

export const TrustAttesterSchema = closed('TrustAttester', {
  deployment: deploymentName,
  public: Type.Optional(bytes(2048, 'TPM2B_PUBLIC or TPMT_PUBLIC')),
  spki_sha256: Type.Optional(matching(SHA256, 64)),
  name: Type.Optional(matching(ATTESTER_ID, 127)),
});

export const RevokeIdentitySchema = closed('RevokeIdentity', {
  identity: matching(
    '^(?:[a-z]{2,11}/)?[0-9a-f]{16,128}(?:/[0-9a-f]{2,40})?$',
    160,
    'SPKI hash of an AK, ek/HASH, certificate/ISSUER_HASH/SERIAL, ca/HASH or chip/ID; hashes are SHA-256, all is lower-case hex',
  ),
});

export const EnrolmentRequestSchema = closed('EnrolmentRequest', {
  deployment: anyName,
  ek_certificates: Type.Array(bytes(MAX_EK_CERTIFICATE_BYTES, 'DER'), {
    maxItems: MAX_EK_CERTIFICATES,
    description: `the certificate of the EK, then what may stand between it and a root; at most ${String(MAX_EK_CHAIN_BYTES)} bytes in all`,
  }),
  ek: Type.Optional(
    bytes(2048, "TPM2B_PUBLIC or TPMT_PUBLIC; default: the TCG default template of the certificate's key"),
  ),
  ak: bytes(MAX_AK_PUBLIC_BYTES, 'TPM2B_PUBLIC or TPMT_PUBLIC'),
});

export const ActivationRequestSchema = closed('ActivationRequest', {
  enrolment: bytes(MAX_ENROLMENT_BYTES, 'as the enrolment gave it'),
  secret: bytes(64, 'what the TPM found in the credential'),
});

export const RoleSchema = Type.Union([Type.Literal('admin'), Type.Literal('operator'), Type.Literal('auditor')]);

export const CreateTokenSchema = closed('CreateToken', {
  name: matching('^[0-9A-Za-z][0-9A-Za-z ._@-]{0,126}$', 127),
  role: RoleSchema,
  expires_at: Type.Optional(dateTime),
});

const svn = Type.Optional(Type.Integer({ minimum: 0, maximum: 255 }));
const hex = (size: number) =>
  matching(`^[0-9a-f]{${String(2 * size)}}$`, 2 * size, `${String(size)} bytes, lower-case hex`);

const SimulatedCvmSchema = closed(
  'SimulatedCvmRequest',
  {
    kind: Type.Union([Type.Literal('snp'), Type.Literal('tdx'), Type.Literal('hcl-snp'), Type.Literal('hcl-tdx')]),
    key: bytes(256, 'SubjectPublicKeyInfo of the VCEK (P-384), or of the PCK (P-256)'),
    chip_id: Type.Optional(hex(64)),
    generation: Type.Optional(Type.Union([Type.Literal('Milan'), Type.Literal('Genoa'), Type.Literal('Turin')])),
    tcb: Type.Optional(closed('SimulatedTcb', { fmc: svn, bootloader: svn, tee: svn, snp: svn, microcode: svn })),
    ppid: Type.Optional(hex(16)),
  },
  { description: 'chip_id for snp and hcl-snp, ppid for tdx and hcl-tdx' },
);
const SimulatedGpuSchema = closed('SimulatedGpuRequest', {
  key: bytes(256, 'SubjectPublicKeyInfo of the boot ROM (P-384)'),
  pdi: hex(8),
});

export const SimulatedMachineRequestSchema = closed('SimulatedMachineRequest', {
  deployment: deploymentName,
  ak: Type.Optional(bytes(2048, 'TPM2B_PUBLIC or TPMT_PUBLIC; left out by a machine without a TPM')),
  ek: Type.Optional(bytes(2048, 'TPM2B_PUBLIC or TPMT_PUBLIC; certified where the simulator CA is a root')),
  cvm: Type.Optional(SimulatedCvmSchema),
  gpus: Type.Optional(Type.Array(SimulatedGpuSchema, { maxItems: MAX_GPUS })),
});

/** A body of no members, which may be left out. */
export const NothingSchema = closed('Nothing', {});
