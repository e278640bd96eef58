import { describe, expect, test } from '@jest/globals';
import { AttesterError } from '../../../src/workload/errors.js';
import { akSigning } from '../../../src/workload/attesters/tpm-public.js';
import { quotedValues, selectionArgument } from '../../../src/workload/attesters/tpm2-quote-values.js';
import { AK_SCHEMES } from '../../../src/simulator/ak.js';
import { SimulatedTpm } from '../../../src/simulator/vtpm.js';

const tpm = new SimulatedTpm();
const ak = await tpm.createAk({ scheme: 'ecdsa-p256' });
tpm.event(8, Buffer.from('policy'));
const asked = { sha256: [0, 8], sha1: [8] };
const { quoted, pcrs } = tpm.quote(ak, Buffer.alloc(32), [
  { bank: 'sha256', pcrs: [0, 8] },
  { bank: 'sha1', pcrs: [8] },
]);
const values = Buffer.concat([tpm.pcr('sha256', 0), tpm.pcr('sha256', 8), tpm.pcr('sha1', 8)]);

describe('the values of a quote', () => {
  test('are named in the order of the selection', () => {
    expect(quotedValues(asked, 'sha256', quoted, values)).toEqual(pcrs);
  });

  test.each([
    ['one value changed', asked, Buffer.concat([Buffer.from([1]), values.subarray(1)])],
    ['a value short', asked, values.subarray(0, -20)],
    ['a byte short', asked, values.subarray(0, -1)],
    ['a byte more', asked, Buffer.concat([values, Buffer.alloc(1)])],
    ['none', asked, Buffer.alloc(0)],
    ['another PCR asked for', { sha256: [0, 9], sha1: [8] }, values],
    ['another bank asked for', { sha256: [0, 8], sha384: [8] }, values],
    ['the banks in another order', { sha1: [8], sha256: [0, 8] }, values],
    ['a bank fewer', { sha256: [0, 8] }, values.subarray(0, 64)],
  ])('are refused with %s', (_what, selection, given) => {
    expect(() => quotedValues(selection, 'sha256', quoted, given)).toThrow(AttesterError);
  });

  test('are refused under another hash, and for every prefix of the quote', () => {
    expect(() => quotedValues(asked, 'sha384', quoted, values)).toThrow(AttesterError);
    for (let length = 0; length < quoted.length; length++) {
      expect(() => quotedValues(asked, 'sha256', quoted.subarray(0, length), values)).toThrow(AttesterError);
    }
  });
});

test('a selection is written as tpm2_quote takes it, and holds nothing else', () => {
  expect(selectionArgument({ sha256: [0, 4, 8], sha384: [8], sha1: [] })).toBe('sha256:0,4,8+sha384:8');
  for (const wrong of [
    {},
    { sha256: [] },
    { md5: [1] },
    { 'sha256:1+sha1': [1] },
    { sha256: [24] },
    { sha256: [8, 4] },
    { sha256: [8, 8] },
  ]) {
    expect(() => selectionArgument(wrong as Record<string, number[]>)).toThrow(AttesterError);
  }
});

describe('the public area of an AK', () => {
  test.each(AK_SCHEMES)('says how to sign: %s', async (scheme) => {
    const { tpm2bPublic } = await tpm.createAk({ scheme });
    expect(akSigning(tpm2bPublic)).toEqual({
      scheme: scheme.startsWith('ecdsa') ? 'ecdsa' : scheme,
      hash: scheme === 'ecdsa-p384' ? 'sha384' : 'sha256',
    });
  });

  test.each([
    ['not restricted', 7, 0x04],
    ['not signing', 7, 0x01],
    ['with a symmetric algorithm', 13, 0x06],
    ['without a scheme', 15, 0x10],
    ['with SHA-1', 17, 0x04],
  ])('%s is none', (_what, offset, value) => {
    const changed = Buffer.from(ak.tpm2bPublic);
    changed[offset] = value;
    expect(() => akSigning(changed)).toThrow(AttesterError);
  });

  test('cut short before the scheme is none', () => {
    for (let length = 0; length < 18; length++) {
      expect(() => akSigning(ak.tpm2bPublic.subarray(0, length))).toThrow(AttesterError);
    }
  });
});
