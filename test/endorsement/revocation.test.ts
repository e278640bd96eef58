/** Every single defect of the CRLs of a path that is good. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { parseCrl } from '../../src/crypto/x509-crl.js';
import type { CrlPolicy } from '../../src/endorsement/revocation.js';
import {
  authorityKeyId,
  basicConstraints,
  crl,
  crlDistributionPoint,
  extension,
  keyUsage,
  NOW,
  pem,
  pemBlock,
  rsaKey,
  type CrlSpec,
} from '../helpers/pki.js';
import {
  CA_EXTENSIONS,
  CA_USAGE,
  KEYS,
  LEAF_EXTENSIONS,
  makeCa,
  makeLeaf,
  makeRoot,
  validateWith,
  type Overrides,
} from '../helpers/pki-chain.js';
import { context, primitive, seq, tlv } from '../helpers/pki-der.js';

const folder = mkdtempSync(join(tmpdir(), 'portcullis-crl-'));
const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' }).status === 0;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SECOND = 1000;
const rootCrl = (change: Partial<CrlSpec> = {}) => crl({ issuer: 'Root', signer: KEYS.root, ...change });
const caCrl = (change: Partial<CrlSpec> = {}) => crl({ issuer: 'CA', signer: KEYS.ca, ...change });
const scoped = (...fields: readonly Buffer[]): Partial<CrlSpec> => ({
  extensions: [extension('2.5.29.28', true, seq(...fields))],
});
const only = (bit: number) => scoped(primitive(bit, Buffer.of(0xff)));
const at = (uri: string) => scoped(context(0, context(0, primitive(6, Buffer.from(uri)))));
const LEAF_REVOKED = { revoked: [{ serial: 2 }, { serial: 3 }] };
const hold = { revoked: [{ serial: 3, extensions: [extension('2.5.29.21', false, tlv(0x0a, Buffer.of(6)))] }] };

function validate(crlPolicy: CrlPolicy, crls: readonly Buffer[], parts: Overrides = {}): string {
  return validateWith({ ...parts, crlPolicy, crls: crls.map(parseCrl) });
}

interface Case {
  readonly what: string;
  readonly root?: Buffer;
  readonly ca?: Buffer;
  readonly leaf?: Buffer;
  readonly crls: readonly Buffer[];
  readonly says: string;
  readonly opensslSays?: 'good' | 'refused' | 'not asked';
}

const MISSING = 'no CRL of its issuer covers it';
const THE_CRL = 'the CRL of its issuer';

/** With policy `required`. */
const CASES: readonly Case[] = [
  { what: 'both CRLs', crls: [rootCrl(), caCrl()], says: 'good' },
  {
    what: 'both CRLs in another order, and others',
    crls: [crl({ issuer: 'X', signer: KEYS.other }), caCrl(), rootCrl()],
    says: 'good',
  },
  {
    what: 'other serials on them',
    crls: [rootCrl({ revoked: [{ serial: 3 }] }), caCrl({ revoked: [{ serial: 2 }] })],
    says: 'good',
  },

  {
    what: 'the leaf revoked',
    crls: [rootCrl(), caCrl(LEAF_REVOKED)],
    says: 'revoked: the leaf: revoked by its issuer',
  },
  { what: 'the leaf on hold', crls: [rootCrl(), caCrl(hold)], says: 'revoked: the leaf' },
  {
    what: 'the CA revoked',
    crls: [rootCrl({ revoked: [{ serial: 2 }] }), caCrl()],
    says: 'revoked: CA 1 above the leaf: revoked by its issuer',
  },
  {
    what: 'the leaf revoked on the older of two',
    crls: [rootCrl(), caCrl(), caCrl({ ...LEAF_REVOKED, thisUpdate: NOW - 9 * 86_400 * SECOND })],
    says: 'revoked: the leaf',
    opensslSays: 'not asked',
  },
  {
    what: 'the leaf revoked on one that is stale',
    crls: [rootCrl(), caCrl({ ...LEAF_REVOKED, nextUpdate: NOW - SECOND })],
    says: 'revoked: the leaf',
  },
  { what: 'the leaf revoked, and no CRL for the CA', crls: [caCrl(LEAF_REVOKED)], says: 'revoked: the leaf' },
  {
    what: 'the CA revoked, and no CRL for the leaf',
    crls: [rootCrl({ revoked: [{ serial: 2 }] })],
    says: 'revoked: CA 1 above the leaf',
  },

  { what: 'no CRL', crls: [], says: `collateral: the leaf: ${MISSING}` },
  { what: 'none for the leaf', crls: [rootCrl()], says: `collateral: the leaf: ${MISSING}` },
  { what: 'none for the CA', crls: [caCrl()], says: `collateral: CA 1 above the leaf: ${MISSING}` },
  {
    what: 'one past its nextUpdate',
    crls: [rootCrl(), caCrl({ nextUpdate: NOW - SECOND })],
    says: `collateral: the leaf: ${THE_CRL} is past its nextUpdate`,
  },
  {
    what: 'one past its nextUpdate for the CA',
    crls: [rootCrl({ nextUpdate: NOW - SECOND }), caCrl()],
    says: `collateral: CA 1 above the leaf: ${THE_CRL} is past its nextUpdate`,
  },
  {
    what: 'one from the future',
    crls: [rootCrl(), caCrl({ thisUpdate: NOW + SECOND, nextUpdate: NOW + 2 * SECOND })],
    says: `collateral: the leaf: ${THE_CRL} is from the future`,
  },
  {
    what: 'one that is stale and one that is not',
    crls: [rootCrl(), caCrl({ nextUpdate: NOW - SECOND }), caCrl()],
    says: 'good',
  },
  {
    what: 'one at its last instant',
    crls: [rootCrl(), caCrl({ nextUpdate: NOW })],
    says: 'good',
    opensslSays: 'refused',
  },
  { what: 'one at its first instant', crls: [rootCrl(), caCrl({ thisUpdate: NOW })], says: 'good' },
  {
    what: 'one signed by another key',
    crls: [rootCrl(), caCrl({ signer: KEYS.other })],
    says: `collateral: the leaf: ${THE_CRL} is not signed by the key of its issuer`,
  },
  {
    what: 'one that lists the leaf, signed by another key',
    crls: [rootCrl(), caCrl(), caCrl({ ...LEAF_REVOKED, signer: KEYS.other })],
    says: 'good',
    opensslSays: 'not asked',
  },
  {
    what: 'one signed with SHA-1',
    crls: [rootCrl(), caCrl({ algorithm: 'ecdsa-sha1' })],
    says: `collateral: the leaf: ${THE_CRL} is signed with an algorithm that is not accepted`,
    opensslSays: 'not asked',
  },
  {
    what: 'one of another issuer',
    crls: [rootCrl(), caCrl({ issuer: 'CB' })],
    says: `collateral: the leaf: ${MISSING}`,
  },
  {
    what: 'one of another key of the CA, marked so',
    crls: [rootCrl(), caCrl({ signer: KEYS.other, extensions: [authorityKeyId(Buffer.of(9))] })],
    says: `collateral: the leaf: ${MISSING}`,
  },
  {
    what: 'one that the CA signed, marked with another key identifier',
    crls: [rootCrl(), caCrl({ extensions: [authorityKeyId(Buffer.of(9))] })],
    says: 'good',
    opensslSays: 'refused',
  },
  {
    what: 'one with the key identifier of the CA',
    crls: [rootCrl(), caCrl({ extensions: [authorityKeyId(Buffer.alloc(20, 2))] })],
    says: 'good',
  },
  {
    what: 'a CA that may not sign CRLs',
    ca: makeCa({ extensions: [basicConstraints(true), keyUsage(5)] }),
    crls: [rootCrl(), caCrl()],
    says: `collateral: the leaf: ${THE_CRL} is by a CA that may not sign CRLs`,
  },
  {
    what: 'a root that may not sign CRLs',
    root: makeRoot({ extensions: [basicConstraints(true), keyUsage(5)] }),
    crls: [rootCrl(), caCrl()],
    says: `collateral: CA 1 above the leaf: ${THE_CRL} is by a CA that may not sign CRLs`,
  },
  {
    what: 'a CA without keyUsage',
    ca: makeCa({ extensions: [basicConstraints(true)] }),
    leaf: makeLeaf({ extensions: LEAF_EXTENSIONS.slice(0, 2) }),
    crls: [rootCrl(), caCrl()],
    says: 'good',
  },

  { what: 'one for leaves, and one for CAs', crls: [rootCrl(only(2)), caCrl(only(1))], says: 'good' },
  {
    what: 'one for CAs where the leaf needs one',
    crls: [rootCrl(), caCrl(only(2))],
    says: `collateral: the leaf: ${MISSING}`,
  },
  {
    what: 'one for leaves where the CA needs one',
    crls: [rootCrl(only(1)), caCrl()],
    says: `collateral: CA 1 above the leaf: ${MISSING}`,
  },
  {
    what: 'one at the distribution point of the leaf',
    leaf: makeLeaf({ extensions: [...LEAF_EXTENSIONS, crlDistributionPoint('http://c/1')] }),
    crls: [rootCrl(), caCrl(at('http://c/1'))],
    says: 'good',
  },
  {
    what: 'one at another distribution point',
    leaf: makeLeaf({ extensions: [...LEAF_EXTENSIONS, crlDistributionPoint('http://c/1')] }),
    crls: [rootCrl(), caCrl(at('http://c/2'))],
    says: `collateral: the leaf: ${MISSING}`,
  },
  {
    what: 'one at a distribution point that the leaf does not name',
    crls: [rootCrl(), caCrl(at('http://c/1'))],
    says: `collateral: the leaf: ${MISSING}`,
  },
  {
    what: 'one for all where the leaf names a distribution point',
    leaf: makeLeaf({ extensions: [...LEAF_EXTENSIONS, crlDistributionPoint('http://c/1')] }),
    crls: [rootCrl(), caCrl()],
    says: 'good',
  },
];

