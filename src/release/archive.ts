import { X509Certificate } from 'node:crypto';
import { fromBase64url, toBase64url } from '../bytes/base64url.js';
import { canonicalJson } from '../bytes/canonical-json.js';
import { open, seal, SealedBoxError } from '../crypto/aead.js';
import type { AkTrust } from '../evidence/tpm/ak.js';
import { accept, reject, type Result } from '../reason/reason.js';
import type { Circumstances } from './circumstances.js';
import type { ReleaseRequest } from './broker.js';
import type { BrokerContext } from './context.js';
import type { DecidingFacts } from './entitlement.js';
import type { AkEnrolment, AttesterRecord } from './records.js';
import { StoreIntegrityError } from './store.js';

const PURPOSE = 'portcullis/archive/v1';
const AEAD_NONCE_BYTES = 12;

/** Everything that an appraisal saw: enough to make it again. */
export interface ArchivedAppraisal {
  readonly request: ReleaseRequest;
  readonly facts: DecidingFacts;
  readonly circumstances: Pick<Circumstances, 'profile' | 'nowMs' | 'challengeTtlMs' | 'salt' | 'simulatorCa'>;
  /** Where names in the entry are salted: the salts of the deployment and the key, base64url. */
  readonly salts?: { readonly deployment: string; readonly key: string };
}

/** The sealed text. What is not named here is not kept: no wrapped key, no JWE, no secret of the broker. */
interface Kept {
  readonly format: string;
  readonly request: ReleaseRequest;
  readonly facts: Omit<Partial<DecidingFacts>, 'attester'> &
    Pick<DecidingFacts, 'state' | 'deploymentFrozen' | 'policies' | 'keyFrozen' | 'akRevoked'> & {
      readonly attester?: KeptAttester;
    };
  readonly circumstances: Pick<Circumstances, 'profile' | 'nowMs' | 'challengeTtlMs' | 'salt'> & {
    /** DER, base64url. */
    readonly simulatorCa?: string;
  };
  readonly salts?: ArchivedAppraisal['salts'];
}

/** Bytes as base64url. */
interface KeptAttester extends Omit<AttesterRecord, 'publicArea' | 'enrolments'> {
  readonly publicArea: string;
  readonly enrolments?: readonly (Omit<AkEnrolment, 'ek'> & {
    readonly ek: { readonly spkiSha256: string; readonly certificates: readonly string[] };
  })[];
}

/**
 * Seals what a release was given for: AES-256-GCM under the archive key, for this broker and release alone. Its size is
 * bounded by the request's and the deployment document's. The simulator CA is kept where it vouched for the AK.
 */
export function sealAppraisal(
  context: Pick<BrokerContext, 'broker' | 'archive' | 'pseudonyms' | 'random'>,
  releaseId: string,
  appraisal: Omit<ArchivedAppraisal, 'salts'> & { readonly trust: AkTrust },
): Buffer {
  const { archive, pseudonyms, random } = context;
  const { request, facts, circumstances, trust } = appraisal;
  const { nonce, deployment, key, version, recipient, evidence } = request;
  const { profile, nowMs, challengeTtlMs, salt, simulatorCa } = circumstances;
  const kept: Kept = {
    format: PURPOSE,
    request: { nonce, deployment, key, ...(version === undefined ? {} : { version }), recipient, evidence },
    facts: keptFacts(facts),
    circumstances: {
      profile,
      nowMs,
      challengeTtlMs,
      salt,
      ...(trust === 'simulator' && simulatorCa !== undefined ? { simulatorCa: toBase64url(simulatorCa.raw) } : {}),
    },
    ...(pseudonyms === undefined
      ? {}
      : {
          salts: {
            deployment: toBase64url(pseudonyms.salt('deployment', deployment)),
            key: toBase64url(pseudonyms.salt('key', key)),
          },
        }),
  };
  const text = Buffer.from(JSON.stringify(kept), 'utf8');
  return seal(archive.key, random(AEAD_NONCE_BYTES), text, associatedData(context, releaseId));
}

/**
 * Opens what was sealed for a release. Throws StoreIntegrityError for changed bytes, or those of another release or
 * broker. Refusal: resource.unknown, for a form that this version does not know.
 */
export function openAppraisal(
  context: Pick<BrokerContext, 'broker' | 'archive'>,
  releaseId: string,
  sealed: Buffer,
): Result<ArchivedAppraisal> {
  let text: Buffer;
  try {
    text = open(context.archive.key, sealed, associatedData(context, releaseId));
  } catch (error) {
    if (!(error instanceof SealedBoxError)) throw error;
    throw new StoreIntegrityError(`evidence_archive ${releaseId}: not what was sealed for this release`, {
      cause: error,
    });
  }
  const kept = JSON.parse(text.toString('utf8')) as Kept;
  if (kept.format !== PURPOSE) {
    return reject('resource.unknown', 'the release was archived by a version with another format; replay it with that');
  }
  const { request, facts, circumstances, salts } = kept;
  const { simulatorCa } = circumstances;
  return accept({
    request,
    facts: openedFacts(facts),
    circumstances: {
      ...circumstances,
      simulatorCa:
        simulatorCa === undefined ? undefined : new X509Certificate(fromBase64url(simulatorCa, 'simulatorCa')),
    },
    ...(salts === undefined ? {} : { salts }),
  });
}

function associatedData({ broker }: Pick<BrokerContext, 'broker'>, releaseId: string): Buffer {
  return canonicalJson({ broker, purpose: PURPOSE, release_id: releaseId });
}

function keptFacts(facts: DecidingFacts): Kept['facts'] {
  const { state, deployment, deploymentFrozen, policies, key, keyFrozen, version, attester } = facts;
  const { akRevoked, revoked } = facts;
  return {
    ...{ state, deploymentFrozen, policies, keyFrozen, akRevoked, revoked },
    ...(deployment === undefined ? {} : { deployment }),
    ...(key === undefined ? {} : { key }),
    ...(version === undefined ? {} : { version: { version: version.version, state: version.state } }),
    ...(attester === undefined ? {} : { attester: keptAttester(attester) }),
  };
}

function keptAttester({ publicArea, enrolments, ...others }: AttesterRecord): KeptAttester {
  const kept = enrolments?.map(({ ek, ...enrolment }) => ({
    ...enrolment,
    ek: { ...ek, certificates: ek.certificates.map(toBase64url) },
  }));
  return {
    ...others,
    publicArea: toBase64url(publicArea),
    ...(kept === undefined ? {} : { enrolments: kept }),
  };
}

function openedAttester({ publicArea, enrolments, ...others }: KeptAttester): AttesterRecord {
  const opened = (text: string) => fromBase64url(text, 'attester');
  const known = enrolments?.map(({ ek, ...enrolment }) => ({
    ...enrolment,
    ek: { ...ek, certificates: ek.certificates.map(opened) },
  }));
  return {
    ...others,
    publicArea: opened(publicArea),
    ...(known === undefined ? {} : { enrolments: known }),
  };
}

function openedFacts({ deployment, key, version, attester, revoked = [], ...others }: Kept['facts']): DecidingFacts {
  return {
    ...others,
    revoked,
    deployment,
    key,
    version,
    attester: attester === undefined ? undefined : openedAttester(attester),
  };
}
