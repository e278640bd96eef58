import { randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { NonceKey } from '../../challenge/nonce.js';
import { deriveKey } from '../../crypto/derive.js';
import { pooled } from '../../crypto/random.js';
import { AnchorSets } from '../../endorsement/anchor-sets.js';
import { KnownPaths } from '../../endorsement/known-paths.js';
import { TrustedAks } from '../../evidence/tpm/trusted-aks.js';
import { openKekFile } from '../../keystore/file-kek.js';
import { generateKey } from '../../keystore/generate-key.js';
import type { Config } from '../../config/config.js';
import type { StoreUrl } from '../../config/store-url.js';
import type { Broker } from '../../release/broker.js';
import type { BrokerContext, Observer, SimulatorAuthority } from '../../release/context.js';
import { createBroker } from '../../release/create-broker.js';
import { DenialRecorder } from '../../release/denial-recorder.js';
import { EnrolmentLimits } from '../../release/enrolment-limits.js';
import { FIXED_EPOCH, openLogIdentity, openRootSecret } from '../../release/initialise.js';
import { CheckpointSeal } from '../../release/kept-checkpoint.js';
import type { BrokerRecord, Profile } from '../../release/records.js';
import { SightingRecorder } from '../../release/sightings.js';
import type { Store } from '../../release/store.js';
import { issueAkCertificate, issueEkCertificate } from '../../simulator/ca.js';
import { Pseudonyms } from '../../translog/names.js';
import { parseVerifierKey, type VerifierKey } from '../../translog/note.js';
import { VERSION } from '../version.js';
import { type DataDir, dataDir, dataDirFault } from './data-dir.js';
import { collateralOf, openCollateral } from './collateral.js';
import { openAuthorities } from './authorities.js';
import { hardwareTrustOf } from './hardware.js';
import { openStore } from './open-store.js';
import { openRevocationLists, revocationListsOf } from './revocation-lists.js';
import { simulatedHardware } from './simulated-hardware.js';
import type { Trouble } from './trouble.js';

/** The data directory cannot be served as it is; the message says what to do. */
export class DataDirError extends Error {
  override readonly name = 'DataDirError';
}

/** The profile asked for is not the one that init fixed. */
export class ProfileError extends Error {
  override readonly name = 'ProfileError';
}

export interface OpenOptions {
  readonly dataDir: string;
  /** The database that replicas share; undefined: SQLite in the data directory. */
  readonly store?: StoreUrl | undefined;
  /** The profile that the caller insists on; undefined takes the one that init fixed. */
  readonly profile: Profile | undefined;
  readonly challengeTtlMs: number;
  readonly explain: 'full' | 'codes';
  /** How names stand in log entries. */
  readonly logNames: 'plain' | 'salted';
  /** Whether what releases are given for is archived. */
  readonly archiveEvidence: boolean;
  /** Where CRLs of TPM makers lie; default: none are looked at. */
  readonly endorsement?: Config['endorsement'];
  /** Where collateral of hardware lies; default: below the data directory, if it is there. */
  readonly collateral?: Config['collateral'];
  /** Issuers of attestation tokens whose claims are believed; default: nobody. */
  readonly authorities?: Config['authorities'];
  /** Told of CRLs and collateral that have become unusable while the broker runs, and of keys of authorities that cannot be had. */
  readonly onCrlTrouble?: Trouble;
  readonly observer: Observer;
  /** Where a quorum of witnesses is demanded: makes what waits for it. */
  readonly witnesses?: (store: Store, logKey: VerifierKey) => BrokerContext['witnesses'];
}

/** A broker over a data directory, and what belongs to its life. */
export interface OpenBroker {
  readonly broker: Broker;
  readonly context: BrokerContext;
  readonly profile: Profile;
  /** For checkpoints that are kept outside of the store. */
  readonly seal: CheckpointSeal;
  close(): Promise<void>;
}

/** Opens a data directory that init made. Throws DataDirError, ProfileError, KekError, UsageError for a CRL that cannot be used, or the store's errors. */
export async function openBroker(options: OpenOptions): Promise<OpenBroker> {
  const paths = dataDir(options.dataDir);
  const fault = dataDirFault(paths.path);
  if (fault !== undefined) throw new DataDirError(fault);
  const keks = await openKekFile(paths.kek);
  const crls = await openRevocationLists(options.endorsement, options.onCrlTrouble);
  const place = { dataDir: paths.path, collateral: options.collateral ?? { dir: undefined } };
  const collateral = await openCollateral(place, options.onCrlTrouble);
  const clock = () => Date.now();
  const { store, where, authenticate } = await openStore(paths, {
    url: options.store,
    create: false,
    clock,
    onCommit: (records, milliseconds) => options.observer.committed(records, milliseconds),
  });
  try {
    const record = await store.broker();
    if (record === undefined)
      throw new DataDirError(
        `${where} has no broker record: restore a backup, or, if its init never ended, run portcullis init with a new directory`,
      );
    if (options.profile !== undefined && options.profile !== record.profile) {
      throw new ProfileError(
        `${paths.path} was initialised for the ${record.profile} profile, which is for good; for ${options.profile} run: portcullis init --profile ${options.profile} with a new directory`,
      );
    }
    const rootSecret = await openRootSecret(keks, record);
    const pseudonyms =
      options.logNames === 'salted' ? new Pseudonyms(deriveKey(rootSecret, 'names', FIXED_EPOCH)) : undefined;
    const logIdentity = await openLogIdentity(keks, record, pseudonyms);
    await authenticate(deriveKey(rootSecret, 'row-mac', FIXED_EPOCH), logIdentity);
    const known = new KnownPaths(MAX_CACHED_PATHS);
    const simulator = openSimulator(paths, record, deriveKey(rootSecret, 'simulated-hardware', FIXED_EPOCH));
    const authorities = openAuthorities(options.authorities ?? [], options.onCrlTrouble);
    const requireCrls = options.endorsement?.requireCrls ?? false;
    const context: BrokerContext = {
      broker: record.broker,
      profile: record.profile,
      version: VERSION,
      logKey: logIdentity.signer.verifierKey,
      store,
      witnesses: options.witnesses?.(store, parseVerifierKey(logIdentity.signer.verifierKey)),
      pseudonyms,
      keks,
      generateKey,
      clock,
      random: pooled(randomBytes),
      nonceKey: nonceKeys(rootSecret),
      tokenKey: deriveKey(rootSecret, 'token', FIXED_EPOCH),
      archive: { on: options.archiveEvidence, key: deriveKey(rootSecret, 'archive', FIXED_EPOCH) },
      challengeTtlMs: options.challengeTtlMs,
      explain: options.explain,
      simulator,
      anchors: new AnchorSets(),
      paths: known,
      revocationLists: revocationListsOf(crls),
      hardwareTrust: hardwareTrustOf({
        collateral: collateralOf(collateral),
        paths: known,
        requireCrls,
        simulator,
      }),
      authorities,
      enrolmentKey: (epoch) => deriveKey(rootSecret, 'enrolment', epoch),
      enrolmentLimits: new EnrolmentLimits(),
      aks: new TrustedAks(MAX_CACHED_AKS),
      denials: new DenialRecorder(store, clock, randomBytes),
      sightings: new SightingRecorder(store, clock, options.observer),
      observer: options.observer,
    };
    const seal = new CheckpointSeal(record.broker, deriveKey(rootSecret, 'kept-checkpoint', FIXED_EPOCH));
    crls?.start();
    collateral.start();
    const close = async (): Promise<void> => {
      crls?.stop();
      collateral.stop();
      await authorities.close();
      await store.close();
    };
    return { broker: createBroker(context), context, profile: record.profile, seal, close };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Nonce keys by epoch, derived when first needed; epochs only rise, so the latest one alone is kept. */
function nonceKeys(rootSecret: Buffer): (epoch: number) => NonceKey {
  let latest: NonceKey | undefined;
  return (epoch) => {
    if (latest?.epoch !== epoch) latest = { epoch, key: deriveKey(rootSecret, 'nonce', epoch) };
    return latest;
  };
}

const MAX_CACHED_AKS = 16_384;
const MAX_CACHED_PATHS = 4096;
const CERTIFICATE_LIFE_MS = 30 * 86_400_000;

function openSimulator(paths: DataDir, record: BrokerRecord, seed: Buffer): SimulatorAuthority | undefined {
  if (record.profile !== 'development') return undefined;
  const certificatePem = readFileSync(paths.simulatorCa, 'utf8');
  const privateKeyPem = readFileSync(paths.simulatorKey, 'utf8');
  const certificate = new X509Certificate(certificatePem);
  const issuing = (issue: typeof issueAkCertificate) => (spki: Buffer) => {
    const now = Date.now();
    const validity = { notBefore: new Date(now - 60_000), notAfter: new Date(now + CERTIFICATE_LIFE_MS) };
    const leaf = issue({ certificatePem, privateKeyPem }, spki, { ...validity, serial: randomBytes(16) });
    return [leaf, certificate.raw];
  };
  return {
    certificate,
    certify: issuing(issueAkCertificate),
    certifyEk: issuing(issueEkCertificate),
    hardware: simulatedHardware(seed, () => Date.now()),
  };
}
