/** Quotes of real machines, where those vectors are at hand: fields, and verdicts at clocks inside the windows of the collateral. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { type Collateral, NO_COLLATERAL } from '../../../src/endorsement/collateral.js';
import { PINNED_ROOTS } from '../../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../../src/endorsement/known-paths.js';
import { TCB_STATUSES } from '../../../src/endorsement/intel/tcb-status.js';
import { explainTdx } from '../../../src/evidence/tdx/explain.js';
import { pckPlatform } from '../../../src/evidence/tdx/pck.js';
import { verifyQuoteSignature, verifyQuotingEnclave } from '../../../src/evidence/tdx/qe.js';
import { parseTdxQuote } from '../../../src/evidence/tdx/quote.js';
import { googleCollateral, googleDocument, VECTORS } from '../../endorsement/intel/google-collateral.js';
import { flipped, verdict } from './td-world.js';

const present = existsSync(join(VECTORS, 'expected.json'));
const describeWithVectors = present ? describe : describe.skip;

interface Expected {
  readonly version: number;
  readonly bodyType: number;
  readonly trailing: number;
  readonly body: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly qe: { readonly mrSigner: string; readonly isvSvn: number; readonly isvProdId: number };
  readonly pck: {
    readonly comps: readonly number[];
    readonly ppid: string;
    readonly pceSvn: number;
    readonly cpuSvn: string;
    readonly pceid: string;
    readonly fmspc: string;
    readonly piid: string;
  };
}

const expected = (present ? JSON.parse(readFileSync(join(VECTORS, 'expected.json'), 'utf8')) : {}) as Readonly<
  Record<string, Expected>
>;

function quoteIn(file: string): Buffer {
  const bytes = readFileSync(join(VECTORS, file));
  if (!file.endsWith('.json')) return bytes;
  return Buffer.from(
    (JSON.parse(bytes.toString('utf8')) as { readonly quote: string }).quote.replace(/^0x/, ''),
    'hex',
  );
}

const IN_2023 = Date.UTC(2023, 5, 20);
const NOW = Date.UTC(2026, 10, 21);

describeWithVectors('quotes of real machines', () => {
  // Never empty, so that there is something to skip.
  const files = present ? Object.keys(expected) : ['vectors'];

  test('there are nine, and a sample', () => {
    expect(files).toHaveLength(9);
  });

  test.each(files)('%s has the fields that it is known to have', (file) => {
    const { version, bodyType, trailing, body, qe, pck } = expected[file]!;
    const quote = parseTdxQuote(quoteIn(file));
    expect(quote.version).toBe(version);
    expect(quote.bodyType).toBe(bodyType === 3 ? 'TD1.5' : 'TD1.0');
    expect(quote.trailingBytes).toBe(trailing);
    const { rtmrs, ...fields } = quote.body;
    expect(rtmrs.map((rtmr) => rtmr.toString('hex'))).toEqual(body['rtmr']);
    for (const [name, value] of Object.entries(fields)) expect(value?.toString('hex')).toBe(body[name]);
    expect(quote.qeReport.mrSigner.toString('hex')).toBe(qe.mrSigner);
    expect(quote.qeReport).toMatchObject({ isvSvn: qe.isvSvn, isvProdId: qe.isvProdId });
    const platform = pckPlatform(parseCertificate(quote.certificates[0]!));
    expect(platform).toMatchObject({ components: pck.comps, pceSvn: pck.pceSvn });
    expect(platform.ppid.toString('hex')).toBe(pck.ppid);
    expect(platform.cpuSvn.toString('hex')).toBe(pck.cpuSvn);
    expect(platform.pceId.toString('hex')).toBe(pck.pceid);
    expect(platform.fmspc.toString('hex')).toBe(pck.fmspc);
    expect(platform.platformInstanceId?.toString('hex')).toBe(pck.piid);
  });

  test.each(files)('%s is signed by an attestation key that its PCK vouches for', (file) => {
    const quote = parseTdxQuote(quoteIn(file));
    const pck = parseCertificate(quote.certificates[0]!).publicKey();
    expect(verifyQuotingEnclave(quote, pck)).toMatchObject({ ok: true });
    expect(verifyQuoteSignature(quote, pck)).toMatchObject({ ok: true });
    // The key that is kept with the PCK is for these bytes alone.
    const other = parseTdxQuote(quoteIn(files.find((each) => each !== file)!));
    const replaced = { ...quote, attestationKey: other.attestationKey };
    expect(verifyQuoteSignature(replaced, pck)).toMatchObject({ reason: 'tdx.signature' });
    expect(verifyQuoteSignature(quote, pck)).toMatchObject({ ok: true });
  });

  test.each([
    ['google-prod-v4/quote.dat', 'collateral.unavailable'],
    ['google-ccel/quote.dat', 'collateral.unavailable'],
    ['trustee/tdx_quote_4.dat', 'tdx.debug'],
    ['trustee/tdx_quote_5.dat', 'tdx.service_td'],
    ['trustee/tdx_quote_6.dat', 'collateral.unavailable'],
    ['dstack/ra-tls-tdx_quote', 'collateral.unavailable'],
    ['dstack/quote-report.json', 'collateral.unavailable'],
    ['dstack/tdx-lite-getquote.json', 'collateral.unavailable'],
    ['../azure-hcl/trustee-tdx/td-quote.bin', 'collateral.unavailable'],
  ])('%s comes, without collateral, to %s: its own checks are good', (file, reason) => {
    const trust = { roots: PINNED_ROOTS, collateral: NO_COLLATERAL, atMs: NOW };
    expect(verdict(quoteIn(file), trust).replace(/: .*/, '')).toBe(reason);
  });

  test('a sample whose certificates are not in PEM, under a test PKI, is malformed', () => {
    const quote = quoteIn('intel-qvl-sample/quote.dat');
    expect(verdict(quote, { roots: PINNED_ROOTS, collateral: NO_COLLATERAL })).toMatch(/^evidence\.malformed: /);
  });

  test('of one under debug, a person is told so', () => {
    const sections = explainTdx({ quote: quoteIn('trustee/tdx_quote_4.dat') });
    const wrong = sections.flatMap(({ fields }) => fields.filter((field) => field.wrong === true));
    expect(wrong.map(({ name, note }) => `${name}: ${String(note)}`)).toEqual([
      'TDATTRIBUTES: debug, sept_ve_disable: tdx.debug',
    ]);
  });
});

