/** What a genuine report of a confidential VM does not prove: a production broker that takes simulated processors for genuine ones. */
import { createPublicKey } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { releaseBinding } from '../../src/challenge/binding.js';
import { sha256 } from '../../src/crypto/digest.js';
import { type HardwareTrust, NO_COLLATERAL } from '../../src/endorsement/collateral.js';
import { withSimulator } from '../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../src/endorsement/known-paths.js';
import { expectedField, policyHash } from '../../src/policy/policy-hash.js';
import type { ReleaseOutcome } from '../../src/release/broker.js';
import { createBroker } from '../../src/release/create-broker.js';
import { cvmTrust } from '../../src/release/ak-trust.js';
import { simulatedHclReport } from '../../src/simulator/hcl.js';
import { makerRoots, simulatedMakers } from '../../src/simulator/makers.js';
import { SimulatedSnp } from '../../src/simulator/snp.js';
import type { NeededPcrs } from '../../src/workload/attester.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { authorities, ISSUER, token } from '../evidence/authority/tokens.js';
import { ADMIN, bootedMachine, deploymentDocument, POLICY, TestBroker, valueOf } from '../helpers/test-broker.js';
import { deployment } from '../policy/documents.js';

const MEASUREMENT = 'c5'.repeat(48);
const YEAR_MS = 365 * 86_400_000;
const makers = simulatedMakers(Buffer.alloc(32, 9));
const byReport = (rule: object) => ({ trust: ['cvm-report'], allow: { cvm: [rule] } });
const base64url = (bytes: Buffer) => bytes.toString('base64url');

type Machine = Awaited<ReturnType<typeof bootedMachine>>;

/** Sends what `evidence` makes for a fresh challenge; whether the deployment can be applied at all is part of the outcome. */
async function outcomeOf(
  change: Record<string, unknown>,
  evidence: (base: Buffer, pcrs: NeededPcrs) => Promise<object>,
  pinned?: Machine,
): Promise<ReleaseOutcome> {
  const running = await TestBroker.start({ profile: 'production' });
  try {
    const roots = withSimulator(makerRoots(makers));
    const paths = new KnownPaths(64);
    const hardwareTrust = (_: unknown, atMs: number): HardwareTrust => ({
      ...{ roots, collateral: NO_COLLATERAL, paths, atMs, requireCrls: false },
    });
    const context = { ...running.context, hardwareTrust, authorities: authorities() };
    const broker = createBroker(context);
    valueOf(await broker.applyDeployment(ADMIN, deploymentDocument('d', change), {}));
    valueOf(await broker.createKey(ADMIN, { name: 'k', deployments: ['d'], type: 'oct' }));
    if (pinned !== undefined) {
      const request = { deployment: 'd', public: pinned.ak.tpm2bPublic.toString('base64url') };
      valueOf(await broker.trustAttester(ADMIN, request));
    }
    const asked = { deployment: 'd', key: 'k' };
    const { nonce, broker: id, pcrs } = valueOf(await broker.issueChallenge(asked));
    const { jwk: recipient, thumbprint } = await createRecipient('P-256');
    const base = releaseBinding({ broker: id, ...asked, nonce, recipient: thumbprint, version: 'latest' });
    const sent = await evidence(base, pcrs);
    return await broker.release({ nonce, ...asked, recipient, evidence: sent });
  } finally {
    await running.close();
  }
}

function processor(fields: object, cspId?: string) {
  const snp = new SimulatedSnp({ generation: 'Milan', seed: Buffer.alloc(32, 1) }).set(fields);
  if (cspId !== undefined) snp.set({ signingKey: 1 });
  const life = { notBeforeMs: Date.now() - YEAR_MS, notAfterMs: Date.now() + YEAR_MS };
  const certificates = [base64url(snp.certificate(makers, cspId === undefined ? life : { ...life, cspId }))];
  return {
    plain: (base: Buffer, { ak }: Machine) => ({
      snp: { report: base64url(snp.report(Buffer.concat([base, sha256(ak.spki)]))), certificates },
    }),
    hcl: ({ ak }: Machine, vmConfiguration: Readonly<Record<string, boolean>> = {}) => {
      const hardware = { kind: 'snp', report: (data: Buffer) => snp.report(data) } as const;
      const report = simulatedHclReport({ akSpki: ak.spki, hardware, vmConfiguration });
      return { hcl: { report: base64url(report), certificates } };
    },
  };
}

const KNOWN = { measurement: Buffer.from(MEASUREMENT, 'hex') };
const reasonOf = (outcome: ReleaseOutcome) => (outcome.ok ? 'released' : outcome.reason);

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
      const applied = outcomeOf({ attesters: byReport(rule) }, () => Promise.resolve({}));
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
    const send = (fields: object) => async (base: Buffer, pcrs: NeededPcrs) => ({
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
    const hostData = Buffer.from(expectedField('snp.host_data', policyHash(POLICY).sha256), 'hex');
    const send = async (base: Buffer, pcrs: NeededPcrs) => ({
      ...{ tpm: await machine.evidence(base, pcrs), ...processor({ ...KNOWN, hostData }).hcl(machine) },
    });
    const change = { measurement: { source: 'snp.host_data' }, attesters: byReport({ measurement: MEASUREMENT }) };
    expect(reasonOf(await outcomeOf(change, send))).toBe('released');
    expect(reasonOf(await outcomeOf({ ...change, platform: {} }, send))).toBe('evidence.unbound');
  });

  test('tells a stranger nothing of what the deployment asks of hardware', async () => {
    const machine = await bootedMachine();
    const { plain } = processor(KNOWN, 'CN=stranger');
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
  const tokenFor = (base: Buffer, { ak }: Machine) => {
    const { n, e } = createPublicKey({ key: ak.spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
    const seconds = Math.floor(Date.now() / 1000);
    return token({
      ...{ iat: seconds, nbf: seconds, exp: seconds + 60, eat_nonce: base64url(base), isolated: true },
      'x-ms-runtime': { keys: [{ kid: 'HCLAkPub', kty: 'RSA', n, e }] },
    });
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
