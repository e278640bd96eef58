/** A real broker that takes simulated processors and GPUs for genuine ones, and what their machines send to it. */
import { quoteBinding, releaseBinding } from '../../src/challenge/binding.js';
import { sha256 } from '../../src/crypto/digest.js';
import { type HardwareTrust, NO_COLLATERAL } from '../../src/endorsement/collateral.js';
import { withSimulator } from '../../src/endorsement/hardware-roots.js';
import { KnownPaths } from '../../src/endorsement/known-paths.js';
import { expectedField, policyHash } from '../../src/policy/policy-hash.js';
import type { EvidenceMember } from '../../src/evidence/evidence.js';
import type { Broker, ReleaseOutcome, ReleaseRequest } from '../../src/release/broker.js';
import type { BrokerContext } from '../../src/release/context.js';
import { createBroker } from '../../src/release/create-broker.js';
import { SimulatedGpu } from '../../src/simulator/gpu.js';
import { simulatedHclReport } from '../../src/simulator/hcl.js';
import { makerRoots, type SimulatedGeneration, simulatedMakers } from '../../src/simulator/makers.js';
import { issueRim } from '../../src/simulator/rim.js';
import { SimulatedSnp, type SimulatedSnpFields } from '../../src/simulator/snp.js';
import type { NeededPcrs } from '../../src/workload/attester.js';
import { createRecipient } from '../../src/workload/recipient.js';
import { authorities } from '../evidence/authority/tokens.js';
import {
  ADMIN,
  type bootedMachine,
  deploymentDocument,
  POLICY,
  TestBroker,
  type TestBrokerOptions,
  valueOf,
} from '../helpers/test-broker.js';

export type Machine = Awaited<ReturnType<typeof bootedMachine>>;
/** What is sent for a challenge: `base` is the binding, without devices. */
export type Sending = (base: Buffer, pcrs: NeededPcrs) => Promise<EvidenceMember> | EvidenceMember;

/** The launch measurement of the machine that deployments know. */
export const MEASUREMENT = 'c5'.repeat(48);
export const KNOWN = { measurement: Buffer.from(MEASUREMENT, 'hex') };
/** The policy, as HOST_DATA names it. */
export const HOST_DATA = Buffer.from(expectedField('snp.host_data', policyHash(POLICY).sha256), 'hex');
export const YEAR_MS = 365 * 86_400_000;
const makers = simulatedMakers(Buffer.alloc(32, 9));
const RIMS = new SimulatedGpu(makers.nvidiaDevices).reference().map((rim) => issueRim(makers.nvidiaRims, rim));

export const base64url = (bytes: Buffer): string => bytes.toString('base64url');
/** The attesters of a deployment: AKs that the report of a VM vouches for to which this rule applies. */
export const byReport = (rule: object) => ({ trust: ['cvm-report'], allow: { cvm: [rule] } });
export const reasonOf = (outcome: ReleaseOutcome): string => (outcome.ok ? 'released' : outcome.reason);

export class HardwareWorld {
  readonly #test: TestBroker;
  readonly broker: Broker;
  readonly context: BrokerContext;

  private constructor(test: TestBroker, context: BrokerContext) {
    this.#test = test;
    this.context = context;
    this.broker = createBroker(context);
  }

  /** A production broker, unless said; `over` is what stands in for parts of what it is made over. */
  static async start(
    over: (context: BrokerContext) => Partial<BrokerContext> = () => ({}),
    options: TestBrokerOptions = {},
  ): Promise<HardwareWorld> {
    const test = await TestBroker.start({ profile: 'production', ...options });
    const [roots, paths] = [withSimulator(makerRoots(makers)), new KnownPaths(64)];
    const collateral = { ...NO_COLLATERAL, rims: RIMS };
    const hardwareTrust = (_: unknown, atMs: number): HardwareTrust => ({
      ...{ roots, collateral, paths, atMs, requireCrls: false },
    });
    const context = { ...test.context, hardwareTrust, authorities: authorities() };
    return new HardwareWorld(test, { ...context, ...over(context) });
  }

