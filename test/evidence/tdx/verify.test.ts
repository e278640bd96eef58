import { describe, expect, test } from '@jest/globals';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { isRevocable } from '../../../src/endorsement/identity.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { TCB_STATUSES } from '../../../src/endorsement/intel/tcb-status.js';
import { SAFE_TDX_RULES } from '../../../src/evidence/tdx/evidence.js';
import { type TdReportCheck, verifyTdx } from '../../../src/evidence/tdx/verify.js';
import { accept, reject } from '../../../src/reason/reason.js';
import {
  derivedKey,
  issueCrl,
  subordinate,
  simulatorName,
  caConstraints,
  caUsage,
} from '../../../src/simulator/certificate.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { SimulatedTd } from '../../../src/simulator/tdx.js';
import { issuePck, pckSerial } from '../../../src/simulator/tdx-pck.js';
import { simulatedIntelCollateral } from '../../../src/simulator/tdx-collateral.js';
import {
  collateral,
  flipped,
  GOOD_COLLATERAL,
  makers,
  NOW,
  quoteOf,
  REPORT_DATA,
  roots,
  SEED,
  td,
  trust,
  verdict,
} from './td-world.js';

const DAY_MS = 86_400_000;
const attributes = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return { body: { tdAttributes: bytes } };
};

describe('a good quote', () => {
  test.each([
    ['of version 4', {}],
    ['of version 5 with a TD report of TDX 1.0', { version: 5, bodyType: 'TD1.0' }],
    ['of version 5 with a TD report of TDX 1.5', { version: 5 }],
  ] as const)('%s is accepted by the safe defaults', (_, options) => {
    expect(verdict(quoteOf(options))).toBe('accepted');
  });

  test('its fields are handed over, with everything of which a revocation ends it', () => {
    const result = verifyTdx({ quote: quoteOf() }, trust(), SAFE_TDX_RULES);
    if (!result.ok) throw new Error(result.detail);
    expect(result.value.quote.body.reportData).toEqual(REPORT_DATA);
    const { identities } = result.value;
    expect(identities[0]).toBe(`chip/${td().ppid.toString('hex')}`);
    // PCK and CA as certificates, CA and root as keys.
    expect(identities).toHaveLength(5);
    expect(identities.every(isRevocable)).toBe(true);
  });

  test('it is accepted again from what is known of its certificates', () => {
    const paths = new KnownPaths(8);
    expect(verdict(quoteOf(), { paths })).toBe('accepted');
    expect(verdict(quoteOf(), { paths })).toBe('accepted');
  });

  test('bytes behind it are ignored up to 4096', () => {
    expect(verdict(quoteOf({}, { trailing: Buffer.alloc(4096, 0x41) }))).toBe('accepted');
    expect(verdict(quoteOf({}, { trailing: Buffer.alloc(4097) }))).toMatch(/^evidence\.malformed: /);
  });

  test('the root may be left out of its chain', () => {
    expect(verdict(quoteOf({}, { certificates: td().certificates.slice(0, 2) }))).toBe('accepted');
  });
});

describe('tdx.version', () => {
  test.each([
    ['version 3', 0, 0x07],
    ['another attestation key', 2, 0x01],
    ['another TEE', 4, 0x81],
    ['another vendor', 12, 0x01],
  ])('%s is not verified here', (_, at, mask) => {
    expect(verdict(flipped(quoteOf(), at, mask))).toMatch(/^tdx\.version: /);
  });
});

