/** A broker in this process over a data directory of its own: the real store, KEK file and use cases, without HTTP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { releaseBinding } from '../../src/challenge/binding.js';
import { initialise } from '../../src/cli/compose/init.js';
import { openBroker, type OpenBroker } from '../../src/cli/compose/open-broker.js';
import { toHex } from '../../src/bytes/hex.js';
import { sha256 } from '../../src/crypto/digest.js';
import { expectedPcr } from '../../src/policy/policy-hash.js';
import type { Result } from '../../src/reason/reason.js';
import type { EvidenceMember } from '../../src/evidence/evidence.js';
import type { Broker, Principal, ReleaseOutcome, ReleaseRequest } from '../../src/release/broker.js';
import type { ReleaseView } from '../../src/release/views.js';
import type { AkScheme } from '../../src/simulator/ak.js';
import { SimulatedTpm } from '../../src/simulator/vtpm.js';
import type { Attester } from '../../src/workload/attester.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { createRecipient, type Recipient, type RecipientKind } from '../../src/workload/recipient.js';

export const ADMIN: Principal = { tokenId: 'test', name: 'test', role: 'admin' };
export const POLICY = Buffer.from('{"allow":["the model server"]}\n');
export const BOOT = { '4': sha256(Buffer.from('boot loader')), '7': sha256(Buffer.from('secure boot')) } as const;

export interface TestBrokerOptions {
  readonly profile?: 'development' | 'production';
  readonly explain?: 'full' | 'codes';
  readonly challengeTtlMs?: number;
  readonly logNames?: 'plain' | 'salted';
  readonly archiveEvidence?: boolean;
}

/** The value of a successful result; fails the test with the refusal otherwise. */
export function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.reason}: ${result.detail}`);
  return result.value;
}

export class TestBroker {
  readonly dataDir: string;
  readonly #options: TestBrokerOptions;
  #open: OpenBroker;

  private constructor(dataDir: string, options: TestBrokerOptions, open: OpenBroker) {
    this.dataDir = dataDir;
    this.#options = options;
    this.#open = open;
  }

  static async start(options: TestBrokerOptions = {}): Promise<TestBroker> {
    const dataDir = join(mkdtempSync(join(tmpdir(), 'portcullis-test-')), 'data');
    valueOf(await initialise({ dataDir, profile: options.profile ?? 'development' }));
    return new TestBroker(dataDir, options, await TestBroker.#openAt(dataDir, options));
  }

  static #openAt(dataDir: string, options: TestBrokerOptions): Promise<OpenBroker> {
    return openBroker({
      dataDir,
      profile: undefined,
      challengeTtlMs: options.challengeTtlMs ?? 120_000,
      explain: options.explain ?? 'full',
      logNames: options.logNames ?? 'plain',
      archiveEvidence: options.archiveEvidence ?? false,
      observer: {
        challenged: () => undefined,
        released: () => undefined,
        denied: () => undefined,
        committed: () => undefined,
        regressed: () => undefined,
        sightingDropped: () => undefined,
      },
    });
  }

  get broker(): Broker {
    return this.#open.broker;
  }

  get context(): OpenBroker['context'] {
    return this.#open.context;
  }

  /** As after a restart of the process; `whileClosed` is what somebody does to the files in between. */
  async restart(whileClosed: () => void = () => undefined): Promise<void> {
    await this.#open.close();
    whileClosed();
    this.#open = await TestBroker.#openAt(this.dataDir, this.#options);
  }

  /** A second broker over the same files, as another worker process would be. */
  async twin(): Promise<OpenBroker> {
    return TestBroker.#openAt(this.dataDir, this.#options);
  }

  async close(): Promise<void> {
    await this.#open.close();
    rmSync(join(this.dataDir, '..'), { recursive: true, force: true });
  }

  /** Applies a deployment that pins boot chain and AKs, with members replaced by `change`. */
  async deploy(name: string, change: Readonly<Record<string, unknown>> = {}): Promise<void> {
    valueOf(await this.broker.applyDeployment(ADMIN, deploymentDocument(name, change), {}));
  }

  /** A generated AES key that the deployments may draw. */
  async key(name: string, ...deployments: readonly string[]): Promise<string> {
    const key = valueOf(await this.broker.createKey(ADMIN, { name, deployments, type: 'oct' }));
    return key.versions[0]?.version ?? '';
  }

  /** Pins the AK for a deployment. */
  async pin(attester: SimulatorAttester, deployment: string): Promise<void> {
    const { tpm2bPublic } = attester.ak;
    valueOf(await this.broker.trustAttester(ADMIN, { deployment, public: tpm2bPublic.toString('base64url') }));
  }

  /** A request that is granted unless something is wrong with the machine or the state. */
  async request(attester: Attester, asked: Asked): Promise<PreparedRequest> {
    return prepareRequest(this.broker, attester, asked);
  }

  /** Challenge, quote and release in one. */
  async release(attester: Attester, asked: Asked): Promise<ReleaseOutcome> {
    return this.broker.release((await this.request(attester, asked)).request);
  }
}

export interface Asked {
  readonly deployment: string;
  readonly key: string;
  readonly version?: string;
  readonly recipient?: RecipientKind;
}

export interface PreparedRequest {
  readonly request: ReleaseRequest & {
    readonly evidence: EvidenceMember & { readonly tpm: NonNullable<EvidenceMember['tpm']> };
  };
  readonly recipient: Recipient;
}

export async function prepareRequest(broker: Broker, attester: Attester, asked: Asked): Promise<PreparedRequest> {
  const { deployment, key, version } = asked;
  const challenge = valueOf(
    await broker.issueChallenge({ deployment, key, ...(version === undefined ? {} : { version }) }),
  );
  const recipient = await createRecipient(asked.recipient ?? 'P-256');
  const binding = releaseBinding({
    broker: challenge.broker,
    deployment,
    key,
    nonce: challenge.nonce,
    recipient: recipient.thumbprint,
    version: challenge.version,
  });
  const tpm = await attester.evidence(binding, challenge.pcrs);
  const versionAsked = version === undefined ? {} : { version };
  return {
    request: { nonce: challenge.nonce, deployment, key, ...versionAsked, recipient: recipient.jwk, evidence: { tpm } },
    recipient,
  };
}

export function deploymentDocument(
  name: string,
  change: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const reference = Object.entries(BOOT).map(([pcr, digest]) => [pcr, [expectedPcr('sha256', toHex(digest))]]);
  return {
    apiVersion: 'portcullis/v1',
    kind: 'Deployment',
    metadata: { name },
    policies: [{ content: POLICY.toString('base64url') }],
    platform: { pcrs: Object.fromEntries(reference) as Record<string, unknown> },
    attesters: { trust: ['pinned'] },
    ...change,
  };
}

/** A simulated machine that has booted and measured `policy` into PCR 8. */
export async function bootedMachine(
  scheme: AkScheme = 'ecdsa-p256',
  policy: Buffer = POLICY,
): Promise<SimulatorAttester> {
  const tpm = new SimulatedTpm();
  for (const [pcr, digest] of Object.entries(BOOT)) tpm.extend('sha256', Number(pcr), digest);
  tpm.extend('sha256', 8, sha256(policy));
  return new SimulatorAttester(tpm, await tpm.createAk({ scheme }));
}

export function released(outcome: ReleaseOutcome): ReleaseView {
  return valueOf(outcome);
}
