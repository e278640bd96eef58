import { describe, expect, test } from '@jest/globals';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { type HardwareTrust, NO_COLLATERAL, type SignedDocument } from '../../../src/endorsement/collateral.js';
import { PINNED_ROOTS, withSimulator } from '../../../src/endorsement/hardware-roots.js';
import { currentQeIdentity, currentTcbInfo } from '../../../src/endorsement/intel/signed-documents.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { issueCertificate, signingUsage, simulatorName } from '../../../src/simulator/certificate.js';
import { makerRoots, simulatedMakers } from '../../../src/simulator/makers.js';
import { signDocument, simulatedIntelCollateral } from '../../../src/simulator/tdx-collateral.js';
import { SIMULATED_FMSPC } from '../../../src/simulator/tdx-pck.js';

const NOW = Date.UTC(2026, 10, 21);
const DAY_MS = 86_400_000;
const makers = simulatedMakers(Buffer.alloc(32, 1));
const { intel } = makers;
const roots = withSimulator(makerRoots(makers));
const anchor = parseCertificate(intel.root.certificate);
const PLATFORM = { fmspc: SIMULATED_FMSPC, pceId: Buffer.alloc(2), anchor };

const good = simulatedIntelCollateral(intel, NOW);
const [INFO] = good.tcbInfos as readonly [SignedDocument];
const [IDENTITY] = good.qeIdentities as readonly [SignedDocument];
const CRLS = good.crls.map(parseCrl);

/** A TCB info with this evaluation number, issued so many days ago. */
function infoOf(number: number, daysAgo = 1): SignedDocument {
  const tcbInfo = (info: object) => ({ ...info, tcbEvaluationDataNumber: number });
  return simulatedIntelCollateral(intel, NOW + DAY_MS - daysAgo * DAY_MS, { tcbInfo }).tcbInfos[0]!;
}

function found(
  tcbInfos: readonly SignedDocument[],
  changes: Partial<HardwareTrust> = {},
  crls = CRLS,
): string | number {
  const collateral = { ...NO_COLLATERAL, tcbInfos, crls };
  const trust = { roots, collateral, paths: new KnownPaths(8), atMs: NOW, requireCrls: false, ...changes };
  const result = currentTcbInfo(trust, PLATFORM);
  return result.ok ? result.value.evaluationDataNumber : `${result.reason}: ${result.detail}`;
}

describe('of several TCB infos', () => {
  test('the one that accounts for the most is taken, in whatever order they are', () => {
    expect(found([infoOf(17), infoOf(19), infoOf(18)])).toBe(19);
    expect(found([infoOf(19), infoOf(17)])).toBe(19);
  });

  test('with one number the one that was issued last is taken, in whatever order they are', () => {
    const [recent, old] = [infoOf(18, 1), infoOf(18, 20)];
    const [fresh, stale] = [NOW, NOW - 19 * DAY_MS].map(
      (atMs) => simulatedIntelCollateral(intel, atMs).qeIdentities[0]!,
    ) as [SignedDocument, SignedDocument];
    for (const [tcbInfos, qeIdentities] of [
      [
        [old, recent],
        [stale, fresh],
      ],
      [
        [recent, old],
        [fresh, stale],
      ],
    ] as const) {
      const collateral = { ...NO_COLLATERAL, tcbInfos, qeIdentities, crls: CRLS };
      const trust = { roots, collateral, paths: new KnownPaths(8), atMs: NOW, requireCrls: false };
      for (const result of [currentTcbInfo(trust, PLATFORM), currentQeIdentity(trust, anchor)]) {
        expect(result).toMatchObject({ ok: true, value: { evaluationDataNumber: 18, issuedAtMs: NOW - DAY_MS } });
      }
    }
  });

  test('one that is stale, from the future, forged or malformed is passed over', () => {
    const forged = infoOf(20);
    const other = { ...forged, body: Buffer.from(forged.body.toString().replace('"tcbType":0', '"tcbType":0 ')) };
    const malformed = { ...forged, body: Buffer.from('{}') };
    expect(found([infoOf(20, 31), infoOf(21, -1), other, malformed, infoOf(18)])).toBe(18);
  });

  test('one of another platform is passed over', () => {
    const tcbInfo = (info: object) => ({ ...info, fmspc: '00906ea10000', tcbEvaluationDataNumber: 99 });
    const [stranger] = simulatedIntelCollateral(intel, NOW, { tcbInfo }).tcbInfos as readonly [SignedDocument];
    expect(found([stranger, INFO])).toBe(18);
    expect(found([stranger])).toBe('collateral.unavailable: TCB info: none for this platform');
  });
});

