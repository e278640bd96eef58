/** Intel's own TCB info and QE identities, where those vectors are at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { verifyEcdsa } from '../../../src/crypto/signature.js';
import { parseCertificate, type Certificate } from '../../../src/crypto/x509.js';
import type { HardwareTrust } from '../../../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { readDocumentBody } from '../../../src/endorsement/intel/document-body.js';
import { gradeTcb, type TcbFacts } from '../../../src/endorsement/intel/grade.js';
import { parseQeIdentity } from '../../../src/endorsement/intel/qe-identity.js';
import { currentQeIdentity, currentTcbInfo } from '../../../src/endorsement/intel/signed-documents.js';
import { parseTcbInfo } from '../../../src/endorsement/intel/tcb-info.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { pckPlatform } from '../../../src/evidence/tdx/pck.js';
import { parseTdxQuote } from '../../../src/evidence/tdx/quote.js';
import { googleCollateral, googleDocument, googleFile, VECTORS } from './google-collateral.js';

const describeWithVectors = existsSync(join(VECTORS, 'expected.json')) ? describe : describe.skip;
const file = (name: string) => readFileSync(join(VECTORS, name));

/** The key that has signed all of them; its certificate in these vectors ended in May 2025. */
function isSigned(body: Buffer, member: 'tcbInfo' | 'enclaveIdentity'): boolean {
  const { inner, signature } = readDocumentBody(body, member);
  const signer = parseCertificate(googleDocument('qeIdentity.json', 'tcbInfoIssuerChain.pem').issuerChain[0]!);
  const pair = { r: signature.subarray(0, 32), s: signature.subarray(32) };
  return verifyEcdsa('sha256', 'P-256', signer.publicKey().key, inner, pair);
}

const infoIn = (body: Buffer) => parseTcbInfo(readDocumentBody(body, 'tcbInfo').value);
const identityIn = (body: Buffer) => parseQeIdentity(readDocumentBody(body, 'enclaveIdentity').value);

function factsOf(quoteFile: string): TcbFacts {
  const { body, qeReport, certificates } = parseTdxQuote(file(quoteFile));
  const { components, pceSvn } = pckPlatform(parseCertificate(certificates[0]!));
  const { teeTcbSvn, teeTcbSvn2 = teeTcbSvn, mrSignerSeam, seamAttributes } = body;
  return {
    sgxComponents: components,
    pceSvn,
    teeTcbSvns: [teeTcbSvn, teeTcbSvn2],
    mrSignerSeam,
    seamAttributes,
    qe: qeReport,
  };
}

describeWithVectors('collateral of Intel', () => {
  test.each([
    ['google-collateral/tcbInfo_v4.json', 'tcbInfo'],
    ['google-collateral/tcbInfo_v5.json', 'tcbInfo'],
    ['google-collateral/qeIdentity.json', 'enclaveIdentity'],
    ['trustee/tcbInfo.json', 'tcbInfo'],
    ['trustee/enclaveIdentity.json', 'enclaveIdentity'],
  ] as const)('%s parses, and is signed over the bytes that were served', (name, member) => {
    const body = file(name);
    expect(isSigned(body, member)).toBe(true);
    expect(() => (member === 'tcbInfo' ? infoIn(body) : identityIn(body))).not.toThrow();
    const changed = Buffer.from(body.toString().replace('"version":', '"version": '));
    expect(isSigned(changed, member)).toBe(false);
  });

  test('of a test PKI with components that are no bytes does not parse', () => {
    expect(() => infoIn(file('intel-qvl-sample/tcbInfo.json'))).toThrow(/0 to 255/);
  });

  const [anchor] = PINNED_ROOTS.intel.certificates as readonly [Certificate];
  const trust = (atMs: number): HardwareTrust => ({
    roots: PINNED_ROOTS,
    collateral: googleCollateral(),
    paths: new KnownPaths(8),
    atMs,
    requireCrls: false,
  });
  const platform = { fmspc: Buffer.from('50806f000000', 'hex'), pceId: Buffer.alloc(2), anchor };

  test('is believed in its window, and not outside of it', () => {
    expect(currentTcbInfo(trust(Date.UTC(2023, 5, 20)), platform)).toMatchObject({
      value: { evaluationDataNumber: 15 },
    });
    expect(currentQeIdentity(trust(Date.UTC(2023, 5, 20)), anchor)).toMatchObject({ value: { isvProdId: 2 } });
    for (const atMs of [Date.UTC(2023, 5, 18, 8, 42, 57), Date.UTC(2023, 6, 18, 8, 42, 59), Date.UTC(2026, 10, 21)]) {
      expect(currentTcbInfo(trust(atMs), platform)).toMatchObject({ reason: 'collateral.unavailable' });
    }
  });

  test('grades a machine of 2025 as out of date for its PCE, with TDX module 3', () => {
    const graded = gradeTcb(
      factsOf('trustee/tdx_quote_6.dat'),
      infoIn(file('trustee/tcbInfo.json')),
      identityIn(file('trustee/enclaveIdentity.json')),
    );
    expect(graded).toMatchObject({
      ok: true,
      value: {
        status: 'OutOfDate',
        platform: { status: 'OutOfDate' },
        module: { status: 'UpToDate' },
        qe: { status: 'UpToDate' },
      },
    });
  });

  test('grades what runs now of a TD of TDX 1.5 as well as its launch', () => {
    const info = infoIn(googleFile('tcbInfo_v5.json'));
    const graded = gradeTcb(factsOf('trustee/tdx_quote_5.dat'), info, identityIn(file('trustee/enclaveIdentity.json')));
    expect(graded).toMatchObject({ reason: 'tdx.tcb' });
  });

  test('finds no level for the machine of 2023 of Google, and the best one for that of trustee', () => {
    const info = infoIn(googleFile('tcbInfo_v4.json'));
    const identity = identityIn(googleFile('qeIdentity.json'));
    expect(gradeTcb(factsOf('google-prod-v4/quote.dat'), info, identity)).toMatchObject({ reason: 'tdx.tcb' });
    expect(gradeTcb(factsOf('trustee/tdx_quote_4.dat'), info, identity)).toMatchObject({
      value: { status: 'UpToDate' },
    });
  });
});
