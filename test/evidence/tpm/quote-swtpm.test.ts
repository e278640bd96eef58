/** The verifier against a real TPM implementation and the tools that people use with it: swtpm and tpm2-tools. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { claimAt, type ClaimTree } from '../../../src/claims/claims.js';
import { verifyQuoteOffline, type QuoteVerifyInput } from '../../../src/cli/quote-verify.js';
import { parseAttest } from '../../../src/evidence/tpm/attest.js';
import { parseAk } from '../../../src/evidence/tpm/ak.js';
import type { PcrValues } from '../../../src/evidence/tpm/evidence.js';
import type { Result } from '../../../src/reason/reason.js';
import {
  AK_ATTRIBUTES,
  startSwtpm,
  swtpmAvailable,
  type Swtpm,
  type SwtpmAk,
  type SwtpmAkAlg,
  type SwtpmQuote,
} from '../../helpers/swtpm.js';
import { encodeAttest } from './encode.js';

const POLICY = Buffer.from('{"policy":"what may run"}');
const BINDING = createHash('sha256').update('binding').digest();
const MANY = 'sha1:0,8+sha256:all+sha384:0,8,16,23';

function reasonOf(result: Result<unknown>): string {
  return result.ok ? 'accepted' : result.reason;
}

(swtpmAvailable() ? describe : describe.skip)('quotes of a real swtpm', () => {
  let tpm: Swtpm;
  let ak: SwtpmAk;
  let good: SwtpmQuote;

  const inputOf = (quote: SwtpmQuote, of: SwtpmAk, more: Partial<QuoteVerifyInput> = {}): QuoteVerifyInput => ({
    quoted: quote.quoted,
    signature: quote.signature,
    ak: of.public,
    pcrs: quote.pcrs,
    pcrConditions: [],
    ...more,
  });
  /** The good quote with something in it replaced. */
  const spoiled = (more: Partial<QuoteVerifyInput>) =>
    reasonOf(verifyQuoteOffline(inputOf(good, ak, { extraData: BINDING, ...more })));
  const claimsOf = (result: Result<ClaimTree>): ClaimTree => {
    if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
    return result.value;
  };

  beforeAll(async () => {
    tpm = await startSwtpm();
    await tpm.extend(8, 'sha256', createHash('sha256').update(POLICY).digest('hex'));
    await tpm.extend(16, 'sha256', '16'.repeat(32));
    ak = await tpm.createAk({ alg: 'rsa-rsassa' });
    good = await tpm.quote({ ak, selection: 'sha256:0,4,8', extraDataHex: BINDING.toString('hex') });
  }, 60_000);
  afterAll(async () => tpm.close());

  describe('are accepted', () => {
    test.each<[SwtpmAkAlg, string]>([
      ['rsa-rsassa', 'rsassa-sha256'],
      ['rsa-rsapss', 'rsapss-sha256'],
      ['ecc256', 'ecdsa-sha256'],
      ['ecc384', 'ecdsa-sha384'],
      ['ecc521', 'ecdsa-sha512'],
      ['rsa3072-rsassa', 'rsassa-sha256'],
    ])('by an AK %s: one PCR, and many of several banks, with the Name that the TPM says', async (alg, algorithm) => {
      const signer = await tpm.createAk({ alg });
      for (const selection of ['sha256:8', MANY]) {
        const quote = await tpm.quote({ ak: signer, selection, extraDataHex: BINDING.toString('hex') });
        const condition = { policy: { content: POLICY, pcr: 8 }, extraData: BINDING };
        const claims = claimsOf(verifyQuoteOffline(inputOf(quote, signer, condition)));
        expect(claimAt(claims, 'tpm.quote.signature_algorithm')).toBe(algorithm);
        expect(claimAt(claims, 'tpm.ak.name')).toBe(signer.name);
        expect(claimAt(claims, 'tpm.pcrs.sha256.8')).toMatch(/^[0-9a-f]{64}$/);
        expect(claimAt(claims, 'tpm.pcrs.sha1.8')).toBeUndefined();
      }
    });

    test('with values as C structs, bare, as the text of tpm2_pcrread and as JSON, for many selections', async () => {
      const selections = [
        'sha256:0',
        'sha384:8',
        'sha256:8,0,4',
        MANY,
        'sha384:all+sha1:all+sha256:all',
        'sha1:all+sha256:23',
      ];
      for (const selection of selections) {
        const structs = await tpm.quote({ ak, selection });
        const bare = await tpm.quote({ ak, selection, bareValues: true });
        const text = Buffer.from(await tpm.pcrRead(selection));
        const claims = claimsOf(verifyQuoteOffline(inputOf(structs, ak)));
        const { pcrs } = claims['tpm'] as unknown as { pcrs: PcrValues };
        expect(claimsOf(verifyQuoteOffline(inputOf(structs, ak, { pcrs: text })))).toEqual(claims);
        expect(claimsOf(verifyQuoteOffline(inputOf(structs, ak, { pcrs: bare.pcrs })))).toEqual(claims);
        expect(reasonOf(verifyQuoteOffline(inputOf(bare, ak)))).toBe('accepted');
        if (selection.includes('sha1')) continue;
        const json = Buffer.from(JSON.stringify(pcrs));
        expect(claimsOf(verifyQuoteOffline(inputOf(structs, ak, { pcrs: json })))).toEqual(claims);
      }
    });

    test('with extraData of 0 to 64 bytes', async () => {
      for (const length of [0, 1, 2, 20, 31, 32, 33, 48, 49, 50, 64]) {
        const extraData = Buffer.alloc(length, 0xab);
        const quote = await tpm.quote({ ak, selection: 'sha256:8', extraDataHex: extraData.toString('hex') });
        expect([length, reasonOf(verifyQuoteOffline(inputOf(quote, ak, { extraData })))]).toEqual([length, 'accepted']);
        const longer = Buffer.alloc(length + 1, 0xab);
        expect(reasonOf(verifyQuoteOffline(inputOf(quote, ak, { extraData: longer })))).toBe('quote.binding');
      }
    });

    test('with the counters of the TPM as claims, and no claim of trust', async () => {
      const claims = claimsOf(verifyQuoteOffline(inputOf(good, ak)));
      expect(claimAt(claims, 'tpm.clock')).toMatch(/^\d+$/);
      expect(claimAt(claims, 'tpm.firmware_version')).toMatch(/^\d+$/);
      expect(claimAt(claims, 'tpm.reset_count')).toEqual(expect.any(Number));
      expect(claimAt(claims, 'tpm.restart_count')).toBe(0);
      expect(claimAt(claims, 'tpm.safe')).toBe(true);
      expect(claimAt(claims, 'tpm.ak.trust')).toBeUndefined();
      expect(claimAt(claims, 'policy.sha256')).toBeUndefined();
    });
  });

  describe('other attestations of the same AK are quote.type', () => {
    test('certify, time and NV', async () => {
      for (const { attest, signature } of [await tpm.certify(ak), await tpm.time(ak, 'ab'), await tpm.nvCertify(ak)]) {
        expect(spoiled({ quoted: attest, signature })).toBe('quote.type');
      }
    });
  });

  describe('keys that are no AK', () => {
    test('an unrestricted key that signs a forged quote is ak.attributes', async () => {
      const key = await tpm.createAk({ alg: 'rsa-rsassa', attributes: AK_ATTRIBUTES.replace('|restricted', '') });
      const parsed = parseAttest(good.quoted);
      if (!parsed.ok) throw new Error(parsed.detail);
      const quoted = encodeAttest({ ...parsed.value, extraData: Buffer.from('forged') });
      const signature = await tpm.sign(key, quoted);
      expect(spoiled({ quoted, signature, ak: key.public, extraData: Buffer.from('forged') })).toBe('ak.attributes');
    });

    test('an exportable key is ak.attributes', async () => {
      const exportable = AK_ATTRIBUTES.replace('fixedtpm|fixedparent|', '');
      const key = await tpm.createAk({ alg: 'rsa-rsassa', attributes: exportable });
      const quote = await tpm.quote({ ak: key, selection: 'sha256:8' });
      expect(verifyQuoteOffline(inputOf(quote, key))).toMatchObject({
        reason: 'ak.attributes',
        findings: [{ claim: 'ak.fixedTPM' }, { claim: 'ak.fixedParent' }],
      });
    });

    test('a key without scheme is ak.attributes', async () => {
      const attributes = AK_ATTRIBUTES.replace('|restricted', '');
      const key = await tpm.createAk({ alg: 'rsa-rsassa', attributes, noScheme: true });
      const quote = await tpm.quote({ ak: key, selection: 'sha256:8' });
      const result = verifyQuoteOffline(inputOf(quote, key));
      expect(result).toMatchObject({
        reason: 'ak.attributes',
        findings: [{ claim: 'ak.restricted' }, { claim: 'ak.scheme' }],
      });
    });

    test('a key with nameAlg SHA-1 is ak.attributes', async () => {
      const key = await tpm.createAk({ alg: 'ecc256', nameAlg: 'sha1' });
      const quote = await tpm.quote({ ak: key, selection: 'sha256:8' });
      expect(reasonOf(verifyQuoteOffline(inputOf(quote, key)))).toBe('ak.attributes');
    });

    test('the EK itself is ak.attributes', async () => {
      expect(parseAk(await readFile(tpm.ekPublicFile))).toMatchObject({ ok: false, reason: 'ak.attributes' });
    });

    test('an AK that signs with SHA-1 is quote.algorithm', async () => {
      for (const alg of ['rsa-rsassa', 'ecc256'] as const) {
        const key = await tpm.createAk({ alg, hash: 'sha1' });
        const quote = await tpm.quote({ ak: key, selection: 'sha256:8' });
        expect(reasonOf(verifyQuoteOffline(inputOf(quote, key)))).toBe('quote.algorithm');
      }
    });

    test('another AK of the same TPM is quote.signature; of another type, quote.algorithm', async () => {
      const other = await tpm.createAk({ alg: 'rsa-rsassa' });
      expect(spoiled({ ak: other.public })).toBe('quote.signature');
      const ecc = await tpm.createAk({ alg: 'ecc256' });
      expect(spoiled({ ak: ecc.public })).toBe('quote.algorithm');
    });

    test('the AK with any one bit of its attributes flipped gives ak.attributes or another Name', () => {
      for (let bit = 0; bit < 32; bit++) {
        const bent = Buffer.from(ak.public);
        bent[9 - (bit >> 3)]! ^= 1 << (bit & 7);
        const result = verifyQuoteOffline(inputOf(good, ak, { ak: bent }));
        if (result.ok) expect(claimAt(result.value, 'tpm.ak.name')).not.toBe(ak.name);
        else expect(result.reason).toBe('ak.attributes');
      }
    });
  });

  describe('selections', () => {
    test('empty, with an entry that selects nothing, and with a bank twice are quote.pcr_selection', async () => {
      const selections = ['sha256:none', 'sha1:none+sha256:8', 'sha256:0+sha256:8', 'sha256:8+sha256:8'];
      // A bank that is not allocated: the TPM then signs an entry without PCRs.
      for (const selection of [...selections, 'sha512:0+sha256:8']) {
        for (const bareValues of [false, true]) {
          const quote = await tpm.quote({ ak, selection, bareValues });
          const reason = reasonOf(verifyQuoteOffline(inputOf(quote, ak)));
          expect([selection, reason]).toEqual([selection, 'quote.pcr_selection']);
        }
      }
    });

    test('a condition on a PCR that is not quoted, or in another bank, is quote.pcr_selection', async () => {
      const value = '00'.repeat(32);
      expect(spoiled({ pcrConditions: [{ bank: 'sha256', index: 16, value }] })).toBe('quote.pcr_selection');
      expect(spoiled({ pcrConditions: [{ bank: 'sha384', index: 8, value }] })).toBe('quote.pcr_selection');
      const sha1 = await tpm.quote({ ak, selection: 'sha1:8' });
      const policy = { content: POLICY, pcr: 8 };
      expect(reasonOf(verifyQuoteOffline(inputOf(sha1, ak, { policy })))).toBe('quote.pcr_selection');
      const condition = { bank: 'sha1' as const, index: 8, value: '00'.repeat(20) };
      expect(reasonOf(verifyQuoteOffline(inputOf(sha1, ak, { pcrConditions: [condition] })))).toBe(
        'quote.pcr_selection',
      );
    });

    test('PCR 16 in the place of PCR 8 is not taken for it', async () => {
      const quote = await tpm.quote({ ak, selection: 'sha256:0,4,16', bareValues: true });
      const value = createHash('sha256').update(Buffer.alloc(32)).update(Buffer.alloc(32, 0x16)).digest('hex');
      const condition = (index: number) => ({ pcrConditions: [{ bank: 'sha256' as const, index, value }] });
      expect(reasonOf(verifyQuoteOffline(inputOf(quote, ak, condition(8))))).toBe('quote.pcr_selection');
      expect(reasonOf(verifyQuoteOffline(inputOf(quote, ak, condition(16))))).toBe('accepted');
      const relabelled = Buffer.from(JSON.stringify({ sha256: { 0: '00'.repeat(32), 4: '00'.repeat(32), 8: value } }));
      expect(reasonOf(verifyQuoteOffline(inputOf(quote, ak, { pcrs: relabelled })))).toBe('quote.pcr_values');
    });
  });

  describe('values', () => {
    test('of other PCRs than the selected ones are quote.pcr_values', async () => {
      for (const selection of ['sha256:0,4', 'sha256:0,4,8,9', 'sha384:0,4,8', 'sha1:0+sha256:0,4,8', 'sha256:0,4,9']) {
        const { pcrs } = await tpm.quote({ ak, selection });
        expect([selection, spoiled({ pcrs })]).toEqual([selection, 'quote.pcr_values']);
        const text = Buffer.from(await tpm.pcrRead(selection));
        expect([selection, spoiled({ pcrs: text })]).toEqual([selection, 'quote.pcr_values']);
      }
    });

    test('that were altered are quote.pcr_digest', async () => {
      const text = (await tpm.pcrRead('sha256:0,4,8')).replace(/(4 : 0x)00/, '$101');
      expect(spoiled({ pcrs: Buffer.from(text) })).toBe('quote.pcr_digest');
      const { pcrs } = await tpm.quote({ ak, selection: 'sha256:0,4,8', bareValues: true });
      for (const at of [0, 31, 32, 95]) {
        const bent = Buffer.from(pcrs);
        bent[at]! ^= 1;
        expect(spoiled({ pcrs: bent })).toBe('quote.pcr_digest');
      }
    });
  });

  describe('bytes', () => {
    test('quoted, signature and AK cut at any byte, or longer by one, are evidence.malformed', () => {
      for (const part of ['quoted', 'signature', 'ak'] as const) {
        const whole = part === 'ak' ? ak.public : good[part];
        for (let length = 0; length < whole.length; length++) {
          expect([part, length, spoiled({ [part]: whole.subarray(0, length) })]).toEqual([
            part,
            length,
            'evidence.malformed',
          ]);
        }
        expect(spoiled({ [part]: Buffer.concat([whole, Buffer.of(0)]) })).toBe('evidence.malformed');
      }
    });

    test('values cut at any byte are evidence.malformed, unless they have become other values', () => {
      for (let length = 0; length < good.pcrs.length; length++) {
        const expected = length === 96 ? 'quote.pcr_digest' : 'evidence.malformed';
        expect([length, spoiled({ pcrs: good.pcrs.subarray(0, length) })]).toEqual([length, expected]);
      }
      expect(spoiled({ pcrs: Buffer.concat([good.pcrs, Buffer.of(0)]) })).toBe('evidence.malformed');
    });

    test('any one byte of quoted or signature changed is refused', () => {
      for (const part of ['quoted', 'signature'] as const) {
        for (let at = 0; at < good[part].length; at++) {
          const bent = Buffer.from(good[part]);
          bent[at]! ^= 1 << (at % 8);
          expect([part, at, spoiled({ [part]: bent })]).not.toEqual([part, at, 'accepted']);
        }
      }
    });

    test('another magic is quote.magic', () => {
      const bent = Buffer.from(good.quoted);
      bent[3]! ^= 1;
      expect(spoiled({ quoted: bent })).toBe('quote.magic');
    });

    test('extraData shorter, longer or padded is quote.binding', async () => {
      const hex = BINDING.toString('hex');
      for (const extraDataHex of [hex.slice(2), hex.slice(0, -2), `${hex}00`, `00${hex}`, '']) {
        const quote = await tpm.quote({ ak, selection: 'sha256:0,4,8', extraDataHex });
        expect(spoiled({ quoted: quote.quoted, signature: quote.signature })).toBe('quote.binding');
      }
      expect(spoiled({ extraData: Buffer.alloc(0) })).toBe('quote.binding');
    });
  });
});
