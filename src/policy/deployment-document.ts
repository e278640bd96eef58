import { fromBase64url } from '../bytes/base64url.js';
import { MalformedError } from '../bytes/malformed-error.js';
import { accept, reject, type Result } from '../reason/reason.js';
import { parseDateTime } from './date-time.js';
import type { AcceptedPolicy, AttesterRules, Deployment, Measurement, Platform } from './deployment.js';
import { type DeploymentWireDocument, DeploymentWireSchema, MAX_ROOTS } from './deployment-schema.js';
import { parseReleasePolicy } from './parse-release-policy.js';
import { EMPTY_FIELD, isEmptyField, policyHash } from './policy-hash.js';
import { parseCertificates } from './roots.js';
import { validator } from './validate.js';

/** A deployment, and the runtime policies that its document accepts: those given by content with both hashes. */
export interface ParsedDeployment {
  readonly deployment: Deployment;
  readonly policies: readonly (AcceptedPolicy & { readonly content?: Buffer })[];
}

const validateWire = validator<DeploymentWireDocument>(DeploymentWireSchema);

/**
 * Parses the wire form of a deployment document and fills in its defaults. Everything that does not fit is
 * request.malformed, with the JSON pointer of the place and what to do. Whether a broker may take the deployment is
 * `admitDeployment`'s to say. The caller has bounded the size (1 MiB) and refused duplicate members.
 */
export function parseDeployment(document: unknown): Result<ParsedDeployment> {
  const release = releaseOf(document);
  if (release !== undefined && !release.ok) return release;
  const valid = validateWire(document);
  if (!valid.ok) return valid;
  try {
    return accept(readDocument(valid.value, release === undefined ? {} : { release: release.value }));
  } catch (error) {
    if (error instanceof MalformedError) return reject('request.malformed', error.message);
    throw error;
  }
}

/** First, since the grammar's own parser says better than the schema what is wrong. */
function releaseOf(document: unknown): ReturnType<typeof parseReleasePolicy> | undefined {
  if (typeof document !== 'object' || document === null || !Object.hasOwn(document, 'release')) return undefined;
  return parseReleasePolicy((document as { readonly release: unknown }).release, '/release');
}

function readDocument(document: DeploymentWireDocument, release: Pick<Deployment, 'release'>): ParsedDeployment {
  const { name, description } = document.metadata;
  const measurement = readMeasurement(document);
  const deployment: Deployment = {
    name,
    ...(description === undefined ? {} : { description }),
    measurement,
    platform: readPlatform(document, measurement),
    attesters: readAttesters(document),
    ...release,
  };
  const policies = document.policies.map((policy, i) => readPolicy(policy, measurement, `/policies/${String(i)}`));
  policies.forEach(({ sha256 }, i) => {
    const first = policies.findIndex((other) => other.sha256 === sha256);
    if (first !== i)
      fail(`/policies/${String(i)}`, `is the same policy as /policies/${String(first)}; remove one of them`);
  });
  return { deployment, policies };
}

function readMeasurement({ measurement = {} }: DeploymentWireDocument): Measurement {
  const { source = 'tpm', bank = 'sha256', pcr = 8, allowResettable = false } = measurement;
  return { source, bank, pcr, allowResettable };
}

function readPlatform({ platform = {} }: DeploymentWireDocument, { source, bank, pcr }: Measurement): Platform {
  const { pcrs = {}, unmeasuredBoot = false, ...hardware } = platform;
  const length = bank === 'sha256' ? 64 : 96;
  for (const [index, values] of Object.entries(pcrs)) {
    const at = `/platform/pcrs/${index}`;
    if (source === 'tpm' && index === String(pcr))
      fail(
        at,
        `is the policy PCR, whose value follows from the policies; remove it, or choose another measurement.pcr`,
      );
    const wrong = values.findIndex((value) => value.length !== length);
    if (wrong !== -1)
      fail(`${at}/${String(wrong)}`, `must have the ${String(length)} hex digits of measurement.bank ${bank}`);
  }
  return { pcrs, unmeasuredBoot, ...hardware };
}

function readAttesters({ attesters }: DeploymentWireDocument): AttesterRules {
  const { trust, roots = [], allow = {}, anyFromRoots = false } = attesters;
  const { ek = [], ak = [], instance = [], cvm = [] } = allow;
  const certificates: string[] = [];
  roots.forEach((pem, i) => {
    certificates.push(...parseCertificates(pem, `/attesters/roots/${String(i)}`, MAX_ROOTS - certificates.length));
  });
  cvm.forEach((rule, i) => {
    for (const member of ['measurement', 'idKeyDigest'] as const) {
      if (/^0+$/.test(rule[member] ?? '1')) {
        const what = member === 'idKeyDigest' ? 'launched without an ID block, anybody’s' : 'that measured nothing';
        fail(`/attesters/allow/cvm/${String(i)}/${member}`, `all zeros is that of every machine ${what}; remove it`);
      }
    }
  });
  if (new Set(certificates).size !== certificates.length) fail('/attesters/roots', 'has the same certificate twice');
  return {
    trust,
    roots: certificates,
    allow: { ek, ak, instance, cvm: cvm.map((rule) => ({ ...rule, vmpl: rule.vmpl ?? 0 })) },
    anyFromRoots,
  };
}

type WirePolicy = DeploymentWireDocument['policies'][number];

function readPolicy(policy: WirePolicy, measurement: Measurement, at: string): ParsedDeployment['policies'][number] {
  const notBeforeMs = readDate(policy.notBefore, `${at}/notBefore`);
  const notAfterMs = readDate(policy.notAfter, `${at}/notAfter`);
  if (notBeforeMs !== undefined && notAfterMs !== undefined && notBeforeMs >= notAfterMs) {
    fail(at, 'is never valid, since notBefore is not before notAfter');
  }
  return {
    ...readHashes(policy, measurement, at),
    ...(notBeforeMs === undefined ? {} : { notBeforeMs }),
    ...(notAfterMs === undefined ? {} : { notAfterMs }),
  };
}

function readHashes({ content, sha256, sha384 }: WirePolicy, measurement: Measurement, at: string) {
  if (content !== undefined) {
    const bytes = fromBase64url(content, `${at}/content`);
    const hashes = policyHash(bytes);
    if (sha256 !== undefined && sha256 !== hashes.sha256)
      fail(`${at}/sha256`, 'is not the hash of the file; correct it or leave it out');
    if (sha384 !== undefined && sha384 !== hashes.sha384)
      fail(`${at}/sha384`, 'is not the hash of the file; correct it or leave it out');
    return { ...hashes, content: bytes };
  }
  if (sha256 === undefined) fail(at, 'needs the file, or sha256');
  if (measurement.bank === 'sha384' && sha384 === undefined)
    fail(at, 'needs sha384 too, since measurement.bank is sha384; or give the file');
  const hashes = { sha256, ...(sha384 === undefined ? {} : { sha384 }) };
  if (isEmptyField(measurement, hashes)) fail(`${at}/${measurement.bank}`, EMPTY_FIELD);
  return hashes;
}

function readDate(text: string | undefined, at: string): number | undefined {
  if (text === undefined) return undefined;
  return parseDateTime(text) ?? fail(at, 'is no day or time that exists');
}

function fail(at: string, what: string): never {
  throw new MalformedError(`${at}: ${what}`);
}
