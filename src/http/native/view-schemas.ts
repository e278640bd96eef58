import { Type, type TObject, type TSchema } from 'typebox';
import { closed, RoleSchema } from './schemas.js';

/** Schemas of what goes out: src/release/views.ts as the OpenAPI document shows it. Answers are not validated at run time; tests compare. */

const text = Type.String();
const optional = Type.Optional(text);
const texts = Type.Array(text);
const time = Type.String({ format: 'date-time' });
const optionalTime = Type.Optional(time);
const keyType = Type.Union([Type.Literal('oct'), Type.Literal('RSA'), Type.Literal('EC'), Type.Literal('OKP')]);
const keyState = Type.Union([Type.Literal('enabled'), Type.Literal('disabled'), Type.Literal('deleted')]);
const json = Type.Unknown();

/** An answer: members may be added in later versions, so it is open. */
function view<P extends Record<string, TSchema>>(title: string, properties: P): TObject<P> {
  return Type.Object(properties, { title });
}

/** A page of a list. */
export function listOf(item: TSchema & { readonly title?: string }): TSchema {
  return view(`${item.title ?? 'Item'}List`, { items: Type.Array(item), next_cursor: optional });
}

export const ChallengeViewSchema = view('Challenge', {
  nonce: text,
  broker: text,
  deployment: text,
  key: text,
  version: text,
  expires_at: time,
  pcrs: Type.Record(Type.String(), Type.Array(Type.Integer())),
});

export const ReleaseViewSchema = view('Release', {
  release_id: text,
  key: Type.Object({ name: text, version: text, kty: keyType }),
  jwe: Type.String({ description: 'compact JWE to the recipient key; the plaintext is a JWK' }),
  receipt: view('Receipt', {
    entry: Type.String({ description: 'the log entry: canonical JSON, the bytes of its leaf' }),
    index: Type.Integer({ minimum: 0 }),
    proof: Type.Array(text, { description: 'inclusion proof of RFC 6962, 32-byte hashes, from the leaf to the root' }),
    checkpoint: Type.String({ description: 'C2SP tlog-checkpoint, a signed note' }),
    salts: Type.Optional(
      Type.Record(Type.String(), text, { description: 'entry members that are salted hashes, to their salts' }),
    ),
  }),
});

export const BrokerViewSchema = view('Broker', {
  broker: text,
  profile: Type.Union([Type.Literal('development'), Type.Literal('production')]),
  version: text,
  log_key: text,
  state_generation: text,
  kek: text,
});

const acceptedPolicy = {
  sha256: text,
  sha384: optional,
  not_before: optionalTime,
  not_after: optionalTime,
  origin: Type.Union([Type.Literal('document'), Type.Literal('registered')]),
  valid: Type.Boolean(),
};

export const DeploymentViewSchema = view('Deployment', {
  name: text,
  frozen: Type.Boolean(),
  document: json,
  policies: Type.Array(view('AcceptedPolicy', acceptedPolicy)),
  created_at: time,
  updated_at: time,
});

const ChangeViewSchema = view('Change', {
  path: Type.String({ description: 'JSON pointer' }),
  change: Type.Union([Type.Literal('added'), Type.Literal('removed'), Type.Literal('changed')]),
  before: Type.Optional(json),
  after: Type.Optional(json),
});

export const AppliedViewSchema = view('Applied', {
  deployment: DeploymentViewSchema,
  created: Type.Boolean(),
  dry_run: Type.Boolean(),
  changes: Type.Array(ChangeViewSchema),
  warnings: texts,
});

export const PolicyViewSchema = view('Policy', {
  sha256: text,
  sha384: optional,
  size: Type.Optional(Type.Integer()),
  created_at: time,
  deployments: Type.Array(view('PolicyAcceptance', { ...acceptedPolicy, deployment: text })),
});

const KeyVersionViewSchema = view('KeyVersion', {
  version: text,
  state: keyState,
  created_at: time,
  purge_at: optionalTime,
  kek: text,
});

export const KeyViewSchema = view('Key', {
  name: text,
  kty: keyType,
  size: Type.Optional(Type.Integer()),
  curve: optional,
  deployments: texts,
  state: keyState,
  frozen: Type.Boolean(),
  created_at: time,
  purge_at: optionalTime,
  versions: Type.Array(KeyVersionViewSchema),
});

