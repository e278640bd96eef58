import type { KeyType } from '../keys/material.js';
import type { AcceptedPolicy, Deployment } from '../policy/deployment.js';

export type { KeyType };
/** Which rules hold: development trusts simulators, production refuses whatever proves nothing. */
export type Profile = 'development' | 'production';

/** What the store keeps. Times are ms since the Unix epoch; hashes lower-case hex. Every record here decides a release, so the store authenticates its row. */

/** The one row of state that everything else is checked against. */
export interface BrokerState {
  /** Raised by every administrative change; a release commits only at the generation it was appraised under. */
  readonly generation: number;
  /** Nonce keys are derived for this epoch; raising it kills every nonce issued before. */
  readonly epoch: number;
  /** Nonces issued at or before this time are expired, whatever the clock says. Never falls. */
  readonly nonceFloorMs: number;
}

export interface DeploymentRecord {
  readonly deployment: Deployment;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** A runtime policy known by its content or its hash alone. Immutable. */
export interface PolicyRecord {
  readonly sha256: string;
  readonly sha384?: string;
  /** The bytes of the policy file, where they were given. */
  readonly content?: Buffer;
  readonly createdAtMs: number;
}

/** A policy accepted by a deployment. */
export interface PolicyLink extends AcceptedPolicy {
  readonly deployment: string;
  readonly origin: 'document' | 'registered';
  readonly createdAtMs: number;
}

export type KeyState = 'enabled' | 'disabled' | 'deleted';

export interface KeyRecord {
  readonly name: string;
  readonly kty: KeyType;
  /** Bits: of the modulus for RSA, of the secret for oct. */
  readonly sizeBits?: number;
  /** JWK `crv` for EC and OKP. */
  readonly curve?: string;
  /** The deployments that may draw the key. */
  readonly deployments: readonly string[];
  readonly state: KeyState;
  readonly createdAtMs: number;
  /** Set with state `deleted`: when the material is destroyed; until then the key can be recovered. */
  readonly purgeAtMs?: number;
}

export interface KeyVersionRecord {
  readonly key: string;
  /** 32 lower-case hex digits. */
  readonly version: string;
  /** Order of creation within the key, from 1; the greatest is the newest, whatever its state. */
  readonly sequence: number;
  readonly state: KeyState;
  /** The KEK that wraps the data key. */
  readonly kek: string;
  readonly wrappedDek: Buffer;
  readonly ciphertext: Buffer;
  readonly createdAtMs: number;
  readonly purgeAtMs?: number;
}

/** The certificate of the EK of an AK's own TPM, as credential activation has proved. */
export interface EkEndorsement {
  /** SHA-256 of the EK's SubjectPublicKeyInfo DER. */
  readonly spkiSha256: string;
  /** DER: the EK certificate, then what stood between it and a root. */
  readonly certificates: readonly Buffer[];
}

/** What credential activation has proved for one deployment. It counts there alone: whose roots are other ones believes other EKs. */
export interface AkEnrolment {
  readonly deployment: string;
  /** The TPM Name, hex, that the AK was enrolled under. */
  readonly akName: string;
  readonly ek: EkEndorsement;
}

/** An AK that was pinned or enrolled. */
export interface AttesterRecord {
  /** SHA-256 of the AK's SubjectPublicKeyInfo DER: the identity for revocation and inventory. */
  readonly spkiSha256: string;
  /** The TPM Name of the AK, hex, or `unknown`: what a pin is for; must match the presented AK exactly. */
  readonly akName: string;
  /** TPMT_PUBLIC as registered; empty where it is not known. */
  readonly publicArea: Buffer;
  /** What the administrator called it; unique. */
  readonly name: string;
  /** The deployments that an administrator trusts it for. */
  readonly deployments: readonly string[];
  readonly createdAtMs: number;
  /** One for each deployment that it was enrolled for, the newest last; whether that believes it is for its rules to say. */
  readonly enrolments?: readonly AkEnrolment[];
  /** In quarantine since then: no deployment believes it until an administrator ends that. */
  readonly quarantinedAtMs?: number;
}

/**
 * What an AK was seen to be, when it last asked for a key: inventory, which decides nothing and is not authenticated. The
 * clock is as in TPMS_CLOCK_INFO (TPM 2.0 Library part 2).
 */
export interface Sighting {
  readonly spkiSha256: string;
  /** The TPM Name, hex; `unknown` where the public area was not presented. */
  readonly akName: string;
  /** TPMT_PUBLIC; empty where it was not presented. */
  readonly publicArea: Buffer;
  readonly deployment: string;
  /** What made it believable: an AkTrust. */
  readonly trust: string;
  /** Whether it was believed, or waits for an administrator. */
  readonly state: 'trusted' | 'pending';
  /** DER: the certificate of the AK and what stood beside it, where it was presented. */
  readonly certificates: readonly Buffer[];
  readonly seenAtMs: number;
  /** When the nonce of its quote was issued: the quote was made between then and `seenAtMs`. Default: `seenAtMs`. */
  readonly challengedAtMs?: number;
  /** Of the newest verified quote; undefined before there was one. */
  readonly clock?: TpmClock | undefined;
}

/** A sighting as the inventory keeps it: what was newest, and what is known from before. NOT authenticated. */
export interface StoredSighting extends Omit<Sighting, 'challengedAtMs'> {
  readonly firstSeenAtMs: number;
  /** How often its clock or resetCount was found to have gone back, at least. */
  readonly regressions: number;
}

/** TPMS_CLOCK_INFO and the firmware version of a verified quote. */
export interface TpmClock {
  /** Milliseconds that the TPM was powered on, since it was last cleared. */
  readonly clock: bigint;
  readonly resetCount: number;
  readonly restartCount: number;
  /** Whether no greater clock can have been reported before. */
  readonly safe: boolean;
  readonly firmwareVersion: bigint;
}

/** A TPM whose clock or resetCount was seen to go back: its state was copied or restored, or it was cleared. */
export interface ClockRegression {
  readonly spkiSha256: string;
  readonly before: TpmClock;
  readonly after: TpmClock;
}

export type Role = 'admin' | 'operator' | 'auditor';

export interface TokenRecord {
  /** The public part of the token: 16 lower-case hex digits. */
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  /** HMAC-SHA-256 of the whole token under the token key, hex. */
  readonly hash: string;
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  readonly revokedAtMs?: number;
}

/** An entry of the log as it was appended: the index is the order. */
export interface LogEntry {
  readonly index: number;
  readonly type: string;
  /** Canonical JSON. */
  readonly entry: string;
  /** Parts too large for the entry, which holds their hash: the decision tree. JSON text. */
  readonly detail?: string;
  /** The plain names of members that are salted hashes. */
  readonly names?: Readonly<Record<string, string>>;
}

/** Who the broker is. Written once by init; the root secret's wrapping authenticates the other members. */
export interface BrokerRecord {
  readonly broker: string;
  readonly profile: Profile;
  readonly createdAtMs: number;
  /** The KEK that wraps both secrets. */
  readonly kek: string;
  readonly wrappedRootSecret: Buffer;
  /** `<broker id>/<log id>`: the name of the log in checkpoints. */
  readonly logOrigin: string;
  /** Ed25519 public key, 32 bytes. */
  readonly logPublicKey: Buffer;
  /** Ed25519 seed, 32 bytes, wrapped. */
  readonly wrappedLogKey: Buffer;
}
