import type { Json } from '../bytes/canonical-json.js';
import type { Receipt } from '../translog/receipt.js';
import type { KeyState, KeyType, Role } from './records.js';

/** What the broker shows of its records, with the member names of the wire. Times are RFC 3339 in UTC with milliseconds. No view holds key material. */

export interface ChallengeView {
  readonly nonce: string;
  readonly broker: string;
  readonly deployment: string;
  readonly key: string;
  readonly version: string;
  readonly expires_at: string;
  /** Bank to ascending PCR indexes: what the quote must cover at least. */
  readonly pcrs: Readonly<Record<string, readonly number[]>>;
}

export interface ReleaseView {
  readonly release_id: string;
  readonly key: { readonly name: string; readonly version: string; readonly kty: KeyType };
  readonly jwe: string;
  readonly receipt: Receipt;
}

export interface AcceptedPolicyView {
  readonly sha256: string;
  readonly sha384?: string;
  readonly not_before?: string;
  readonly not_after?: string;
  readonly origin: 'document' | 'registered';
  /** Whether it is accepted now. */
  readonly valid: boolean;
}

export interface DeploymentView {
  readonly name: string;
  readonly frozen: boolean;
  /** The document with its defaults, without `policies`. */
  readonly document: Json;
  readonly policies: readonly AcceptedPolicyView[];
  readonly created_at: string;
  readonly updated_at: string;
}

/** One difference that applying a document makes. `path` is a JSON pointer into the document; policies are `/policies/<sha256>`. */
export interface ChangeView {
  readonly path: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly before?: Json;
  readonly after?: Json;
}

export interface AppliedView {
  readonly deployment: DeploymentView;
  readonly created: boolean;
  readonly dry_run: boolean;
  readonly changes: readonly ChangeView[];
  /** What the linter found; each a sentence. */
  readonly warnings: readonly string[];
}

export interface PolicyView {
  readonly sha256: string;
  readonly sha384?: string;
  /** Bytes of the content, where the broker has it. */
  readonly size?: number;
  readonly created_at: string;
  readonly deployments: readonly (AcceptedPolicyView & { readonly deployment: string })[];
}

export interface KeyVersionView {
  readonly version: string;
  readonly state: KeyState;
  readonly created_at: string;
  readonly purge_at?: string;
  readonly kek: string;
}

export interface KeyView {
  readonly name: string;
  readonly kty: KeyType;
  readonly size?: number;
  readonly curve?: string;
  readonly deployments: readonly string[];
  readonly state: KeyState;
  readonly frozen: boolean;
  readonly created_at: string;
  readonly purge_at?: string;
  /** Newest first. */
  readonly versions: readonly KeyVersionView[];
}

/** What an AK is, by what is stored of it and by what it was last seen to be. */
export interface AttesterView {
  /** Made of its SPKI hash where nobody has named it. */
  readonly name: string;
  /** `unknown` where its public area was never presented. */
  readonly ak_name: string;
  readonly ak_spki_sha256: string;
  /** SubjectPublicKeyInfo, for comparison by eye; empty where its public area was never presented. */
  readonly pem: string;
  /** What vouches for it: `pinned`, `ek-certificate`, `ak-certificate`, `simulator`. */
  readonly trust: string;
  /** `trusted`: a deployment believes it now. `pending`: none does, and an administrator can change that. */
  readonly state: 'trusted' | 'pending' | 'quarantined' | 'revoked';
  /** Where an administrator trusts it. */
  readonly deployments: readonly string[];
  readonly created_at: string;
  /** Where it proved that it lives in the TPM of its EK. */
  readonly enrolled_for?: readonly string[];
  readonly ek?: EkView;
  /** The machine of a cloud, as the certificate of the AK or the EK names it. */
  readonly instance?: Readonly<Record<string, string>>;
  /** Whatever ends the trust when it is revoked, beside the AK: endorsement/identity.ts. */
  readonly vouched_by?: readonly string[];
  /** What was revoked: the SPKI hash, or one of `vouched_by`. */
  readonly revoked_by?: string;
  readonly quarantined_at?: string;
  /** From here on: of the newest evidence. Not authenticated, and decides nothing. */
  readonly first_seen?: string;
  readonly last_seen?: string;
  readonly last_deployment?: string;
  readonly reset_count?: number;
  readonly restart_count?: number;
  /** Decimal: how long the TPM was powered on, since it was last cleared. */
  readonly clock_ms?: string;
  /** Decimal. */
  readonly firmware_version?: string;
  /** How often its clock or its reset count was seen to go back. */
  readonly regressions?: number;
}

export interface EkView {
  readonly spki_sha256: string;
  readonly certificate_sha256: string;
  readonly serial?: string;
  /** For people: the attributes of the name. */
  readonly issuer?: string;
  readonly manufacturer?: string;
  readonly model?: string;
  readonly version?: string;
}

/** Something that vouches for nothing any more. */
export interface RevocationView {
  /** An SPKI hash, or what endorsement/identity.ts calls it. */
  readonly identity: string;
  readonly kind: 'ak' | 'ek' | 'certificate' | 'ca' | 'chip';
  /** The names of the AKs that an EK has enrolled, where one was revoked just now. */
  readonly attesters?: readonly string[];
}

