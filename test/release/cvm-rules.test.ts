/** What a genuine report of a confidential VM does not prove: a production broker that takes simulated processors for genuine ones. */
import { createPublicKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { sha256 } from '../../src/crypto/digest.js';
import type { ReleaseOutcome } from '../../src/release/broker.js';
import { cvmTrust } from '../../src/release/ak-trust.js';
import type { NeededPcrs } from '../../src/workload/attester.js';
import { ISSUER, token } from '../evidence/authority/tokens.js';
import { bootedMachine, deploymentDocument } from '../helpers/test-broker.js';
import { deployment } from '../policy/documents.js';
import {
  base64url,
  byReport,
  HardwareWorld,
  HOST_DATA,
  KNOWN,
  type Machine,
  MEASUREMENT,
  processor,
  reasonOf,
  type Sending,
  YEAR_MS,
} from './hardware-world.js';

/** Sends what `evidence` makes for a fresh challenge; whether the deployment can be applied at all is part of the outcome. */
async function outcomeOf(
  change: Record<string, unknown>,
  evidence: Sending,
  pinned?: Machine,
): Promise<ReleaseOutcome> {
  const world = await HardwareWorld.start();
  try {
    await world.prepare(change, pinned);
    return await world.release(evidence);
  } finally {
    await world.close();
  }
}

describe('a genuine report of a confidential VM', () => {
  test('lets a known machine in', async () => {
    const machine = await bootedMachine();
    const { plain } = processor(KNOWN);
    const outcome = await outcomeOf({ attesters: byReport({ measurement: MEASUREMENT }) }, async (base, pcrs) => ({
      ...{ tpm: await machine.evidence(base, pcrs), ...plain(base, machine) },
    }));
    expect(reasonOf(outcome)).toBe('released');
  });

  test('lets nobody in by a digest of zeros, which every machine without an ID block has', async () => {
    for (const rule of [{ idKeyDigest: '00'.repeat(48) }, { measurement: '00'.repeat(48) }]) {
      const applied = outcomeOf({ attesters: byReport(rule) }, () => ({}));
      await expect(applied).rejects.toThrow(/all zeros is that of every machine/);
      // Nor where a deployment of before has it.
      const rules = {
        ...deployment(),
        attesters: { ...deployment().attesters, allow: { ek: [], ak: [], instance: [], cvm: [rule] } },
      };
      const cvm = {
        akSpki: undefined,
        idKeyDigest: '00'.repeat(48),
        measurement: '00'.repeat(48),
        vmpl: 0,
        identities: [],
      };
      expect(cvmTrust({ cvm }, { revoked: [] }, rules)).toMatchObject({ reason: 'ak.untrusted' });
    }
  });

  test('does not vouch for the attributes of an AK that a guest names in its report data', async () => {
    const machine = await bootedMachine();
    const { plain } = processor(KNOWN);
    const outcome = await outcomeOf({ attesters: byReport({ measurement: MEASUREMENT }) }, async (base, pcrs) => {
      const { quoted, signature, pcrs: values } = await machine.evidence(base, pcrs);
      // Any certificate of the key: nobody believes it, but it stands in for the public area.
      return {
        tpm: { quoted, signature, pcrs: values, ak_certificates: (await selfCertified(machine)).map(base64url) },
        ...plain(base, machine),
      };
    });
    expect(reasonOf(outcome)).toBe('ak.untrusted');
  });

  test('says nothing of runtime data that no known paravisor wrote', async () => {
    const machine = await bootedMachine('rsassa');
    const release = {
      version: '1.0.0',
      anyOf: [{ authority: 'portcullis', allOf: [{ claim: 'hcl.secure_boot', equals: true }] }],
    };
    const send = (fields: Parameters<typeof processor>[0]) => async (base: Buffer, pcrs: NeededPcrs) => ({
      ...{ tpm: await machine.evidence(base, pcrs), ...processor(fields).hcl(machine, { 'secure-boot': true }) },
    });
    const known = { release, attesters: byReport({ measurement: MEASUREMENT }) };
    expect(reasonOf(await outcomeOf(known, send(KNOWN)))).toBe('released');
    // The AK is believed by itself; that a processor signed the hash of what its owner wrote says nothing.
    const pinned = { release, attesters: { trust: ['pinned'] } };
    const refused = await outcomeOf(pinned, send({ measurement: Buffer.alloc(48, 1) }), machine);
    expect(reasonOf(refused)).toBe('policy.claims');
    expect(
      reasonOf(await outcomeOf({ attesters: pinned.attesters }, send({ measurement: Buffer.alloc(48, 1) }), machine)),
    ).toBe('released');
  });

  test('is not enough where the policy is in HOST_DATA and a paravisor runs the machine, unless PCRs pin the rest', async () => {
    const machine = await bootedMachine('rsassa');
    const send = async (base: Buffer, pcrs: NeededPcrs) => ({
      ...{ tpm: await machine.evidence(base, pcrs), ...processor({ ...KNOWN, hostData: HOST_DATA }).hcl(machine) },
    });
    const change = { measurement: { source: 'snp.host_data' }, attesters: byReport({ measurement: MEASUREMENT }) };
    expect(reasonOf(await outcomeOf(change, send))).toBe('released');
    expect(reasonOf(await outcomeOf({ ...change, platform: {} }, send))).toBe('evidence.unbound');
  });

  test('that names the AK of another machine is unbound, though the AK of the quote is believed by itself', async () => {
    const [machine, other] = [await bootedMachine('rsassa'), await bootedMachine('rsassa')];
    const beside = (named: Machine) => async (base: Buffer, pcrs: NeededPcrs) => ({
      ...{ tpm: await machine.evidence(base, pcrs), ...processor(KNOWN).hcl(named) },
    });
    const pinned = { attesters: { trust: ['pinned'] } };
    expect(reasonOf(await outcomeOf(pinned, beside(machine), machine))).toBe('released');
    expect(await outcomeOf(pinned, beside(other), machine)).toMatchObject({ ok: false, reason: 'evidence.unbound' });
  });

  test('tells a stranger nothing of what the deployment asks of hardware', async () => {
    const machine = await bootedMachine();
    const { plain } = processor(KNOWN, { cspId: 'CN=stranger' });
    const { platform } = deploymentDocument('d');
    const change = {
      attesters: byReport({ measurement: MEASUREMENT }),
      platform: { ...(platform as object), snp: { cspIds: ['CN=ours'] } },
    };
    const outcome = await outcomeOf(change, async (base, pcrs) => ({
      ...{ tpm: await machine.evidence(base, pcrs), ...plain(base, machine) },
    }));
    expect(reasonOf(outcome)).toBe('snp.csp');
    expect(JSON.stringify(outcome)).not.toContain('CN=ours');
  });
});

describe('a token of a configured authority', () => {
  const tokenOf = (base: Buffer, about: Readonly<Record<string, unknown>> = {}) => {
    const seconds = Math.floor(Date.now() / 1000);
    const dates = { iat: seconds, nbf: seconds, exp: seconds + 60 };
    return token({ ...dates, eat_nonce: base64url(base), isolated: true, ...about });
  };
  const tokenFor = (base: Buffer, { ak }: Machine) => {
    const { n, e } = createPublicKey({ key: ak.spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
    return tokenOf(base, { 'x-ms-runtime': { keys: [{ kid: 'HCLAkPub', kty: 'RSA', n, e }] } });
  };
  const release = { version: '1.0.0', anyOf: [{ authority: ISSUER, allOf: [{ claim: 'isolated', equals: true }] }] };
  const change = { release, attesters: { trust: ['pinned'] } };
  const send = (machine: Machine, about: Machine) => async (base: Buffer, pcrs: NeededPcrs) => ({
    tpm: await machine.evidence(base, pcrs),
    tokens: [tokenFor(base, about)],
  });

  test('counts for the machine whose AK it names, and for no other', async () => {
    const [machine, other] = [await bootedMachine('rsassa'), await bootedMachine('rsassa')];
    expect(reasonOf(await outcomeOf(change, send(machine, machine), machine))).toBe('released');
    expect(reasonOf(await outcomeOf(change, send(machine, other), machine))).toBe('evidence.unbound');
  });

  test('about an AK is unbound beside the report of a machine that has no TPM', async () => {
    const { alone } = processor({ ...KNOWN, hostData: HOST_DATA });
    const rules = {
      ...{ measurement: { source: 'snp.host_data' }, platform: {} },
      attesters: byReport({ measurement: MEASUREMENT }),
    };
    expect(reasonOf(await outcomeOf(rules, alone))).toBe('released');
    const machine = await bootedMachine('rsassa');
    const besideToken = (base: Buffer) => ({ ...alone(base), tokens: [tokenFor(base, machine)] });
    expect(await outcomeOf(rules, besideToken)).toMatchObject({ ok: false, reason: 'evidence.unbound' });
    // It is the AK that is too much, not the token.
    const ofNobody = (base: Buffer) => ({ ...alone(base), tokens: [tokenOf(base)] });
    expect(reasonOf(await outcomeOf(rules, ofNobody))).toBe('released');
  });

  test('that answers another nonce is unbound, and its claims are not missed elsewhere', async () => {
    const machine = await bootedMachine('rsassa');
    const stale = async (base: Buffer, pcrs: NeededPcrs) => ({
      tpm: await machine.evidence(base, pcrs),
      tokens: [tokenFor(sha256(base), machine)],
    });
    expect(reasonOf(await outcomeOf(change, stale, machine))).toBe('evidence.unbound');
    const without = async (base: Buffer, pcrs: NeededPcrs) => ({
      tpm: await machine.evidence(base, pcrs),
    });
    expect(reasonOf(await outcomeOf(change, without, machine))).toBe('policy.claims');
  });
});

/** A certificate for the AK under a maker that nobody believes. */
async function selfCertified({ ak }: Machine): Promise<readonly Buffer[]> {
  const { createSimulatorCa, issueAkCertificate } = await import('../../src/simulator/ca.js');
  const ca = await createSimulatorCa();
  const terms = {
    notBefore: new Date(Date.now() - YEAR_MS),
    notAfter: new Date(Date.now() + YEAR_MS),
    serial: Buffer.of(1),
  };
  return [issueAkCertificate(ca, ak.spki, terms)];
}
