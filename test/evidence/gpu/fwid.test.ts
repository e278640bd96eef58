import { describe, expect, test } from '@jest/globals';
import { MalformedError } from '../../../src/bytes/malformed-error.js';
import { parseCertificate } from '../../../src/crypto/x509.js';
import { DICE_COMPOSITE_DEVICE_ID, DICE_TCB_INFO } from '../../../src/evidence/gpu/constants.js';
import { certifiedFwids, matchFwid } from '../../../src/evidence/gpu/fwid.js';
import { extension, issueCertificate, simulatorName } from '../../../src/simulator/certificate.js';
import { context, integer, octetString, oid, primitive, sequence } from '../../../src/simulator/der.js';
import { AT, makers } from './simulated.js';

const { provisioner } = makers.nvidiaDevices;
const SHA_384 = '2.16.840.1.101.3.4.2.2';
const FIRST = Buffer.alloc(48, 1);
const SECOND = Buffer.alloc(48, 2);

const leafWith = (...extensions: readonly Buffer[]) =>
  parseCertificate(
    issueCertificate(provisioner, {
      subject: simulatorName('GH100 A01 GSP FMC LF'),
      spki: provisioner.spki,
      serial: 1n,
      notBeforeMs: AT,
      notAfterMs: AT,
      extensions,
    }),
  );
const id = (digest: Buffer, hash = SHA_384) => sequence(oid(hash), octetString(digest));
const composite = (...parts: readonly Buffer[]) => extension(DICE_COMPOSITE_DEVICE_ID, false, sequence(...parts));
const tcbInfo = (...parts: readonly Buffer[]) => extension(DICE_TCB_INFO, false, sequence(...parts));
const VENDOR = primitive(0, Buffer.from('NVIDIA'));

describe('the firmware that a certificate is for', () => {
  test('is the one of the composite device id, or the first of the TCB info, or none', () => {
    expect(certifiedFwids(leafWith(composite(integer(1), provisioner.spki, id(FIRST))))).toEqual([FIRST]);
    expect(certifiedFwids(leafWith(tcbInfo(VENDOR, context(6, id(FIRST), id(SECOND)), primitive(7, FIRST))))).toEqual([
      FIRST,
    ]);
    expect(certifiedFwids(leafWith(extension('1.2.3', false, FIRST)))).toEqual([]);
  });

  test('must be the same where both extensions name one', () => {
    const both = (second: Buffer) =>
      leafWith(composite(integer(1), provisioner.spki, id(FIRST)), tcbInfo(context(6, id(second))));
    expect(matchFwid(FIRST, both(FIRST)).ok).toBe(true);
    expect(matchFwid(FIRST, both(SECOND))).toMatchObject({ reason: 'gpu.fwid' });
    expect(matchFwid(SECOND, both(SECOND))).toMatchObject({ reason: 'gpu.fwid' });
  });

  test.each([
    ['a composite device id without firmware', composite(integer(1), provisioner.spki)],
    ['a composite device id without key', composite(integer(1), id(FIRST))],
    ['a composite device id with something behind', composite(integer(1), provisioner.spki, id(FIRST), id(FIRST))],
    ['a composite device id that is no sequence', extension(DICE_COMPOSITE_DEVICE_ID, false, FIRST)],
    ['another hash', composite(integer(1), provisioner.spki, id(FIRST, '2.16.840.1.101.3.4.2.1'))],
    ['a digest that is too short', composite(integer(1), provisioner.spki, id(FIRST.subarray(1)))],
    ['a TCB info without firmware', tcbInfo(VENDOR)],
    ['a TCB info with an empty list of firmware', tcbInfo(context(6))],
    ['a TCB info with two lists', tcbInfo(context(6, id(FIRST)), context(6, id(SECOND)))],
  ])('is refused: %s', (_, wrong) => {
    expect(() => certifiedFwids(leafWith(wrong))).toThrow(MalformedError);
    expect(matchFwid(FIRST, leafWith(wrong))).toMatchObject({ ok: false, reason: 'gpu.fwid' });
    expect(matchFwid(undefined, leafWith(wrong)).ok).toBe(true);
  });
});