describe('with CRLs required', () => {
  test.each(CASES)('$what: $says', ({ crls, says, root, ca, leaf }) => {
    const parts = { root: root ?? makeRoot(), ca: ca ?? makeCa(), leaf: leaf ?? makeLeaf() };
    const said = validate('required', crls, parts);
    if (says === 'good') expect(said).toBe('good');
    else expect(said).toContain(says);
  });
});

(openssl ? describe : describe.skip)('openssl verify -crl_check_all', () => {
  test.each(CASES.filter(({ opensslSays }) => opensslSays !== 'not asked'))('agrees on $what', (one) => {
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const anchor = file('root.pem', pem(one.root ?? makeRoot()));
    const rest = file('ca.pem', pem(one.ca ?? makeCa()));
    const crls = file('crls.pem', one.crls.map((der) => pemBlock('X509 CRL', der)).join(''));
    const options = ['verify', '-no-CAstore', '-no-CApath', '-crl_check_all', '-attime', String(NOW / 1000)];
    const lists = one.crls.length === 0 ? [] : ['-CRLfile', crls];
    const leaf = file('leaf.pem', pem(one.leaf ?? makeLeaf()));
    const args = [...options, ...lists, '-CAfile', anchor, '-untrusted', rest, leaf];
    const { status } = spawnSync('openssl', args, { timeout: 10_000 });
    const expected = one.opensslSays ?? (one.says === 'good' ? 'good' : 'refused');
    expect(status === 0 ? 'good' : 'refused').toBe(expected);
  });
});

