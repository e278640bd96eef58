import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { crlIssuers } from '../../src/collateral/crl-issuers.js';
import { planImport } from '../../src/collateral/import-items.js';
import { itemsOf } from '../../src/collateral/items.js';
import { isOlder, standingsOf } from '../../src/collateral/standing.js';
import { isTrouble, isUsable, judge, stateAt } from '../../src/collateral/state.js';
import { PINNED_ROOTS } from '../../src/endorsement/hardware-roots.js';
import { issueCertificate, signingUsage, simulatorName } from '../../src/simulator/certificate.js';
import { pemBlock } from '../helpers/pki.js';
import {
  crl,
  DAY_MS,
  DRIVER,
  everything,
  type Files,
  FMSPC,
  FORGERS,
  MAKERS,
  NOW_MS,
  PCK_CHAIN,
  piecesOf,
  qeIdentity,
  rim,
  ROOTS,
  standings,
  tcbInfo,
  TCB_CHAIN,
} from './simulated.js';

const judged = (files: Files, atMs = NOW_MS) => judge([...standings(files).values()], atMs);
const flipped = (bytes: Buffer, at: number) => {
  const changed = Buffer.from(bytes);
  changed[at]! ^= 1;
  return changed;
};

describe('the standing of collateral', () => {
  test('says what each piece is about, from when and until when', () => {
    const found = [...standings(everything())].map(([file, { subject, fault, fromMs, untilMs }]) => [
      file,
      subject,
      fault,
      fromMs,
      untilMs,
    ]);
    const [from, until] = [NOW_MS - DAY_MS, NOW_MS + 29 * DAY_MS];
    expect(found).toEqual([
      ['tcbInfo.json', `TDX ${FMSPC}`, undefined, from, until],
      ['qeIdentity.json', 'TD_QE', undefined, from, until],
      ['pckCrl.der', 'Intel SGX PCK Platform CA', undefined, from, until],
      ['rootCaCrl.der', 'Intel SGX Root CA', undefined, from, until],
      ['amd/vcek-Milan.crl', 'ARK-Milan', undefined, from, until],
      ['amd/vlek-Milan.crl', 'ARK-Milan', undefined, from, until],
      [`rim/${DRIVER}.xml`, DRIVER, undefined, Date.UTC(2020, 0, 1), Date.UTC(2099, 0, 1)],
    ]);
  });

  test('is unverified for all that other makers of the same names signed', () => {
    const files = everything({ makers: FORGERS });
    expect([...standings(files).values()].map(({ fault }) => fault)).toEqual([
      'it is not signed by its signer',
      'it is not signed by its signer',
      'it is not signed by its issuer',
      'it is not signed by its issuer',
      'it is not signed by its issuer',
      'it is not signed by its issuer',
      expect.stringContaining('the signer has no good path'),
    ]);
    expect(judged(files).items.every(({ state }) => state === 'unverified')).toBe(true);
  });

  test.each([
    ['without a chain', new Map([['tcbInfo.json', tcbInfo()]]), 'there is no chain of its signer beside it'],
    [
      'with the chain of another signer',
      new Map([
        ['tcbInfo.json', tcbInfo()],
        ['tcbInfoIssuerChain.pem', PCK_CHAIN],
      ]),
      'a CA certificate where a leaf is expected',
    ],
    [
      'whose signer is revoked',
      new Map([
        ['tcbInfo.json', tcbInfo()],
        ['tcbInfoIssuerChain.pem', TCB_CHAIN],
        ['rootCaCrl.der', crl(MAKERS.intel.root, {}, [3n, 12n, ...Array.from({ length: 40 }, (_, n) => BigInt(n))])],
      ]),
      'revoked by its issuer',
    ],
    [
      'that was changed',
      new Map([
        ['tcbInfo.json', Buffer.from(tcbInfo().toString().replace('"tcbType":0', '"tcbType": 0'))],
        ['tcbInfoIssuerChain.pem', TCB_CHAIN],
      ]),
      'it is not signed by its signer',
    ],
    ['of SGX', new Map([['tcbInfo.json', Buffer.from(tcbInfo().toString().replace('"TDX"', '"SGX"'))]]), 'not TDX'],
  ])('of a document %s is unverified', (_, files, why) => {
    expect(standings(files).get('tcbInfo.json')?.fault).toContain(why);
    expect(judged(files).items[0]?.state).toBe('unverified');
  });

  test('of a RIM or a CRL of which a bit was flipped is never good', () => {
    const xml = rim();
    const list = crl(MAKERS.intel.root);
    for (const [name, bytes] of [
      ['rim/x', xml],
      ['rootCaCrl.der', list],
    ] as const) {
      for (const at of [200, 230, bytes.length - 20]) {
        let found;
        try {
          found = standings(new Map([[name, flipped(bytes, at)]]));
        } catch {
          continue; // It is no such file any more.
        }
        expect(found.get(name)?.fault).toBeDefined();
      }
    }
  });

  test('of the CRL of a PCK CA needs the chain of that CA', () => {
    const files = new Map([['pckCrl.der', crl(MAKERS.intel.pckCa)]]);
    expect(standings(files).get('pckCrl.der')?.fault).toContain('needs its *IssuerChain.pem');
    const forged = crlIssuers(PINNED_ROOTS, piecesOf(new Map([['pckCrlIssuerChain.pem', PCK_CHAIN]])));
    expect(forged.some(({ der }) => der.equals(MAKERS.intel.pckCa.certificate))).toBe(false);
  });

  test('orders what speaks of the same: by what it accounts for, then by its date', () => {
    const edition = (bytes: Buffer) =>
      standings(
        new Map([
          ['tcbInfo.json', bytes],
          ['tcbInfoIssuerChain.pem', TCB_CHAIN],
        ]),
      ).get('tcbInfo.json')!.edition;
    const [now, later] = [edition(tcbInfo()), edition(tcbInfo(FMSPC, { atMs: NOW_MS + DAY_MS }))];
    const higher = edition(tcbInfo(FMSPC, { number: 19, atMs: NOW_MS - DAY_MS }));
    expect([isOlder(now, later), isOlder(later, now), isOlder(now, now)]).toEqual([true, false, false]);
    expect([isOlder(later, higher), isOlder(higher, later)]).toEqual([true, false]);
  });
});

