/** A real broker whose clock and CRLs a test sets, and machines that an authority certifies. */
import type { RevocationLists } from '../../src/endorsement/known-paths.js';
import { NO_REVOCATION_LISTS } from '../../src/endorsement/known-paths.js';
import { sha256Hex } from '../../src/crypto/digest.js';
import type { EvidenceMember } from '../../src/evidence/evidence.js';
import type { Broker, ReleaseOutcome } from '../../src/release/broker.js';
import { createBroker } from '../../src/release/create-broker.js';
import type { AttesterRecord } from '../../src/release/records.js';
import { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import {
  ADMIN,
  type Asked,
  prepareRequest,
  TestBroker,
  type TestBrokerOptions,
  valueOf,
} from '../helpers/test-broker.js';

type Tpm = NonNullable<EvidenceMember['tpm']>;

export class World {
  readonly test: TestBroker;
  readonly broker: Broker;
  nowMs = Date.now();
  crls: RevocationLists = NO_REVOCATION_LISTS;

  private constructor(test: TestBroker) {
    this.test = test;
    this.broker = createBroker({ ...test.context, clock: () => this.nowMs, revocationLists: () => this.crls });
  }

  static async start(options: TestBrokerOptions = {}): Promise<World> {
    return new World(await TestBroker.start(options));
  }

  close(): Promise<void> {
    return this.test.close();
  }

  /** A deployment with these rules, and a key for it. */
  async deploy(name: string, attesters: Readonly<Record<string, unknown>>): Promise<Asked> {
    const known = (await this.broker.showDeployment(name)).ok;
    await this.test.deploy(name, { attesters });
    if (!known) await this.test.key(`${name}-key`, name);
    return { deployment: name, key: `${name}-key` };
  }

  /** A release of the machine, its TPM evidence changed on the way. */
  async release(machine: SimulatorAttester, asked: Asked, change: (tpm: Tpm) => Tpm = same): Promise<ReleaseOutcome> {
    const { request } = await prepareRequest(this.broker, machine, asked);
    return this.broker.release({ ...request, evidence: { tpm: change(request.evidence.tpm) } });
  }

  /** `released`, or the reason. */
  async outcome(machine: SimulatorAttester, asked: Asked, change?: (tpm: Tpm) => Tpm): Promise<string> {
    const outcome = await this.release(machine, asked, change);
    return outcome.ok ? 'released' : outcome.reason;
  }

  /** The newest entry of a release. */
  async entry(): Promise<Readonly<Record<string, unknown>>> {
    const page = await this.broker.listEntries({ type: 'release', limit: 1 });
    if (!page.ok) throw new Error(page.detail);
    return page.value.items[0]?.entry as Readonly<Record<string, unknown>>;
  }

  /** As credential activation leaves it: the AK lives in the TPM of this EK. */
  async enrol(
    machine: SimulatorAttester,
    certificates: readonly Buffer[],
    ekSpki: Buffer,
    deployments: readonly string[],
    change: Partial<AttesterRecord> = {},
  ): Promise<AttesterRecord> {
    const spkiSha256 = sha256Hex(machine.ak.spki);
    const record: AttesterRecord = {
      spkiSha256,
      akName: machine.ak.name.toString('hex'),
      publicArea: machine.ak.publicArea,
      name: `ak-${spkiSha256.slice(0, 16)}`,
      deployments: [],
      createdAtMs: this.nowMs,
      enrolments: deployments.map((deployment) => ({
        deployment,
        akName: change.akName ?? machine.ak.name.toString('hex'),
        ek: { spkiSha256: sha256Hex(ekSpki), certificates },
      })),
      ...change,
    };
    await this.test.context.store.change(async (change) => {
      for (const deployment of deployments) {
        await change.append('attester.enrolled', {
          deployment,
          attester: record.name,
          ak_name: record.akName,
          ak_spki_sha256: spkiSha256,
          ek_spki_sha256: sha256Hex(ekSpki),
          ek_certificate_sha256: sha256Hex(certificates[0] ?? ''),
        });
      }
      await change.attesters.put(record);
    });
    return record;
  }

  /** As an administrator does; `identity` as in endorsement/identity.ts. */
  async revoke(identity: string): Promise<void> {
    if (/^[0-9a-f]{64}$/.test(identity)) return void valueOf(await this.broker.revokeAttester(ADMIN, identity));
    await this.test.context.store.change(async (change) => {
      await change.append('endorsement.revoked', { actor: 'test', identity });
      await change.revocations.add(identity);
    });
  }
}

const same = (tpm: Tpm): Tpm => tpm;

/** Without the public area. */
export function withoutAk({ quoted, signature, pcrs, ak_certificates = [] }: Tpm): Tpm {
  return { quoted, signature, pcrs, ak_certificates };
}

/** The machine with certificates of its AK. */
export function certified(machine: SimulatorAttester, chain: readonly Buffer[]): SimulatorAttester {
  return new SimulatorAttester(
    machine.tpm,
    machine.ak,
    chain.map((der) => der.toString('base64url')),
  );
}
