/**
 * The use cases. This room may assume an adapter behind every port (store, KEKs, key generator, clock, randomness) and
 * a caller who has authenticated the Principal; it verifies everything that a workload presents.
 */
import type { X509Certificate } from 'node:crypto';
import type { NonceKey } from '../challenge/nonce.js';
import type { Random } from '../crypto/random.js';
import type { AnchorSets } from '../endorsement/anchor-sets.js';
import type { Collateral, HardwareTrust } from '../endorsement/collateral.js';
import type { AmdGeneration, HardwareRoots } from '../endorsement/hardware-roots.js';
import type { KnownPaths, RevocationLists } from '../endorsement/known-paths.js';
import type { AuthorityKeys } from '../evidence/authority/verify.js';
import type { TcbComponent } from '../evidence/snp/constants.js';
import type { TrustedAks } from '../evidence/tpm/trusted-aks.js';
import type { KekProvider } from '../keys/kek.js';
import type { KeyGenerator } from '../keys/generator.js';
import type { Deployment } from '../policy/deployment.js';
import type { ReasonCode } from '../reason/reason.js';
import type { DenialRecorder } from './denial-recorder.js';
import type { EnrolmentLimits } from './enrolment-limits.js';
import type { Profile } from './records.js';
import type { SightingObserver, SightingRecorder } from './sightings.js';
import type { Store } from './store.js';
import type { Pseudonyms } from '../translog/names.js';

/** What is told to telemetry. */
export interface Observer extends SightingObserver {
  challenged(): void;
  /** A release was answered; the time from request to answer in ms. */
  released(milliseconds: number): void;
  denied(reason: ReasonCode): void;
  /** A durable commit carried this many records and took this long. */
  committed(records: number, milliseconds: number): void;
}

/** What a simulated AMD says of the chip and the firmware of a signing key. */
export interface SimulatedChip {
  readonly generation: AmdGeneration;
  /** CHIP_ID as in reports, 64 bytes; of Turin the first 8 count. */
  readonly chipId: Buffer;
  /** The security versions that the key was derived for, 0 to 255; what is left out is 0. */
  readonly tcb: Readonly<Partial<Record<TcbComponent, number>>>;
}

/** The makers of simulated hardware of this broker. Keys are SubjectPublicKeyInfo in DER; whatever is handed in is certified. */
export interface SimulatedHardware {
  /** The pinned roots, and those of these makers. */
  readonly roots: HardwareRoots;
  /** What these makers publish, current now: the same object as long as it stays the same. */
  readonly collateral: Collateral;
  /** DER: a VCEK, then the CA above it. `spki` is of P-384. */
  certifyChip(spki: Buffer, chip: SimulatedChip): readonly Buffer[];
  /** DER: a PCK certificate, then the CA above it. `spki` is of P-256, `ppid` has 16 bytes. */
  certifyPlatform(spki: Buffer, ppid: Buffer): readonly Buffer[];
  /** DER: the certificate of the boot ROM of an H100, then those above it, without the root. `spki` is of P-384, `pdi` has 8 bytes. */
  certifyBootRom(spki: Buffer, pdi: Buffer): readonly Buffer[];
}

/** The simulator CA of the data directory: development profile only. */
export interface SimulatorAuthority {
  readonly certificate: X509Certificate;
  /** Certifies an AK; DER of the leaf, then of the CA. */
  certify(akSpki: Buffer): readonly Buffer[];
  /** Certifies an EK; DER of the leaf, then of the CA. */
  certifyEk(ekSpki: Buffer): readonly Buffer[];
  readonly hardware: SimulatedHardware;
}

/** Everything a use case may reach. */
export interface BrokerContext {
  readonly broker: string;
  readonly profile: Profile;
  /** Of the software. */
  readonly version: string;
  /** The vkey string of the log. */
  readonly logKey: string;
  readonly store: Store;
  /** Where a quorum of witnesses must cosign what is answered: the checkpoint, cosigned, that covers an entry; undefined where it does not come in time. */
  readonly witnesses:
    | {
        cover(index: number): Promise<string | undefined>;
        /** Why `cover` would not succeed now, as far as is known without asking anybody; undefined: it would. For people. */
        trouble?(): string | undefined;
      }
    | undefined;
  /** Where names in entries are salted. */
  readonly pseudonyms: Pseudonyms | undefined;
  readonly keks: KekProvider;
  readonly generateKey: KeyGenerator;
  /** ms since the Unix epoch. */
  readonly clock: () => number;
  readonly random: Random;
  readonly nonceKey: (epoch: number) => NonceKey;
  /** 32 bytes: the key of token hashes. */
  readonly tokenKey: Buffer;
  /** Whether what releases are given for is archived; the key (32 bytes) also opens what was archived before. */
  readonly archive: { readonly on: boolean; readonly key: Buffer };
  readonly challengeTtlMs: number;
  /** `codes` hides expected values from workloads. */
  readonly explain: 'full' | 'codes';
  readonly simulator: SimulatorAuthority | undefined;
  /** The roots of deployments, parsed. */
  readonly anchors: AnchorSets;
  /** Certificates that had a good path before. */
  readonly paths: KnownPaths;
  /** CRLs, as they are now: the same object as long as none has changed. */
  readonly revocationLists: () => RevocationLists;
  /** What hardware evidence for a deployment is held against at a time, ms since the Unix epoch. */
  readonly hardwareTrust: (deployment: Deployment, atMs: number) => HardwareTrust;
  /** The keys of those whose attestation tokens are believed. */
  readonly authorities: AuthorityKeys;
  /** 32 bytes: the key of enrolments of an epoch. */
  readonly enrolmentKey: (epoch: number) => Buffer;
  /** What enrolments may write. */
  readonly enrolmentLimits: EnrolmentLimits;
  /** AKs that were trusted before. */
  readonly aks: TrustedAks;
  readonly denials: DenialRecorder;
  readonly sightings: SightingRecorder;
  readonly observer: Observer;
}