describeWithVectors('quotes of real machines, with the collateral of their time', () => {
  const at = (atMs: number, collateral: Collateral = googleCollateral()) => ({ roots: PINNED_ROOTS, collateral, atMs });
  const debug = { debug: true };
  const upToDate = () => quoteIn('trustee/tdx_quote_4.dat');

  test('one whose TCB is up to date is accepted, once its debug attribute is', () => {
    expect(verdict(upToDate(), at(IN_2023))).toMatch(/^tdx\.debug: /);
    expect(verdict(upToDate(), at(IN_2023), debug)).toBe('accepted');
  });

  test('one below all TCB levels is refused, whatever is accepted', () => {
    expect(verdict(quoteIn('google-prod-v4/quote.dat'), at(IN_2023), { tcbStatus: TCB_STATUSES })).toMatch(
      /^tdx\.tcb: /,
    );
  });

  test('a minute after the first piece of collateral is stale, nothing is said any more, nor before all of it is issued', () => {
    // QE identity, then the CRL, TCB info last.
    const end = Date.UTC(2023, 6, 8, 7, 24, 59);
    expect(verdict(upToDate(), at(end), debug)).toBe('accepted');
    expect(verdict(upToDate(), at(end + 60_000), debug)).toBe(
      'collateral.unavailable: QE identity: past its nextUpdate',
    );
    expect(verdict(upToDate(), at(Date.UTC(2023, 5, 18, 8, 42, 57)), debug)).toMatch(
      /^collateral\.unavailable: TCB info/,
    );
  });

  test('TCB info of another platform is none for this one', () => {
    const other = { ...googleCollateral(), tcbInfos: [googleDocument('tcbInfo_v5.json', 'tcbInfoIssuerChain.pem')] };
    expect(verdict(upToDate(), at(IN_2023, other), debug)).toBe(
      'collateral.unavailable: TCB info: none for this platform',
    );
  });

  test('each quote is refused once one bit of any byte is another, in less than 20 ms', () => {
    const quote = upToDate();
    const known = { ...at(IN_2023), paths: new KnownPaths(4) };
    const took: number[] = [];
    const accepted: number[] = [];
    for (let index = 0; index < quote.length; index++) {
      const changed = flipped(quote, index, 1 << ((index * 3) % 8));
      const start = process.hrtime.bigint();
      if (verdict(changed, known, debug) === 'accepted') accepted.push(index);
      took.push(Number(process.hrtime.bigint() - start) / 1e6);
    }
    expect(accepted).toEqual([]);
    expect(took.sort((a, b) => a - b)[took.length >> 1]).toBeLessThan(20);
  }, 120_000);
});