describe('tdx.chain', () => {
  test('a quote of a simulated platform is refused where simulators are not believed', () => {
    expect(verdict(quoteOf(), { roots: PINNED_ROOTS })).toMatch(/^tdx\.chain: /);
  });

  test('a PCK that is expired or not yet valid is refused', () => {
    expect(verdict(quoteOf({ pck: { notAfterMs: NOW - 1000 } }))).toBe('tdx.chain: the leaf is expired');
    expect(verdict(quoteOf({ pck: { notBeforeMs: NOW + 1000 } }))).toBe('tdx.chain: the leaf is not yet valid');
  });

  test('a leaf of another name is no PCK, though Intel issued it', () => {
    expect(verdict(quoteOf({ pck: { commonName: 'Intel SGX TCB Signing' } }))).toBe(
      'tdx.chain: the leaf is no PCK certificate',
    );
  });

  test('a CA of another name certifies no PCKs', () => {
    const pair = derivedKey(SEED, 'another CA', 'P-256');
    const draft = { serial: 77n, notBeforeMs: 0, notAfterMs: NOW + DAY_MS, extensions: [caConstraints(0), caUsage()] };
    const other = subordinate(makers.intel.root, simulatorName('Intel SGX Other CA'), 'P-256', pair, draft);
    const machine = new SimulatedTd({ ...makers.intel, pckCa: other }, { seed: SEED });
    const crl = issueCrl(other, { thisUpdateMs: NOW - DAY_MS, nextUpdateMs: NOW + DAY_MS, number: 1 });
    const crls = [...GOOD_COLLATERAL.crls, parseCrl(crl)];
    expect(verdict(machine.quote(REPORT_DATA), { collateral: { ...GOOD_COLLATERAL, crls } })).toBe(
      'tdx.chain: the CA is none of PCK certificates',
    );
  });

  test('a certificate that is no part of the path, or an order of their own, is refused', () => {
    const [leaf, ca, root] = td().certificates as [Buffer, Buffer, Buffer];
    const unfit = 'tdx.chain: certificates that do not belong to the path, or in another order';
    expect(verdict(quoteOf({}, { certificates: [leaf, root, ca] }))).toBe(unfit);
    expect(verdict(quoteOf({}, { certificates: [leaf, ca, makers.intel.tcbSigning.certificate] }))).toBe(unfit);
    expect(verdict(quoteOf({}, { certificates: [leaf, ca, ca] }))).toBe(unfit);
  });

  test('a chain without its CA is refused, and one that ends in a root of its own', () => {
    expect(verdict(quoteOf({}, { certificates: td().certificates.slice(0, 1) }))).toMatch(/^tdx\.chain: /);
    const stranger = simulatedMakers(Buffer.alloc(32, 9));
    expect(verdict(new SimulatedTd(stranger.intel, { seed: SEED }).quote(REPORT_DATA))).toMatch(/^tdx\.chain: /);
  });

  test('a PCK certificate without the SGX extension, or with one that does not parse, is refused', () => {
    expect(verdict(quoteOf({ pck: { fmspc: Buffer.alloc(5) } }))).toBe('tdx.chain: FMSPC: not 6 bytes');
  });

  test('a PCK that is not on P-256 is refused', () => {
    const { spki } = derivedKey(SEED, 'large', 'P-384');
    expect(verdict(quoteOf({ pck: { spki } }))).toBe('tdx.chain: the PCK is not a key on P-256');
  });

  test('a revoked PCK is refused, and a revoked CA, also by a stale CRL', () => {
    const revokedPcks = [pckSerial(td().ppid)];
    expect(verdict(quoteOf(), { collateral: collateral({ revokedPcks }) })).toMatch(/^tdx\.chain: .*revoked/);
    const stale = collateral({ revokedPcks }, NOW - 60 * DAY_MS);
    expect(verdict(quoteOf(), { collateral: stale })).toMatch(/^tdx\.chain: .*revoked/);
    const revokedByRoot = [BigInt(`0x${parseCertificate(makers.intel.pckCa.certificate).serial}`)];
    expect(verdict(quoteOf(), { collateral: collateral({ revokedByRoot }) })).toMatch(/^tdx\.chain: .*revoked/);
  });
});

