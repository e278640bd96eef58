import { type Static, type TSchema, Type } from 'typebox';
import {
  actor,
  akName,
  attesterName,
  brokerId,
  count,
  counts,
  curveName,
  decimal,
  deploymentName,
  deploymentNames,
  documentSha256,
  kekId,
  keyName,
  logOrigin,
  MAX_NAMES,
  profile,
  reasonCode,
  revocable,
  sha256Hex,
  sha384Hex,
  softwareVersion,
  thumbprint,
  time,
  tokenId,
  versionAsked,
  versionId,
} from './entry-members.js';

/*
 * What the log records, one schema a type: the one source of what is written, of what an auditor accepts, and of
 * docs/LOG.md. The log is public: an entry holds no secret, and of names only those that are marked `x-name`, which are
 * salted where the broker is configured so. Numbers that may grow to 64 bits are decimal strings.
 */

const TRUST_KINDS = ['pinned', 'ek-certificate', 'ak-certificate', 'cvm-report', 'simulator'] as const;
const ALLOWED_BY = ['ek', 'ak', 'instance', 'administrator', 'any-from-roots'] as const;
const KEY_TYPES = ['oct', 'RSA', 'EC', 'OKP'] as const;

const optional = Type.Optional;

function entry<T extends string, P extends Record<string, TSchema>>(
  type: T,
  description: string,
  members: P,
  options: object = {},
) {
  const common = {
    type: Type.Literal(type, { description: 'What happened.' }),
    time: time('When it was recorded: RFC 3339, UTC, milliseconds. Never before the time of the entry before.'),
    state_generation: decimal(
      'The state that it left: one more with every administrative change, the same in releases and other records.',
    ),
  };
  return Type.Object({ ...common, ...members }, { additionalProperties: false, title: type, description, ...options });
}

/** An entry with members that may be salted. */
function named<T extends string, P extends Record<string, TSchema>>(
  type: T,
  description: string,
  members: P,
  options: object = {},
) {
  const names = optional(
    Type.Literal('salted', { description: '`salted` where names stand as pseudonyms: hex SHA-256 of salt and name.' }),
  );
  return entry(type, description, { ...members, names }, options);
}

const policyDates = {
  not_before: optional(time('Accepted from this time on; without it, at once.')),
  not_after: optional(time('Accepted before this time; without it, until it is retired.')),
};
const onDeployment = { actor: actor(), deployment: deploymentName('The deployment.') };
const ak = {
  ak_name: akName(
    'The TPM Name of the AK, lower-case hex; `unknown` where its certificate came without the public area.',
  ),
  ak_spki_sha256: sha256Hex("SHA-256 of the AK's SubjectPublicKeyInfo: the identity of the attester."),
};

