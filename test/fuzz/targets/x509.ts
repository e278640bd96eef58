import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { gceInstance as decodeInstance } from '../../../src/endorsement/gce-instance.js';
import { validatePath } from '../../../src/endorsement/path.js';
import { tpmIdentity } from '../../../src/endorsement/tpm-identity.js';
import { trustAnchorsOf } from '../../../src/endorsement/trust-anchors.js';
import { ecKey } from '../../helpers/pki.js';
import {
  AK_USAGE,
  DIGITAL_SIGNATURE,
  EK_USAGE,
  gceInstance,
  KEY_AGREEMENT,
  TestAuthority,
  TPM_MODEL,
} from '../../helpers/test-authority.js';
import type { FuzzTarget } from '../target.js';

const AT = Date.UTC(2026, 5, 1);
const authority = new TestAuthority('Fuzz', AT);
const { spki } = ecKey();
const ca = authority.ca;
const anchors = trustAnchorsOf([ca]);
const leaves = [
  authority.ek(spki, { says: [KEY_AGREEMENT, EK_USAGE, TPM_MODEL] }),
  authority.ak(spki, { says: [DIGITAL_SIGNATURE, AK_USAGE, gceInstance('project', 'vm-1')] }),
].map(([leaf]) => leaf ?? Buffer.alloc(0));
/** Of which no mutation may be believed: the bytes that were signed. */
const genuine = new Set(leaves.map((leaf) => leaf.toString('hex')));

/** What the parser gives; undefined where it refuses. Anything else that is thrown is a finding. */
function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

export const targets: readonly FuzzTarget[] = [
  {
    name: 'crypto/x509',
    seeds: [...leaves, ca],
    run: (input) => {
      const certificate = parsed(() => parseCertificate(input));
      if (certificate === undefined) return;
      if (!certificate.der.equals(input)) throw new Error('a certificate is other bytes than were given');
      parsed(() => certificate.publicKey());
      parsed(() => decodeInstance(certificate));
      tpmIdentity(certificate);
    },
  },
  {
    name: 'endorsement/path',
    seeds: leaves,
    run: (input) => {
      const request = { anchors, atMs: AT, purpose: {}, crls: [], crlPolicy: 'none' } as const;
      const path = validatePath({ ...request, chain: [input] });
      if (path.ok && !genuine.has(input.toString('hex'))) throw new Error('a changed certificate is believed');
    },
  },
  {
    name: 'crypto/crl',
    seeds: [authority.crlDer('ca', [1n, 0xff00n]), authority.crlDer('root', [])],
    run: (input) => {
      const crl = parsed(() => parseCrl(input));
      if (crl?.entries === 0 && crl.lists('01')) throw new Error('an empty list has an entry');
    },
  },
];
