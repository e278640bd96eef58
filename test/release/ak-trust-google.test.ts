/** AK certificates of two Google Compute Engine machines, where those vectors are at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { pemBlocks } from '../../src/crypto/pem.js';
import { AnchorSets } from '../../src/endorsement/anchor-sets.js';
import { KnownPaths, NO_REVOCATION_LISTS } from '../../src/endorsement/known-paths.js';
import { parseCertifiedAk } from '../../src/evidence/tpm/ak.js';
import { akTrust } from '../../src/release/ak-trust.js';
import type { DecidingFacts } from '../../src/release/entitlement.js';
import { pem } from '../helpers/pki.js';
import { deployment } from '../policy/documents.js';
import { valueOf } from '../helpers/test-broker.js';

const VECTORS = join(import.meta.dirname, '../../../shared/vectors/tpm-certs/gce');
const AT = Date.UTC(2026, 10, 21);
const FACTS: DecidingFacts = {
  ...{ state: { generation: 1, epoch: 1, nonceFloorMs: 0 }, deployment: undefined, deploymentFrozen: false },
  ...{ policies: [], key: undefined, keyFrozen: false, version: undefined, attester: undefined },
  ...{ akRevoked: false, revoked: [] },
};

function certificatesIn(file: string): readonly Buffer[] {
  const bytes = readFileSync(join(VECTORS, file));
  return bytes[0] === 0x30 ? [bytes] : pemBlocks(bytes.toString('latin1'), 'CERTIFICATE', 16, 8192);
}

const MACHINES = [
  ['pca', 'roots/gcp_ek_ak_ca_root.crt', 'roots/gcp_ek_ak_ca_intermediate_v3.crt'],
  ['uca', 'roots/tpm_ek_root_1.cer', 'roots/tpm_ek_intermediate_3.crt'],
] as const;
const CASES = MACHINES.flatMap(([name, root, ca]) =>
  (['rsa', 'ecc'] as const).map((key) => ({ name, key, root, ca, file: `${name}_tpm_${key}_sign_cert.pem` })),
);

(existsSync(VECTORS) ? describe : describe.skip)('the AK of a Google machine', () => {
  function trust(each: (typeof CASES)[number], rules: object, atMs = AT, leaf = each.file) {
    const chain = [...certificatesIn(leaf), ...certificatesIn(each.ca)];
    const roots = certificatesIn(each.root).map((der) => pem(der));
    const document = deployment({ attesters: { trust: ['ak-certificate'], roots, ...rules } });
    const vouchers = {
      ...{ simulatorCa: undefined, nowMs: atMs, anchors: new AnchorSets(), paths: new KnownPaths(4) },
      revocationLists: NO_REVOCATION_LISTS,
    };
    return akTrust(vouchers, FACTS, document, chain)(valueOf(parseCertifiedAk(chain[0])));
  }

  test.each(CASES)('$name, $key, is believed for its certificate, and its machine is named', (each) => {
    const trusted = valueOf(trust(each, { anyFromRoots: true }));
    expect(trusted).toMatchObject({ kind: 'ak-certificate', allowedBy: 'any-from-roots' });
    const { instance } = trusted.claims as { instance: Record<string, string> };
    expect(Object.keys(instance).sort()).toEqual(
      ['instanceId', 'instanceName', 'production', 'projectId', 'projectNumber', 'zone'].sort(),
    );
    expect(instance['projectNumber']).toMatch(/^\d+$/);
    expect(instance['zone']).toMatch(/^[a-z]+-[a-z]+\d-[a-z]$/);

    const { projectId, zone } = instance;
    expect(trust(each, { allow: { instance: [{ projectId, zone }] } })).toMatchObject({
      value: { allowedBy: 'instance' },
    });
    expect(trust(each, { allow: { instance: [{ projectId, zone: 'mars-north1-a' }] } })).toMatchObject({
      reason: 'ak.pending',
    });
    expect(trust(each, {})).toMatchObject({ reason: 'ak.pending' });
  });

  test.each(CASES)('$name, $key, is not believed before or after its time, or under the root of the other', (each) => {
    for (const atMs of [Date.UTC(2022, 0, 1), Date.UTC(2060, 0, 1)]) {
      expect(trust(each, { anyFromRoots: true }, atMs)).toMatchObject({ reason: 'ak.untrusted' });
    }
    const other = CASES.find(({ name }) => name !== each.name)!;
    expect(trust({ ...each, root: other.root }, { anyFromRoots: true })).toMatchObject({ reason: 'ak.untrusted' });
  });

  test.each(CASES)('$name, $key, is not the EK beside it: that is for encipherment', (each) => {
    const ek = each.file.replace('sign', 'enc');
    expect(trust(each, { anyFromRoots: true }, AT, ek)).toMatchObject({ reason: 'ak.untrusted' });
  });
});