describe('tdx.qe', () => {
  test('a quoting enclave that another PCK signed is refused', () => {
    const other = td({ seed: Buffer.alloc(32, 3) });
    expect(verdict(quoteOf({}, { certificates: other.certificates }))).toBe(
      'tdx.qe: the report of the quoting enclave is not signed by the PCK',
    );
  });

  test('one that names another attestation key is refused', () => {
    const unnamed = 'tdx.qe: the report of the quoting enclave does not name the attestation key';
    expect(verdict(quoteOf({ qe: { reportData: Buffer.alloc(64) } }))).toBe(unnamed);
  });

  test('the zeros behind the hash that names the key are looked at', () => {
    const report = verifyTdx({ quote: quoteOf() }, trust(), SAFE_TDX_RULES);
    if (!report.ok) throw new Error(report.detail);
    const reportData = Buffer.from(report.value.quote.qeReport.reportData);
    reportData[63] = 1;
    expect(verdict(quoteOf({ qe: { reportData } }))).toMatch(/^tdx\.qe: /);
  });

  test('one under debug is refused before any collateral is asked for', () => {
    const qe = { attributes: Buffer.from('1700000000000000e700000000000000', 'hex') };
    expect(verdict(quoteOf({ qe }), { collateral: { ...GOOD_COLLATERAL, crls: [], qeIdentities: [] } })).toMatch(
      /^tdx\.qe: the quoting enclave is under debug/,
    );
  });

  test.each([
    ['another signer', { mrSigner: Buffer.alloc(32, 7) }],
    ['another product', { isvProdId: 1 }],
    ['other attributes', { attributes: Buffer.from('3500000000000000e700000000000000', 'hex') }],
  ])('one with %s is not the one of Intel', (_, qe) => {
    expect(verdict(quoteOf({ qe }))).toBe('tdx.qe: the quoting enclave is not the one of Intel');
  });

  test('its MISCSELECT is that of the QE identity byte for byte, in the order in which both are written', () => {
    const qeIdentity = (identity: object) => ({ ...identity, miscselect: '01000000', miscselectMask: 'FFFFFFFF' });
    const changed = { collateral: collateral({ qeIdentity }) };
    const of = (miscSelect: string) =>
      verdict(quoteOf({ qe: { miscSelect: Buffer.from(miscSelect, 'hex') } }), changed);
    expect(of('01000000')).toBe('accepted');
    expect(of('00000001')).toBe('tdx.qe: the quoting enclave is not the one of Intel');
    expect(of('00000000')).toBe('tdx.qe: the quoting enclave is not the one of Intel');
  });
});

test('tdx.signature: a TD report that the attestation key did not sign is refused, also without collateral', () => {
  const empty = { ...GOOD_COLLATERAL, crls: [], tcbInfos: [], qeIdentities: [] };
  expect(verdict(flipped(quoteOf(), 48 + 136, 1), { collateral: empty })).toBe(
    'tdx.signature: the quote is not signed by its attestation key',
  );
});

