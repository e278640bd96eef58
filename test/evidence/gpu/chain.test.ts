import { describe, expect, test } from '@jest/globals';
import { parseCrl } from '../../../src/crypto/x509-crl.js';
import { SAFE_GPU_RULES } from '../../../src/evidence/gpu/evidence.js';
import { verifyGpus } from '../../../src/evidence/gpu/verify.js';
import {
  caConstraints,
  caUsage,
  derivedKey,
  issueCertificate,
  issueCrl,
  signingUsage,
  simulatorName,
} from '../../../src/simulator/certificate.js';
import { AT, gpu, makers, NONCE, numbered, sound, told, verdict, verify } from './simulated.js';

describe('gpu.chain', () => {
  const seed = Buffer.alloc(32, 9);
  const leaf = derivedKey(seed, 'leaf', 'P-384');
  const bootRom = derivedKey(seed, 'boot ROM', 'P-384');
  const { provisioner, identity, root } = makers.nvidiaDevices;
  const dates = { notBeforeMs: AT - 1000, notAfterMs: AT + 1000 };
  const certified = (
    names: { readonly bootRom: string; readonly leaf: string },
    spki = leaf.spki,
    usage = signingUsage(),
  ) => {
    const subject = simulatorName(names.bootRom);
    const ca = { extensions: [caConstraints(), caUsage()], serial: 1n, ...dates };
    const rom = issueCertificate(provisioner, { ...ca, subject, spki: bootRom.spki });
    const by = { name: subject, curve: 'P-384' as const, ...bootRom };
    const end = issueCertificate(by, {
      ...dates,
      serial: 2n,
      subject: simulatorName(names.leaf),
      spki,
      extensions: [usage],
    });
    return [end, rom, provisioner.certificate, identity.certificate];
  };
  const refusal = (certificates: readonly Buffer[]) => told(verify([{ ...gpu().evidence(NONCE), certificates }]));
  const NAMES = { bootRom: 'GH100 A01 GSP BROM', leaf: 'GH100 A01 GSP FMC LF' };

  test('not for such a chain with the genuine names', () => {
    expect(refusal(certified(NAMES))).toBe('gpu.signature: device 0: the report is not signed by its device');
  });

  test('for a boot ROM of a chip that is not known', () => {
    for (const name of [
      'GA100 A01 GSP BROM',
      'GH100 A01 GSP BROM 2',
      'xGH100 A01 GSP BROM',
      'GB30X A01 GSP BROM',
      'GB2X0 A01 GSP BROM',
      'GB20x A01 GSP BROM',
      'GH10X A01 GSP BROM',
      'NVIDIA GH100 Provisioner ICA 1',
    ]) {
      expect(refusal(certified({ ...NAMES, bootRom: name }))).toMatch(/^gpu\.chain/);
    }
  });

  test('for a leaf that is not of the firmware of that chip', () => {
    for (const name of ['GH100 A01 GSP', 'GB100 A01 GSP FMC LF', 'GH100 A01 FSP FMC LF']) {
      expect(refusal(certified({ ...NAMES, leaf: name }))).toMatch(/^gpu\.chain/);
    }
  });

  test('for a leaf that may not sign, or whose key is of another curve', () => {
    expect(refusal(certified(NAMES, leaf.spki, caUsage()))).toMatch(/^gpu\.chain/);
    expect(refusal(certified(NAMES, derivedKey(seed, 'leaf', 'P-256').spki))).toMatch(/^gpu\.chain/);
  });

  test('for a device that certifies another one', () => {
    const [, rom] = certified(NAMES);
    const subject = simulatorName('GH100 A01 GSP BROM');
    const by = { name: subject, curve: 'P-384' as const, ...bootRom };
    const below = derivedKey(seed, 'below', 'P-384');
    const name = simulatorName('GB100 A01 GSP BROM');
    const ca = { extensions: [caConstraints(), caUsage()], serial: 3n, ...dates };
    const second = issueCertificate(by, { ...ca, subject: name, spki: below.spki });
    const end = issueCertificate(
      { name, curve: 'P-384', ...below },
      {
        ...dates,
        serial: 4n,
        subject: simulatorName('GB100 A01 GSP FMC LF'),
        spki: leaf.spki,
        extensions: [signingUsage()],
      },
    );
    const chain = [end, second, rom!, provisioner.certificate, identity.certificate];
    expect(refusal(chain)).toBe('gpu.chain: device 0: not 4 certificates between report and root');
  });

  test('for a boot ROM as leaf, for no certificate, and for too many', () => {
    const { certificates } = gpu();
    expect(refusal(certificates.slice(1))).toMatch(/^gpu\.chain/);
    expect(refusal([])).toMatch(/^gpu\.chain/);
    expect(refusal([...certificates, ...certificates])).toMatch(/^gpu\.chain/);
  });

  test('for a provisioner that its issuer revoked; a stale list of it is collateral.unavailable', () => {
    const list = (revoked: readonly bigint[], nextUpdateMs: number) =>
      parseCrl(issueCrl(identity, { thisUpdateMs: AT - 1000, nextUpdateMs, number: 1, revoked }));
    const number = BigInt(`0x${provisionerSerial()}`);
    const believed = (crl: ReturnType<typeof parseCrl>) => ({
      ...sound,
      collateral: { ...sound.collateral, crls: [crl] },
    });
    expect(verdict({}, {}, believed(list([], AT + 1000)))).toBe('accepted');
    expect(verdict({}, {}, believed(list([number], AT + 1000)))).toMatch(/^gpu\.chain/);
    expect(verdict({}, {}, believed(list([], AT - 1)))).toMatch(/^collateral\.unavailable/);
  });

  test('of a stale list is told last: a forgery, a stranger and what failed are no matter of collateral', () => {
    const stale = parseCrl(issueCrl(root, { thisUpdateMs: AT - 2000, nextUpdateMs: AT - 1, number: 1 }));
    const { rims } = sound.collateral;
    const believed = (of: readonly Buffer[]) => ({
      ...sound,
      collateral: { ...sound.collateral, rims: of, crls: [stale] },
    });
    const outdated = believed(rims);
    expect(verdict({}, {}, outdated)).toMatch(/^collateral\.unavailable: device 0: /);
    expect(verdict({ forged: true }, {}, outdated)).toMatch(/^gpu\.signature/);
    expect(verdict({ confidentialComputing: 'devtools' }, {}, outdated)).toMatch(/^gpu\.measurement/);
    expect(verdict({}, { count: 2 }, outdated)).toMatch(/^gpu\.count/);
    expect(verdict({}, {}, believed([]))).toMatch(/^collateral\.unavailable/);
    const evidence = gpu().evidence(NONCE);
    const answered = told(verifyGpus([evidence], outdated, { nonce: Buffer.alloc(32), rules: SAFE_GPU_RULES }));
    expect(answered).toMatch(/^gpu\.nonce/);
    const certificates = [...evidence.certificates, makers.amd.Milan.ark.certificate];
    expect(told(verify([{ ...evidence, certificates }], {}, outdated))).toMatch(/^gpu\.chain/);
    expect(
      told(verify([evidence, { ...gpu({ seed: Buffer.alloc(32, 1), forged: true }).evidence(NONCE) }], {}, outdated)),
    ).toMatch(/^gpu\.signature: device 1/);
  });

  test('for a certificate that is not on the path, and each changed copy of the root; not for its exact copy', () => {
    const evidence = gpu().evidence(NONCE);
    const refused = 'gpu.chain: device 0: a certificate was sent that is not on the path of the leaf';
    const sent = (certificates: readonly Buffer[]) => told(verify([{ ...evidence, certificates }]));
    const below = evidence.certificates.slice(0, 4);
    expect(sent([...evidence.certificates, root.certificate])).toBe('accepted');
    const [other] = numbered(9).evidence(NONCE).certificates;
    for (const stranger of [makers.amd.Milan.ark.certificate, makers.nvidiaRims.root.certificate, other!]) {
      expect(sent([...evidence.certificates, stranger])).toBe(refused);
      expect(sent([below[0]!, stranger, ...below.slice(1)])).toBe(refused);
    }
    for (let at = 0; at < root.certificate.length; at++) {
      const changed = Buffer.from(root.certificate);
      changed[at] = changed[at]! ^ (1 << (at % 8));
      expect(sent([...below, changed])).toMatch(/^gpu\.chain/);
    }
  });

  function provisionerSerial(): string {
    const certificate = gpu().certificates[2]!;
    // version [0] (5 bytes), then INTEGER: behind two headers of four bytes.
    const at = 4 + 4 + 5;
    return certificate.subarray(at + 2, at + 2 + certificate[at + 1]!).toString('hex');
  }

  test('not for the root among the certificates, for its absence, or for another order', () => {
    const evidence = gpu().evidence(NONCE);
    const [first, ...others] = evidence.certificates;
    expect(told(verify([{ ...evidence, certificates: evidence.certificates.slice(0, 4) }]))).toBe('accepted');
    expect(told(verify([{ ...evidence, certificates: [first!, ...others.reverse()] }]))).toBe('accepted');
    expect(root.certificate.equals(gpu().certificates[4]!)).toBe(true);
  });
});
