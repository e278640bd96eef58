import { type Static, type TSchema, Type } from 'typebox';
import type { AcceptableTcbStatus } from './deployment.js';
import { DATE_TIME_PATTERN } from './date-time.js';
import { RELEASE_POLICY_DEFS, ReleasePolicySchema } from './release-policy-schema.js';

/** The descriptions of values are written to follow "must be": they are what a person reads when a document is refused. */

export const MAX_POLICIES = 64;
export const MAX_ROOTS = 64;

const Sha256Hex = Type.String({ pattern: '^[0-9a-f]{64}$', maxLength: 64, description: '64 lower-case hex digits' });
const Sha384Hex = Type.String({ pattern: '^[0-9a-f]{96}$', maxLength: 96, description: '96 lower-case hex digits' });
const PcrHex = Type.String({
  pattern: '^(?:[0-9a-f]{64}|[0-9a-f]{96})$',
  maxLength: 96,
  description: 'lower-case hex as long as the bank: 64 digits for sha256, 96 for sha384',
});
const DateTime = Type.String({
  pattern: DATE_TIME_PATTERN,
  maxLength: 40,
  description: 'a date-time of RFC 3339 with its offset from UTC, such as 2026-11-01T00:00:00Z',
});
const FileName = Type.String({
  minLength: 1,
  maxLength: 1024,
  description: 'the name of a file, relative to the document',
});

const closed = { additionalProperties: false };

const dates = { notBefore: Type.Optional(DateTime), notAfter: Type.Optional(DateTime) };
const hashes = { sha256: Type.Optional(Sha256Hex), sha384: Type.Optional(Sha384Hex) };

const FilePolicy = Type.Object(
  { file: Type.Optional(FileName), ...hashes, ...dates },
  {
    ...closed,
    anyOf: [{ required: ['file'] }, { required: ['sha256'] }],
    description: 'a policy with file, or sha256, or both',
  },
);
const WirePolicy = Type.Object(
  {
    content: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 1_048_576,
        pattern: '^[A-Za-z0-9_-]*$',
        description: 'the bytes of the policy file, base64url without padding',
      }),
    ),
    ...hashes,
    ...dates,
  },
  {
    ...closed,
    anyOf: [{ required: ['content'] }, { required: ['sha256'] }],
    description: 'a policy with content, or sha256, or both',
  },
);
const RootPem = Type.String({
  minLength: 1,
  maxLength: 262_144,
  description: 'the text of a PEM file of certificates',
});

const ACCEPTABLE_TCB_STATUSES = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
] as const satisfies readonly AcceptableTcbStatus[];

function accepted(what: string) {
  return Type.Optional(Type.Boolean({ description: `Whether ${what} is accepted; false unless said.` }));
}

const Measurement = Type.Object(
  {
    source: Type.Optional(
      Type.Union([Type.Literal('tpm'), Type.Literal('snp.host_data'), Type.Literal('tdx.mrconfigid')], {
        description: 'tpm, snp.host_data or tdx.mrconfigid',
      }),
    ),
    bank: Type.Optional(
      Type.Union([Type.Literal('sha256'), Type.Literal('sha384')], { description: 'sha256 or sha384' }),
    ),
    pcr: Type.Optional(Type.Integer({ minimum: 0, maximum: 23 })),
    allowResettable: Type.Optional(Type.Boolean()),
  },
  closed,
);

const Platform = Type.Object(
  {
    pcrs: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^(?:[0-9]|1[0-9]|2[0-3])$' }),
        Type.Array(PcrHex, { minItems: 1, maxItems: 64, uniqueItems: true }),
        { ...closed, description: 'The boot chain: PCR index, 0 to 23, to accepted values.' },
      ),
    ),
    unmeasuredBoot: Type.Optional(Type.Boolean()),
    snp: Type.Optional(
      Type.Object(
        {
          debug: accepted('a guest that its host may debug'),
          migrationAgent: accepted('a guest that a migration agent may move'),
          maskedChip: accepted('a report that hides its chip'),
          cspIds: Type.Optional(
            Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
              maxItems: 64,
              uniqueItems: true,
              description: 'Cloud providers whose VLEKs are accepted, as the certificates name them; none unless said.',
            }),
          ),
        },
        { ...closed, description: 'What is accepted of AMD SEV-SNP reports beyond the safe defaults.' },
      ),
    ),
    tdx: Type.Optional(
      Type.Object(
        {
          debug: accepted('a trust domain that its host may debug'),
          serviceTd: accepted('a trust domain with a service TD bound to it'),
          tcbStatus: Type.Optional(
            Type.Array(
              Type.Union(
                ACCEPTABLE_TCB_STATUSES.map((status) => Type.Literal(status)),
                {
                  description: ACCEPTABLE_TCB_STATUSES.join(', '),
                },
              ),
              { minItems: 1, maxItems: ACCEPTABLE_TCB_STATUSES.length, uniqueItems: true },
            ),
          ),
        },
        { ...closed, description: 'What is accepted of Intel TDX quotes beyond the safe defaults.' },
      ),
    ),
    gpus: Type.Optional(
      Type.Object(
        {
          count: Type.Optional(
            Type.Integer({ minimum: 0, maximum: 16, description: 'how many GPUs must answer, 0 to 16' }),
          ),
          debug: Type.Optional(
            Type.Boolean({
              description:
                'Whether GPUs in different modes are accepted, and a device whose mode is not told, not known or contradicts itself; ' +
                'false unless said. Devtools mode shows in the measurements alone, and is never accepted.',
            }),
          ),
        },
        { ...closed, description: 'What is asked of NVIDIA GPUs, and accepted beyond the safe defaults.' },
      ),
    ),
  },
  closed,
);