/** Bytes are base64url. */
export interface EnrolmentView {
  /** The token; opaque. */
  readonly enrolment: string;
  /** TPM2B_ID_OBJECT. */
  readonly credential_blob: string;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly encrypted_secret: string;
  readonly expires_at: string;
}

export interface ActivationView {
  readonly attester: {
    readonly ak_name: string;
    readonly ak_spki_sha256: string;
    readonly trust: 'ek-certificate';
    /** Whether the deployment believes it now; else an administrator has to trust it. */
    readonly state: 'trusted' | 'pending';
  };
}

export interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
  readonly state: 'active' | 'expired' | 'revoked';
  readonly created_at: string;
  readonly expires_at?: string;
}

export interface EntryView {
  readonly index: number;
  readonly type: string;
  readonly entry: Json;
  /** Parts beside the entry: the decision tree of a release or denial, the diff of an administrative change. */
  readonly detail?: Json;
  /** Where the entry has pseudonyms: its members, `<member>/<position>` in a list, to the plain names. */
  readonly names?: Readonly<Record<string, string>>;
}

/** A release appraised again, from its archive and by the software that runs now. */
export interface ReplayView {
  readonly release_id: string;
  /** Of its entry, which the log was found to hold. */
  readonly index: number;
  /** Whether the appraisal comes to what was recorded, in every member that follows from it. */
  readonly same: boolean;
  /** The time that it was appraised at, and is again. */
  readonly appraised_at: string;
  /** Of the replay. */
  readonly decision: Json;
  /** Where it would be refused. */
  readonly refusal?: { readonly reason: string; readonly detail: string };
  /** What the evidence was verified to say; absent where it is refused. */
  readonly claims?: Json;
  /** Members of the entry, `decision` or `outcome`; a value is absent where there is none. */
  readonly differences: readonly { readonly member: string; readonly recorded?: Json; readonly replayed?: Json }[];
  /** The entry. */
  readonly log: Json;
  /** The request as it was received, where it was asked for. */
  readonly presented?: Json;
}

export interface BrokerView {
  readonly broker: string;
  readonly profile: 'development' | 'production';
  readonly version: string;
  /** The vkey string of the log. */
  readonly log_key: string;
  readonly state_generation: string;
  readonly kek: string;
}

/** What is to be simulated. Bytes are base64url. */
export interface SimulatedMachineRequest {
  readonly deployment: string;
  /** TPM2B_PUBLIC or TPMT_PUBLIC; left out by a machine without a TPM. */
  readonly ak?: string;
  /** TPM2B_PUBLIC or TPMT_PUBLIC of an EK: it is certified for deployments that have the simulator CA among their roots. */
  readonly ek?: string;
  readonly cvm?: SimulatedCvmRequest;
  readonly gpus?: readonly SimulatedGpuRequest[];
}

/** A confidential VM: what its maker is told of it. */
export interface SimulatedCvmRequest {
  readonly kind: 'snp' | 'tdx' | 'hcl-snp' | 'hcl-tdx';
  /** SubjectPublicKeyInfo: of the VCEK (P-384), or of the PCK (P-256). */
  readonly key: string;
  /** `snp` and `hcl-snp`: hex, 64 bytes; Milan unless said, and what is left out of the TCB is 0. */
  readonly chip_id?: string;
  readonly generation?: 'Milan' | 'Genoa' | 'Turin';
  readonly tcb?: Readonly<Partial<Record<'fmc' | 'bootloader' | 'tee' | 'snp' | 'microcode', number>>>;
  /** `tdx` and `hcl-tdx`: hex, 16 bytes. */
  readonly ppid?: string;
}

/** An H100. */
export interface SimulatedGpuRequest {
  /** SubjectPublicKeyInfo of its boot ROM (P-384), which certifies the key that signs reports. */
  readonly key: string;
  /** Hex, 8 bytes. */
  readonly pdi: string;
}

/** A simulated machine that boots as a deployment expects: development profile only. Certificates are DER, base64url. */
export interface SimulatedMachineView {
  /** The AK certificate, then the simulator CA; none where no AK was sent, the deployment trusts no simulators, or it is the report of the VM that vouches for AKs. */
  readonly ak_certificates: readonly string[];
  /** The EK certificate, then the simulator CA; where an EK was sent, and the deployment has that CA among its roots. */
  readonly ek_certificates?: readonly string[];
  /** PCR values of the boot chain, bank to index to hex. */
  readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The policy to measure, and where: `source` as in the deployment, `pcr` where that is `tpm`. */
  readonly policy: { readonly source: string; readonly bank: string; readonly pcr: number; readonly digest: string };
  /** Where a confidential VM was asked for. */
  readonly cvm?: SimulatedCvmView;
  /** In the order of the request: the certificate of the boot ROM, then those above it, the root last. */
  readonly gpus?: readonly { readonly certificates: readonly string[] }[];
}

/** Beside the certificates, what the deployment expects of the VM: as its first rule in attesters.allow.cvm that is for one of this kind. Hex. */
export interface SimulatedCvmView {
  /** The VCEK, or the PCK certificate, then the CA above it. */
  readonly certificates: readonly string[];
  readonly measurement?: string;
  readonly id_key_digest?: string;
  readonly vmpl: number;
  /** Where the policy is measured there. */
  readonly host_data?: string;
  readonly mr_config_id?: string;
}

export interface ListView<T> {
  readonly items: readonly T[];
  readonly next_cursor?: string;
}