describe('the policies', () => {
  const stale = caCrl({ nextUpdate: NOW - SECOND });

  test('`none` looks at nothing', () => {
    expect(validate('none', [rootCrl(), caCrl(LEAF_REVOKED)])).toBe('good');
  });

  test('`if-present` needs none, but what is there must be good', () => {
    expect(validate('if-present', [])).toBe('good');
    expect(validate('if-present', [caCrl()])).toBe('good');
    expect(validate('if-present', [caCrl(LEAF_REVOKED)])).toMatch(/^revoked: /);
    expect(validate('if-present', [stale])).toMatch(/^collateral: .* past its nextUpdate/);
    expect(validate('if-present', [caCrl({ signer: KEYS.other })])).toMatch(/^collateral: .* not signed/);
    expect(validate('if-present', [caCrl(at('http://c/1'))])).toBe('good');
    const marked = { extensions: [authorityKeyId(Buffer.of(9))] };
    expect(validate('if-present', [caCrl({ signer: KEYS.other, ...marked })])).toBe('good');
    expect(validate('if-present', [caCrl({ ...LEAF_REVOKED, ...marked })])).toMatch(/^revoked: /);
  });

  test('`required-for-authorities` needs none for the leaf', () => {
    expect(validate('required-for-authorities', [rootCrl()])).toBe('good');
    expect(validate('required-for-authorities', [rootCrl(), caCrl(LEAF_REVOKED)])).toMatch(/^revoked: /);
    expect(validate('required-for-authorities', [rootCrl(), stale])).toMatch(/^collateral: the leaf/);
    expect(validate('required-for-authorities', [caCrl()])).toBe(`collateral: CA 1 above the leaf: ${MISSING}`);
  });
});