const CvmRule = Type.Object(
  {
    measurement: Type.Optional(Sha384Hex),
    idKeyDigest: Type.Optional(Sha384Hex),
    vmpl: Type.Optional(Type.Integer({ minimum: 0, maximum: 3 })),
  },
  {
    ...closed,
    anyOf: [{ required: ['measurement'] }, { required: ['idKeyDigest'] }],
    description: 'a rule with measurement, or idKeyDigest, or both',
  },
);
const InstanceRule = Type.Record(
  Type.String({ pattern: '^[A-Za-z][A-Za-z0-9._-]{0,63}$' }),
  Type.String({ minLength: 1, maxLength: 256 }),
  { ...closed, minProperties: 1, maxProperties: 16 },
);
const HashList = Type.Optional(Type.Array(Sha256Hex, { maxItems: 4096, uniqueItems: true }));

function attesters<Root extends TSchema>(root: Root) {
  return Type.Object(
    {
      trust: Type.Array(
        Type.Union(
          [
            Type.Literal('pinned'),
            Type.Literal('ek-certificate'),
            Type.Literal('ak-certificate'),
            Type.Literal('cvm-report'),
            Type.Literal('simulator'),
          ],
          { description: 'pinned, ek-certificate, ak-certificate, cvm-report or simulator' },
        ),
        { minItems: 1, maxItems: 5, uniqueItems: true },
      ),
      roots: Type.Optional(Type.Array(root, { maxItems: MAX_ROOTS, uniqueItems: true })),
      allow: Type.Optional(
        Type.Object(
          {
            ek: HashList,
            ak: HashList,
            instance: Type.Optional(Type.Array(InstanceRule, { maxItems: 256 })),
            cvm: Type.Optional(Type.Array(CvmRule, { maxItems: 256 })),
          },
          closed,
        ),
      ),
      anyFromRoots: Type.Optional(Type.Boolean()),
    },
    closed,
  );
}

function documentSchema<Policy extends TSchema, Root extends TSchema>(
  $id: string,
  title: string,
  policy: Policy,
  root: Root,
) {
  return Type.Object(
    {
      apiVersion: Type.Literal('portcullis/v1'),
      kind: Type.Literal('Deployment'),
      metadata: Type.Object(
        {
          name: Type.String({
            pattern: '^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$',
            maxLength: 63,
            description: '1 to 63 lower-case letters, digits and hyphens, with no hyphen first or last',
          }),
          description: Type.Optional(Type.String({ maxLength: 1024 })),
        },
        closed,
      ),
      measurement: Type.Optional(Measurement),
      policies: Type.Array(policy, { minItems: 1, maxItems: MAX_POLICIES }),
      platform: Type.Optional(Platform),
      attesters: attesters(root),
      release: Type.Optional(ReleasePolicySchema),
    },
    { ...closed, $id, title, $defs: RELEASE_POLICY_DEFS },
  );
}

/** A deployment document as a person writes it, YAML or JSON; published as policies/deployment.schema.json. Draft 2020-12. */
export const DeploymentFileSchema = documentSchema(
  'urn:portcullis:schema:deployment:v1',
  'Portcullis deployment',
  FilePolicy,
  FileName,
);

/** The same document on the wire: files replaced by their content. Draft 2020-12. */
export const DeploymentWireSchema = documentSchema(
  'urn:portcullis:schema:deployment-wire:v1',
  'Portcullis deployment, files inlined',
  WirePolicy,
  RootPem,
);

export type DeploymentFileDocument = Static<typeof DeploymentFileSchema>;
export type DeploymentWireDocument = Static<typeof DeploymentWireSchema>;