describe('the standing of a document whose signer was certified anew, after it was issued', () => {
  const HOUR_MS = 3_600_000;
  const certified = (notBeforeMs: number, serial = 99n, subject = 'Intel SGX TCB Signing') =>
    issueCertificate(MAKERS.intel.root, {
      subject: simulatorName(subject),
      spki: MAKERS.intel.tcbSigning.spki,
      serial,
      notBeforeMs,
      notAfterMs: NOW_MS + 900 * DAY_MS,
      extensions: [signingUsage()],
    });
  const of = (document: Buffer, ...chain: readonly Buffer[]) =>
    new Map([
      ['tcbInfo.json', document],
      ['tcbInfoIssuerChain.pem', Buffer.from(chain.map((der) => pemBlock('CERTIFICATE', der)).join(''))],
    ]);
  const anew = NOW_MS - HOUR_MS;

  test('is good from when both are', () => {
    const files = of(tcbInfo(), certified(anew), MAKERS.intel.root.certificate);
    expect(standings(files).get('tcbInfo.json')).toMatchObject({
      fault: undefined,
      fromMs: anew,
      untilMs: NOW_MS + 29 * DAY_MS,
      edition: { issuedMs: NOW_MS - DAY_MS },
    });
    expect(judged(files, anew - 1).items[0]?.state).toBe('future');
    expect(judged(files, anew).items[0]?.state).toBe('current');
  });

  test('is good beside a certificate of no use that begins later still', () => {
    const later = certified(NOW_MS + HOUR_MS, 98n, 'Somebody else');
    const files = of(tcbInfo(), certified(anew), later, MAKERS.intel.root.certificate);
    expect(standings(files).get('tcbInfo.json')).toMatchObject({ fault: undefined, fromMs: anew });
  });

  test('is unverified where the signer begins after nextUpdate, and where somebody else signed', () => {
    const fault = (files: Files) => standings(files).get('tcbInfo.json')?.fault;
    const last = NOW_MS + 29 * DAY_MS;
    expect(fault(of(tcbInfo(), certified(last)))).toBeUndefined();
    expect(fault(of(tcbInfo(), certified(last + 1000)))).toBe('its signer has no good path: the leaf is not yet valid');
    expect(fault(of(tcbInfo(FMSPC, { makers: FORGERS }), certified(anew)))).toContain('not signed by its signer');
  });

  test('lets import take it, and holds older ones off', () => {
    const rules = { roots: ROOTS, atMs: NOW_MS, allowOlder: false, replaceManifest: false };
    const held = piecesOf(of(tcbInfo(), certified(anew), MAKERS.intel.root.certificate));
    const [taken] = planImport(held, new Map(), rules).imported;
    expect([taken?.result, taken?.why]).toEqual(['written', undefined]);
    const older = piecesOf(of(tcbInfo(FMSPC, { number: 17, atMs: NOW_MS + HOUR_MS }), certified(anew)));
    expect(planImport(older, held, rules).imported.map(({ result }) => result)).toEqual(['older']);
  });
});

