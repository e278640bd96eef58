/** Trust by the report of a confidential VM: what akTrust does with one that somebody has verified. */
import { describe, expect, test } from '@jest/globals';
import { sha256Hex } from '../../src/crypto/digest.js';
import { AnchorSets } from '../../src/endorsement/anchor-sets.js';
import { KnownPaths, NO_REVOCATION_LISTS } from '../../src/endorsement/known-paths.js';
import { parseAk } from '../../src/evidence/tpm/ak.js';
import type { Deployment } from '../../src/policy/deployment.js';
import { akTrust } from '../../src/release/ak-trust.js';
import type { DecidingFacts } from '../../src/release/entitlement.js';
import { type CvmVouching, vouchingIdentities } from '../../src/release/vouchers.js';
import { encodePublicArea } from '../evidence/tpm/encode.js';
import { eccAk } from '../evidence/tpm/software-quote.js';
import { ecKey } from '../helpers/pki.js';
import { valueOf } from '../helpers/test-broker.js';
import { deployment } from '../policy/documents.js';

const AK = valueOf(parseAk(encodePublicArea(eccAk().area)));
const MEASUREMENT = 'ab'.repeat(48);
const ID_KEY = 'cd'.repeat(48);
const CHIP = `chip/${'01'.repeat(64)}`;
const CVM: CvmVouching = {
  ...{ akSpki: AK.spki, measurement: MEASUREMENT, idKeyDigest: ID_KEY, vmpl: 0, identities: [CHIP] },
};
const FACTS: DecidingFacts = {
  ...{ state: { generation: 1, epoch: 1, nonceFloorMs: 0 }, deployment: undefined, deploymentFrozen: false },
  ...{ policies: [], key: undefined, keyFrozen: false, version: undefined, attester: undefined },
  ...{ akRevoked: false, revoked: [] },
};
const vouchersWith = (cvm: CvmVouching | undefined) => ({
  ...{ simulatorCa: undefined, nowMs: 0, anchors: new AnchorSets(), paths: new KnownPaths(1) },
  ...{ revocationLists: NO_REVOCATION_LISTS, ...(cvm === undefined ? {} : { cvm }) },
});

type Rules = Deployment['attesters']['allow']['cvm'];

function outcome(cvm: CvmVouching | undefined, rules: Rules, facts = FACTS, trust = ['cvm-report']): string {
  const parsed = deployment({ attesters: { trust, anyFromRoots: true } });
  const document = { ...parsed, attesters: { ...parsed.attesters, allow: { ...parsed.attesters.allow, cvm: rules } } };
  const result = akTrust(vouchersWith(cvm), facts, document, [])(AK);
  return result.ok ? result.value.kind : result.reason;
}

describe('trust by cvm-report', () => {
  const rule = { measurement: MEASUREMENT };

  test('is refused while no report was verified, whatever the rules say', () => {
    expect(outcome(undefined, [rule])).toBe('ak.untrusted');
  });

  test.each<[string, Rules[number], Partial<CvmVouching>, string]>([
    ['measurement', rule, {}, 'cvm-report'],
    ['measurement and vmpl 0', { ...rule, vmpl: 0 }, {}, 'cvm-report'],
    ['identity key', { idKeyDigest: ID_KEY }, {}, 'cvm-report'],
    ['both', { ...rule, idKeyDigest: ID_KEY }, {}, 'cvm-report'],
    ['another vmpl that is named', { ...rule, vmpl: 2 }, { vmpl: 2 }, 'cvm-report'],
    ['another measurement', { measurement: 'ef'.repeat(48) }, {}, 'ak.untrusted'],
    ['another identity key', { ...rule, idKeyDigest: 'ef'.repeat(48) }, {}, 'ak.untrusted'],
    ['a vmpl that is not named', rule, { vmpl: 1 }, 'ak.untrusted'],
    ['vmpl 0, where another is named', { ...rule, vmpl: 1 }, {}, 'ak.untrusted'],
    ['nothing at all', {}, {}, 'ak.untrusted'],
    ['vmpl alone', { vmpl: 0 }, {}, 'ak.untrusted'],
  ])('goes by one rule, every member of it: %s', (_, allowed, change, expected) => {
    expect(outcome({ ...CVM, ...change }, [{ measurement: '00'.repeat(48) }, allowed])).toBe(expected);
  });

  test('needs a rule: neither the root nor an administrator stands in for it', () => {
    const attester = {
      ...{ spkiSha256: AK.spkiSha256, akName: AK.name, publicArea: AK.publicArea, name: 'a', createdAtMs: 0 },
      deployments: ['llm-inference'],
    };
    expect(outcome(CVM, [])).toBe('ak.untrusted');
    expect(outcome(CVM, [], { ...FACTS, attester })).toBe('ak.untrusted');
  });

  test('is for the AK in the report alone, and for deployments that trust the kind', () => {
    expect(outcome({ ...CVM, akSpki: ecKey().spki }, [rule])).toBe('evidence.unbound');
    expect(outcome({ ...CVM, akSpki: undefined }, [rule])).toBe('evidence.unbound');
    expect(outcome(CVM, [rule], FACTS, ['pinned', 'ek-certificate', 'ak-certificate'])).toBe('ak.untrusted');
  });

  test('ends with the revocation of its chip, which is asked for, and of the AK', () => {
    const trusting = deployment({ attesters: { trust: ['cvm-report'] } });
    expect(vouchingIdentities(vouchersWith(CVM), trusting, undefined, [])).toEqual([CHIP]);
    expect(vouchingIdentities(vouchersWith(CVM), deployment(), undefined, [])).toEqual([]);
    expect(outcome(CVM, [rule], { ...FACTS, revoked: [CHIP] })).toBe('ak.revoked');
    expect(outcome(CVM, [rule], { ...FACTS, revoked: [`chip/${sha256Hex('another')}`] })).toBe('cvm-report');
    expect(outcome(CVM, [rule], { ...FACTS, akRevoked: true })).toBe('ak.revoked');
  });
});