  close(): Promise<void> {
    return this.#test.close();
  }

  /** The deployment `d` with members replaced. Administration goes by the broker as it was made: what is put over it is for releases. */
  async deploy(change: Readonly<Record<string, unknown>>): Promise<void> {
    valueOf(await this.#test.broker.applyDeployment(ADMIN, deploymentDocument('d', change), {}));
  }

  /** The deployment `d`, and a key `k` for it. */
  async prepare(change: Readonly<Record<string, unknown>>, pinned?: Machine): Promise<void> {
    await this.deploy(change);
    await this.#test.key('k', 'd');
    if (pinned !== undefined) await this.#test.pin(pinned, 'd');
  }

  /** A request of `d` for `k` with what `evidence` makes of a fresh challenge. */
  async request(evidence: Sending, nonceOf: (nonce: string) => string = (nonce) => nonce): Promise<ReleaseRequest> {
    const asked = { deployment: 'd', key: 'k' };
    const challenge = valueOf(await this.broker.issueChallenge(asked));
    const nonce = nonceOf(challenge.nonce);
    const { jwk: recipient, thumbprint } = await createRecipient('P-256');
    const { broker, pcrs } = challenge;
    const base = releaseBinding({ broker, ...asked, nonce, recipient: thumbprint, version: 'latest' });
    return { nonce, ...asked, recipient, evidence: await evidence(base, pcrs) };
  }

  async release(evidence: Sending): Promise<ReleaseOutcome> {
    return this.broker.release(await this.request(evidence));
  }

  /** `released`, or the reason. */
  async outcome(evidence: Sending): Promise<string> {
    return reasonOf(await this.release(evidence));
  }

  /** How many releases stand in the log. */
  async releases(): Promise<number> {
    return valueOf(await this.broker.listEntries({ type: 'release', limit: 10 })).items.length;
  }
}

interface Chip {
  /** Of a VLEK: the provider. */
  readonly cspId?: string;
  readonly generation?: SimulatedGeneration;
}

/** A processor whose reports say this, always the same chip. */
export function processor(fields: Partial<SimulatedSnpFields>, { cspId, generation = 'Milan' }: Chip = {}) {
  const snp = new SimulatedSnp({ generation, seed: Buffer.alloc(32, 1) }).set(fields);
  if (cspId !== undefined) snp.set({ signingKey: 1 });
  const life = { notBeforeMs: Date.now() - YEAR_MS, notAfterMs: Date.now() + YEAR_MS };
  const certificates = [base64url(snp.certificate(makers, cspId === undefined ? life : { ...life, cspId }))];
  const over = (data: Buffer) => ({ snp: { report: base64url(snp.report(data)), certificates } });
  return {
    chipId: snp.fields.chipId,
    plain: (base: Buffer, { ak }: Machine) => over(Buffer.concat([base, sha256(ak.spki)])),
    /** Of a machine without a TPM. */
    alone: (base: Buffer) => over(Buffer.concat([base, Buffer.alloc(32)])),
    hcl: ({ ak }: Machine, vmConfiguration: Readonly<Record<string, boolean>> = {}) => {
      const hardware = { kind: 'snp', report: (data: Buffer) => snp.report(data) } as const;
      const report = simulatedHclReport({ akSpki: ak.spki, hardware, vmConfiguration });
      return { hcl: { report: base64url(report), certificates } };
    },
  };
}

/** One GPU, and what a quote must hold beside it. */
export function graphics(base: Buffer) {
  const { report, certificates } = new SimulatedGpu(makers.nvidiaDevices, { seed: Buffer.alloc(32, 3) }).evidence(base);
  return {
    extraData: quoteBinding(base, [report]),
    gpus: [{ report: base64url(report), certificates: certificates.map(base64url) }],
  };
}