export const AttesterViewSchema = view('Attester', {
  name: text,
  ak_name: text,
  ak_spki_sha256: text,
  pem: text,
  trust: Type.String({ description: 'what vouches for it, such as pinned or ek-certificate' }),
  state: Type.String({ description: 'trusted, pending, quarantined or revoked' }),
  deployments: Type.Array(text, { description: 'where an administrator trusts it' }),
  created_at: time,
  enrolled_for: Type.Optional(texts),
  ek: Type.Optional(
    view('EndorsementKey', {
      spki_sha256: text,
      certificate_sha256: text,
      serial: optional,
      issuer: optional,
      manufacturer: optional,
      model: optional,
      version: optional,
    }),
  ),
  instance: Type.Optional(Type.Record(Type.String(), text, { description: 'the machine of a cloud' })),
  vouched_by: Type.Optional(Type.Array(text, { description: 'what ends the trust when it is revoked' })),
  revoked_by: Type.Optional(Type.String({ description: 'what was revoked: the SPKI hash, or one of vouched_by' })),
  quarantined_at: optionalTime,
  first_seen: optionalTime,
  last_seen: Type.Optional(
    Type.String({
      format: 'date-time',
      description: 'this and what follows was seen, is not authenticated, and decides nothing',
    }),
  ),
  last_deployment: optional,
  reset_count: Type.Optional(Type.Integer()),
  restart_count: Type.Optional(Type.Integer()),
  clock_ms: Type.Optional(Type.String({ description: 'decimal' })),
  firmware_version: Type.Optional(Type.String({ description: 'decimal' })),
  regressions: Type.Optional(
    Type.Integer({ description: 'how often its clock or its reset count was seen to go back' }),
  ),
});

export const RevocationViewSchema = view('Revocation', {
  identity: text,
  kind: Type.Union(['ak', 'ek', 'certificate', 'ca', 'chip'].map((kind) => Type.Literal(kind))),
  attesters: Type.Optional(Type.Array(text, { description: 'the AKs that the EK has enrolled' })),
});

export const EnrolmentViewSchema = view('Enrolment', {
  enrolment: Type.String({ description: 'opaque; to be sent back with the activation' }),
  credential_blob: Type.String({ description: 'TPM2B_ID_OBJECT' }),
  encrypted_secret: Type.String({ description: 'TPM2B_ENCRYPTED_SECRET' }),
  expires_at: time,
});

export const ActivationViewSchema = view('Activation', {
  attester: view('EnrolledAttester', {
    ak_name: text,
    ak_spki_sha256: text,
    trust: Type.Literal('ek-certificate'),
    state: Type.Union([Type.Literal('trusted'), Type.Literal('pending')]),
  }),
});

export const RevokedAttesterSchema = view('RevokedAttester', { ak_spki_sha256: text, state: text });

const token = {
  id: text,
  name: text,
  role: RoleSchema,
  state: Type.Union([Type.Literal('active'), Type.Literal('expired'), Type.Literal('revoked')]),
  created_at: time,
  expires_at: optionalTime,
};

export const TokenViewSchema = view('Token', token);

export const CreatedTokenSchema = view('CreatedToken', {
  ...token,
  token: Type.String({ description: 'shown once, here' }),
});

export const KekRotationSchema = view('KekRotation', { kek: text, rewrapped: Type.Integer() });

export const EntryViewSchema = view('Entry', {
  index: Type.Integer(),
  type: text,
  entry: json,
  detail: Type.Optional(json),
  names: Type.Optional(Type.Record(Type.String(), text)),
});

export const ReplayViewSchema = view('Replay', {
  release_id: text,
  index: Type.Integer({ minimum: 0 }),
  same: Type.Boolean({ description: 'whether the appraisal comes to what was recorded' }),
  appraised_at: time,
  decision: json,
  refusal: Type.Optional(Type.Object({ reason: text, detail: text })),
  claims: Type.Optional(json),
  differences: Type.Array(Type.Object({ member: text, recorded: Type.Optional(json), replayed: Type.Optional(json) })),
  log: Type.Unknown({ description: 'the log entry of the release' }),
  presented: Type.Optional(Type.Unknown({ description: 'the request as it was received' })),
});

export const SimulatedMachineViewSchema = view('SimulatedMachine', {
  ak_certificates: texts,
  ek_certificates: Type.Optional(texts),
  pcrs: Type.Record(Type.String(), Type.Record(Type.String(), Type.String())),
  policy: Type.Object({ source: text, bank: text, pcr: Type.Integer(), digest: text }),
  cvm: Type.Optional(
    view('SimulatedCvm', {
      certificates: texts,
      measurement: optional,
      id_key_digest: optional,
      vmpl: Type.Integer(),
      host_data: optional,
      mr_config_id: optional,
    }),
  ),
  gpus: Type.Optional(Type.Array(Type.Object({ certificates: texts }))),
});

export const StatusSchema = view('Status', { status: text });

export const ProblemSchema = closed('Problem', {
  type: Type.String({ description: 'urn:portcullis:problem:<reason>' }),
  title: text,
  status: Type.Integer(),
  detail: text,
  reason: text,
  decision: Type.Optional(
    Type.Object(
      { met: Type.Boolean(), conditions: Type.Array(json) },
      { description: 'which condition failed, what was expected and what was found' },
    ),
  ),
  findings: Type.Optional(Type.Array(json)),
  request_id: text,
});