describe('what a trust domain says of itself', () => {
  const empty = { collateral: { ...GOOD_COLLATERAL, crls: [], tcbInfos: [], qeIdentities: [] } };

  test('tdx.debug: one under debug is refused, with no collateral too, unless the rules want it', () => {
    const quote = quoteOf(attributes(1n));
    expect(verdict(quote)).toMatch(/^tdx\.debug: /);
    expect(verdict(quote, empty)).toMatch(/^tdx\.debug: /);
    expect(verdict(quote, {}, { debug: true })).toBe('accepted');
  });

  test.each([1, 2, 3, 4, 5, 6, 7])('tdx.attributes: bit %s is refused, whatever the rules say', (bit) => {
    const quote = quoteOf(attributes(1n << BigInt(bit)));
    expect(verdict(quote, {}, { debug: true, serviceTd: true })).toMatch(/^tdx\.attributes: /);
    expect(verdict(quote, empty)).toMatch(/^tdx\.attributes: /);
  });

  test('tdx.attributes: each bit of unknown meaning is refused, those that are known are accepted', () => {
    const accepted = Array.from({ length: 64 }, (_, bit) => bit).filter(
      (bit) => verdict(quoteOf(attributes(1n << BigInt(bit))), {}, { debug: true, serviceTd: true }) === 'accepted',
    );
    expect(accepted).toEqual([0, 16, 27, 28, 29, 30, 31, 62, 63]);
  });

  test('tdx.service_td: a service TD is refused unless the rules expect one', () => {
    const quote = quoteOf({ version: 5, body: { mrServiceTd: Buffer.concat([Buffer.alloc(47), Buffer.of(1)]) } });
    expect(verdict(quote)).toMatch(/^tdx\.service_td: /);
    expect(verdict(quote, empty)).toMatch(/^tdx\.service_td: /);
    expect(verdict(quote, {}, { serviceTd: true })).toBe('accepted');
  });

  test('tdx.service_td: one that may be migrated must show that nothing is bound to it, which TDX 1.0 cannot', () => {
    const migratable = attributes(1n << 29n);
    expect(verdict(quoteOf(migratable))).toMatch(/^tdx\.service_td: /);
    expect(verdict(quoteOf(migratable), {}, { serviceTd: true })).toBe('accepted');
    expect(verdict(quoteOf({ version: 5, ...migratable }))).toBe('accepted');
  });
});

describe('what the caller demands of the TD report', () => {
  const empty = { ...GOOD_COLLATERAL, crls: [], tcbInfos: [], qeIdentities: [] };
  const no = () => reject('evidence.unbound', 'not this one');
  const reasonOf = (quote: Buffer, changes: Parameters<typeof trust>[0], check: TdReportCheck) => {
    const result = verifyTdx({ quote }, trust(changes), SAFE_TDX_RULES, check);
    return result.ok ? 'accepted' : result.reason;
  };

  test('is refused before any collateral is asked for, and before the platform is graded', () => {
    expect(reasonOf(quoteOf(), {}, no)).toBe('evidence.unbound');
    expect(reasonOf(quoteOf(), { collateral: empty }, no)).toBe('evidence.unbound');
    expect(reasonOf(quoteOf({ qe: { isvSvn: 5 } }), {}, no)).toBe('evidence.unbound');
  });

  test('is asked of a genuine report alone, once, and of that very one', () => {
    const asked: Buffer[] = [];
    const check: TdReportCheck = ({ reportData }) => {
      asked.push(reportData);
      return accept(undefined);
    };
    expect(reasonOf(flipped(quoteOf(), 48 + 136, 1), {}, check)).toBe('tdx.signature');
    expect(reasonOf(quoteOf(attributes(1n)), {}, check)).toBe('tdx.debug');
    expect(asked).toEqual([]);
    expect(reasonOf(quoteOf(), {}, check)).toBe('accepted');
    expect(asked).toEqual([REPORT_DATA]);
    expect(reasonOf(quoteOf(), { collateral: empty }, check)).toBe('collateral.unavailable');
  });
});