/** The schema of every type of entry. JSON Schema, draft 2020-12. */
export const ENTRY_SCHEMAS = {
  'broker.initialised': entry('broker.initialised', 'The broker was made; the first entry of its log.', {
    broker: brokerId('The broker id.'),
    profile: profile(),
    log_origin: logOrigin("The log's name in its checkpoints when it began."),
  }),
  'broker.started': entry('broker.started', 'The broker was started.', {
    broker: brokerId('The broker id.'),
    profile: profile(),
    version: softwareVersion('The version of the software.'),
    kek: kekId('The id of the KEK in use.'),
  }),
  'log.rollback_accepted': entry(
    'log.rollback_accepted',
    'An administrator went on with a database that had lost entries: a new log begins with what survived, and every key is frozen.',
    {
      log_origin: logOrigin('The name of the log from here on.'),
      previous_origin: logOrigin('The name of the log until then.'),
      previous_size: decimal('How many entries of that log survived.'),
      previous_root: sha256Hex('The tree hash over them.'),
      newest_known_size: optional(decimal('The size in the checkpoint that showed the loss.')),
      newest_known_root: optional(sha256Hex('The tree hash in that checkpoint, where it is known.')),
      frozen_keys: count('How many keys were frozen.'),
      detail_sha256: sha256Hex(
        'SHA-256 of the part kept beside the entry: where the loss was seen, or why it was accepted unseen, and random bytes.',
      ),
    },
  ),

  'deployment.applied': named(
    'deployment.applied',
    'A deployment document was applied; its policies follow as entries of their own.',
    {
      ...onDeployment,
      created: Type.Boolean({ description: 'Whether it is new.' }),
      source: Type.Enum(['tpm', 'snp.host_data', 'tdx.mrconfigid'], { description: 'Where the policy is measured.' }),
      bank: Type.Enum(['sha256', 'sha384'], { description: 'The PCR bank that it is measured in.' }),
      pcr: Type.Integer({ minimum: 0, maximum: 23, description: 'The PCR that it is measured in.' }),
      boot: Type.Enum(['pinned', 'unmeasured'], { description: 'Whether reference values pin a boot chain.' }),
      trust: Type.Array(Type.Enum(TRUST_KINDS), {
        minItems: 1,
        maxItems: TRUST_KINDS.length,
        description: 'What makes an AK believable to the deployment.',
      }),
      any_from_roots: Type.Boolean({ description: 'Whether every certificate under its roots is believed.' }),
      document_sha256: documentSha256(
        'SHA-256 of the canonical document with its defaults, without its policies: reference values, allow lists and release policy are in it. Salted like a name.',
      ),
      detail_sha256: sha256Hex(
        'SHA-256 of the part kept beside the entry: the document, what changed in it, and random bytes.',
      ),
    },
  ),
  'deployment.frozen': named('deployment.frozen', 'Nothing is released to the deployment from here on.', {
    ...onDeployment,
  }),
  'deployment.unfrozen': named('deployment.unfrozen', 'The freeze of the deployment was taken back.', {
    ...onDeployment,
  }),

  'policy.registered': named(
    'policy.registered',
    'The deployment accepts a runtime policy from here on; what an earlier entry said of the same policy is replaced.',
    {
      ...onDeployment,
      policy_sha256: sha256Hex('The policy hash: SHA-256 of the policy file.'),
      policy_sha384: optional(
        sha384Hex('SHA-384 of the policy file, where it is known; measured in the SHA-384 bank.'),
      ),
      ...policyDates,
      origin: Type.Enum(['document', 'registered'], { description: 'Named by the document, or registered beside it.' }),
    },
  ),
  'policy.retired': named('policy.retired', 'The deployment accepts the policy no longer.', {
    ...onDeployment,
    policy_sha256: sha256Hex('The policy hash.'),
  }),

  'key.created': named('key.created', 'A key with its first version was made or taken in, enabled.', {
    actor: actor(),
    key: keyName('The key.'),
    version: versionId('The id of its first version.'),
    kty: Type.Enum(KEY_TYPES, { description: 'The type of the key, as in JWK.' }),
    size: optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_048_576,
        description: 'Bits: of the modulus for RSA, of the secret for oct.',
      }),
    ),
    curve: optional(curveName('JWK `crv` for EC and OKP.')),
    origin: Type.Enum(['generated', 'imported'], { description: 'Made by the broker, or brought from outside.' }),
    deployments: deploymentNames(
      MAX_NAMES,
      'The deployments that may draw it; where there are more, `key.linked` entries follow.',
    ),
  }),
  'key.rotated': named('key.rotated', 'The key has a new newest version, enabled.', {
    actor: actor(),
    key: keyName('The key.'),
    version: versionId('The id of the new version.'),
  }),
  'key.linked': named('key.linked', 'Which deployments may draw the key was changed.', {
    actor: actor(),
    key: keyName('The key.'),
    linked: deploymentNames(MAX_NAMES / 2, 'Those that may draw it from here on.'),
    unlinked: deploymentNames(MAX_NAMES / 2, 'Those that may draw it no longer.'),
  }),
  'key.state': named(
    'key.state',
    'A key, or one version of it, was enabled, disabled, deleted or recovered, or the key frozen or unfrozen.',
    {
      actor: actor(),
      key: keyName('The key.'),
      version: optional(versionId('The version; without it, the key as a whole.')),
      state: optional(Type.Enum(['enabled', 'disabled', 'deleted'], { description: 'The new state.' })),
      purge_at: optional(time('With state deleted: the material is destroyed after this time.')),
      frozen: optional(Type.Boolean({ description: 'In place of a state: whether the key is frozen.' })),
    },
    {
      oneOf: [{ required: ['state'] }, { required: ['frozen'] }],
      dependentRequired: { version: ['state'], purge_at: ['state'] },
    },
  ),
  'key.purged': named('key.purged', 'What was deleted was destroyed, its time for recovery being over.', {
    key: keyName('The key.'),
    version: optional(versionId('The version; without it, the key with all its versions.')),
  }),

  'attester.trusted': named('attester.trusted', 'An AK is believed for a deployment from here on.', {
    ...onDeployment,
    attester: optional(attesterName('What the administrator calls the AK.')),
    ...ak,
    trust: Type.Enum(['pinned'], { description: 'What it is believed for: an administrator pinned it.' }),
  }),
  'attester.enrolled': named(
    'attester.enrolled',
    'Credential activation has proved that an AK lives in the TPM of an EK; whether a deployment believes it is for its rules to say.',
    {
      deployment: deploymentName('The deployment that it was enrolled for.'),
      attester: attesterName('What the broker calls the AK.'),
      ...ak,
      ek_spki_sha256: sha256Hex("SHA-256 of the EK's SubjectPublicKeyInfo."),
      ek_certificate_sha256: sha256Hex('SHA-256 of the EK certificate, DER.'),
      replaced: optional(
        sha256Hex('An AK of the same EK that was forgotten for it, by its SPKI hash: an EK keeps its newest.'),
      ),
    },
  ),
  'attester.quarantined': named(
    'attester.quarantined',
    'An AK is believed by no deployment until an administrator ends that; or that was ended.',
    {
      actor: actor(),
      attester: optional(attesterName('What the administrator calls the AK.')),
      ...ak,
      quarantined: Type.Boolean({ description: 'Whether it is in quarantine from here on.' }),
    },
  ),
  'attester.revoked': named('attester.revoked', 'An AK is believed by no deployment any more, for good.', {
    actor: actor(),
    attester: optional(attesterName('What the administrator calls the AK.')),
    ak_name: optional(ak.ak_name),
    ak_spki_sha256: ak.ak_spki_sha256,
  }),
  'endorsement.revoked': entry(
    'endorsement.revoked',
    'An EK, a certificate, a CA or a chip vouches for nothing any more, for good.',
    {
      actor: actor(),
      identity: revocable('What was revoked: its kind and what it is known by.'),
    },
  ),
  'attester.regressed': named(
    'attester.regressed',
    'The clock or the resetCount of a TPM went back: its state was copied or restored, or it was cleared.',
    {
      ak_spki_sha256: ak.ak_spki_sha256,
      clock_before: decimal('Milliseconds, as seen before.'),
      clock_after: decimal('Milliseconds, as seen now.'),
      reset_count_before: count('As seen before.'),
      reset_count_after: count('As seen now.'),
    },
  ),
  'attester.conflict': named(
    'attester.conflict',
    'An enrolment was refused, since the AK is held by another EK or under another Name: somebody may try to take over its identity.',
    {
      deployment: deploymentName('The deployment that it was to be enrolled for.'),
      ...ak,
      ek_spki_sha256: sha256Hex('SHA-256 of the SubjectPublicKeyInfo of the EK that asked.'),
    },
  ),

  'token.created': entry('token.created', 'An admin token was made. What it is called stands nowhere in the log.', {
    actor: actor(),
    token: tokenId('The public part of the token.'),
    role: Type.Enum(['admin', 'operator', 'auditor'], { description: 'What it may do.' }),
    expires_at: optional(time('When it ends.')),
  }),
  'token.revoked': entry('token.revoked', 'An admin token was revoked.', {
    actor: actor(),
    token: tokenId('The public part of the token.'),
  }),

  'kek.rotated': entry('kek.rotated', 'A new KEK wraps what is stored from here on.', {
    actor: actor(),
    kek: kekId('The id of the new KEK.'),
  }),
  'kek.rewrapped': entry('kek.rewrapped', 'Key versions were wrapped anew under the KEK in use.', {
    versions: count('How many.'),
  }),

  release: named('release', 'A key version was released to a workload.', {
    release_id: versionId('The id of the release.'),
    profile: profile(),
    broker: brokerId('The broker id.'),
    deployment: deploymentName('The deployment that the workload belongs to.'),
    key: keyName('The key.'),
    version: versionId('The version that was released.'),
    policy_sha256: sha256Hex('The policy hash that was measured.'),
    policy_sha384: optional(sha384Hex('SHA-384 of the policy, where that was measured.')),
    recipient: thumbprint('RFC 7638 SHA-256 thumbprint of the JWK that the key was encrypted to, base64url.'),
    ak_name: akName(
      'The TPM Name of the AK, lower-case hex; `unknown` where the AK came without its public area, `none` where the machine has no TPM.',
    ),
    ak_spki_sha256: optional(
      sha256Hex(
        "SHA-256 of the AK's SubjectPublicKeyInfo: the identity of the attester. Absent where the machine has no TPM.",
      ),
    ),
    ak_trust: Type.Enum(TRUST_KINDS, { description: 'What made the AK, or the machine without one, believable.' }),
    cvm: optional(
      Type.Enum(['snp', 'tdx'], { description: 'The kind of confidential VM whose report was verified, if any was.' }),
    ),
    cvm_measurement: optional(sha384Hex('Its launch measurement: MEASUREMENT of SEV-SNP, MRTD of TDX.')),
    gpus: optional(count('How many GPUs and switches were verified with it.')),
    ak_allowed_by: optional(
      Type.Enum(ALLOWED_BY, {
        description:
          'Where a certificate vouched for it, the rule that let it in: a list in `attesters.allow`, an administrator, or `any-from-roots`.',
      }),
    ),
    ek_spki_sha256: optional(sha256Hex("Where its EK vouched for it, SHA-256 of that EK's SubjectPublicKeyInfo.")),
    boot: Type.Enum(['pinned', 'unmeasured'], { description: 'Whether the deployment pinned a boot chain.' }),
    evidence_sha256: sha256Hex('SHA-256 of the canonical JSON of the evidence as received.'),
    jwe_sha256: sha256Hex('SHA-256 of the compact JWE that was handed out.'),
    nonce_sha256: sha256Hex('SHA-256 of the 32 bytes of the nonce that was spent.'),
    decision_sha256: sha256Hex('SHA-256 of the decision kept beside the entry, which holds random bytes.'),
  }),
  denial: named('denial', 'A release was refused to a machine whose AK and signature were accepted.', {
    reason: reasonCode('The reason code.'),
    deployment: deploymentName('The deployment.'),
    key: keyName('The key.'),
    version: versionAsked('The version as it was asked for.'),
    ...ak,
    decision_sha256: optional(sha256Hex('SHA-256 of the decision kept beside the entry, which holds random bytes.')),
  }),
  'denial.summary': entry(
    'denial.summary',
    'Refusals that were counted alone since the last summary: anyone can cause them.',
    {
      counts: counts('Reason code to how often.'),
    },
  ),
} as const;

/** A type of entry that this version knows. */
export type EntryType = keyof typeof ENTRY_SCHEMAS;

/** An entry of one type, valid against its schema. */
export type EntryOf<T extends EntryType> = Static<(typeof ENTRY_SCHEMAS)[T]>;

/** A valid entry of any type. */
export type Entry = { [T in EntryType]: EntryOf<T> }[EntryType];

/** Types that record what happened and change no state; every other type is an administrative change. */
export const RECORD_TYPES: ReadonlySet<string> = new Set<EntryType>([
  'broker.started',
  'release',
  'attester.regressed',
  'attester.conflict',
  'denial',
  'denial.summary',
]);

export function isEntryType(type: string): type is EntryType {
  return Object.hasOwn(ENTRY_SCHEMAS, type);
}
