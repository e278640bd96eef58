/** Brokers that are killed again and again, as their clients see them. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { ReleaseRequest } from '../../src/release/broker.js';
import type { ReleaseView } from '../../src/release/views.js';
import type { SimulatorAttester } from '../../src/workload/attesters/simulator.js';
import { LeanBroker } from '../helpers/lean-broker.js';
import { LogMemory } from '../helpers/log-memory.js';
import { ServedBroker } from '../helpers/served-broker.js';
import { ADMIN, deploymentDocument, prepareRequest, TestBroker } from '../helpers/test-broker.js';
import { DEPLOYMENT, KEY, wireRequest } from '../helpers/wire-workload.js';

export type Answer = { readonly released: ReleaseView } | { readonly reason: string };

/** A broker that runs, as its clients see it. Every call is rejected once it is dead. */
export interface Living {
  request(machine: SimulatorAttester): Promise<ReleaseRequest>;
  send(request: ReleaseRequest): Promise<Answer>;
  administer(turn: number): Promise<unknown>;
  checkpoint(): Promise<string>;
}

export interface Machines {
  /** Runs the policy. */
  readonly sound: SimulatorAttester;
  /** Is trusted as well, and runs another policy: its denials are recorded. */
  readonly other: SimulatorAttester;
}

/** Where a broker lives, and how it is started: in as many processes as there are. */
export interface Habitat {
  readonly database: string;
  start(): { readonly living: Promise<readonly Living[]>; kill(): Promise<void> };
}

export interface Settled {
  readonly habitat: Habitat;
  readonly memory: LogMemory;
  readonly leave: () => void;
}

/** What a call to a process that was killed is rejected with. */
export function isGone(error: unknown): boolean {
  const { code = '', message } = error as { code?: string; message: string };
  return (
    message.startsWith('the broker has ended') ||
    /^(?:ECONN|UND_ERR|EPIPE)/.test(code) ||
    message === 'other side closed'
  );
}

/** Without HTTP, each process its own broker: they start in half the time. */
export async function settleLean(machines: Machines, processes: number): Promise<Settled> {
  const origin = await TestBroker.start();
  await origin.deploy(DEPLOYMENT);
  await origin.deploy('idle');
  for (const machine of [machines.sound, machines.other]) await origin.pin(machine, DEPLOYMENT);
  await origin.key(KEY, DEPLOYMENT);
  await origin.key('unused', 'idle');
  const memory = new LogMemory(origin.context.logKey);
  const { dataDir } = origin;
  await origin.context.store.close();
  const start = () => {
    const brokers = Array.from({ length: processes }, () => new LeanBroker(dataDir));
    return {
      living: Promise.all(brokers.map((each) => each.ready().then(() => leanLiving(each)))),
      kill: async () => {
        await Promise.all(brokers.map((each) => each.kill()));
      },
    };
  };
  return { habitat: { database: join(dataDir, 'portcullis.db'), start }, memory, leave: () => remove(dataDir) };
}

function leanLiving(lean: LeanBroker): Living {
  const asked = { deployment: DEPLOYMENT, key: KEY };
  return {
    request: async (machine) => (await prepareRequest(lean.broker, machine, asked)).request,
    send: async (request) => {
      const outcome = await lean.broker.release(request);
      return outcome.ok ? { released: outcome.value } : { reason: outcome.reason };
    },
    administer: (turn) =>
      turn % 2 === 0
        ? lean.broker.setDeploymentFrozen(ADMIN, 'idle', turn % 4 === 0)
        : lean.broker.rotateKey(ADMIN, 'unused'),
    checkpoint: () => lean.checkpoint(),
  };
}

/** The whole program, over HTTP, with so many workers. */
export async function settleServed(machines: Machines, workers: number): Promise<Settled> {
  const origin = await ServedBroker.start();
  const { dataDir } = origin;
  await origin.admin('POST', '/v1/deployments', deploymentDocument(DEPLOYMENT));
  await origin.admin('POST', '/v1/deployments', deploymentDocument('idle'));
  for (const { ak } of [machines.sound, machines.other]) {
    const pinned = { deployment: DEPLOYMENT, public: ak.tpm2bPublic.toString('base64url') };
    await origin.admin('POST', '/v1/attesters', pinned);
  }
  await origin.admin('POST', '/v1/keys', { name: KEY, deployments: [DEPLOYMENT], type: 'oct' });
  await origin.admin('POST', '/v1/keys', { name: 'unused', deployments: ['idle'], type: 'oct' });
  const { body } = await origin.admin('GET', '/v1/broker');
  await origin.kill('SIGTERM');
  const start = () => {
    const starting = ServedBroker.start({ dataDir, workers });
    return {
      living: starting.then((served) => [servedLiving(served)]),
      kill: async () => {
        const served = await starting;
        // Once it has ended, its number may be another process's.
        const { pid, exitCode, signalCode } = served.process;
        if (pid !== undefined && exitCode === null && signalCode === null) family(pid).forEach(killHard);
        await served.kill('SIGKILL');
      },
    };
  };
  const memory = new LogMemory(String(body['log_key']));
  return { habitat: { database: join(dataDir, 'portcullis.db'), start }, memory, leave: () => remove(dataDir) };
}

function remove(dataDir: string): void {
  rmSync(join(dataDir, '..'), { recursive: true, force: true });
}

function servedLiving(served: ServedBroker): Living {
  const { token } = served;
  return {
    request: async (machine) => wireRequest(served, machine),
    send: async (request) => {
      const { status, body } = await served.call('POST', '/v1/releases', request);
      return status === 200 ? { released: body as unknown as ReleaseView } : { reason: String(body['reason']) };
    },
    administer: (turn) =>
      turn % 2 === 0
        ? served.call('POST', `/v1/deployments/idle/${turn % 4 === 0 ? 'freeze' : 'unfreeze'}`, {}, token)
        : served.call('POST', '/v1/keys/unused/rotate', {}, token),
    checkpoint: async () => {
      const { status, body } = await served.call('GET', '/log/checkpoint');
      expect(status).toBe(200);
      return String(body['text']);
    },
  };
}

/** The process and those that it has started. */
function family(pid: number): readonly number[] {
  try {
    const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8').split(' ');
    return [pid, ...children.filter((each) => each !== '').map(Number)];
  } catch {
    // Another system, or gone already: workers end with their parent.
    return [pid];
  }
}

function killHard(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