describe('the work that CRLs make', () => {
  /** A CRL that counts how often its signature is verified. */
  function counted(der: Buffer) {
    let count = 0;
    const { tbs, ...others } = parseCrl(der);
    const list = Object.defineProperty({ ...others, tbs }, 'tbs', { get: () => (count++, tbs) });
    return { list, verified: () => count };
  }

  test('is done once for each CRL and key, a bad signature included', () => {
    const good = counted(caCrl());
    const forged = counted(caCrl({ signer: KEYS.other }));
    const crls = [parseCrl(rootCrl()), good.list, forged.list];
    for (let serial = 10; serial < 20; serial++) {
      expect(validateWith({ leaf: makeLeaf({ serial }), crlPolicy: 'required', crls })).toBe('good');
    }
    expect([good.verified(), forged.verified()]).toEqual([1, 1]);
    // What is remembered is of that key alone.
    const other = { ca: makeCa({ key: KEYS.other }), leaf: makeLeaf({ signer: KEYS.other }) };
    expect(validateWith({ ...other, crlPolicy: 'required', crls: [crls[0]!, good.list] })).toMatch(/not signed/);
    expect(validateWith({ ...other, crlPolicy: 'required', crls: [crls[0]!, forged.list] })).toBe('good');
  });

  test('is bounded: beyond 64 with the name of an issuer none is looked at, and that clears nothing', () => {
    const forged = Array<Buffer>(64).fill(caCrl({ signer: KEYS.other, extensions: [authorityKeyId(Buffer.of(9))] }));
    const others = Array<Buffer>(200).fill(crl({ issuer: 'X', signer: KEYS.other }));
    expect(validate('if-present', [...others, ...forged])).toBe('good');
    for (const policy of ['if-present', 'required', 'required-for-authorities'] as const) {
      for (const crls of [
        [...forged, caCrl()],
        [...forged, caCrl(LEAF_REVOKED)],
        [caCrl(), ...forged],
      ]) {
        expect(validate(policy, [rootCrl(), ...crls])).toBe(
          `collateral: the leaf: more than 64 CRLs with the name of its issuer`,
        );
      }
      expect(validate(policy, [rootCrl(), caCrl(LEAF_REVOKED), ...forged])).toMatch(/^revoked: the leaf/);
    }
  });
});

test('a CRL signed with RSA-PSS counts', () => {
  const rsa = rsaKey();
  const ca = makeCa({ key: rsa });
  const leaf = makeLeaf({ signer: rsa, algorithm: 'rsapss-sha384' });
  const list = (change: Partial<CrlSpec>) => [rootCrl(), caCrl({ signer: rsa, algorithm: 'rsapss-sha384', ...change })];
  expect(validate('required', list({}), { ca, leaf })).toBe('good');
  expect(validate('required', list(LEAF_REVOKED), { ca, leaf })).toMatch(/^revoked: /);
});

test('a revoked certificate is not got round by another certificate of its issuer', () => {
  const twin = makeCa({ serial: 9, extensions: [basicConstraints(true), CA_USAGE, ...CA_EXTENSIONS.slice(2)] });
  expect(validate('required', [rootCrl(), caCrl(LEAF_REVOKED)], { ca: twin })).toMatch(/^revoked: the leaf/);
});
