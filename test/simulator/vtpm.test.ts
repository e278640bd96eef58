import { execFileSync, spawnSync } from 'node:child_process';
import { constants, createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { verifyQuote } from '../../src/evidence/tpm/quote.js';
import type { SimulatedAk } from '../../src/simulator/ak.js';
import { AK_SCHEMES, type AkScheme } from '../../src/simulator/ak.js';
import { SimulatedTpmError, type PcrBank } from '../../src/simulator/pcr-banks.js';
import { SimulatedTpm, type PcrSelection } from '../../src/simulator/vtpm.js';

const hasTools = spawnSync('tpm2_checkquote', ['--version']).status === 0;
const withTools = hasTools ? test : test.skip;

const extraData = createHash('sha256').update('binding').digest();
const selection: PcrSelection = [
  { bank: 'sha256', pcrs: [0, 8, 17, 23] },
  { bank: 'sha384', pcrs: [8] },
  { bank: 'sha1', pcrs: [1, 8] },
];
const tpm = new SimulatedTpm();
const aks = Object.fromEntries(
  await Promise.all(AK_SCHEMES.map(async (scheme) => [scheme, await tpm.createAk({ scheme })] as const)),
) as Record<AkScheme, SimulatedAk>;
tpm.event(8, Buffer.from('a policy'));

/** TPMT_PUBLIC up to the key itself, written out here so that nothing is shared with what is tested. */
const COMMON = '000b' + '00050072' + '0000' + '0010';
const WIRE = {
  rsassa: { hash: 'sha256', head: `0001${COMMON}0014000b080000000000` },
  rsapss: { hash: 'sha256', head: `0001${COMMON}0016000b080000000000` },
  'ecdsa-p256': { hash: 'sha256', head: `0023${COMMON}0018000b00030010` },
  'ecdsa-p384': { hash: 'sha384', head: `0023${COMMON}0018000c00040010` },
} as const;

describe.each(AK_SCHEMES)('a quote with an AK of scheme %s', (scheme) => {
  const ak = aks[scheme];
  const { quoted, signature, pcrs } = tpm.quote(ak, extraData, selection);

  test('is a TPMS_ATTEST with the fields of the specification, and nothing after them', () => {
    expect(quoted.subarray(0, 8).toString('hex')).toBe('ff54434780180022');
    expect(quoted.subarray(8, 42)).toEqual(ak.qualifiedName);
    expect(quoted.subarray(42, 44).toString('hex')).toBe('0020');
    expect(quoted.subarray(44, 76)).toEqual(extraData);
    expect(quoted.readBigUInt64BE(76)).toBeGreaterThan(0n);
    expect(quoted.readUInt32BE(84)).toBe(tpm.clockInfo.resetCount);
    expect(quoted.readUInt32BE(88)).toBe(tpm.clockInfo.restartCount);
    expect(quoted[92]).toBe(1);
    expect(quoted.subarray(101, 123).toString('hex')).toBe('00000003000b03010182000c03000100000403020100');
    const size = quoted.readUInt16BE(123);
    expect(size).toBe(WIRE[scheme].hash === 'sha256' ? 32 : 48);
    expect(quoted.length).toBe(125 + size);
  });

  test('has the digest of the selected values, banks as selected and indexes ascending', () => {
    const state = createHash(WIRE[scheme].hash);
    for (const { bank, pcrs: indexes } of selection) {
      for (const index of indexes) {
        state.update(tpm.pcr(bank, index));
        expect(pcrs[bank]?.[String(index)]).toBe(tpm.pcr(bank, index).toString('hex'));
      }
    }
    expect(quoted.subarray(125)).toEqual(state.digest());
  });

  test('verifies with node:crypto under the SPKI of the AK, and not over one other byte', () => {
    const altered = Buffer.from(quoted);
    altered[50] = (altered[50] ?? 0) ^ 1;
    expect(verifies(scheme, ak.spki, quoted, signature)).toBe(true);
    expect(verifies(scheme, ak.spki, altered, signature)).toBe(false);
  });

  test('is accepted by the verifier of this product, as bound and selected', () => {
    const evidence = { quoted, signature, ak: ak.tpm2bPublic, pcrs, akCertificates: [] };
    const trust = () => ({ ok: true, value: { kind: 'simulator' as const } }) as const;
    const outcome = verifyQuote(evidence, { extraData, neededPcrs: { sha256: [8], sha384: [8] }, trust });
    expect(outcome).toMatchObject({ ok: true });
    const other = verifyQuote(evidence, { extraData: Buffer.alloc(32), neededPcrs: {}, trust });
    expect(other).toMatchObject({ ok: false, reason: 'quote.binding' });
  });

  test('comes from an AK whose public area is one of the specification, byte for byte', () => {
    const { head } = WIRE[scheme];
    const unique = uniqueOf(scheme, ak.spki);
    expect(ak.publicArea.toString('hex')).toBe(head + unique);
    expect(ak.tpm2bPublic.readUInt16BE(0)).toBe(ak.publicArea.length);
    expect(ak.tpm2bPublic.subarray(2)).toEqual(ak.publicArea);
    expect(ak.name.toString('hex')).toBe('000b' + createHash('sha256').update(ak.publicArea).digest('hex'));
  });
});

// tpm2_checkquote 5.4 refuses genuine RSAPSS quotes, so that it has no say about those.
describe.each(['rsassa', 'ecdsa-p256', 'ecdsa-p384'] as const)('tpm2_checkquote, for scheme %s,', (scheme) => {
  withTools('accepts the quote with its extraData, and refuses it with another', () => {
    const ak = aks[scheme];
    const quote = tpm.quote(ak, extraData, [{ bank: 'sha256', pcrs: [0, 8] }]);
    const dir = mkdtempSync(join(tmpdir(), 'portcullis-test-'));
    try {
      writeFileSync(join(dir, 'ak'), ak.tpm2bPublic);
      writeFileSync(join(dir, 'quoted'), quote.quoted);
      writeFileSync(join(dir, 'signature'), quote.signature);
      const files = ['-u', join(dir, 'ak'), '-m', join(dir, 'quoted'), '-s', join(dir, 'signature')];
      const check = (hex: string) =>
        execFileSync('tpm2_checkquote', [...files, '-g', WIRE[scheme].hash, '-q', hex], { stdio: 'pipe' });
      check(extraData.toString('hex'));
      expect(() => check('00'.repeat(32))).toThrow();
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

describe('PCRs', () => {
  test('start as those of a PC client: 17 to 22 all ones, the others zero, in every bank', () => {
    const fresh = new SimulatedTpm();
    for (const [bank, size] of [
      ['sha1', 20],
      ['sha256', 32],
      ['sha384', 48],
    ] as const) {
      for (let index = 0; index < 24; index++) {
        expect(fresh.pcr(bank, index)).toEqual(Buffer.alloc(size, index >= 17 && index <= 22 ? 0xff : 0));
      }
    }
  });

  test('extend to H(old || digest), one bank alone', () => {
    const fresh = new SimulatedTpm();
    const value = Buffer.alloc(32, 7);
    fresh.extend('sha256', 8, value);
    const once = createHash('sha256').update(Buffer.alloc(32)).update(value).digest();
    expect(fresh.pcr('sha256', 8)).toEqual(once);
    fresh.extend('sha256', 8, value);
    expect(fresh.pcr('sha256', 8)).toEqual(createHash('sha256').update(once).update(value).digest());
    expect(fresh.pcr('sha384', 8)).toEqual(Buffer.alloc(48));
  });

  test('take an event into every bank, each with its own hash', () => {
    const fresh = new SimulatedTpm();
    fresh.event(4, Buffer.from('loader'));
    for (const [bank, size] of [
      ['sha1', 20],
      ['sha256', 32],
      ['sha384', 48],
    ] as const) {
      const measured = createHash(bank).update('loader').digest();
      expect(fresh.pcr(bank, 4)).toEqual(createHash(bank).update(Buffer.alloc(size)).update(measured).digest());
    }
  });

  test('16 and 23 alone are reset, and 17 to 22 are out of reach of locality 0', () => {
    const fresh = new SimulatedTpm();
    for (let index = 0; index < 24; index++) {
      const value = Buffer.alloc(32, 1);
      const isDrtm = index >= 17 && index <= 22;
      if (isDrtm) expect(() => fresh.extend('sha256', index, value)).toThrow('TPM_RC_LOCALITY');
      else fresh.extend('sha256', index, value);
      if (index === 16 || index === 23) {
        fresh.resetPcr(index);
        expect(fresh.pcr('sha256', index)).toEqual(Buffer.alloc(32));
      } else {
        expect(() => fresh.resetPcr(index)).toThrow('TPM_RC_LOCALITY');
      }
    }
  });

  test.each([-1, 24, 1.5, Number.NaN])('there is no PCR %p', (index) => {
    expect(() => new SimulatedTpm().extend('sha256', index, Buffer.alloc(32))).toThrow(SimulatedTpmError);
    expect(() => new SimulatedTpm().pcr('sha256', index)).toThrow(SimulatedTpmError);
  });

  test.each([0, 31, 33, 48])('a digest of %p bytes does not fit the SHA-256 bank', (size) => {
    expect(() => new SimulatedTpm().extend('sha256', 0, Buffer.alloc(size))).toThrow('TPM_RC_SIZE');
  });

  test('boot values are taken outright, in any PCR, and nothing that is no PCR value', () => {
    const fresh = new SimulatedTpm();
    fresh.setBootValues({ sha256: { '4': '11'.repeat(32), '17': '22'.repeat(32) }, sha384: { '7': '33'.repeat(48) } });
    expect(fresh.pcr('sha256', 4)).toEqual(Buffer.alloc(32, 0x11));
    expect(fresh.pcr('sha256', 17)).toEqual(Buffer.alloc(32, 0x22));
    expect(fresh.pcr('sha384', 7)).toEqual(Buffer.alloc(48, 0x33));
    for (const wrong of [
      { '04': '11'.repeat(32) },
      { '24': '11'.repeat(32) },
      { '4': '11' },
      { '4': `${'11'.repeat(32)}1` },
    ]) {
      expect(() => fresh.setBootValues({ sha256: wrong })).toThrow();
    }
    expect(() => fresh.setBootValues({ sha512: {} })).toThrow('no PCR bank sha512');
  });

  test('what is handed out is a copy', () => {
    const fresh = new SimulatedTpm();
    fresh.pcr('sha256', 0).fill(9);
    expect(fresh.pcr('sha256', 0)).toEqual(Buffer.alloc(32));
  });

  test('a power cycle clears them, counts the reset, and keeps the keys', async () => {
    const fresh = new SimulatedTpm();
    const ak = await fresh.createAk({ scheme: 'ecdsa-p256' });
    fresh.event(8, Buffer.from('x'));
    fresh.setClockInfo({ resetCount: 5, restartCount: 3 });
    fresh.powerCycle();
    expect(fresh.pcr('sha256', 8)).toEqual(Buffer.alloc(32));
    expect(fresh.clockInfo).toMatchObject({ resetCount: 6, restartCount: 0 });
    expect(fresh.aks).toEqual([ak]);
  });
});

test('any selection comes back as the bits that name it', () => {
  const banks: readonly PcrBank[] = ['sha1', 'sha256', 'sha384'];
  const entry = fc.record({ bank: fc.constantFrom(...banks), pcrs: fc.array(fc.nat({ max: 23 }), { maxLength: 24 }) });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), (asked) => {
      const { quoted } = tpm.quote(aks['ecdsa-p256'], Buffer.alloc(0), asked);
      let at = 69;
      expect(quoted.readUInt32BE(at)).toBe(asked.length);
      at += 4;
      for (const { pcrs } of asked) {
        expect(quoted[at + 2]).toBe(3);
        const bits = quoted.readUIntLE(at + 3, 3);
        expect(Array.from({ length: 24 }, (_, n) => n).filter((n) => (bits >> n) & 1)).toEqual(
          [...new Set(pcrs)].sort((a, b) => a - b),
        );
        at += 6;
      }
    }),
    { numRuns: 50 },
  );
});

test('the clock that is set is the clock that is quoted, and it moves on', () => {
  const fresh = new SimulatedTpm();
  fresh.setClockInfo({ clock: 0xffff_ffff_ffn, resetCount: 0xfffffffe, restartCount: 9, safe: false });
  const { quoted } = fresh.quote(aks['ecdsa-p256'], Buffer.alloc(0), []);
  expect(quoted.readBigUInt64BE(44)).toBe(0x1000_0000_000n);
  expect(quoted.readUInt32BE(52)).toBe(0xfffffffe);
  expect(quoted.readUInt32BE(56)).toBe(9);
  expect(quoted[60]).toBe(0);
});

test('extraData of 66 bytes is quoted, of 67 it is not', () => {
  expect(() => tpm.quote(aks.rsassa, Buffer.alloc(66), selection)).not.toThrow();
  expect(() => tpm.quote(aks.rsassa, Buffer.alloc(67), selection)).toThrow('TPM_RC_SIZE');
});

test('a given private key makes the same AK again, and one of another kind none', async () => {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
  });
  const first = await new SimulatedTpm().createAk({ scheme: 'ecdsa-p256', pkcs8: privateKey });
  const second = await new SimulatedTpm().createAk({ scheme: 'ecdsa-p256', pkcs8: privateKey });
  expect(second.name).toEqual(first.name);
  for (const scheme of ['rsassa', 'rsapss', 'ecdsa-p384'] as const) {
    await expect(new SimulatedTpm().createAk({ scheme, pkcs8: privateKey })).rejects.toThrow(TypeError);
  }
});

function verifies(scheme: AkScheme, spki: Buffer, quoted: Buffer, signature: Buffer): boolean {
  const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  const { hash } = WIRE[scheme];
  expect(signature.readUInt16BE(2)).toBe(hash === 'sha256' ? 0x0b : 0x0c);
  const size = signature.readUInt16BE(4);
  const first = signature.subarray(6, 6 + size);
  if (scheme === 'rsassa' || scheme === 'rsapss') {
    expect(signature.readUInt16BE(0)).toBe(scheme === 'rsassa' ? 0x14 : 0x16);
    expect(signature.length).toBe(6 + 256);
    const padding = scheme === 'rsassa' ? constants.RSA_PKCS1_PADDING : constants.RSA_PKCS1_PSS_PADDING;
    return verify(hash, quoted, { key: publicKey, padding }, first);
  }
  expect(signature.readUInt16BE(0)).toBe(0x18);
  const second = signature.subarray(6 + size + 2);
  expect(signature.readUInt16BE(6 + size)).toBe(second.length);
  return verify(hash, quoted, { key: publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.concat([first, second]));
}

/** The TPM2B of the modulus, or of the coordinates, from the JWK of the key. */
function uniqueOf(scheme: AkScheme, spki: Buffer): string {
  const jwk = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
  const members = scheme.startsWith('rsa') ? [jwk.n] : [jwk.x, jwk.y];
  return members
    .map((member) => Buffer.from(member ?? '', 'base64url'))
    .map((bytes) => bytes.length.toString(16).padStart(4, '0') + bytes.toString('hex'))
    .join('');
}
