import type { RevocationList } from '../crypto/x509-crl.js';
import type { HardwareRoots } from './hardware-roots.js';
import type { KnownPaths } from './known-paths.js';

/** A signed JSON document of Intel's Provisioning Certification Service, with the chain of its signer. Nothing of it is verified. */
export interface SignedDocument {
  /** As it was served: `{"tcbInfo":{…},"signature":"<hex>"}` or `{"enclaveIdentity":{…},"signature":"<hex>"}`. */
  readonly body: Buffer;
  /** DER, the signer's certificate first. */
  readonly issuerChain: readonly Buffer[];
}

/**
 * What makers publish about their hardware, as it is at hand: nothing in it is verified, and it may be stale; whoever uses a piece
 * verifies signature and dates first. A new object whenever any piece is another one; the pieces themselves never change.
 */
export interface Collateral {
  /** Of AMD's ARKs, of Intel's root and PCK CAs, of others. */
  readonly crls: readonly RevocationList[];
  readonly tcbInfos: readonly SignedDocument[];
  readonly qeIdentities: readonly SignedDocument[];
  /** NVIDIA's reference integrity manifests: SWID tags, XML. */
  readonly rims: readonly Buffer[];
}

export const NO_COLLATERAL: Collateral = { crls: [], tcbInfos: [], qeIdentities: [], rims: [] };

/** What evidence of hardware is held against: who is believed, with what is published, and when. */
export interface HardwareTrust {
  readonly roots: HardwareRoots;
  readonly collateral: Collateral;
  /** Certificates that had a good path before. */
  readonly paths: KnownPaths;
  /** The clock: ms since the Unix epoch. */
  readonly atMs: number;
  /** Whether a CRL must be there also where makers are often asked in vain (AMD). Intel's always must. */
  readonly requireCrls: boolean;
}