describe('collateral.unavailable', () => {
  test.each([
    ['no CRL at all', { crls: [] }],
    ['no CRL of the PCK CA', { crls: GOOD_COLLATERAL.crls.slice(1) }],
    ['no CRL of the root', { crls: GOOD_COLLATERAL.crls.slice(0, 1) }],
    ['no TCB info', { tcbInfos: [] }],
    ['no QE identity', { qeIdentities: [] }],
  ])('%s: that is no verdict', (_, missing) => {
    expect(verdict(quoteOf(), { collateral: { ...GOOD_COLLATERAL, ...missing } })).toMatch(
      /^collateral\.unavailable: /,
    );
  });

  test('a CRL of the same name by another key does not stand in for the one that is needed', () => {
    const stranger = simulatedIntelCollateral(simulatedMakers(Buffer.alloc(32, 9)).intel, NOW);
    const crls = stranger.crls.map(parseCrl);
    expect(verdict(quoteOf(), { collateral: { ...GOOD_COLLATERAL, crls } })).toMatch(/^collateral\.unavailable: /);
  });

  test('stale collateral is none: at its last moment it is good, a second later it is not', () => {
    const last = NOW + 29 * DAY_MS;
    expect(verdict(quoteOf(), { atMs: last })).toBe('accepted');
    expect(verdict(quoteOf(), { atMs: last + 1000 })).toMatch(/^collateral\.unavailable: /);
    expect(verdict(quoteOf(), { atMs: NOW - DAY_MS - 1000 })).toMatch(/^collateral\.unavailable: /);
  });

  test('TCB info of another platform is none', () => {
    expect(verdict(quoteOf({ pck: { fmspc: Buffer.alloc(6, 1) } }))).toBe(
      'collateral.unavailable: TCB info: none for this platform',
    );
    expect(verdict(quoteOf({ pck: { pceId: Buffer.from('0001', 'hex') } }))).toMatch(
      /^collateral\.unavailable: TCB info/,
    );
  });

  test('collateral under another root that is believed says nothing about this platform', () => {
    const other = simulatedMakers(Buffer.alloc(32, 9));
    const both = {
      ...roots,
      intel: {
        certificates: [...roots.intel.certificates],
        bySubject: new Map(
          [...roots.intel.bySubject].map(([name, anchors]) => [
            name,
            [...anchors, parseCertificate(makerRoots(other).intel)],
          ]),
        ),
      },
    };
    const { tcbInfos, crls } = simulatedIntelCollateral(other.intel, NOW);
    const mixed = { ...GOOD_COLLATERAL, tcbInfos, crls: [...GOOD_COLLATERAL.crls, ...crls.map(parseCrl)] };
    expect(verdict(quoteOf(), { roots: both, collateral: GOOD_COLLATERAL })).toBe('accepted');
    expect(verdict(quoteOf(), { roots: both, collateral: mixed })).toBe(
      'collateral.unavailable: TCB info: signed under another root than the platform',
    );
  });
});

test('tdx.module: a TDX module that Intel does not list is refused', () => {
  const of = (body: Parameters<typeof td>[0]) => verdict(quoteOf(body));
  const svn = (...bytes: readonly number[]) => Buffer.concat([Buffer.from(bytes), Buffer.alloc(16 - bytes.length)]);
  expect(of({ body: { teeTcbSvn: svn(7, 2, 3) } })).toBe('tdx.module: Intel lists no TDX module TDX_02');
  expect(of({ body: { mrSignerSeam: Buffer.alloc(48, 1) } })).toBe('tdx.module: not the TDX module TDX_01 of Intel');
  expect(of({ body: { seamAttributes: Buffer.from('0100000000000000', 'hex') } })).toMatch(/^tdx\.module: /);
  expect(of({ body: { teeTcbSvn: svn(7, 0, 3), mrSignerSeam: Buffer.alloc(48, 1) } })).toMatch(/^tdx\.module: /);
  // What runs now counts too.
  expect(of({ version: 5, body: { teeTcbSvn2: svn(7, 2, 3) } })).toMatch(/^tdx\.module: /);
});