describe('a TCB info is not to be had', () => {
  test('where there is none', () => {
    expect(found([])).toBe('collateral.unavailable: TCB info: none for this platform');
  });

  test('past its nextUpdate, to the second, or before it was issued', () => {
    expect(found([INFO], { atMs: NOW + 29 * DAY_MS })).toBe(18);
    expect(found([INFO], { atMs: NOW + 29 * DAY_MS + 1 })).toBe(
      'collateral.unavailable: TCB info: past its nextUpdate',
    );
    expect(found([INFO], { atMs: NOW - DAY_MS - 1 })).toBe('collateral.unavailable: TCB info: from the future');
  });

  test('with any byte of it another one', () => {
    const tampered = (at: number) => {
      const body = Buffer.from(INFO.body);
      body[at] = (body[at] ?? 0) ^ 0x01;
      return { ...INFO, body };
    };
    for (let at = 0; at < INFO.body.length; at += 7) {
      expect(found([tampered(at)])).toMatch(/^collateral\.unavailable: TCB info: /);
    }
  });

  test('signed by a key that Intel has certified for something else', () => {
    const spki = intel.tcbSigning.spki;
    const draft = {
      subject: simulatorName('Intel SGX PCK Certificate'),
      spki,
      serial: 9n,
      extensions: [signingUsage()],
    };
    const dates = { notBeforeMs: NOW - DAY_MS, notAfterMs: NOW + DAY_MS };
    const byRoot = issueCertificate(intel.root, { ...draft, ...dates });
    expect(found([{ ...INFO, issuerChain: [byRoot] }])).toMatch(/signed by another than the TCB signing certificate$/);
    const byCa = issueCertificate(intel.pckCa, { ...draft, ...dates, subject: simulatorName('Intel SGX TCB Signing') });
    expect(found([{ ...INFO, issuerChain: [byCa, intel.pckCa.certificate] }])).toMatch(/signed by another than/);
  });

  test('without the chain of its signer, or with that of another maker', () => {
    expect(found([{ ...INFO, issuerChain: [] }])).toMatch(
      /^collateral\.unavailable: TCB info: the signer's certificate: /,
    );
    const other = simulatedMakers(Buffer.alloc(32, 9)).intel;
    const { tcbInfo } = JSON.parse(INFO.body.toString()) as { readonly tcbInfo: Record<string, unknown> };
    const forged = signDocument(other, 'tcbInfo', tcbInfo);
    expect(found([forged])).toMatch(/^collateral\.unavailable: /);
    expect(found([{ ...forged, issuerChain: INFO.issuerChain }])).toBe(
      'collateral.unavailable: TCB info: its signature is not good',
    );
    expect(found([INFO], { roots: PINNED_ROOTS })).toMatch(/^collateral\.unavailable: /);
  });

  test('whose signer was good once is not good under other roots, though the signature is known', () => {
    expect(found([INFO])).toBe(18);
    expect(found([INFO], { roots: PINNED_ROOTS })).toMatch(/^collateral\.unavailable: /);
  });

  test('without a current CRL of the root', () => {
    expect(found([INFO], {}, CRLS.slice(0, 1))).toMatch(/no CRL of its issuer covers it$/);
    const stale = simulatedIntelCollateral(intel, NOW - 60 * DAY_MS).crls.map(parseCrl);
    expect(found([INFO], {}, stale)).toMatch(/past its nextUpdate$/);
  });

  test('whose signer is revoked: that is no verdict either, and another one may be good', () => {
    const serial = BigInt(`0x${parseCertificate(intel.tcbSigning.certificate).serial}`);
    const crls = simulatedIntelCollateral(intel, NOW, { revokedByRoot: [serial] }).crls.map(parseCrl);
    const refused = "collateral.unavailable: TCB info: the signer's certificate: the leaf: revoked by its issuer";
    expect(found([INFO], {}, crls)).toBe(refused);
    const renewed = issueCertificate(intel.root, {
      subject: simulatorName('Intel SGX TCB Signing'),
      spki: intel.tcbSigning.spki,
      serial: serial + 1000n,
      notBeforeMs: NOW - DAY_MS,
      notAfterMs: NOW + DAY_MS,
      extensions: [signingUsage()],
    });
    const again = (daysAgo: number) => ({ ...infoOf(17, daysAgo), issuerChain: [renewed] });
    expect(found([INFO, again(1)], {}, crls)).toBe(17);
    // A good signer, but past its nextUpdate: all that helps is to fetch anew.
    expect(found([INFO, again(31)], {}, crls)).toBe(refused);
  });
});

describe('a QE identity', () => {
  const identityOf = (qeIdentities: readonly SignedDocument[], atMs = NOW) => {
    const collateral = { ...NO_COLLATERAL, qeIdentities, crls: CRLS };
    const trust = { roots, collateral, paths: new KnownPaths(8), atMs, requireCrls: false };
    const result = currentQeIdentity(trust, anchor);
    return result.ok ? result.value.evaluationDataNumber : `${result.reason}: ${result.detail}`;
  };

  test('is chosen as a TCB info is', () => {
    const qeIdentity = (identity: object) => ({ ...identity, tcbEvaluationDataNumber: 20 });
    const [newer] = simulatedIntelCollateral(intel, NOW, { qeIdentity }).qeIdentities as readonly [SignedDocument];
    expect(identityOf([IDENTITY])).toBe(18);
    expect(identityOf([IDENTITY, newer])).toBe(20);
    expect(identityOf([newer, IDENTITY], NOW + 30 * DAY_MS)).toBe(
      'collateral.unavailable: QE identity: past its nextUpdate',
    );
  });

  test('is none if it is a TCB info', () => {
    expect(identityOf([INFO])).toMatch(/^collateral\.unavailable: QE identity: enclaveIdentity: not a document/);
  });
});
