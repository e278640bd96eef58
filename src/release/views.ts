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

export interface AttesterView {
  readonly name: string;
  readonly ak_name: string;
  readonly ak_spki_sha256: string;
  /** SubjectPublicKeyInfo, for comparison by eye. */
  readonly pem: string;
  readonly trust: 'pinned';
  readonly state: 'trusted' | 'revoked';
  readonly deployments: readonly string[];
  readonly created_at: string;
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

/** A simulated machine that boots as a deployment expects: development profile only. */
export interface SimulatedMachineView {
  /** DER, base64url: the AK certificate, then the simulator CA. */
  readonly ak_certificates: readonly string[];
  /** PCR values of the boot chain, bank to index to hex. */
  readonly pcrs: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The policy to measure, and where. */
  readonly policy: { readonly bank: string; readonly pcr: number; readonly digest: string };
}

export interface ListView<T> {
  readonly items: readonly T[];
  readonly next_cursor?: string;
}