describe('tdx.tcb', () => {
  const old = { pck: { components: [2, 2, 2, 2, 2, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0] } };

  test('an old TCB is refused by the safe defaults, and accepted where the rules say so', () => {
    expect(verdict(quoteOf(old))).toBe('tdx.tcb: platform: OutOfDate, as of 2023-08-09T00:00:00Z');
    expect(verdict(quoteOf(old), {}, { tcbStatus: ['UpToDate', 'OutOfDate'] })).toBe('accepted');
  });

  test('what was found, and what was expected, is told', () => {
    const result = verifyTdx({ quote: quoteOf({ qe: { isvSvn: 5 } }) }, trust(), SAFE_TDX_RULES);
    expect(result).toMatchObject({
      ok: false,
      reason: 'tdx.tcb',
      findings: [{ claim: 'tdx.tcb.status', found: 'OutOfDate', expected: SAFE_TDX_RULES.tcbStatus }],
    });
  });

  test('a TCB below all levels is refused whatever the rules say', () => {
    const lower = { pck: { components: Array.from({ length: 16 }, () => 0) } };
    expect(verdict(quoteOf(lower), {}, { tcbStatus: TCB_STATUSES })).toMatch(/^tdx\.tcb: platform: Intel lists no TCB/);
  });

  test('Revoked is never accepted', () => {
    const revoked = (info: Readonly<Record<string, unknown>>) => ({
      ...info,
      tcbLevels: (info['tcbLevels'] as readonly object[]).map((level) => ({ ...level, tcbStatus: 'Revoked' })),
    });
    const changed = { collateral: collateral({ tcbInfo: revoked }) };
    expect(verdict(quoteOf(), changed, { tcbStatus: TCB_STATUSES })).toMatch(/^tdx\.tcb: platform: Revoked/);
  });

  test('each of platform, module and enclave must be accepted, not only the worst of them', () => {
    const configuration = (info: Readonly<Record<string, unknown>>) => ({
      ...info,
      tcbLevels: (info['tcbLevels'] as readonly object[]).map((level) => ({
        ...level,
        tcbStatus: 'ConfigurationNeeded',
      })),
    });
    const quote = quoteOf({ qe: { isvSvn: 5 } });
    const changed = { collateral: collateral({ tcbInfo: configuration }) };
    expect(verdict(quote, changed, { tcbStatus: ['UpToDate', 'OutOfDate'] })).toMatch(/^tdx\.tcb: platform: Config/);
    // Both at once is a status of its own.
    const each = ['ConfigurationNeeded', 'OutOfDate', 'UpToDate'] as const;
    expect(verifyTdx({ quote }, trust(changed), { ...SAFE_TDX_RULES, tcbStatus: each })).toMatchObject({
      reason: 'tdx.tcb',
      detail: 'platform, module and quoting enclave together: OutOfDateConfigurationNeeded',
      findings: [{ claim: 'tdx.tcb.status', found: 'OutOfDateConfigurationNeeded', expected: each }],
    });
    expect(verdict(quote, changed, { tcbStatus: [...each, 'OutOfDateConfigurationNeeded'] })).toBe('accepted');
  });

  test('the finding is about the part where the status of the whole is one that is accepted', () => {
    const worse = { tcbStatus: ['OutOfDate'] } as const;
    const result = verifyTdx({ quote: quoteOf({ qe: { isvSvn: 5 } }) }, trust(), { ...SAFE_TDX_RULES, ...worse });
    expect(result).toMatchObject({
      reason: 'tdx.tcb',
      findings: [{ claim: 'tdx.tcb.platform_status', found: 'UpToDate', expected: ['OutOfDate'] }],
    });
  });

  test('a revoked TCB signing certificate ends what it signed, which is no verdict on the platform', () => {
    const serial = parseCertificate(makers.intel.tcbSigning.certificate).serial;
    const revokedByRoot = [BigInt(`0x${serial}`)];
    expect(verdict(quoteOf(), { collateral: collateral({ revokedByRoot }) })).toBe(
      "collateral.unavailable: TCB info: the signer's certificate: the leaf: revoked by its issuer",
    );
  });
});

test('a certificate of another key does not vouch for the enclave, though Intel issued it for the same kind of platform', () => {
  const leaf = issuePck(makers.intel, { spki: makers.intel.pckCa.spki, ppid: Buffer.alloc(16, 5) });
  const certificates = [leaf, ...td().certificates.slice(1)];
  expect(verdict(quoteOf({}, { certificates }))).toMatch(/^tdx\.qe: /);
});