describe('the state of collateral', () => {
  const [tcb] = [...standings(everything()).values()];

  test.each([
    ['future', -DAY_MS - 1],
    ['current', -DAY_MS],
    ['current', 22 * DAY_MS],
    ['ending', 22 * DAY_MS + 1],
    ['ending', 29 * DAY_MS],
    ['stale', 29 * DAY_MS + 1],
  ])('is %s at %d ms from now', (state, ms) => {
    const found = stateAt(tcb!, NOW_MS + ms);
    expect(found).toBe(state);
    expect(isUsable(found)).toBe(state === 'current' || state === 'ending');
    expect(isTrouble(found)).toBe(!isUsable(found));
  });

  test('is replaced where something newer is of use, and not where that is stale itself or unverified', () => {
    const files = everything();
    files.set('tcbInfo-new.json', tcbInfo(FMSPC, { number: 19 }));
    const state = (of: Files, atMs: number) =>
      judged(of, atMs).items.find(({ item }) => item.file === 'tcbInfo.json')?.state;
    expect(state(files, NOW_MS)).toBe('replaced');
    expect(state(files, NOW_MS + 30 * DAY_MS)).toBe('stale');
    files.set('tcbInfo-new.json', tcbInfo(FMSPC, { number: 19, makers: FORGERS }));
    expect(state(files, NOW_MS)).toBe('current');
    files.set('tcbInfo-new.json', tcbInfo('00906ED50000', { number: 19 }));
    expect(state(files, NOW_MS)).toBe('current');
  });

  test('is never replaced for a CRL of AMD: that for VLEKs is not that for VCEKs, whatever their numbers', () => {
    const ofAmd = judged(everything()).items.filter(({ item }) => item.file.startsWith('amd/'));
    expect(ofAmd.map(({ edition, state }) => [edition.rank, state])).toEqual([
      [5n, 'current'],
      [3n, 'current'],
    ]);
  });

  test('names what TDX quotes need beside TCB info', () => {
    const files = new Map([
      ['tcbInfo.json', tcbInfo()],
      ['tcbInfoIssuerChain.pem', TCB_CHAIN],
    ]);
    expect(judged(files).missing).toEqual([
      'the QE identity',
      'the CRL of Intel SGX Root CA',
      'the CRL of Intel SGX PCK Platform CA',
    ]);
    expect(judged(everything()).missing).toEqual([]);
    expect(judged(new Map([['qeIdentity.json', qeIdentity()]])).missing).toEqual([]);
  });
});

const VECTORS = join(import.meta.dirname, '../../../shared/vectors');
const atHand = existsSync(VECTORS) ? describe : describe.skip;

atHand('genuine collateral', () => {
  const read = (folder: string) =>
    new Map(
      readdirSync(join(VECTORS, folder))
        .filter((name) => /\.(?:json|pem|der|swidtag)$/.test(name))
        .map((name) => [name, readFileSync(join(VECTORS, folder, name))] as const),
    );
  const ofPinned = (files: Files) => {
    const pieces = piecesOf(files);
    const found = standingsOf(itemsOf(pieces), { roots: PINNED_ROOTS, crlIssuers: crlIssuers(PINNED_ROOTS, pieces) });
    return new Map(found.map(({ item, subject, fault, untilMs }) => [item.file, { subject, fault, untilMs }]));
  };

  test('of Intel is good by the pinned root, also where a name says PEM and the content is DER', () => {
    const found = ofPinned(read('tdx/google-collateral'));
    expect(found.get('tcbInfo_v4.json')).toEqual({
      subject: 'TDX 50806F000000',
      fault: undefined,
      untilMs: Date.parse('2023-07-18T08:42:58Z'),
    });
    expect(found.get('qeIdentity.json')?.fault).toBeUndefined();
    expect(found.get('rootcrl.der')?.fault).toBeUndefined();
    expect(found.get('pckcrl.pem')).toEqual({
      subject: 'Intel SGX PCK Platform CA',
      fault: undefined,
      untilMs: Date.parse('2023-07-08T07:27:52Z'),
    });
    // Its chain is that of 2023, which had ended by then.
    expect(found.get('tcbInfo_v5.json')?.fault).toContain('the leaf is expired');
  });

  test('of NVIDIA has manifests of one id that want different measurements', () => {
    const file = (name: string) => [name, readFileSync(join(VECTORS, 'gpu', name))] as const;
    const pieces = piecesOf(
      new Map([
        file('vbios-rims/1010_0200_882_96005E0001_PROD.swidtag'),
        file('nvtrust-hopper/1010_0200_882_96005E0001_test_no_gpu.swidtag'),
      ]),
    );
    const found = standingsOf(itemsOf(pieces), { roots: PINNED_ROOTS, crlIssuers: crlIssuers(PINNED_ROOTS, pieces) });
    expect(new Set(found.map(({ topic }) => topic)).size).toBe(1);
    expect(new Set(found.map(({ references }) => references)).size).toBe(2);
    expect(found.map(({ fault }) => fault)).toEqual([undefined, undefined]);
  });

  test('of NVIDIA is good by the pinned root, each manifest of it', () => {
    const found = ofPinned(read('gpu/vbios-rims'));
    expect(found.size).toBeGreaterThan(20);
    expect([...found.values()].every(({ fault }) => fault === undefined)).toBe(true);
  });
});
